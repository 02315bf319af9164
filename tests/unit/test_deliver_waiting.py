"""Since when a sink's oldest record waits: the journal knows only when it was received."""

from __future__ import annotations

from datetime import timedelta

import pytest

from poller.deliver.waiting import Waiting
from poller.journal.base import Backlog
from poller.testing.clock import ManualClock
from poller.testing.memory import DictMemory

NOTHING = Backlog(0, None)
HOUR = timedelta(hours=1)


class Counted(DictMemory):
    """A memory that counts what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told = 0

    async def remember(self, key, value) -> None:
        self.told += 1
        await super().remember(key, value)


class Bench:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.memory = Counted()
        self.anew()

    def anew(self) -> None:
        """As after a restart."""
        self.waiting = Waiting("files", self.memory, self.clock)

    async def age(self, backlog: Backlog) -> timedelta | None:
        since = await self.waiting.since(backlog)
        return None if since is None else self.clock.now() - since

    async def passes(self, time: timedelta) -> None:
        await self.clock.advance(time.total_seconds())

    def received(self, ago: timedelta) -> Backlog:
        return Backlog(3, self.clock.now() - ago)


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_without_a_backlog_nothing_waits(bench) -> None:
    assert await bench.age(NOTHING) is None
    assert bench.memory.told == 0


async def test_what_was_just_received_waits_since_then(bench) -> None:
    await bench.age(NOTHING)
    backlog = bench.received(timedelta(0))
    await bench.passes(2 * HOUR)
    assert await bench.age(backlog) == 2 * HOUR
    await bench.passes(HOUR)
    assert await bench.age(backlog) == 3 * HOUR


async def test_history_waits_since_it_was_taken_in(bench) -> None:
    """Dumps of years ago, or records that are to be delivered again."""
    await bench.age(NOTHING)
    backlog = bench.received(timedelta(days=1820))
    assert await bench.age(backlog) == timedelta(0)
    await bench.passes(5 * HOUR)
    assert await bench.age(backlog) == 5 * HOUR


async def test_a_restart_neither_makes_history_late_nor_forgives_it(bench) -> None:
    await bench.age(NOTHING)
    backlog = bench.received(timedelta(days=1820))
    await bench.age(backlog)
    await bench.passes(5 * HOUR)
    bench.anew()
    assert await bench.age(backlog) == 5 * HOUR


async def test_a_restart_does_not_forgive_a_sink_that_is_behind(bench) -> None:
    backlog = bench.received(timedelta(days=3))
    assert await bench.age(backlog) == timedelta(days=3)


async def test_an_old_note_excuses_nothing(bench) -> None:
    await bench.age(NOTHING)
    await bench.age(bench.received(timedelta(days=1820)))
    await bench.passes(100 * HOUR)
    bench.anew()
    assert await bench.age(bench.received(50 * HOUR)) == 50 * HOUR


async def test_a_sink_that_catches_up_slowly_is_as_late_as_its_next_record(bench) -> None:
    await bench.age(NOTHING)
    first, second = bench.received(timedelta(0)), bench.received(-HOUR)
    await bench.passes(5 * HOUR)
    assert await bench.age(first) == 5 * HOUR
    assert await bench.age(second) == 4 * HOUR


async def test_a_clock_that_was_ahead_does_not_excuse_it_for_ever(bench) -> None:
    bench.clock.jump(3650 * 86400)
    await bench.age(NOTHING)
    bench.clock.jump(-3650 * 86400)
    backlog = bench.received(timedelta(0))
    await bench.age(backlog)
    await bench.passes(30 * HOUR)
    assert await bench.age(backlog) == 30 * HOUR


async def test_only_history_is_noted_and_once(bench) -> None:
    await bench.age(NOTHING)
    for _ in range(3):
        await bench.age(bench.received(timedelta(minutes=5)))
    assert bench.memory.told == 0
    for _ in range(3):
        await bench.age(bench.received(timedelta(days=9)))
    assert bench.memory.told == 1


@pytest.mark.parametrize("damaged", [{}, {"since": None}, {"since": "yesterday"}, {"since": 4}])
async def test_a_note_that_cannot_be_read_is_none(bench, damaged) -> None:
    await bench.memory.remember("waiting:files", damaged)
    assert await bench.age(bench.received(HOUR)) == HOUR
