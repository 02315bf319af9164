"""The simulated cars in the words of BMW's app cloud, and how our own parser understands them."""

from __future__ import annotations

import functools
import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from poller.simulator import fleet
from poller.simulator.garage import all_cars_garage, demo_garage
from poller.sources.mybmw.meaning.parse import parse
from poller.vehicle.answer import Answer

START = datetime(2026, 11, 16, tzinfo=UTC)
STEP = timedelta(minutes=10)
WEEK = 7 * 24 * 6
EVERYBODY = {
    "odometer_km", "range_total_km", "locked", "lock_state", "door_open.front_left",
    "window_open.front_right", "hood_open", "trunk_open", "latitude_degrees", "heading_degrees",
    "tire_pressure_kpa.rear_left",
    "tire_pressure_target_kpa.front_right", "service_state.brake_fluid", "service_due_at.vehicle_tuv",
    "service_due_km.vehicle_check", "climate_state", "model", "brand", "year", "drive_train", "steering",
}  # fmt: skip
CHARGED = {
    "soc_percent", "soc_target_percent", "range_electric_km", "plugged", "charging", "charging_state",
    "charging_remaining_seconds", "charging_end_at",
}  # fmt: skip
FUELLED = {"fuel_liters", "fuel_percent", "range_fuel_km", "service_due_km.oil"}
EXPECTED = {
    fleet.MINI_VIN: CHARGED | {"charging_start_at"},
    fleet.BMW_VIN: CHARGED | FUELLED | {"sunroof_open", "alarm_armed", "charging_ac_limit_amperes"},
    fleet.ICE_VIN: FUELLED,
    fleet.BEV_VIN: CHARGED | {"charging_ac_limit_amperes"},
}
ALL = pytest.mark.parametrize("vin", EXPECTED)


@functools.cache
def states(vin: str, count: int = WEEK) -> list[dict]:
    garage = all_cars_garage()
    return [json.loads(garage.state(vin, START + number * STEP))["state"] for number in range(count)]


