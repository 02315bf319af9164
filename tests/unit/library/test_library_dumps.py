"""Dumps of the library itself, of 2023 and of an account in China, are read and written again."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from poller.errors import MalformedAnswer
from poller.library.answers import heard
from poller.library.keys import vehicle_json
from poller.library.understand import vehicle_of
from poller.sources.library_json import BODY, understand
from poller.vehicle.answer import Answer

AT = datetime(2026, 11, 21, 14, tzinfo=UTC)
VIN = "WMW00000000000001"
MILES = {
    "vin": VIN,
    "data": {
        "is_metric": False,
        "fetched_at": "2023-09-03T19:14:38.181566+00:00",
        "attributes": {"model": "Cooper", "brand": "MINI", "driveTrain": "ELECTRIC"},
        "state": {
            "currentMileage": 8123,
            "electricChargingState": {"chargingStatus": "INVALID", "range": 101},
            "requiredServices": [{"type": "OIL", "status": "OK", "mileage": 15000}],
        },
    },
}
SHANGHAI = {
    "vin": VIN,
    "vehicle_location": {"account_region": "cn"},
    "data": {
        "state": {"location": {"coordinates": {"latitude": 31.2304, "longitude": 121.4737}, "heading": 1}}
    },
}


def answer(vehicle: dict) -> Answer:
    return Answer("loop", "command", VIN, AT, {BODY: json.dumps(vehicle).encode()})


def keys(vehicle: dict, **how) -> dict:
    return vehicle_json(vehicle_of(heard(answer(vehicle), zone=UTC, **how)))


def test_miles_are_kilometres_unless_the_owner_wants_miles() -> None:
    assert keys(MILES)["mileage"] == [pytest.approx(13072.7, abs=0.1), "km"]
    ours = keys(MILES, units="imperial")
    assert ours["mileage"] == [8123, "mi"]
    assert ours["fuel_and_battery"]["remaining_range_electric"] == [101, "mi"]
    assert ours["condition_based_services"]["next_service_by_distance"]["due_distance"] == [15000, "mi"]
    assert ours["data"]["is_metric"] is False
    assert ours["data"]["state"]["currentMileage"] == 8123


def test_the_time_of_a_dump_is_its_own() -> None:
    assert keys(MILES)["data"]["fetched_at"] == "2023-09-03T19:14:38+00:00"
    assert keys(MILES, at=AT)["data"]["fetched_at"] == "2026-11-21T14:00:00+00:00"


def test_a_dump_from_china_is_converted_like_its_account() -> None:
    place = keys(SHANGHAI)["vehicle_location"]
    assert (place["account_region"], place["location"]["latitude"]) == ("cn", 31.232329239140196)
    snapshot = understand(answer(SHANGHAI), UTC)
    assert snapshot.value("latitude_degrees") == 31.232329239140196


def test_what_bmw_says_beside_the_state_stands_in_data() -> None:
    state = {"state": {"currentMileage": 1}, "capabilities": {}, "vin": "other", "news": [1]}
    said = heard(Answer("bmw", "mybmw", VIN, AT, {"state": json.dumps(state).encode()}), zone=UTC)
    data = vehicle_json(vehicle_of(said))["data"]
    assert (data["news"], data["vin"], data["charging_settings"]) == ([1], VIN, None)
    again = keys({"vin": VIN, "data": data})["data"]
    assert again == data


@pytest.mark.parametrize("state", [None, [], 7, {"a": json.loads("[" * 60 + "]" * 60)}])
def test_what_has_no_state_or_no_bottom_is_malformed(state) -> None:
    with pytest.raises(MalformedAnswer):
        keys({"vin": VIN, "data": {"state": state}})
