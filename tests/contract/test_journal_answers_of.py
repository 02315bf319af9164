"""What a snapshot was made of can be had back, from the journal on disk and from its double."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from poller.journal.base import Entry, Journal, Policy
from poller.journal.sqlite import SqliteJournal
from poller.testing.clock import ManualClock
from poller.testing.journal import MemoryJournal
from poller.testing.records import START, VIN, record_number
from poller.vehicle.answer import Answer
from poller.vehicle.records import Record, snapshot_record
from poller.vehicle.snapshot import SnapshotBuilder


@pytest.fixture(params=["sqlite", "memory"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journal]:
    clock = ManualClock()
    on_disk = request.param == "sqlite"
    journal: Journal = (
        SqliteJournal(tmp_path / "journal.db", Policy(), clock) if on_disk else MemoryJournal(clock)
    )
    await journal.open(())
    yield journal
    await journal.close()


def answer(number: int, **changes) -> Answer:
    bodies = {"state": b'{"state": {"n": %d}}' % number, "profile": b'{"model": "Test"}'}
    received = START + timedelta(minutes=5 * number)
    return replace(Answer("bmw", "mybmw", VIN, received, bodies), **changes)


async def take_in(journal: Journal, given: Answer) -> Record:
    snapshot = SnapshotBuilder(given.source, given.vin, given.received_at).build()
    record = snapshot_record(snapshot, given)
    await journal.append(Entry(answer=given, records=[record]))
    return record


async def test_each_snapshot_has_its_own_answer(journal) -> None:
    given = [answer(number) for number in range(40)]
    records = [await take_in(journal, one) for one in given]
    back = await journal.answers_of(records)
    assert [back[record.id] for record in records] == given


async def test_answers_of_one_moment_are_told_apart(journal) -> None:
    """Two sources, two vehicles, and the same moment taken in twice with other bodies."""
    first = answer(1)
    others = [
        replace(first, source="dumps", kind="recorded"),
        replace(first, vin="WBA00000000000002"),
        replace(first, bodies={"state": b"{}"}),
    ]
    given = [first, *others]
    records = [await take_in(journal, one) for one in given]
    back = await journal.answers_of(records)
    assert [back[record.id] for record in records] == given


async def test_a_record_without_an_answer_has_none(journal) -> None:
    lonely = record_number(1)
    await journal.append(Entry(records=[lonely]))
    assert await journal.answers_of([lonely]) == {}
    assert await journal.answers_of([]) == {}


async def test_what_was_pruned_is_gone(journal) -> None:
    record = await take_in(journal, answer(1))
    await journal.prune(Policy(max_age=60), START + timedelta(days=3))
    assert await journal.answers_of([record]) == {}
