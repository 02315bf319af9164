"""Real cars' answers, through the simulator and over HTTP: ours against what the library made of them.

`expected/<car>.json` was made by bimmer_connected 0.17.4 with its clock at `PINNED`. Where its
value is a known quirk (it reads what is absent as 0, "closed" or an end of charging), ours is absent.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mybmw_cloud import HastyClock, stage

from poller.simulator.folder import FolderGarage
from poller.sources.mybmw.meaning.table import RULES
from poller.vehicle.records import milliseconds, parse_time
from poller.vehicle.signals import split_key
from poller.vehicle.snapshot import Snapshot

PINNED = datetime(2021, 11, 28, 21, 28, 59, tzinfo=UTC)
CARS = {
    "fingerprints": ("G01", "G20", "G26", "I01_REX", "I20", "J29"),
    "fingerprints_extra": (
        "OH_F11", "OH_F33", "OH_F56_MINI", "OH_G01_DIESEL", "OH_G08", "OH_G08_NOCAPS", "OH_G21_MHEV",
        "OH_G21_PHEV", "OH_G30_PHEV", "OH_I20_IX40", "U11",
    ),
}  # fmt: skip
PLACES = {
    "leftFront": "front_left",
    "rightFront": "front_right",
    "leftRear": "rear_left",
    "rightRear": "rear_right",
    "rear": "rear",
}
CHARGING = {
    "CHARGING": "charging",
    "WAITING_FOR_CHARGING": "waiting",
    "NOT_CHARGING": "not_charging",
    "COMPLETE": "complete",
}
LOCKED = {"LOCKED": True, "SECURED": True}

Car = Mapping[str, Any]
Convert = Callable[[Any], Any]


@dataclass(frozen=True)
class Row:
    """`path` in the expected file is our `signal`.

    `nothing`: values by which the library says "not known". `raw`: a path in the recording without
    which the library's value is its default, not the car's (mybmw.md section 15, item 15).
    """

    path: str
    signal: str
    convert: Convert = lambda value: value
    nothing: tuple[Any, ...] = ()
    raw: str | None = None


_BATTERY = "fuel_and_battery"
_PLAN = "charging_profile"
_RAW = "data.state"


def _at_noon(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


TABLE = (
    Row("mileage.0", "odometer_km", nothing=(0,)),
    Row(f"{_BATTERY}.remaining_range_total.0", "range_total_km"),
    Row(f"{_BATTERY}.remaining_range_electric.0", "range_electric_km"),
    Row(f"{_BATTERY}.remaining_range_fuel.0", "range_fuel_km"),
    Row(f"{_BATTERY}.remaining_fuel.0", "fuel_liters"),
    Row(f"{_BATTERY}.remaining_fuel_percent", "fuel_percent"),
    Row(f"{_BATTERY}.remaining_battery_percent", "soc_percent"),
    Row(f"{_BATTERY}.charging_target", "soc_target_percent"),
    Row(
        f"{_BATTERY}.is_charger_connected", "plugged", raw=f"{_RAW}.electricChargingState.isChargerConnected"
    ),
    Row(f"{_BATTERY}.charging_status", "charging_state", CHARGING.__getitem__),
    Row(f"{_BATTERY}.charging_status", "charging", lambda status: status == "CHARGING"),
    Row(f"{_BATTERY}.charging_start_time", "charging_start_at", _at_noon),
    Row(f"{_PLAN}.charging_mode", "charging_mode", str.lower),
    Row(f"{_PLAN}.charging_preferences", "charging_preference", str.lower),
    Row(f"{_PLAN}.timer_type", "charging_control_type", str.lower, nothing=("UNKNOWN",)),
    Row(f"{_PLAN}.ac_current_limit", "charging_ac_limit_amperes"),
    Row(
        f"{_PLAN}.is_pre_entry_climatization_enabled",
        "climate_at_departure",
        raw=f"{_RAW}.chargingProfile.climatisationOn",
    ),
    Row("vehicle_location.location.latitude", "latitude_degrees"),
    Row("vehicle_location.location.longitude", "longitude_degrees"),
    Row("vehicle_location.heading", "heading_degrees", nothing=(-1,)),
    Row(
        "doors_and_windows.door_lock_state",
        "locked",
        lambda state: LOCKED.get(state, False),
        nothing=("UNKNOWN",),
    ),
    Row("doors_and_windows.door_lock_state", "lock_state", str.lower, nothing=("UNKNOWN",)),
    Row("climate.activity", "climate_state", str.lower, nothing=("UNKNOWN",)),
    Row("headunit.headunit_type", "head_unit", nothing=("",)),
    Row("headunit.idrive_version", "idrive_version", nothing=("",)),
    Row("headunit.software_version", "software_version", nothing=("",)),
    Row("name", "model"),
    Row("brand", "brand"),
    Row("drive_train", "drive_train", str.lower),
    Row("data.attributes.year", "year", str),
    Row("data.attributes.bodyType", "body_type"),
    Row("data.attributes.countryOfOrigin", "country"),
    Row("data.state.isLeftSteering", "steering", lambda left: "left" if left else "right"),
    *(
        row
        for place in ("front_left", "front_right", "rear_left", "rear_right")
        for row in (
            Row(f"tires.{place}.current_pressure", f"tire_pressure_kpa.{place}"),
            Row(f"tires.{place}.target_pressure", f"tire_pressure_target_kpa.{place}"),
            Row(f"tires.{place}.season", f"tire_season.{place}", {2: "summer", 4: "winter"}.__getitem__),
        )
    ),
)

#: (car, ours) that the library leaves out although the recording says it.
WE_KNOW_MORE = {
    ("G01", "head_unit"),  # without softwareVersionCurrent the library drops the head unit too
    ("G01", "idrive_version"),
    ("G01", "climate_at_departure"),
    ("I01_REX", "climate_at_departure"),  # from the charging settings, which it does not read for this
    ("G26", "climate_at_departure"),
    ("I20", "climate_at_departure"),
}
#: Signals that the expected files do not have in any form.
NOT_IN_EXPECTED = {"charging_connection", "charging_ac_limited", "alarm_armed", "deep_sleep"}
#: Signals with a test of their own below: their base is another clock than the library's.
OWN_BASE = {"charging_remaining_seconds", "charging_end_at", "climate_end_at"}


def _look(node: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(node, list) and part.isdigit():
            node = node[int(part)] if int(part) < len(node) else None
        else:
            node = node.get(part) if isinstance(node, dict) else None
    return node


def _rows(car: Car) -> Iterator[tuple[str, Any]]:
    for row in TABLE:
        value = _look(car, row.path)
        known = value is not None and value not in row.nothing
        if known and (row.raw is None or _look(car, row.raw) is not None):
            yield row.signal, row.convert(value)


def _openings(car: Car) -> Iterator[tuple[str, Any]]:
    single = {"hood": "hood_open", "trunk": "trunk_open", "sunRoof": "sunroof_open"}
    for lid in car["doors_and_windows"]["lids"]:
        name = lid["name"]
        yield single.get(name) or f"door_open.{PLACES[name]}", not lid["is_closed"]
    for window in car["doors_and_windows"]["windows"]:
        yield f"window_open.{PLACES[window['name']]}", not window["is_closed"]


def _messages(car: Car) -> Iterator[tuple[str, Any]]:
    for service in car["condition_based_services"]["messages"]:
        name = service["service_type"].lower()
        yield f"service_state.{name}", service["state"].lower()
        if service["due_date"] is not None:
            yield f"service_due_at.{name}", parse_time(service["due_date"])
        if service["due_distance"][0] is not None:
            yield f"service_due_km.{name}", service["due_distance"][0]
    for message in car["check_control_messages"]["messages"]:
        yield f"check_control.{message['description_short'].lower()}", message["state"].lower()


def expected_readings(car: Car) -> dict[str, Any]:
    """Everything the expected file knows, in our words."""
    parts: tuple[Iterable[tuple[str, Any]], ...] = (_rows(car), _openings(car), _messages(car))
    return {key: value for part in parts for key, value in part}


Polled = Mapping[str, tuple[Snapshot, Mapping[str, bytes]]]


async def _poll_folder(folder: Path, directory: Path) -> Polled:
    """Serve a folder over loopback HTTP, log in, poll every car of it. VIN → snapshot and bodies."""
    clock = HastyClock(PINNED)
    async with stage(directory, FolderGarage(folder), clock=clock) as set_up:
        source = await set_up.logged_in()
        polled = {}
        for target in await source.targets():
            answer = await source.fetch(target)
            polled[target.vin] = (source.parse(answer), answer.bodies)
    return polled


@pytest.fixture(scope="module", params=CARS)
def polled(request, shared, tmp_path_factory) -> tuple[Polled, Mapping[str, Car]]:
    folder = shared / request.param
    expected = {
        car: json.loads((folder / "expected" / f"{car}.json").read_text()) for car in CARS[request.param]
    }
    return asyncio.run(_poll_folder(folder, tmp_path_factory.mktemp(request.param))), expected


def test_every_car_has_the_librarys_values_or_better(polled) -> None:
    """17 cars, every signal that the expected file knows; and nothing that it does not know."""
    snapshots, expected = polled
    differences = []
    for name, car in expected.items():
        snapshot, _ = snapshots[car["vin"]]
        assert snapshot.received_at == PINNED
        ours = {key: reading.value for key, reading in snapshot.readings.items()}
        theirs = expected_readings(car)
        for key in sorted(theirs.keys() | ours.keys()):
            if split_key(key)[0] in NOT_IN_EXPECTED | OWN_BASE or (name, key) in WE_KNOW_MORE:
                continue
            if theirs.get(key) != ours.get(key):
                differences.append((name, key, theirs.get(key), ours.get(key)))
    assert differences == []
    assert len(snapshots) == len(expected)


def test_no_real_word_is_unknown_to_us(polled) -> None:
    snapshots, _ = polled
    assert [snapshot.unknown_tokens for snapshot, _ in snapshots.values()] == [()] * len(snapshots)


def test_an_end_of_charging_is_there_only_while_charging_and_does_not_creep(polled) -> None:
    """The library adds the minutes to its own clock; ours stand on the car's report."""
    snapshots, expected = polled
    for car in expected.values():
        snapshot, _ = snapshots[car["vin"]]
        end = car["fuel_and_battery"]["charging_end_time"]
        if car["fuel_and_battery"]["charging_status"] != "CHARGING":
            assert snapshot.value("charging_remaining_seconds") is None
            assert snapshot.value("charging_end_at") is None
            continue
        left = parse_time(end) - PINNED
        assert timedelta(seconds=snapshot.value("charging_remaining_seconds")) == left
        assert snapshot.value("charging_end_at") == snapshot.observed_at + left


