"""A source that hangs is given up in time, and says so; what stopped firing is noticed."""

import asyncio
from datetime import UTC, datetime

from poller.schedule.rounds import Rounds
from poller.schedule.timer import WATCH_EVERY, Timer
from poller.sources.base import Target
from poller.testing.clock import ManualClock
from poller.testing.memory import DictMemory
from poller.testing.sources import FakeSource

VIN = "WMW00000000000001"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Hanging(FakeSource):
    """Lists its vehicles, or never does."""

    lists = True

    async def targets(self):
        return await super().targets() if self.lists else await asyncio.Event().wait()


def rounds_of(source, failed):
    async def poll(source, target, _notes):
        await asyncio.Event().wait()

    async def never():
        return ""

    async def listed(source, vins):
        pass

    async def note(source, error, target):
        failed.append((error.reason, target))

    return Rounds(
        source,
        poll=poll,
        memory=DictMemory(),
        clock=ManualClock(),
        interval=300,
        closed=never,
        listed=listed,
        failed=note,
        answer_within=0.01,
    )


async def test_a_poll_that_hangs_is_given_up():
    failed = []
    rounds = rounds_of(FakeSource(ManualClock(), vins=(VIN,)), failed)
    outcome = await asyncio.wait_for(rounds.round(), 5)
    assert (outcome.good, outcome.bad) == (0, 1)
    assert failed == [("timeout", Target(VIN))]
    assert "did not answer" in rounds.status.failure.message


async def test_a_list_of_vehicles_that_hangs_is_given_up():
    failed = []
    source = Hanging(ManualClock(), vins=(VIN,))
    source.lists = False
    outcome = await asyncio.wait_for(rounds_of(source, failed).round(), 5)
    assert outcome.error.reason == "timeout"
    assert failed == [("timeout", None)]


async def test_a_scheduler_that_fires_beats_and_one_that_stopped_does_not():
    clock, stop, beats = ManualClock(NOON), asyncio.Event(), []
    # The scheduler reads the machine's clock: that it is late is told by a clock that is ahead of it.
    ahead = [NOON]
    timer = Timer(clock, lambda _: None, machine=lambda: ahead[0])
    timer.add("car", lambda: None, interval=300, jitter=0, last_attempt=NOON)
    timer._scheduler.start(paused=True)  # the library's own way to stop firing
    watch = asyncio.create_task(timer.watch(stop, lambda: beats.append(clock.now())))
    await clock.advance(WATCH_EVERY)
    assert len(beats) == 2
    for job in timer._scheduler.get_jobs():
        ahead[0] = job.next_run_time.replace(year=job.next_run_time.year + 1)
    await clock.advance(WATCH_EVERY)
    assert len(beats) == 2
    stop.set()
    await watch
    timer.stop()
