"""The grid: no drift, no burst, no standstill."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.schedule.timer import GridTrigger, Timer, first_due, next_on_grid
from poller.testing.clock import ManualClock

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MOMENTS = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2040, 1, 1), timezones=st.just(UTC))


@given(anchor=MOMENTS, after=MOMENTS, interval=st.integers(60, 86_400))
def test_the_next_place_is_strictly_later_and_at_most_one_interval_away(anchor, after, interval):
    due = next_on_grid(anchor, interval, after)
    assert timedelta(0) < due - after <= timedelta(seconds=interval)
    assert (due - anchor).total_seconds() % interval == pytest.approx(0, abs=1e-3)


def test_a_day_at_five_minutes_is_288_polls():
    """The stock trigger with jitter only adds: 283 polls a day."""
    due, count = NOON, 0
    while (due := next_on_grid(NOON, 300, due)) <= NOON + timedelta(days=1):
        count += 1
    assert count == 288


def test_a_suspend_is_followed_by_one_poll_not_by_a_burst():
    clock = ManualClock(NOON)
    trigger = GridTrigger(NOON, 300, clock)
    clock.jump(8 * 3600 + 7)
    fire = trigger.get_next_fire_time(NOON, clock.now())
    assert fire == NOON + timedelta(hours=8, minutes=5)


def test_after_the_clock_went_back_an_hour_the_grid_goes_on():
    clock = ManualClock(NOON)
    trigger = GridTrigger(NOON, 300, clock)
    clock.jump(-3600)
    assert trigger.get_next_fire_time(NOON, clock.now()) == NOON - timedelta(minutes=55)


def test_the_first_poll_is_not_followed_by_another_at_once():
    """It comes at the start, the grid's phase up to `jitter` later."""
    clock = ManualClock(NOON)
    trigger = GridTrigger(NOON + timedelta(seconds=7), 300, clock)
    assert trigger.get_next_fire_time(NOON, clock.now()) == NOON + timedelta(minutes=5, seconds=7)


def test_a_small_step_back_does_not_poll_the_same_place_twice():
    clock = ManualClock(NOON)
    trigger = GridTrigger(NOON, 300, clock)
    clock.jump(-0.2)
    assert trigger.get_next_fire_time(NOON, clock.now()) == NOON + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("last_attempt", "expected"),
    [
        (None, NOON),
        (NOON - timedelta(minutes=2), NOON + timedelta(minutes=3)),
        (NOON - timedelta(hours=2), NOON),
        (NOON + timedelta(hours=2), NOON),
    ],
)
def test_a_restart_polls_when_the_last_attempt_plus_interval_says(last_attempt, expected):
    """A crash loop must not hammer the maker's cloud."""
    assert first_due(NOON, 300, last_attempt) == expected


async def test_a_jump_of_the_wall_clock_is_seen_and_makes_every_source_due():
    import asyncio

    clock, jumps, stop = ManualClock(NOON), [], asyncio.Event()
    timer = Timer(clock, jumps.append)
    timer.add("car", lambda: None, interval=300, jitter=0, last_attempt=NOON)
    timer.start()
    before = timer.next_due("car")
    watch = asyncio.create_task(timer.watch(stop))
    await clock.advance(30)
    assert jumps == []
    clock.jump(-3600)
    await clock.advance(30)
    assert [round(seconds) for seconds in jumps] == [-3600]
    assert timer.next_due("car") < before
    stop.set()
    await watch
    timer.stop()