@functools.cache
def snapshots(vin: str, start: datetime = START) -> list:
    garage, found = all_cars_garage(), []
    for number in range(0, WEEK + WEEK // 2, 9):
        at = start + number * STEP
        bodies = {
            "state": garage.state(vin, at),
            "profile": garage.profile(vin),
            "charging_settings": garage.charging(vin, at),
        }
        found.append(parse(Answer("demo", "mybmw", vin, at, bodies), ZoneInfo("Europe/London")))
    return found


@ALL
@pytest.mark.parametrize("start", [START, datetime(2024, 2, 26, tzinfo=UTC)])
def test_the_parser_understands_every_word(vin, start) -> None:
    """And finds the signals of that kind of car, and none of another kind."""
    keys = set()
    for snapshot in snapshots(vin, start):
        assert snapshot.unknown_tokens == ()
        keys |= set(snapshot.readings)
    assert keys >= EVERYBODY | EXPECTED[vin]
    assert not keys & (CHARGED | FUELLED) - EXPECTED[vin]


@ALL
def test_what_is_parsed_is_what_the_car_reported(vin) -> None:
    car = all_cars_garage().cars[vin]
    for snapshot in snapshots(vin)[::5]:
        report = car.reported(snapshot.received_at)
        assert snapshot.observed_at == report.observed_at
        assert snapshot.value("odometer_km") == report.odometer_km
        assert snapshot.value("locked") == report.locked
        assert snapshot.value("soc_percent") == (report.charge.percent if report.charge else None)
        assert snapshot.value("range_fuel_km") == (report.fuel.range_km if report.fuel else None)
        assert snapshot.value("trunk_open") == ("trunk" in report.open)


@ALL
def test_a_quiet_car_says_the_same_but_for_the_time_of_asking(vin) -> None:
    seen: dict[str, str] = {}
    for state in states(vin):
        told = {key: value for key, value in state.items() if key != "lastFetched"}
        if told["climateControlState"]["activity"] == "INACTIVE":
            assert seen.setdefault(state["lastUpdatedAt"], json.dumps(told)) == json.dumps(told)
    assert len(seen) > 20
    assert [state["lastFetched"] for state in states(vin)[:2]] == [
        "2026-11-16T00:00:00.000Z", "2026-11-16T00:10:00.000Z",
    ]  # fmt: skip


@ALL
def test_the_same_question_gets_the_same_bytes(vin) -> None:
    """Whoever asks, and whatever was asked before."""
    first, again = all_cars_garage(), all_cars_garage()
    times = [START + number * 7 * STEP for number in range(40)]
    forwards = {at: (first.state(vin, at), first.charging(vin, at)) for at in times}
    for at in (times[31], times[2], times[39], times[0]):
        assert (again.state(vin, at), again.charging(vin, at)) == forwards[at]
    assert first.profile(vin) == again.profile(vin)


def test_the_demo_shows_two_of_the_cars() -> None:
    demo, everybody = demo_garage(), all_cars_garage()
    assert demo.vins == (fleet.MINI_VIN, fleet.BMW_VIN)
    assert everybody.vins == tuple(EXPECTED)
    assert [entry["vin"] for entry in everybody.mappings("bmw")] == list(EXPECTED)[1:]
    assert demo.state(fleet.MINI_VIN, START) == everybody.state(fleet.MINI_VIN, START)
    assert demo.state(fleet.MINI_VIN, START) != demo_garage(7).state(fleet.MINI_VIN, START)


def test_a_stranger_is_not_in_the_garage() -> None:
    garage = demo_garage()
    assert garage.profile(fleet.ICE_VIN) is None
    assert garage.state(fleet.ICE_VIN, START) is None
    assert garage.charging(fleet.ICE_VIN, START) is None


@pytest.mark.parametrize(
    ("vin", "side", "other"), [(fleet.MINI_VIN, "right", "left"), (fleet.BMW_VIN, "left", "right")]
)
def test_the_drivers_door_is_on_the_side_of_the_steering(vin, side, other) -> None:
    week = states(vin)
    assert {state["isLeftSteering"] for state in week} == {side == "left"}
    assert {state["doorsState"][f"{other}Front"] for state in week} == {"CLOSED"}
    assert "OPEN" in {state["doorsState"][f"{side}Front"] for state in week}


def test_a_plug_in_hybrid_gives_the_sum_as_its_range_on_fuel() -> None:
    """As in life: the maker's quirk that every client has to know."""
    for state in states(fleet.BMW_VIN, 50):
        assert (
            state["combustionFuelLevel"]["range"] == state["range"] > state["electricChargingState"]["range"]
        )


def test_a_car_without_a_battery_says_nothing_of_one() -> None:
    (state, *_), garage = states(fleet.ICE_VIN), all_cars_garage()
    assert "electricChargingState" not in state
    assert garage.charging(fleet.ICE_VIN, START) == b"{}"


def test_the_seconds_of_a_warm_cabin_run_down_while_the_car_says_nothing_new() -> None:
    garage = demo_garage()
    preheat = garage.cars[fleet.MINI_VIN].truth(START, START + 9 * WEEK * STEP).preheats[0]
    warm = [
        json.loads(garage.state(fleet.MINI_VIN, preheat.start + timedelta(minutes=minutes)))["state"]
        for minutes in (6, 8)
    ]
    assert {state["climateControlState"]["activity"] for state in warm} == {"HEATING"}
    left = [state["climateControlState"]["remainingSeconds"] for state in warm]
    assert left[0] - left[1] == 120
    assert warm[0]["lastUpdatedAt"] == warm[1]["lastUpdatedAt"]


def test_the_target_goes_up_before_a_long_trip() -> None:
    """In the state and in the charging settings alike."""
    garage = all_cars_garage()
    targets = set()
    for days in range(0, 120, 2):
        at = START + timedelta(days=days, hours=4)
        settings = json.loads(garage.charging(fleet.BEV_VIN, at))["chargingSettingsDetail"]["chargingTarget"]
        state = json.loads(garage.state(fleet.BEV_VIN, at))["state"]
        assert state["electricChargingState"]["chargingTarget"] == settings
        assert state["chargingProfile"]["chargingSettings"]["targetSoc"] == settings
        targets.add(settings)
    assert targets == {80, 100}
