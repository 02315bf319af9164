"""What holds whatever a car says, in whatever order it comes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from alert_stage import NOON, Stage, snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from poller.vehicle.alert import alert_of
from poller.vehicle.snapshot import Snapshot
from poller.vehicle.thresholds import TELLING

_BOOL = st.none() | st.booleans()
_READINGS = st.fixed_dictionaries(
    {
        "window_open.front_left": _BOOL,
        "window_open.rear": _BOOL,
        "trunk_open": _BOOL,
        "locked": _BOOL,
        "moving": _BOOL,
        "plugged": _BOOL,
        "charging": _BOOL,
        "charging_state": st.sampled_from([None, "waiting", "charging", "target_reached", "error"]),
        "soc_percent": st.none() | st.integers(0, 100),
        "odometer_km": st.none() | st.integers(1000, 1002),
        "check_control.oil": st.sampled_from([None, "low", "high", "critical", "unknown"]),
        "service_due_km.oil": st.none() | st.integers(-200, 3000),
        "tire_pressure_kpa.rear_left": st.none() | st.integers(100, 320),
        "tire_pressure_target_kpa.rear_left": st.none() | st.just(230),
        "aux_battery_volts": st.none() | st.floats(11, 15),
        "software_version": st.sampled_from([None, "1", "2"]),
    }
)
_STEPS = st.lists(
    st.tuples(
        st.integers(0, 400),  # minutes since the one before
        _READINGS,
        st.none() | st.integers(0, 2000),  # how old the car's own time is, if it gives one
        st.sampled_from(["bmw", "home", "dumps"]),
    ),
    max_size=25,
)


def shown(steps: list[Any]) -> list[Snapshot]:
    minute, found = 0, []
    for wait, readings, age, source in steps:
        minute += wait
        at = NOON + timedelta(minutes=minute)
        told = {key: value for key, value in readings.items() if value is not None}
        observed = None if age is None else at - timedelta(minutes=age)
        found.append(snapshot(at, told, source=source, observed=observed))
    return found


def told(snapshots: list[Snapshot], **more: Any) -> Stage:
    stage = Stage(**more)
    for one in snapshots:
        stage.take(one)
    return stage


@given(steps=_STEPS, quiet=st.sampled_from(["", "22:00-07:00"]))
@settings(max_examples=40)
def test_each_alert_is_raised_once_then_reminded_then_cleared_once(steps, quiet) -> None:
    stage = told(shown(steps), quiet=quiet)
    assert len({record.id for record in stage.records}) == len(stage.records)
    standing: dict[tuple[str, str], Any] = {}
    for record in stage.records:
        alert = alert_of(record)
        key = (alert.rule, alert.subject)
        assert record.source != "dumps"
        if alert.event:
            assert alert.state == "raised"
            continue
        if alert.state == "raised":
            assert key not in standing
            standing[key] = alert
            continue
        assert alert.raised_at == standing[key].raised_at
        assert alert.told_at > standing[key].told_at
        standing[key] = alert
        if alert.state == "cleared":
            del standing[key]
    assert "{" not in str([record.body["text"] for record in stage.records])


@given(steps=_STEPS, again=st.lists(st.integers(0, 24), max_size=10))
@settings(max_examples=25)
def test_what_comes_twice_or_late_changes_nothing(steps, again) -> None:
    """Each snapshot may come again right after itself, and one of a little while before at any time.

    But for a drive between two snapshots: it ends what was raised, and what is still so when the second
    comes again is another trouble.
    """
    snapshots = shown([(wait, parked(readings), age, source) for wait, readings, age, source in steps])
    disturbed = [one for place, one in enumerate(snapshots) for _ in range(1 + again.count(place))]
    late = [
        one
        for place, current in enumerate(disturbed)
        for one in [current, *(old for old in disturbed[:place] if is_a_little_older(old, current))]
    ]
    assert [r.id for r in told(late).records] == [r.id for r in told(snapshots).records]


def parked(readings: dict[str, Any]) -> dict[str, Any]:
    return readings if readings["odometer_km"] is None else readings | {"odometer_km": 1000}


def is_a_little_older(old: Snapshot, current: Snapshot) -> bool:
    """More, and it was the clock that was set back."""
    return timedelta() < current.received_at - old.received_at <= timedelta(seconds=TELLING.late)


@given(steps=_STEPS)
@settings(max_examples=15)
def test_nothing_is_told_within_quiet_hours_but_what_is_critical(steps) -> None:
    stage = told(shown(steps), quiet="22:00-07:00")
    for record in stage.records:
        hour = record.received_at.hour
        assert record.body["severity"] == "critical" or 7 <= hour < 22
