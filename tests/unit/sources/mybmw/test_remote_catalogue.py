"""What each order needs of a car, and where it goes."""

from __future__ import annotations

from typing import get_args

import pytest

from poller.errors import SourceUnavailable
from poller.sources.mybmw.remote.car import Car, read_car
from poller.sources.mybmw.remote.catalogue import TRIGGERS, idle, lack
from poller.vehicle.command import CommandState, Found, Order, Outcome, Service, command_record
from poller.vehicle.records import parse_time

VIN = "WBYTEST0000000001"
ABLE = {
    "lights": True,
    "horn": True,
    "lock": True,
    "unlock": True,
    "climateNow": True,
    "sendPoi": True,
    "vehicleFinder": True,
    "isChargingPlanSupported": True,
    "isChargingTargetSocEnabled": True,
    "isChargingPowerLimitEnabled": True,
    "remoteChargingCommands": {"chargingControl": ["START", "STOP"]},
}
STATE = {
    "climateControlState": {"activity": "INACTIVE"},
    "chargingProfile": {"chargingMode": "NO_ACTION"},
    "electricChargingState": {"isChargerConnected": True, "chargingStatus": "CHARGING"},
}


def lacking(state, capabilities) -> set[str]:
    car = Car(VIN, "bmw", state, capabilities)
    return {service for service in get_args(Service) if lack(service, car)}


def test_a_car_that_can_do_all_lacks_nothing() -> None:
    assert lacking(STATE, ABLE) == set()


def test_a_car_of_which_nothing_is_said_can_be_searched_for_and_called() -> None:
    """The finder works although its flag says no; of a call nobody knows."""
    assert lacking({}, {}) == set(get_args(Service)) - {"vehicle_finder", "call"}


@pytest.mark.parametrize(
    ("without", "lacks"),
    [
        ("lights", {"light_flash"}),
        ("horn", {"horn"}),
        ("lock", {"lock"}),
        ("unlock", {"unlock"}),
        ("climateNow", {"climate_start"}),
        ("sendPoi", {"send_poi"}),
        ("vehicleFinder", set()),
        ("isChargingPlanSupported", {"charging_profile"}),
        ("isChargingTargetSocEnabled", set()),
        ("isChargingPowerLimitEnabled", set()),
        ("remoteChargingCommands", {"charge_start", "charge_stop"}),
    ],
)
@pytest.mark.parametrize("value", [False, None, "true", {}])
def test_each_service_has_its_capability_and_only_true_is_yes(without, lacks, value) -> None:
    assert lacking(STATE, {**ABLE, without: value}) == lacks


@pytest.mark.parametrize(
    ("without", "lacks"),
    [("climateControlState", {"climate_stop"}), ("chargingProfile", {"charging_profile"})],
)
def test_two_services_need_something_in_the_state(without, lacks) -> None:
    assert lacking({key: value for key, value in STATE.items() if key != without}, ABLE) == lacks


def test_charging_starts_and_stops_apart() -> None:
    commands = {"remoteChargingCommands": {"chargingControl": ["STOP", None, 5]}}
    assert lacking(STATE, {**ABLE, **commands}) == {"charge_start"}


def test_settings_need_one_of_both() -> None:
    neither = dict.fromkeys(("isChargingTargetSocEnabled", "isChargingPowerLimitEnabled"), False)
    assert lacking(STATE, {**ABLE, **neither}) == {"charging_settings"}


@pytest.mark.parametrize(
    ("charging", "waits"),
    [
        ({"isChargerConnected": True, "chargingStatus": "charging"}, set()),
        ({"isChargerConnected": True, "chargingStatus": "WAITING_FOR_CHARGING"}, {"charge_stop"}),
        ({"isChargerConnected": True}, {"charge_stop"}),
        ({"isChargerConnected": False, "chargingStatus": "CHARGING"}, {"charge_start", "charge_stop"}),
        ({}, {"charge_start", "charge_stop"}),
        (None, {"charge_start", "charge_stop"}),
    ],
    ids=lambda given: " ".join(sorted(given)) if isinstance(given, set) else str(given),
)
def test_there_is_nothing_to_start_or_stop_without_a_charger(charging, waits) -> None:
    car = Car(VIN, "bmw", {**STATE, "electricChargingState": charging}, ABLE)
    assert {service for service in get_args(Service) if idle(service, car)} == waits


def test_every_service_has_its_path() -> None:
    commands, charging = "/eadrax-vrccs/v4/presentation/remote-commands/", "/eadrax-crccs/v1/vehicles/{vin}/"
    assert {service: (t.path, dict(t.query)) for service, t in TRIGGERS.items()} == {
        "light_flash": (commands + "light-flash", {}),
        "horn": (commands + "horn-blow", {}),
        "lock": (commands + "door-lock", {}),
        "unlock": (commands + "door-unlock", {}),
        "climate_start": (commands + "climate-now", {"action": "START"}),
        "climate_stop": (commands + "climate-now", {"action": "STOP"}),
        "vehicle_finder": (commands + "vehicle-finder", {}),
        "charge_start": (charging + "start-charging", {}),
        "charge_stop": (charging + "stop-charging", {}),
        "charging_settings": (charging + "charging-settings", {}),
        "charging_profile": (charging + "charging-profile", {}),
        "send_poi": ("/eadrax-dcs/v2/user/{gcid}/send-to-car", {}),
    }


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b'{"state": []}', b"[" * 100_000])
def test_an_answer_without_a_state_tells_of_no_car(body) -> None:
    with pytest.raises(SourceUnavailable):
        read_car(VIN, "bmw", body)


# --- what is told of an order -------------------------------------------------------------------

AT = parse_time("2026-03-02T12:00:00Z")


def test_a_record_names_no_place_and_in_a_path_neither_car_nor_owner() -> None:
    path = f"/user/11111111-2222-3333-4444-555555555555/{VIN.lower()}/x"
    given = {"path": path, "latitude": 1.5, "body": {"a": 1}, "target_soc": 80, "precondition_climate": False}
    record = command_record(Order(VIN, "call", given), "bmw", AT, at=AT)
    assert record.body["arguments"] == {
        "path": "/user/{gcid}/{vin}/x",
        "target_soc": 80,
        "precondition_climate": False,
    }


def test_a_record_hides_another_car_that_a_path_names_by_mistake() -> None:
    path = f"/vehicles/{VIN}/WBA00000000000002/wmw00000000000001?x"
    record = command_record(Order(VIN, "call", {"path": path}), "bmw", AT, at=AT)
    assert record.body["arguments"] == {"path": "/vehicles/{vin}/…/…?x"}


def test_nothing_personal_shows_in_what_a_log_might_print() -> None:
    order = Order(VIN, "send_poi", {"latitude": 12.3456})
    outcome = Outcome(CommandState.EXECUTED, found=Found(12.3456, 34.5678, 90, "Long Road 1"))
    shown = repr((order, outcome, Car(VIN, "bmw", {"location": 12.3456}, {})))
    assert [word for word in (VIN, "12.3456", "34.5678", "Long Road") if word in shown] == []