def test_the_end_of_climate_stands_on_the_servers_fetch(polled) -> None:
    snapshots, expected = polled
    for car in expected.values():
        snapshot, _ = snapshots[car["vin"]]
        end = car["climate"]["activity_end_time"]
        if end is None:
            assert snapshot.value("climate_end_at") is None
            continue
        fetched = parse_time(car["data"]["state"]["lastFetched"])
        off = (snapshot.value("climate_end_at") - fetched) - (parse_time(end) - PINNED)
        assert abs(off) <= timedelta(seconds=1)


def test_observed_at_is_the_cars_own_time(polled) -> None:
    snapshots, expected = polled
    for car in expected.values():
        text = car["data"]["state"]["lastUpdatedAt"]
        own = None if text.startswith("0001") else milliseconds(parse_time(text))
        assert snapshots[car["vin"]][0].observed_at == own


def test_the_bodies_are_kept_byte_for_byte(polled, shared) -> None:
    snapshots, _ = polled
    recorded = {path.read_bytes() for path in shared.glob("fingerprints*/*/*.json")} | {b"{}"}
    assert [vin for vin, (_, bodies) in snapshots.items() if not recorded.issuperset(bodies.values())] == []


def test_every_rule_is_compared() -> None:
    """A signal that is added to the parser's table is added here too."""
    named = {split_key(row.signal)[0] for row in TABLE} | NOT_IN_EXPECTED | OWN_BASE
    lists = {"door_open", "window_open", "hood_open", "trunk_open", "sunroof_open", "convertible_top_open"}
    messages = {"service_state", "service_due_at", "service_due_km", "check_control"}
    assert {rule.key for rule in RULES} == named | lists | messages
