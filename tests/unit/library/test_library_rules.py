"""The library's rules one by one, quirks included, as release 0.17.4 was seen to follow them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from poller.library.answers import Heard
from poller.library.keys import vehicle_json
from poller.library.understand import vehicle_of
from poller.library.words import ChargingState, LidState, LockState, Word

NOW = datetime(2026, 5, 6, 7, 8, 10, tzinfo=UTC)
NONE = [None, None]


def keys(state: dict[str, Any], drive: str = "ELECTRIC", **more: Any) -> dict[str, Any]:
    attributes = {"driveTrain": drive, "brand": "BMW", "model": "Test", **more.pop("attributes", {})}
    said = Heard(vin="WBA00000000000001", state=state, fetched_at=NOW, attributes=attributes, **more)
    return vehicle_json(vehicle_of(said))


def energy(state: dict[str, Any], drive: str, **more: Any) -> dict[str, Any]:
    return keys(state, drive, **more)["fuel_and_battery"]


def ranges(state: dict[str, Any], drive: str) -> tuple[Any, Any, Any]:
    known = energy(state, drive)
    return tuple(known[f"remaining_range_{name}"] for name in ("fuel", "electric", "total"))


# --- words ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", Word.__subclasses__())
def test_words_compare_in_any_case_and_what_nobody_knows_is_unknown(kind) -> None:
    for one in kind:
        assert kind(one.name.lower()) is one
    for odd in ("", "nobody knows", None, 7, [], {}):
        assert kind(odd) is kind.UNKNOWN


# --- energy -----------------------------------------------------------------------------------

TANK = {"range": 610, "remainingFuelLiters": 31}
CHARGE = {"chargingStatus": "INVALID", "range": 40}


@pytest.mark.parametrize(
    ("drive", "state", "expected"),
    [
        ("COMBUSTION", {"combustionFuelLevel": TANK, "range": 1}, ([610, "km"], NONE, [610, "km"])),
        (
            "ELECTRIC",
            {"combustionFuelLevel": TANK, "electricChargingState": CHARGE},
            (NONE, [40, "km"], [40, "km"]),
        ),
        (
            "PLUGIN_HYBRID",
            {"combustionFuelLevel": TANK, "electricChargingState": CHARGE},
            ([570, "km"], [40, "km"], [610, "km"]),
        ),
        ("PLUGIN_HYBRID", {"combustionFuelLevel": TANK}, ([610, "km"], NONE, [610, "km"])),
        ("PLUGIN_HYBRID", {"electricChargingState": CHARGE}, (NONE, NONE, NONE)),
        ("PLUGIN_HYBRID", {"combustionFuelLevel": {}, "electricChargingState": CHARGE}, (NONE, NONE, NONE)),
        (
            "PLUGIN_HYBRID",
            {"combustionFuelLevel": {"range": 3}, "electricChargingState": CHARGE},
            ([-37, "km"], [40, "km"], [3, "km"]),
        ),
        (
            "ELECTRIC_WITH_RANGE_EXTENDER",
            {"combustionFuelLevel": TANK, "electricChargingState": CHARGE},
            ([610, "km"], [40, "km"], [650, "km"]),
        ),
        ("ELECTRIC_WITH_RANGE_EXTENDER", {"electricChargingState": CHARGE}, (NONE, [40, "km"], [40, "km"])),
        ("COMBUSTION", {"combustionFuelLevel": {}}, (NONE, NONE, NONE)),
        ("COMBUSTION", {"combustionFuelLevel": None}, (NONE, NONE, NONE)),
        (
            "PLUGIN_HYBRID",
            {"combustionFuelLevel": TANK, "electricChargingState": None},
            ([610, "km"], NONE, [610, "km"]),
        ),
        (
            "PLUGIN_HYBRID",
            {"combustionFuelLevel": {"range": None}, "electricChargingState": CHARGE},
            ([-40, "km"], [40, "km"], [None, "km"]),
        ),
        (
            "PLUGIN_HYBRID",
            {"combustionFuelLevel": TANK, "electricChargingState": {**CHARGE, "range": None}},
            ([610, "km"], [None, "km"], [610, "km"]),
        ),
        (
            "ELECTRIC_WITH_RANGE_EXTENDER",
            {"combustionFuelLevel": {"range": None}, "electricChargingState": CHARGE},
            ([None, "km"], [40, "km"], [40, "km"]),
        ),
        ("ELECTRIC_WITH_RANGE_EXTENDER", {"combustionFuelLevel": {}}, (NONE, NONE, [0, None])),
        (
            "ELECTRIC",
            {"combustionFuelLevel": None, "electricChargingState": CHARGE},
            (NONE, [40, "km"], [40, "km"]),
        ),
        (
            "MILD_HYBRID",
            {"combustionFuelLevel": TANK, "electricChargingState": CHARGE},
            ([610, "km"], NONE, [610, "km"]),
        ),
        ("ROCKET", {"combustionFuelLevel": TANK, "electricChargingState": CHARGE}, (NONE, NONE, NONE)),
        ("COMBUSTION", {"range": 500}, (NONE, NONE, NONE)),
    ],
)
def test_ranges_follow_the_drive_train(drive, state, expected) -> None:
    assert ranges(state, drive) == expected


@pytest.mark.parametrize(
    "bad",
    [{"range": 5}, {"chargingStatus": "CHARGING", "chargingLevelPercent": None},
     {"chargingStatus": "CHARGING", "remainingChargingMinutes": None},
     {"chargingStatus": "CHARGING", "chargingTarget": None}],
)  # fmt: skip
def test_one_bad_value_costs_the_whole_area(bad) -> None:
    assert energy({"electricChargingState": bad}, "ELECTRIC") == energy({}, "ELECTRIC")


@pytest.mark.parametrize(("sent", "whole"), [(80, 80), (79.9, 79), ("80", 80)])
def test_a_target_and_a_charge_are_whole(sent, whole) -> None:
    battery = {"chargingStatus": "CHARGING", "chargingTarget": sent, "chargingLevelPercent": sent}
    known = energy({"electricChargingState": battery}, "ELECTRIC")
    assert [known["charging_target"], known["remaining_battery_percent"]] == [whole, whole]
    assert type(known["charging_target"]) is int


def test_words_that_are_left_out_are_written_in_capitals() -> None:
    """The words compare in any case, what is dropped or renamed for its word does not."""
    battery = {"electricChargingState": {"chargingStatus": "invalid"}}
    assert energy(battery, "ELECTRIC")["charging_status"] == "INVALID"
    doors = {"windowsState": {"rear": "invalid", "leftRear": "INVALID"}}
    assert [one["name"] for one in keys(doors)["doors_and_windows"]["windows"]] == ["rear"]
    messages = {"checkControlMessages": [{"type": "A", "severity": "ok"}, {"type": "B", "severity": "OK"}]}
    assert keys(messages)["check_control_messages"]["urgent_check_control_messages"] == "A"


def test_an_end_of_charging_is_told_also_of_an_unplugged_car() -> None:
    battery = {"chargingStatus": "INVALID", "isChargerConnected": False, "remainingChargingMinutes": 10}
    known = energy({"electricChargingState": battery}, "ELECTRIC")
    assert known["charging_status"] == ChargingState.NOT_CHARGING
    assert known["charging_end_time"] == "2026-05-06T07:18:10+00:00"


@pytest.mark.parametrize(
    ("zone", "hour", "expected"),
    [
        ("UTC", 7, "2026-05-07T07:00:00"),
        ("UTC", 8, "2026-05-06T08:00:00"),
        ("Asia/Tokyo", 8, "2026-05-07T08:00:00"),
        ("America/New_York", 8, "2026-05-06T08:00:00"),
    ],
)
def test_a_start_is_the_next_in_local_time_without_a_zone(zone, hour, expected) -> None:
    window = {"reductionOfChargeCurrent": {"start": {"hour": hour, "minute": 0}, "end": {"hour": 9}}}
    state = {"electricChargingState": {"chargingStatus": "WAITING_FOR_CHARGING"}, "chargingProfile": window}
    assert energy(state, "ELECTRIC", zone=ZoneInfo(zone))["charging_start_time"] == expected


@pytest.mark.parametrize("window", [{}, {"end": {"hour": 9, "minute": 0}}])
def test_a_window_without_a_start_costs_the_area_of_a_car_that_waits(window) -> None:
    battery = {"chargingStatus": "WAITING_FOR_CHARGING", "range": 5}
    state = {"electricChargingState": battery, "chargingProfile": {"reductionOfChargeCurrent": window}}
    assert energy(state, "ELECTRIC") == energy({}, "ELECTRIC")
    battery["chargingStatus"] = "CHARGING"
    assert energy(state, "ELECTRIC")["remaining_range_electric"] == [5, "km"]


def test_only_a_car_that_waits_has_a_start() -> None:
    window = {"reductionOfChargeCurrent": {"start": {"hour": 8, "minute": 0}}}
    state = {"electricChargingState": {"chargingStatus": "CHARGING"}, "chargingProfile": window}
    assert energy(state, "ELECTRIC")["charging_start_time"] is None
    state = {"electricChargingState": {"chargingStatus": "WAITING_FOR_CHARGING"}}
    assert energy(state, "ELECTRIC")["charging_start_time"] is None


# --- what is absent ---------------------------------------------------------------------------


def test_what_is_absent_reads_as_good_news() -> None:
    """Section 15, item 15: here alone; the signals are absent."""
    bare = keys({})
    assert bare["mileage"] == [0, "km"]
    assert bare["doors_and_windows"]["all_lids_closed"]
    assert bare["doors_and_windows"]["all_windows_closed"]
    assert bare["fuel_and_battery"]["is_charger_connected"] is False
    assert bare["vehicle_location"]["vehicle_update_timestamp"] == "1970-01-01T00:00:00+00:00"
    assert keys({"currentMileage": None})["mileage"] == [None, "km"]


def test_a_profile_is_missing_without_the_states_own() -> None:
    assert keys({}, charging_settings={"servicePack": "X"})["charging_profile"] is None
    plan = {"chargingMode": "NO_ACTION", "chargingPreference": "later"}
    assert keys({"chargingProfile": plan})["charging_profile"] is None, "no chargingSettings"
    known = keys({"chargingProfile": {**plan, "chargingSettings": {}}})["charging_profile"]
    assert (known["charging_mode"], known["charging_preferences"]) == ("NO_ACTION", "UNKNOWN")
    assert known["timer_type"] == "UNKNOWN"
    assert known["preferred_charging_window"] == {
        "_window_dict": {}, "start_time": "00:00:00", "end_time": "00:00:00"
    }  # fmt: skip


def test_a_profile_without_its_words_has_unknown_ones() -> None:
    known = keys({"chargingProfile": {"chargingSettings": {}}})["charging_profile"]
    assert (known["charging_mode"], known["charging_preferences"]) == ("UNKNOWN", "UNKNOWN")


def test_a_departure_without_days_has_none() -> None:
    plan = {"chargingSettings": {}, "departureTimes": [{"id": 1}, {"id": 2, "timerWeekDays": []}]}
    first, second = keys({"chargingProfile": plan})["charging_profile"]["departure_times"]
    assert (first["weekdays"], first["start_time"], first["action"]) == (None, None, None)
    assert second["weekdays"] == []


@pytest.mark.parametrize(
    ("settings", "limits"),
    [
        ({"chargingSettingsDetail": {"acLimit": {"values": [6, 16]}}}, [6, 16]),
        ({"chargingSettingsDetail": {}}, None),
        ({"chargingSettingsDetail": {"acLimit": {"max": 32}}}, "no profile"),
        ([], None),
        (None, None),
        (7, "no profile"),
    ],
)
def test_limits_come_from_the_charging_settings(settings, limits) -> None:
    plan = {"chargingProfile": {"chargingSettings": {}}}
    known = keys(plan, charging_settings=settings)
    profile = known["charging_profile"]
    assert ("no profile" if profile is None else profile["ac_available_limits"]) == limits
    assert known["data"]["charging_settings"] == settings


# --- body -------------------------------------------------------------------------------------


def test_invalid_openings_are_dropped_but_a_roof_never_is() -> None:
    state = {
        "doorsState": {
            "hood": "INVALID",
            "trunk": "AJAR",
            "combinedState": "OPEN",
            "combinedSecurityState": "SECURED",
        },
        "windowsState": {"rear": "INVALID", "leftFront": "closed", "combinedState": "OPEN"},
        "roofState": {"roofState": "INVALID", "roofStateType": "RETRACTABLE_SOFT_TOP"},
    }
    known = keys(state)["doors_and_windows"]
    assert known["door_lock_state"] == LockState.SECURED
    assert [(lid["name"], lid["state"]) for lid in known["lids"]] == [
        ("trunk", LidState.UNKNOWN), ("retractableSoftTop", LidState.INVALID)
    ]  # fmt: skip
    assert known["windows"] == [{"name": "leftFront", "state": "CLOSED", "is_closed": True}]
    assert known["open_lids"] == known["lids"]
    assert (known["all_lids_closed"], known["all_windows_closed"]) == (False, True)


def test_a_roof_without_doors_costs_the_windows_too() -> None:
    state = {
        "windowsState": {"leftFront": "OPEN"},
        "roofState": {"roofState": "OPEN", "roofStateType": "SUN_ROOF"},
    }
    assert keys(state)["doors_and_windows"] == keys({})["doors_and_windows"]


@pytest.mark.parametrize("nothing", [None, {}, [], 0])
def test_an_empty_block_is_no_block(nothing) -> None:
    windows = {"windowsState": {"rear": "OPEN"}}
    for block in ("doorsState", "roofState"):
        assert keys({**windows, block: nothing})["doors_and_windows"]["open_windows"] != []
    doors = {"doorsState": {"hood": "OPEN", "combinedSecurityState": "SECURED"}, "windowsState": nothing}
    assert keys(doors)["doors_and_windows"]["door_lock_state"] == "SECURED"
    place = keys({"location": nothing, "lastFetched": "2023-01-04T14:57:06Z"})["vehicle_location"]
    assert place["vehicle_update_timestamp"] == "2023-01-04T14:57:06+00:00"
    roof = {"roofState": {"roofState": "OPEN", "roofStateType": "SUN_ROOF"}, "doorsState": nothing}
    assert keys({**windows, **roof})["doors_and_windows"] == keys({})["doors_and_windows"]


@pytest.mark.parametrize(
    ("kind", "name"), [("SUN_ROOF", "sunRoof"), ("hard-top_B 2", "hardtopB2"), ("GLASS_1ST", "glass1st")]
)
def test_a_roof_is_named_by_letters_and_digits(kind, name) -> None:
    state = {"doorsState": {"hood": "CLOSED"}, "roofState": {"roofState": "OPEN", "roofStateType": kind}}
    assert keys(state)["doors_and_windows"]["lids"][-1]["name"] == name


@pytest.mark.parametrize(
    ("week", "monday"),
    [(4021, "2021-10-04T00:00:00"), (5299, "2099-12-21T00:00:00"), (124, "2024-01-01T00:00:00"), (0, None),
     (5421, None), (21, "2020-12-28T00:00:00"), (5321, "2022-01-03T00:00:00"), (1205, "2005-03-21T00:00:00"),
     (None, None), ("", None)],
)  # fmt: skip
def test_a_tyres_week_is_its_monday(week, monday) -> None:
    wheel = {"status": {"currentPressure": 250}, "details": {"manufacturingWeek": week, "season": 4}}
    wheels = dict.fromkeys(("frontLeft", "frontRight", "rearLeft", "rearRight"), wheel)
    assert keys({"tireState": wheels})["tires"]["rear_left"] == {
        "current_pressure": 250, "target_pressure": None, "season": 4, "manufacturing_week": monday
    }  # fmt: skip


@pytest.mark.parametrize(
    "odd",
    [{}, {"details": {}}, {"status": {}, "rim": 19}, {"status": None}, None,
     {"status": {}, "details": {"manufacturingWeek": "4021"}}],
)  # fmt: skip
def test_one_odd_tyre_costs_all_four(odd) -> None:
    wheel = {"status": {"currentPressure": 250}}
    wheels = {**dict.fromkeys(("frontLeft", "frontRight", "rearLeft"), wheel), "rearRight": odd}
    assert keys({"tireState": wheels})["tires"] is None


# --- reports ----------------------------------------------------------------------------------


def test_services_without_a_status_cost_all_of_them() -> None:
    good = {"type": "OIL", "status": "OK"}
    assert len(keys({"requiredServices": [good]})["condition_based_services"]["messages"]) == 1
    assert keys({"requiredServices": [good, {"type": "X"}]})["condition_based_services"]["messages"] == []


def test_the_next_service_is_the_nearest_and_of_two_the_first_by_type() -> None:
    services = [
        {"type": "B", "status": "OK", "mileage": 900, "dateTime": "2027-03-01T00:00:00.000Z"},
        {"type": "A", "status": "OK", "mileage": 900, "dateTime": "2027-03-01T01:00:00.000+01:00"},
        {"type": "C", "status": "UNHEARD_OF", "mileage": 0, "dateTime": "2027-03-02T00:00:00Z"},
        {"type": "D", "status": "OK", "mileage": 10000},
    ]
    report = keys({"requiredServices": services})["condition_based_services"]
    assert report["next_service_by_distance"]["service_type"] == "A"
    assert report["next_service_by_time"]["service_type"] == "A"
    assert report["messages"][2]["due_distance"] == NONE
    assert report["is_service_required"], "an unknown state counts"


def test_distances_and_types_are_ordered_as_texts() -> None:
    services = [
        {"type": kind, "status": "OK", "mileage": km} for kind, km in (("B", -5), ("C", -30), (7, -5))
    ]
    report = keys({"requiredServices": services})["condition_based_services"]
    assert report["next_service_by_distance"]["due_distance"] == [-5, "km"]
    assert report["next_service_by_distance"]["service_type"] == 7


@pytest.mark.parametrize("bad", [{"mileage": [1]}, {"dateTime": 7}])
def test_a_due_date_or_distance_of_another_kind_costs_all_services(bad) -> None:
    services = [{"type": "OIL", "status": "OK"}, {"type": "B", "status": "OK", **bad}]
    assert keys({"requiredServices": services})["condition_based_services"]["messages"] == []


def test_a_message_without_a_type_costs_all_of_them_if_it_is_urgent() -> None:
    low, high = {"type": None, "severity": "LOW"}, {"type": None, "severity": "HIGH"}
    report = keys({"checkControlMessages": [low]})["check_control_messages"]
    assert report["messages"] == [{"description_short": None, "description_long": None, "state": "LOW"}]
    assert keys({"checkControlMessages": [low, high]})["check_control_messages"]["messages"] == []


def test_only_messages_beyond_low_are_urgent() -> None:
    messages = [{"type": kind, "severity": kind} for kind in ("OK", "LOW", "HIGH", "ODD")]
    report = keys({"checkControlMessages": messages})["check_control_messages"]
    assert [one["description_short"] for one in report["messages"]] == ["LOW", "HIGH", "ODD"]
    assert report["urgent_check_control_messages"] == "HIGH, ODD"
    quiet = keys({"checkControlMessages": messages[:2]})["check_control_messages"]
    assert (quiet["has_check_control_messages"], quiet["urgent_check_control_messages"]) == (False, None)


def test_a_head_unit_is_named_by_its_software_and_the_model_year() -> None:
    version = {"puStep": {"month": 7, "year": 21}, "iStep": 470}
    attributes = {"hmiVersion": "ID7", "headUnitType": "MGU", "year": 2022}
    known = keys({}, attributes={**attributes, "softwareVersionCurrent": version})["headunit"]
    assert known == {"idrive_version": "ID7", "headunit_type": "MGU", "software_version": "07/2021.70"}
    assert keys({}, attributes=attributes)["headunit"] == dict.fromkeys(known, "")


@pytest.mark.parametrize(
    ("activity", "on"),
    [
        ("COOLING", True),
        ("HEATING", True),
        ("VENTILATION", False),
        ("STANDBY", False),
        ("INACTIVE", False),
        ("x", False),
    ],
)
def test_ventilation_is_no_climate(activity, on) -> None:
    known = keys({"climateControlState": {"activity": activity, "remainingSeconds": 61.9}})["climate"]
    assert known["is_climate_on"] is on
    assert known["activity_end_time"] == "2026-05-06T07:09:11+00:00"


# --- place ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "coordinates",
    [{"latitude": "48.1", "longitude": 11}, {"latitude": 91, "longitude": 11}, {"latitude": 48}, None,
     {"latitude": None, "longitude": 11}, {"latitude": None, "longitude": None}],
)  # fmt: skip
def test_a_position_that_is_none_costs_the_area_but_not_the_region(coordinates) -> None:
    known = keys({"location": {"coordinates": coordinates, "heading": 1}}, region="na")["vehicle_location"]
    assert known == {
        "location": None, "heading": None, "vehicle_update_timestamp": None, "account_region": "na",
        "remote_service_position": None,
    }  # fmt: skip


def test_degrees_are_fractions_even_if_bmw_sends_whole_ones() -> None:
    place = {"location": {"coordinates": {"latitude": 48, "longitude": -0}, "heading": 1}}
    found = keys(place)["vehicle_location"]["location"]
    assert [type(value) for value in found.values()] == [float, float]


def test_a_car_that_never_reported_did_so_in_1970() -> None:
    """BMW writes the year 1 for "never"; the vehicle's own timestamp keeps it."""
    never = keys({"lastFetched": "0001-01-01T00:00:00Z"})
    assert never["timestamp"] == "0001-01-01T00:00:00+00:00"
    assert never["vehicle_location"]["vehicle_update_timestamp"] == "1970-01-01T00:00:00+00:00"


