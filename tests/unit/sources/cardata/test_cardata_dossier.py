"""What is kept of a vehicle survives the disk, and tells what has just ended."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from poller.sources.cardata.cars.dossier import Dossier, dossier_of, ending
from poller.sources.cardata.cars.state import CarState

VIN = "WBA00000000000001"
NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
MOVING = "vehicle.isMoving"
CHARGING = "vehicle.drivetrain.electricEngine.charging.status"


def heard(state: CarState, at: datetime | None = NOW, **values) -> CarState:
    stamp = {"timestamp": at.isoformat()} if at else {}
    names = {"moving": MOVING, "charging": CHARGING}
    data = {names[name]: {"value": value, **stamp} for name, value in values.items()}
    return state.merge_stream(json.dumps({"data": data}).encode(), NOW)[0]


EMPTY = CarState(VIN)
FULL = Dossier(
    heard(EMPTY, moving=True),
    b'{"driveTrain": "BEV"}',
    {"telematicData": NOW, "image": NOW - timedelta(days=3)},
    ("trip", NOW),
)


@pytest.mark.parametrize("dossier", [Dossier(EMPTY), FULL], ids=["empty", "full"])
def test_it_survives_the_disk(dossier) -> None:
    assert dossier_of(json.loads(json.dumps(dossier.to_json())), VIN) == dossier


@pytest.mark.parametrize(
    "damage",
    [
        {"state": None},
        {"state": {"vin": "WMW00000000000002", "descriptors": {}}},
        {"basic": "not base64!"},
        {"answered": None},
        {"ended": "trip"},
        {"ended": 7},
    ],
    ids=str,
)
def test_what_was_damaged_on_disk_counts_as_not_there(damage) -> None:
    assert dossier_of({**FULL.to_json(), **damage}, VIN) is None
    assert dossier_of({}, VIN) is None


def test_an_endpoint_that_a_newer_version_knows_is_passed_over() -> None:
    value = {**FULL.to_json(), "answered": {"horoscope": "2026-11-21T14:00:00.000Z"}}
    kept = dossier_of(value, VIN)
    assert kept is not None
    assert kept.answered == {}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"moving": True}, {"moving": False}, "trip"),
        ({"moving": True}, {"moving": "false"}, "trip"),
        ({"charging": "CHARGINGACTIVE"}, {"charging": "CHARGINGENDED"}, "charge"),
        ({"charging": "CHARGINGACTIVE"}, {"charging": "NOCHARGING"}, "charge"),
        ({"moving": False}, {"moving": True}, None),
        ({"moving": True}, {"moving": True}, None),
        ({}, {"moving": False}, None),
        ({"moving": True}, {"moving": "INVALID"}, None),
        ({"charging": "NOCHARGING"}, {"charging": "CHARGINGACTIVE"}, None),
    ],
    ids=str,
)
def test_a_trip_ends_when_the_car_stands_and_a_charge_when_it_charges_no_more(
    before, after, expected
) -> None:
    at = NOW + timedelta(minutes=5)
    first = heard(EMPTY, **before)
    one, two = Dossier(first).car(), Dossier(heard(first, at, **after)).car()
    assert ending(one, two, NOW) == (expected and (expected, at))


def test_without_the_cars_time_it_ended_when_we_heard_of_it() -> None:
    first = heard(EMPTY, None, moving=True)
    assert ending(Dossier(first).car(), Dossier(heard(first, None, moving=False)).car(), NOW) == ("trip", NOW)
