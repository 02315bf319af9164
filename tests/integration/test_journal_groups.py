"""Entries that are committed together: none suffers from its neighbour, and all stay as they were given."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from poller.journal.base import Entry, Policy
from poller.journal.codec import to_ms
from poller.journal.shelves import Dictionaries
from poller.journal.sqlite import SqliteJournal
from poller.testing.clock import ManualClock
from poller.testing.journal import MemoryJournal
from poller.testing.records import START, STEP, record_number, snapshot_number

OTHER = "WBA00000000000009"
#: More than SQLite's integers hold: an entry that only the database itself refuses.
TOO_MUCH = 2**70
GROUPS = 60


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[SqliteJournal]:
    journal = SqliteJournal(path, Policy(), ManualClock())
    await journal.open(["files"])
    yield journal
    await journal.close()


def entry(number: int, **of: str) -> Entry:
    answer, record = snapshot_number(number, **of)
    return Entry(answer=answer, records=[record])


async def delivered(journal: SqliteJournal) -> list[str]:
    batch = await journal.peek("files", limit=10_000)
    return [queued.record.id for queued in batch.records]


async def test_one_that_does_not_fit_harms_no_neighbour(journal):
    bad = entry(1, vin=OTHER)
    bad = replace(bad, records=[replace(bad.records[0], revision=TOO_MUCH)])
    good = [entry(0), entry(2)]
    outcomes = await asyncio.gather(
        *map(journal.append, (good[0], bad, good[1])), return_exceptions=True
    )  # fmt: skip
    assert [type(outcome) for outcome in outcomes] == [list, OverflowError, list]
    assert await delivered(journal) == [one.records[0].id for one in good]
    # The bad one had begun a shelf, which went with it: what follows must not lie on it.
    later = entry(3, vin=OTHER)
    await journal.append(later)
    assert await delivered(journal) == [one.records[0].id for one in (*good, later)]


async def test_the_same_record_three_times_in_one_entry(journal):
    record = record_number(1)
    seqs = await journal.append(Entry(records=[record, record, replace(record, revision=2)]))
    assert list(seqs) == [1, 0, 2]
    assert await delivered(journal) == [record.id]


@pytest.mark.parametrize("accident", ["DELETE FROM sqlite_sequence", "UPDATE sqlite_sequence SET seq = 1"])
async def test_a_lost_counter_costs_nothing(journal, path, accident):
    for number in range(5):
        await journal.append(entry(number))
    await journal.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(accident)
    await journal.open(["files"])
    assert list(await journal.append(entry(5))) == [6]
    assert len(await delivered(journal)) == 6


async def test_whatever_comes_together_all_is_kept_as_it_was_given(journal, path, rng):
    """Against the double: records, letters, small values, and every body of every answer."""
    double = MemoryJournal(ManualClock())
    await double.open(["files"])
    for group in groups(rng):
        outcomes = [
            await asyncio.gather(*map(each.append, group), return_exceptions=True)
            for each in (journal, double)
        ]  # fmt: skip
        assert [list(one) for one in outcomes[0]] == [list(one) for one in outcomes[1]]
        if rng.random() < 0.1:
            await journal.prune(Policy(max_age=86_400), START + 600 * STEP)
            await double.prune(Policy(max_age=86_400), START + 600 * STEP)
        if rng.random() < 0.1:
            await journal.close()
            await journal.open(["files"])
    assert await delivered(journal) == await delivered(double)
    assert list(await journal.newest()) == list(await double.newest())
    letters = [[(one.reason, one.answer) for one in await each.dead_letters()] for each in (journal, double)]
    assert letters[0] == letters[1]
    assert await journal.recall("trips") == await double.recall("trips")
    given = {(a.vin, to_ms(a.received_at), tuple(sorted(a.bodies.items()))) for a in double.answers}
    assert set(answers(path)) == given


def groups(rng: random.Random) -> Iterator[list[Entry]]:
    seen: list[Entry] = []
    for _ in range(GROUPS):
        group = []
        for _ in range(rng.choice([1, 2, 8])):
            one = rng.choice(seen) if seen and rng.random() < 0.3 else drawn(rng)
            if rng.random() < 0.2:
                amended = [replace(r, revision=r.revision + rng.choice([0, 1])) for r in one.records]
                one = replace(one, records=[*one.records, *amended])
            seen.append(one)
            group.append(one)
        yield group


def drawn(rng: random.Random) -> Entry:
    answer, record = snapshot_number(rng.randrange(900), vin=rng.choice(["WMW00000000000001", OTHER]))
    bodies = {name: b"%d" % rng.randrange(6) * 300 for name in rng.sample(["state", "profile", "image"], 2)}
    answer = replace(answer, bodies=bodies)
    if rng.random() < 0.1:
        return Entry(answer=answer, quarantine="not JSON")
    return Entry(answer=answer, records=[record], state={"trips": {"n": rng.randrange(9)}})


def answers(path: Path) -> Iterator[tuple[str, int, tuple[tuple[str, bytes], ...]]]:
    """Every answer that lies in the file, its bodies expanded."""
    dictionaries = Dictionaries()
    statement = """SELECT s.vin, a.received_ms, a.bodies FROM answers a JOIN shelves s ON s.id = a.shelf"""
    body = """SELECT s.name, b.shelf, b.data FROM bodies b JOIN shelves s ON s.id = b.shelf
        WHERE b.id IN (SELECT value FROM json_each(?)) ORDER BY s.name"""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        for vin, received, numbers in db.execute(statement).fetchall():
            rows = db.execute(body, (numbers,)).fetchall()
            yield vin, received, tuple((name, dictionaries.text(db, at, data)) for name, at, data in rows)
