"""The end of a wait, whatever somebody does to the wall clock meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest

from poller.runtime.clock import Until
from poller.testing.clock import ManualClock

HOUR = 3600.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def ends(clock: ManualClock, hours: float) -> Until:
    return Until.told(clock.now() + timedelta(hours=hours), clock)


async def test_it_is_over_when_its_time_has_come(clock) -> None:
    end = ends(clock, 3)
    at = end.at(clock)
    assert at == clock.now() + timedelta(hours=3)
    await clock.advance(3 * HOUR - 1)
    assert not end.reached(clock)
    assert end.at(clock) == at
    await clock.advance(1)
    assert end.reached(clock)


async def test_a_clock_that_was_set_back_does_not_prolong_it(clock) -> None:
    end = ends(clock, 3)
    clock.jump(-24 * HOUR)
    assert end.at(clock) == clock.now() + timedelta(hours=3)
    await clock.advance(3 * HOUR)
    assert end.reached(clock)


async def test_a_suspended_machine_does_not_wait_again(clock) -> None:
    """Its steady time stood still."""
    end = ends(clock, 3)
    clock.jump(3 * HOUR)
    assert end.reached(clock)


async def test_back_and_forth_and_asking_meanwhile_takes_nothing_from_it(clock) -> None:
    end = ends(clock, 3)
    for hours in (-1, 1, -5, 5):
        clock.jump(hours * HOUR)
        assert not end.reached(clock)
    await clock.advance(3 * HOUR - 1)
    assert not end.reached(clock)
