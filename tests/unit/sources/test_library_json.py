"""What ``bimmerconnected status -j`` prints, then and now, is read as BMW's own answer would be."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from poller.errors import MalformedAnswer
from poller.sources import library_json
from poller.vehicle.answer import Answer
from poller.vehicle.snapshot import Snapshot

AT = datetime(2026, 11, 21, 14, tzinfo=UTC)
VIN = "WMW00000000000001"


def imperial() -> dict:
    """The shape of 2023, asked for in miles: a plug-in hybrid, so that there is fuel too."""
    return {
        "vin": VIN,
        "mileage": [1000, "mi"],
        "fuel_and_battery": {"remaining_range_electric": [30, "mi"], "remaining_fuel": [10, "gal"]},
        "data": {
            "appVehicleType": "CONNECTED",
            "attributes": {
                "lastFetched": "2023-09-03T19:14:39.635Z",
                "model": "Countryman",
                "year": 2021,
                "brand": "MINI",
                "driveTrain": "PLUGIN_HYBRID",
            },
            "vin": VIN,
            "is_metric": False,
            "fetched_at": "2023-09-03T19:14:38.181566+00:00",
            "state": {
                "lastFetched": "2023-09-03T19:14:40.086Z",
                "lastUpdatedAt": "2023-09-03T17:41:51Z",
                "range": 230,
                "currentMileage": 1000,
                "electricChargingState": {
                    "chargingLevelPercent": 55,
                    "range": 30,
                    "isChargerConnected": False,
                    "chargingStatus": "INVALID",
                },
                "combustionFuelLevel": {"remainingFuelLiters": 10, "remainingFuelPercent": 70, "range": 230},
                "requiredServices": [{"type": "OIL", "status": "OK", "mileage": 5000}],
            },
            "capabilities": {},
        },
    }


def metric() -> dict:
    vehicle = imperial()
    vehicle["data"]["is_metric"] = True
    vehicle["mileage"] = [1000, "km"]
    return vehicle


def understood(vehicle: dict) -> Snapshot:
    bodies = library_json.bodies_of(vehicle)
    return library_json.understand(Answer("loop", "command", VIN, AT, bodies), ZoneInfo("UTC"))


def test_miles_and_gallons_become_kilometres_and_litres() -> None:
    snapshot = understood(imperial())
    assert snapshot.value("odometer_km") == pytest.approx(1609.344)
    assert snapshot.value("range_electric_km") == pytest.approx(48.28, abs=0.01)
    assert snapshot.value("range_total_km") == pytest.approx(370.149, abs=0.01)
    assert snapshot.value("range_fuel_km") == pytest.approx(321.869, abs=0.01)
    assert snapshot.value("fuel_liters") == pytest.approx(37.854, abs=0.001)
    assert snapshot.value("service_due_km.oil") == pytest.approx(8046.72)


def test_what_is_no_distance_and_no_volume_stays() -> None:
    changed = {"odometer_km", "range_electric_km", "range_total_km", "range_fuel_km", "fuel_liters"}
    changed.add("service_due_km.oil")
    here, there = understood(imperial()), understood(metric())
    assert {key for key in here.readings if here.readings[key] != there.readings[key]} == changed
    assert here.value("fuel_percent") == 70
    assert here.observed_at == datetime(2023, 9, 3, 17, 41, 51, tzinfo=UTC)


def test_without_the_flag_the_unit_of_the_mileage_decides() -> None:
    vehicle = imperial()
    del vehicle["data"]["is_metric"]
    assert understood(vehicle).value("odometer_km") == pytest.approx(1609.344)
    vehicle["mileage"] = [1000, "km"]
    assert understood(vehicle).value("odometer_km") == 1000


def test_what_is_kept_is_what_was_received() -> None:
    """Conversion happens when the answer is understood: a mend of it reaches old answers too."""
    assert json.loads(library_json.bodies_of(imperial())[library_json.BODY]) == imperial()


def test_the_same_answer_is_the_same_body_through_jq_or_not() -> None:
    plain = json.dumps([imperial()], ensure_ascii=True).encode()
    pretty = json.dumps([imperial()], indent=2, ensure_ascii=False).encode()
    one, other = (library_json.bodies_of(library_json.read_vehicles(text)[0]) for text in (plain, pretty))
    assert one == other


def test_the_time_is_when_it_was_fetched_else_what_the_server_says() -> None:
    vehicle = imperial()
    assert library_json.own_time(vehicle) == datetime(2023, 9, 3, 19, 14, 38, 181000, tzinfo=UTC)
    del vehicle["data"]["fetched_at"]
    assert library_json.own_time(vehicle) == datetime(2023, 9, 3, 19, 14, 40, 86000, tzinfo=UTC)
    vehicle["data"]["state"]["lastFetched"] = "0001-01-01T00:00:00Z"
    assert library_json.own_time(vehicle) is None


def test_a_captured_state_answer_is_an_answer_too() -> None:
    captured = {"state": imperial()["data"]["state"], "capabilities": {}}
    assert library_json.vin_of(captured) is None
    assert list(library_json.bodies_of(captured)) == ["state"]
    assert understood(captured).value("soc_percent") == 55


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" \n",
        b"MyBMWAPIError: HTTPStatusError: Blocked",
        b'[{"vin": "WMW0',
        b"3",
        b'["a"]',
        b'{"mileage": NaN}',
        b"[" * 100_000,
    ],
)
def test_anything_else_is_malformed(text: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        library_json.read_vehicles(text)


@pytest.mark.parametrize("vehicle", [{}, {"data": 3}, {"state": []}])
def test_an_object_that_is_no_vehicle_is_malformed(vehicle: dict) -> None:
    with pytest.raises(MalformedAnswer):
        library_json.bodies_of(vehicle)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"state": None},
        {"state": {}, "is_metric": False},
        {"state": {"requiredServices": 3, "combustionFuelLevel": [], "range": "x"}, "is_metric": False},
        {"state": {"requiredServices": ["x", {"mileage": True}]}, "is_metric": False, "attributes": []},
    ],
)
def test_nothing_but_malformed_answer_comes_out_of_odd_vehicles(data: dict) -> None:
    try:
        understood({"vin": VIN, "data": data})
    except MalformedAnswer:
        assert not isinstance(data.get("state"), dict)
