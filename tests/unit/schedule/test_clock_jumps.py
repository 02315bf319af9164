"""After a suspend, or a hand on the clock, every source is asked at once; between jumps nobody is."""

import asyncio
from datetime import UTC, datetime

import pytest

from poller.schedule.timer import Timer
from poller.testing.clock import ManualClock

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize("seconds", [-86_400, -3600, 3600, 86_400])
async def test_a_jump_marks_every_source_due_now(seconds):
    clock, stop, marked = ManualClock(NOON), asyncio.Event(), [asyncio.Event(), asyncio.Event()]
    timer = Timer(clock, lambda _: None)
    for number, event in enumerate(marked):
        timer.add(f"car {number}", event.set, interval=300, jitter=0, last_attempt=NOON)
    timer.start()
    watch = asyncio.create_task(timer.watch(stop))
    await clock.advance(30)
    assert not any(event.is_set() for event in marked)
    clock.jump(seconds)
    await clock.advance(30)
    for event in marked:
        await asyncio.wait_for(event.wait(), 5)
    stop.set()
    await watch
    timer.stop()
