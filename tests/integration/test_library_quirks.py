"""The library's quirks that concern reading: the signals know better, the library's form alone keeps them.

The numbers are those under which they are known here; logins, requests and commands are tested elsewhere.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

from library_cars import LibraryCar, own_cars

from poller.sources.library_json import understand
from poller.vehicle.snapshot import Snapshot

CARS = {car.name: car for car in own_cars()}


def both(name: str) -> tuple[Snapshot, dict[str, Any]]:
    """Our snapshot of a car, and the library's keys."""
    car: LibraryCar = CARS[name]
    return understand(car.answer(), car.zone), car.keys()


def test_3_nothing_stays_from_an_older_answer() -> None:
    """Each answer speaks for itself: after a charging car, one that says nothing has no charge."""
    both("electric_charging")
    snapshot, keys = both("nothing_at_all")
    assert dict(snapshot.readings) == {}
    assert keys["fuel_and_battery"]["charging_end_time"] is None


def test_4_an_end_of_charging_is_there_only_while_it_charges_and_does_not_creep() -> None:
    snapshot, keys = both("electric_unplugged_with_minutes_left")
    assert snapshot.value("charging_end_at") is None
    assert keys["fuel_and_battery"]["charging_end_time"] == "2026-05-07T07:09:10+00:00"
    car = CARS["electric_charging"]
    later = replace(car.answer(), received_at=car.at + timedelta(minutes=5))
    assert understand(later, UTC).value("charging_end_at") == both(car.name)[0].value("charging_end_at")


def test_5_a_start_of_charging_is_a_moment_not_a_face() -> None:
    snapshot, keys = both("electric_waiting_until_this_minute")
    assert snapshot.value("charging_start_at") == CARS["electric_waiting_until_this_minute"].at
    assert keys["fuel_and_battery"]["charging_start_time"] == "2026-05-06T16:08:00"


def test_6_one_bad_field_costs_itself_alone() -> None:
    snapshot, keys = both("one_bad_field_in_each_area")
    assert (snapshot.value("soc_percent"), snapshot.value("range_electric_km")) == (50, 9)
    assert snapshot.value("service_state.oil") == "ok"
    assert snapshot.value("door_open.front_left") is False
    assert snapshot.value("tire_pressure_kpa.front_left") == 1
    assert keys["fuel_and_battery"]["remaining_battery_percent"] is None
    assert keys["condition_based_services"]["messages"] == []
    assert keys["doors_and_windows"]["lids"] == []
    assert keys["tires"] is None


def test_6_a_null_stops_nothing() -> None:
    snapshot, keys = both("commands_and_words_are_null")
    assert snapshot.value("charging_state") == "charging"
    assert snapshot.value("locked") is None
    assert keys["is_remote_charge_start_enabled"] is False


def test_13_a_plug_in_hybrids_fuel_range_is_never_below_nothing() -> None:
    snapshot, keys = both("plug_in_hybrid_with_less_than_nothing")
    assert snapshot.value("range_fuel_km") == 0
    assert keys["fuel_and_battery"]["remaining_range_fuel"] == [-19, "km"]


def test_15_what_is_missing_is_no_good_news() -> None:
    snapshot, keys = both("supra_that_says_nothing")
    assert not any(key.startswith(("door_open", "window_open")) for key in snapshot.readings)
    assert (snapshot.value("odometer_km"), snapshot.value("plugged")) == (None, None)
    assert (keys["mileage"], keys["doors_and_windows"]["all_lids_closed"]) == ([0, "km"], True)
    assert keys["fuel_and_battery"]["is_charger_connected"] is False
    snapshot, keys = both("combustion_all_open")
    assert snapshot.value("window_open.rear") is None
    assert {"name": "rear", "state": "UNKNOWN", "is_closed": False} in keys["doors_and_windows"][
        "open_windows"
    ]


def test_15_a_null_island_is_no_position() -> None:
    snapshot, keys = both("mild_hybrid_with_a_battery_that_does_not_count")
    assert snapshot.value("latitude_degrees") is None
    assert keys["vehicle_location"]["location"] == {"latitude": 0, "longitude": 0}
