"""Pruning a day in small steps, with appends in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from poller.journal.append import Appender
from poller.journal.base import Entry, Policy
from poller.journal.codec import day_of, to_ms
from poller.journal.encode import Encoder
from poller.journal.migrate import migrate
from poller.journal.prune import Pruner, Swept
from poller.journal.queries import migrations
from poller.journal.room import Room
from poller.testing.clock import ManualClock
from poller.testing.records import START, snapshot_number

DAY = day_of(to_ms(START))
#: Five hours of the first day.
COUNT = 60


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db, Path("memory"), migrations(), ManualClock())
    yield db
    db.close()


class SmallSteps(Room):
    """Twenty rows at a time."""

    rows = 20


@pytest.fixture
def appender() -> Appender:
    return Appender()


@pytest.fixture
def pruner(appender) -> Pruner:
    return Pruner(SmallSteps(Path("memory"), Policy()), appender.forget, lambda: ["files"])


def add(db: sqlite3.Connection, appender: Appender, number: int) -> None:
    answer, record = snapshot_number(number)
    answer = replace(answer, bodies={**answer.bodies, "profile": b"always the same"})
    encoder = Encoder(appender.shelf_of)
    appender.append(db, encoder.encode(Entry(answer=answer, records=[record]), 0))


def counts(db: sqlite3.Connection) -> tuple[int, ...]:
    tables = ("records", "answers", "bodies", "shelves")
    return tuple(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)  # noqa: S608 - our own names


def dangling(db: sqlite3.Connection) -> int:
    statement = """SELECT count(*) FROM answers a, json_each(a.bodies) j
        LEFT JOIN bodies b ON b.id = j.value LEFT JOIN shelves s ON s.id = b.shelf WHERE s.id IS NULL"""
    return int(db.execute(statement).fetchone()[0])


def test_step_by_step_until_nothing_is_left(db, appender, pruner):
    for number in range(COUNT):
        add(db, appender, number)
    total, steps = Swept(), 0
    while not total.finished:
        before = sum(counts(db)[:3])
        total.add(pruner.sweep(db, DAY))
        assert before - sum(counts(db)[:3]) <= 20
        assert dangling(db) == 0
        steps += 1
    assert (total.records, counts(db)) == (COUNT, (0, 0, 0, 0))
    assert steps > COUNT * 3 // 20


def test_an_append_in_between_is_whole_or_gone(db, appender, pruner):
    """Whenever an old answer comes in during a prune, no answer ever misses its bodies."""
    for number in range(COUNT):
        add(db, appender, number)
    swept, late = Swept(), COUNT
    while not swept.finished:
        swept = pruner.sweep(db, DAY)
        if late < COUNT + 12:
            add(db, appender, late)
            late += 1
            swept.finished = False
        assert dangling(db) == 0
    assert counts(db) == (0, 0, 0, 0)


def test_another_day_is_not_touched(db, appender, pruner):
    for number in (0, 1, 288, 289):
        add(db, appender, number)
    swept = Swept()
    while not swept.finished:
        swept = pruner.sweep(db, DAY)
    assert counts(db)[:3] == (2, 2, 3)
    assert dangling(db) == 0


def test_drops_are_told_once(db, appender, pruner):
    db.execute("INSERT INTO cursors (sink, position) VALUES ('files', 3), ('left', 0)")
    for number in range(5):
        add(db, appender, number)
    pruner.note(pruner.sweep(db, DAY))
    told = pruner.tell()
    assert (told.records, told.dropped) == (5, {"files": 2})
    assert pruner.tell().records == 0
