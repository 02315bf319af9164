"""Reading ahead: nobody waits for the journal twice, and nothing is skipped, repeated or stale for it."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from poller.deliver.ahead import HEAD_START, Ahead
from poller.errors import JournalError
from poller.journal.base import Batch, Entry
from poller.testing.clock import ManualClock
from poller.testing.journal import MemoryJournal
from poller.testing.records import START, record_number

SINK = "files"


class Queue:
    """A queue in the journal's double, and who reads it ahead; notes each reading as (limit, after)."""

    def __init__(self) -> None:
        self.journal = MemoryJournal(ManualClock())
        self.ahead = Ahead(self._peek)
        self.readings: list[tuple[int, int | None]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def _peek(self, limit: int, after: int | None) -> Batch:
        self.readings.append((limit, after))
        await self.gate.wait()
        return await self.journal.peek(SINK, limit=limit, after=after)

    async def fill(self, count: int, begin: int = 0) -> None:
        records = [record_number(number) for number in range(begin, begin + count)]
        await self.journal.append(Entry(records=records))

    async def settle(self, batch: Batch, through: int | None = None) -> None:
        through = batch.through if through is None else through
        assert await self.journal.settle(SINK, since=batch.since, through=through)
        self.ahead.settled(through)


@pytest.fixture
async def queue():
    made = Queue()
    await made.journal.open([SINK])
    await made.fill(10)
    yield made
    made.ahead.forget()


def seqs(batch: Batch) -> list[int]:
    return [queued.seq for queued in batch.records]


async def turn() -> None:
    """Let a reading in the background come through."""
    for _ in range(HEAD_START + 5):
        await asyncio.sleep(0)


async def test_what_lies_behind_is_read_while_a_batch_is_under_way(queue):
    batch = await queue.ahead.next(4)
    await turn()
    assert queue.readings == [(4, None), (4, 4)]
    await queue.settle(batch)
    batch = await queue.ahead.next(4)
    assert (seqs(batch), batch.since, batch.through) == ([5, 6, 7, 8], 4, 8)


async def test_what_was_left_of_a_batch_is_not_read_again(queue):
    """A sink that takes three of four, always: what is at hand neither grows nor has gaps."""
    seen: list[int] = []
    for _ in range(3):
        batch = await queue.ahead.next(4)
        seen += seqs(batch)[:3]
        await turn()
        await queue.settle(batch, through=seqs(batch)[2])
    assert seen == list(range(1, 10))
    assert [after for _, after in queue.readings] == [None, 4, 8]
    assert [limit for limit, _ in queue.readings] == [4, 4, 3]


async def test_without_a_settlement_the_journal_is_asked_again(queue):
    """A delivery that failed, or a cursor that somebody moved."""
    batch = await queue.ahead.next(4)
    await turn()
    assert await queue.ahead.next(4) == batch
    await queue.settle(batch)
    await queue.journal.rewind(SINK, START)
    queue.ahead.forget()
    again = await queue.ahead.next(4)
    assert seqs(again) == [1, 2, 3, 4]
    assert all(queued.record.replayed for queued in again.records)


async def test_the_end_is_seen_by_looking_again(queue):
    """What comes while the last batch is under way is not left waiting for a round."""
    batch = await queue.ahead.next(8)
    await turn()
    await queue.fill(1, begin=10)
    await queue.settle(batch)
    batch = await queue.ahead.next(8)
    assert (seqs(batch), batch.last) == ([9, 10], False)
    await queue.settle(batch)
    batch = await queue.ahead.next(8)
    assert (seqs(batch), batch.last) == ([11], True)


async def test_of_a_short_queue_nothing_is_read_ahead(queue):
    batch = await queue.ahead.next(10)
    await turn()
    assert batch.last
    assert queue.readings == [(10, None)]


async def test_fewer_at_once_comes_from_what_is_at_hand(queue):
    batch = await queue.ahead.next(4)
    await turn()
    await queue.settle(batch, through=1)
    small = await queue.ahead.next(2)
    assert (seqs(small), small.since, small.through, small.last) == ([2, 3], 1, 3, False)


async def test_a_reading_ahead_that_fails_is_done_again_by_who_needs_it(queue):
    batch = await queue.ahead.next(4)
    queue.journal.failure = JournalError("the disk does not play")
    await turn()
    queue.journal.failure = None
    await queue.settle(batch)
    assert seqs(await queue.ahead.next(4)) == [5, 6, 7, 8]
    assert queue.readings[:3] == [(4, None), (4, 4), (4, None)]


async def test_forgetting_ends_a_reading_under_way(queue):
    await queue.ahead.next(4)
    queue.gate.clear()
    await turn()
    queue.ahead.forget()
    await turn()
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


@pytest.mark.parametrize("limits", [(3, 3, 3, 3), (1, 5, 2, 9), (9, 1, 1, 1, 1, 1)])
async def test_whatever_the_sizes_every_record_comes_once_and_in_order(queue, limits):
    seen: list[int] = []
    for limit in (*limits, 10, 10, 10):
        batch = await queue.ahead.next(limit)
        assert len(batch.records) <= limit
        seen += seqs(batch)
        await turn()
        await queue.settle(batch)
    assert seen == list(range(1, 11))
    assert all(one + 1 == two for one, two in pairwise(seen))