def test_a_time_that_is_no_text_costs_the_place_but_not_the_other_time() -> None:
    place = {"coordinates": {"latitude": 48.1, "longitude": 11.5}, "heading": 1}
    state = {"location": place, "lastFetched": "2023-01-04T14:57:06Z"}
    known = keys(state, attributes={"lastFetched": 7})
    assert known["timestamp"] == "2023-01-04T14:57:06+00:00"
    assert known["vehicle_location"]["location"] is None


def test_positions_in_china_are_converted_for_an_account_in_china() -> None:
    place = {"location": {"coordinates": {"latitude": 31.2304, "longitude": 121.4737}, "heading": 1}}
    there = keys(place, region="cn")["vehicle_location"]["location"]
    assert there == {"latitude": 31.232329239140196, "longitude": 121.46916226346737}
    assert keys(place)["vehicle_location"]["location"] == {"latitude": 31.2304, "longitude": 121.4737}


@pytest.mark.parametrize(
    ("fetched", "expected"),
    [
        ("2023-01-04T14:57:06.999Z", "2023-01-04T14:57:06+00:00"),
        ("2023-01-04T14:57:06+02:00", "2023-01-04T12:57:06+00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"),
        ("2023-01-04T14:57:06+0530", "2023-01-04T09:27:06+00:00"),
        ("2023-01-04T14:57:06.345678Z", "2023-01-04T14:57:06+00:00"),
        ("2023-1-4T1:2:3z", "2023-01-04T01:02:03+00:00"),
        ("2023-01-04T14:57:06.3456789Z", None),
        ("2023-01-04T14:57:60Z", None),
        ("2023-01-04 14:57:06", None),
        ("", None),
        (None, None),
    ],
)
def test_times_are_utc_without_fraction(fetched, expected) -> None:
    assert keys({"lastFetched": fetched})["timestamp"] == expected


