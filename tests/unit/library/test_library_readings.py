"""The library's keys from our readings: what CarData's owners get under ``format = "bimmerconnected"``."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from poller.library.keys import vehicle_json
from poller.library.offer import Offer
from poller.library.readings import from_readings
from poller.vehicle.answer import Answer
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import snapshot_record
from poller.vehicle.signals import BY_KEY, split_key
from poller.vehicle.snapshot import Snapshot, SnapshotBuilder

NOW = datetime(2026, 5, 6, 7, 8, 10, 400_000, tzinfo=UTC)
LATER = datetime(2026, 5, 6, 22, 30, tzinfo=UTC)
VIN = "WBA00000000000001"

READINGS = {
    "odometer_km": 20123.0,
    "soc_percent": 56.7,
    "soc_target_percent": 80,
    "range_electric_km": 210,
    "range_fuel_km": 380,
    "range_total_km": 590,
    "fuel_liters": 30.5,
    "fuel_percent": 61,
    "plugged": True,
    "charging_state": "waiting",
    "charging_end_at": LATER,
    "charging_start_at": LATER,
    "lock_state": "secured",
    "door_open.front_left": True,
    "hood_open": False,
    "trunk_open": False,
    "sunroof_open": False,
    "window_open.rear_right": True,
    "latitude_degrees": 63.8,
    "longitude_degrees": 20.2,
    "heading_degrees": 90,
    "tire_pressure_kpa.front_left": 250,
    "tire_pressure_target_kpa.front_left": 260,
    "tire_season.front_left": "winter",
    "service_state.oil": "pending",
    "service_due_at.oil": LATER,
    "service_due_km.brake_fluid": 900,
    "check_control.engine_oil": "high",
    "climate_state": "heating",
    "climate_end_at": LATER,
    "charging_mode": "delayed_charging",
    "charging_preference": "charging_window",
    "charging_ac_limit_amperes": 16,
    "model": "iX Test",
    "brand": "bmw",
    "drive_train": "plugin_hybrid",
    "head_unit": "MGU",
}


def snapshot(readings: dict = READINGS) -> Snapshot:
    builder = SnapshotBuilder("home", VIN, NOW, NOW)
    for key, value in readings.items():
        signal, _, dimension = key.partition(".")
        builder.put(signal, value, dimension=dimension or None)
    return builder.build()


def keys(readings: dict = READINGS, **how) -> dict:
    return vehicle_json(from_readings(snapshot(readings), **{"zone": UTC, **how}))


def test_every_row_of_the_translation_is_filled() -> None:
    vehicle = keys()
    assert "data" not in vehicle
    assert (vehicle["name"], vehicle["brand"], vehicle["vin"]) == ("iX Test", "bmw", VIN)
    assert vehicle["mileage"] == [20123, "km"]
    assert vehicle["fuel_and_battery"] == {
        "remaining_range_fuel": [380, "km"],
        "remaining_range_electric": [210, "km"],
        "remaining_range_total": [590, "km"],
        "remaining_fuel": [30.5, "L"],
        "remaining_fuel_percent": 61,
        "remaining_battery_percent": 56,
        "charging_status": "WAITING_FOR_CHARGING",
        "charging_start_time": "2026-05-06T22:30:00",
        "charging_end_time": "2026-05-06T22:30:00+00:00",
        "is_charger_connected": True,
        "charging_target": 80,
    }
    body = vehicle["doors_and_windows"]
    assert body["door_lock_state"] == "SECURED"
    assert [lid["name"] for lid in body["lids"]] == ["hood", "leftFront", "trunk", "sunRoof"]
    assert [lid["name"] for lid in body["open_lids"]] == ["leftFront"]
    assert [window["name"] for window in body["open_windows"]] == ["rightRear"]
    place = vehicle["vehicle_location"]
    assert (place["location"], place["heading"]) == ({"latitude": 63.8, "longitude": 20.2}, 90)
    assert vehicle["timestamp"] == place["vehicle_update_timestamp"] == "2026-05-06T07:08:10+00:00"
    assert vehicle["tires"]["front_left"] == {
        "current_pressure": 250, "target_pressure": 260, "season": 4, "manufacturing_week": None
    }  # fmt: skip
    services = vehicle["condition_based_services"]
    assert [one["service_type"] for one in services["messages"]] == ["BRAKE_FLUID", "OIL"]
    assert services["next_service_by_distance"]["due_distance"] == [900, "km"]
    assert services["next_service_by_time"]["service_type"] == "OIL"
    assert vehicle["check_control_messages"]["urgent_check_control_messages"] == "ENGINE_OIL"
    assert vehicle["climate"] == {
        "activity": "HEATING", "activity_end_time": "2026-05-06T22:30:00+00:00", "is_climate_on": True
    }  # fmt: skip
    assert vehicle["charging_profile"]["charging_mode"] == "DELAYED_CHARGING"
    assert vehicle["charging_profile"]["ac_current_limit"] == 16
    assert vehicle["has_combustion_drivetrain"]
    assert "lids" in vehicle["available_attributes"]


def test_a_start_of_charging_is_local_time() -> None:
    energy = keys(zone=ZoneInfo("Europe/Berlin"))["fuel_and_battery"]
    assert energy["charging_start_time"] == "2026-05-07T00:30:00"


@pytest.mark.parametrize(
    ("units", "distance", "fuel"),
    [("imperial", [12504, "mi"], [8, "gal"]), ("uk", [12504, "mi"], [30.5, "L"])],
)
def test_units_are_the_owners(units, distance, fuel) -> None:
    vehicle = keys(units=units)
    assert (vehicle["mileage"], vehicle["fuel_and_battery"]["remaining_fuel"]) == (distance, fuel)


def test_a_car_that_says_nothing_has_all_keys_and_no_good_news() -> None:
    bare = keys({})
    assert bare.keys() == keys().keys()
    assert bare["mileage"] == [None, None]
    assert (bare["tires"], bare["charging_profile"]) == (None, None)
    assert bare["fuel_and_battery"]["charging_status"] is None


@pytest.mark.parametrize(
    ("signal", "path"),
    [
        ("charging_state", ("fuel_and_battery", "charging_status")),
        ("charging_mode", ("charging_profile", "charging_mode")),
        ("charging_preference", ("charging_profile", "charging_preferences")),
        ("lock_state", ("doors_and_windows", "door_lock_state")),
        ("climate_state", ("climate", "activity")),
        ("service_state.oil", ("condition_based_services", "messages", 0, "state")),
        ("check_control.engine_oil", ("check_control_messages", "messages", 0, "state")),
    ],
)
def test_every_word_of_ours_has_one_of_the_librarys(signal, path) -> None:
    """Nothing that we know may read as unknown there."""
    *known, last = BY_KEY[split_key(signal)[0]].states
    assert last == "unknown"
    for state in known:
        value = keys({signal: state})
        for step in path:
            value = value[step]
        assert value not in (None, "UNKNOWN"), state


def test_cardatas_own_answer_is_never_taken_for_one_of_the_app() -> None:
    answer = Answer("home", "cardata", VIN, NOW, {"state": b'{"state": {"currentMileage": 1}}'})
    record = snapshot_record(snapshot(), answer)
    vehicle = Offer(Rendering({})).keys_of(record, answer)
    assert vehicle["mileage"] == [20123, "km"]
    assert "data" not in vehicle
