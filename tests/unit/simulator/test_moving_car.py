"""The simulated cars: believable, quiet when parked, and the same for any who ask."""

from __future__ import annotations

import functools
import itertools
import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from poller.simulator.car import BMW_VIN, MINI_VIN, demo_garage
from poller.sources.mybmw.parse import parse
from poller.vehicle.answer import Answer

START = datetime(2026, 11, 16, tzinfo=UTC)
STEP = timedelta(minutes=10)
WEEK = 7 * 24 * 6
ALL = pytest.mark.parametrize("vin", [MINI_VIN, BMW_VIN])


@functools.cache
def states(vin: str, count: int = WEEK, seed: int = 1) -> list[dict]:
    garage = demo_garage(seed)
    return [json.loads(garage.state(vin, START + number * STEP))["state"] for number in range(count)]


def without_fetch_time(state: dict) -> str:
    return json.dumps({key: value for key, value in state.items() if key != "lastFetched"}, sort_keys=True)


@ALL
def test_any_time_can_be_asked_for_in_any_order(vin: str) -> None:
    """State is a pure function of time: what was asked before does not matter."""
    forwards = states(vin)
    garage = demo_garage()
    for number in (599, 3, 140, 0, 141):
        assert json.loads(garage.state(vin, START + number * STEP))["state"] == forwards[number]


@ALL
def test_another_seed_is_another_life(vin: str) -> None:
    assert states(vin, 144) != states(vin, 144, seed=7)


@ALL
def test_the_report_time_moves_when_and_only_when_something_changed(vin: str) -> None:
    seen: dict[str, str] = {}
    contents = set()
    for state in states(vin):
        content = without_fetch_time(state)
        assert seen.setdefault(state["lastUpdatedAt"], content) == content
        contents.add(json.dumps({**json.loads(content), "lastUpdatedAt": ""}, sort_keys=True))
    assert len(contents) > 0.9 * len(seen) > 50


@ALL
def test_a_parked_car_goes_quiet(vin: str) -> None:
    """At least four hours of each weekday night pass without a report."""
    times = [state["lastUpdatedAt"] for state in states(vin, 144)]
    longest = max(times.count(time) for time in set(times))
    assert longest >= 4 * 6


@ALL
def test_the_odometer_never_turns_back_and_the_week_has_its_kilometres(vin: str) -> None:
    odometer = [state["currentMileage"] for state in states(vin)]
    assert all(a <= b for a, b in itertools.pairwise(odometer))
    assert 150 < odometer[-1] - odometer[0] < 500
    assert 10_000 < odometer[0] < 150_000


@ALL
def test_charge_is_whole_percent_and_jumps_nowhere(vin: str) -> None:
    charge = [state["electricChargingState"]["chargingLevelPercent"] for state in states(vin)]
    assert all(isinstance(percent, int) and 3 <= percent <= 100 for percent in charge)
    assert max(abs(a - b) for a, b in itertools.pairwise(charge)) <= 10
    assert max(charge) - min(charge) > 15


@ALL
def test_charging_goes_from_plug_to_target(vin: str) -> None:
    steps = []
    for state in states(vin):
        block = state["electricChargingState"]
        step = (block["isChargerConnected"], block["chargingStatus"])
        if not steps or steps[-1] != step:
            steps.append(step)
        assert ("remainingChargingMinutes" in block) == (block["chargingStatus"] == "CHARGING")
        if block["chargingStatus"] == "COMPLETE":
            assert block["chargingLevelPercent"] == block["chargingTarget"]
    assert (True, "CHARGING") in steps
    following = [b for a, b in itertools.pairwise(steps) if a == (True, "CHARGING")]
    assert set(following) == {(True, "COMPLETE")}


def test_the_mini_waits_for_its_window_at_night() -> None:
    waiting = [s for s in states(MINI_VIN) if s["electricChargingState"]["chargingStatus"] == "CHARGING"]
    assert {datetime.fromisoformat(s["lastFetched"]).hour for s in waiting} <= {0, 1, 2, 3, 4}
    assert any(
        s["electricChargingState"]["chargingStatus"] == "WAITING_FOR_CHARGING" for s in states(MINI_VIN)
    )


def test_doors_and_windows_open_sometimes_and_locks_are_forgotten() -> None:
    month = states(BMW_VIN, 2 * WEEK)
    assert any(state["doorsState"]["leftFront"] == "OPEN" for state in month)
    assert any(state["windowsState"]["leftFront"] == "OPEN" for state in month)
    unlocked = [state["lastUpdatedAt"] for state in month if _unlocked_and_shut(state)]
    assert max(unlocked.count(time) for time in set(unlocked)) > 2


def test_the_mini_is_steered_from_the_right() -> None:
    week = states(MINI_VIN)
    assert not week[0]["isLeftSteering"]
    assert {state["doorsState"]["leftFront"] for state in week} == {"CLOSED"}
    assert "OPEN" in {state["doorsState"]["rightFront"] for state in week}


@ALL
@pytest.mark.parametrize(
    "start", [START, datetime(2024, 2, 26, tzinfo=UTC), datetime(2030, 12, 30, tzinfo=UTC)]
)
def test_the_parser_understands_every_word(vin: str, start: datetime) -> None:
    garage = demo_garage()
    keys: set[str] = set()
    for number in range(0, WEEK, 7):
        at = start + number * STEP
        bodies = {"state": garage.state(vin, at), "profile": garage.profile(vin)}
        snapshot = parse(Answer("demo", "mybmw", vin, at, bodies), ZoneInfo("UTC"))
        assert snapshot.unknown_tokens == ()
        keys |= set(snapshot.readings)
    assert {"odometer_km", "soc_percent", "locked", "latitude_degrees", "tire_pressure_kpa.rear_left"} <= keys
    assert {"service_due_km.oil", "service_due_at.brake_fluid", "charging_end_at", "climate_state"} <= keys


def _unlocked_and_shut(state: dict) -> bool:
    doors = state["doorsState"]
    return doors["combinedSecurityState"] == "UNLOCKED" and doors["combinedState"] == "CLOSED"