# --- capabilities -----------------------------------------------------------------------------


def test_capabilities_are_as_bmw_says_and_off_where_it_says_nothing() -> None:
    nothing = keys({"isLscSupported": None}, capabilities={"horn": None, "lastStateCallState": None})
    assert [name for name in nothing if name.startswith("is_remote") and nothing[name]] == []
    assert (nothing["is_remote_horn_enabled"], nothing["is_remote_lights_enabled"]) == (None, False)
    assert nothing["is_lsc_enabled"] is None
    assert nothing["lsc_type"] == "UNKNOWN"
    commands = {"chargingControl": ["START"]}
    some = keys(
        {"climateControlState": {}}, capabilities={"vehicleFinder": True, "remoteChargingCommands": commands}
    )
    assert [name for name in some if name.startswith("is_") and some[name] is True] == [
        "is_remote_charge_start_enabled", "is_remote_climate_stop_enabled", "is_vehicle_tracking_enabled"
    ]  # fmt: skip
    assert keys({}, capabilities={"remoteChargingCommands": None})["is_remote_charge_stop_enabled"] is False


def test_attributes_that_are_there_follow_drive_train_and_lsc() -> None:
    assert keys({})["available_attributes"] == ["gps_position", "vin"]
    assert len(keys({"isLscSupported": True})["available_attributes"]) == 24
    assert len(keys({"isLscSupported": True}, "COMBUSTION")["available_attributes"]) == 13
    assert len(keys({"isLscSupported": True}, "PLUGIN_HYBRID")["available_attributes"]) == 27
