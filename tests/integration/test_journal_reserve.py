"""The last pages: kept for what must go on in a full journal, and days that pruning leaves alone."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from poller.errors import JournalFull
from poller.journal.base import Entry, Policy, Rejected
from poller.journal.sqlite import SqliteJournal
from poller.testing.clock import ManualClock
from poller.testing.records import START, record_number, snapshot_number

MIB = 2**20


def entry(number: int, size: int) -> Entry:
    """An answer that does not compress, all on one day."""
    answer, record = snapshot_number(number % 288)
    answer = replace(answer, bodies={"state": random.Random(number).randbytes(size)})
    return Entry(answer=answer, records=[record])


@pytest.fixture
async def journal(tmp_path):
    made = SqliteJournal(tmp_path / "journal.db", Policy(max_size=2 * MIB), ManualClock())
    await made.open(["files"])
    yield made
    await made.close()


async def test_an_append_never_takes_what_settling_needs(journal):
    """Not even a big one that would just fit: dead letters need room when everything is full."""
    await journal.prune(Policy(max_size=2 * MIB, when_full="stop_collecting"), START)
    appends = (journal.append(entry(number, 100_000)) for number in range(30))
    outcomes = [await asyncio.gather(append, return_exceptions=True) for append in appends]
    assert isinstance(outcomes[-1][0], JournalFull)
    assert outcomes[10] == [[11]]
    batch = await journal.peek("files", limit=10)
    rejected = [Rejected(queued.record, "no" * 4000) for queued in batch.records]
    assert await journal.settle("files", since=batch.since, through=batch.through, rejected=rejected)
    assert len(await journal.dead_letters("files")) == 10


async def test_pruning_by_size_leaves_the_present_day(journal):
    """Everything is delivered and room is short, but what is of today may still be wanted."""
    for number in range(16):
        await journal.append(entry(number, 100_000))
    batch = await journal.peek("files", limit=100)
    assert await journal.settle("files", since=batch.since, through=batch.through)
    policy = Policy(max_size=2 * MIB)
    limit, size = 2 * MIB, (await journal.stats()).size
    assert size > 0.8 * limit
    assert (await journal.prune(policy, START)).records == 0
    assert (await journal.stats()).records == 16


async def test_an_entry_that_fails_leaves_nothing_that_the_next_builds_upon(journal):
    """The day's first, refused by SQLite itself; what comes after it can be read."""
    impossible = replace(record_number(1), revision=2**70)
    with pytest.raises(OverflowError):
        await journal.append(Entry(records=[impossible]))
    good = record_number(2)
    await journal.append(Entry(records=[good]))
    batch = await journal.peek("files", limit=10)
    assert [queued.record.id for queued in batch.records] == [good.id]
    assert await journal.dead_letters() == []
