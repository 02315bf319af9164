"""A group of entries goes in at one go, and leaves what the same entries leave one by one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from poller.journal.append import Appender, HereAlready
from poller.journal.base import Entry, Queued
from poller.journal.cursors import decode, peek
from poller.journal.encode import Encoded, Encoder
from poller.journal.migrate import migrate
from poller.journal.queries import migrations
from poller.journal.shelves import Dictionaries
from poller.testing.clock import ManualClock
from poller.testing.records import snapshot_number

TABLES = ("shelves", "bodies", "answers", "records", "totals", "newest", "memory", "sqlite_sequence")


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    db = empty()
    yield db
    db.close()


def empty() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db, Path("memory"), migrations(), ManualClock())
    db.execute("INSERT INTO cursors (sink, position) VALUES ('files', 0)")
    return db


def entry(number: int, *, revision: int = 1, body: bytes = b"") -> Entry:
    answer, record = snapshot_number(number)
    bodies = {**answer.bodies, "profile": body or b"always the same"}
    record = replace(record, revision=revision, body={**record.body, "revision": revision})
    return Entry(replace(answer, bodies=bodies), [record], {"trips": {"seen": number}})


def encode(entries: Sequence[Entry], appender: Appender) -> Sequence[Encoded]:
    encoder = Encoder(appender.shelf_of)
    return [encoder.encode(each, 0) for each in entries]


def store(db: sqlite3.Connection, appender: Appender, *entries: Entry) -> Sequence[Sequence[int]]:
    """As the writer does it: at one go, or taken back and one by one."""
    encoded = encode(entries, appender)
    db.execute("BEGIN")
    try:
        seqs = appender.append_new(db, encoded)
    except HereAlready:
        db.execute("ROLLBACK")
        appender.forget()
        db.execute("BEGIN")
        seqs = [appender.append(db, each) for each in encoded]
    db.execute("COMMIT")
    return seqs


def content(db: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}  # noqa: S608 - our own names


def readable(db: sqlite3.Connection) -> list[dict[str, object]]:
    seen = peek(db, Dictionaries(), "files", 1000, None, only_changes=False)
    found = list(decode(seen, slice(None)))
    assert all(isinstance(one, Queued) for one in found)
    return [dict(one.record.body) for one in found]


def test_a_group_leaves_what_its_entries_leave_one_by_one(database, rng):
    entries = [entry(rng.randrange(30), revision=rng.randrange(1, 4)) for _ in range(60)]
    entries.append(Entry(records=[*entries[0].records, replace(entries[0].records[0], revision=9)]))
    single, apart, together = empty(), Appender(), Appender()
    one_by_one = [seqs for each in entries for seqs in store(single, apart, each)]
    grouped: list[Sequence[int]] = []
    for first in range(0, len(entries), 20):
        grouped += store(database, together, *entries[first : first + 20])
    assert [list(seqs) for seqs in grouped] == [list(seqs) for seqs in one_by_one]
    assert [0] in one_by_one, "some must have been here already"
    assert content(database) == content(single)
    single.close()


@pytest.mark.parametrize("size", [1, 9, 10, 11, 20, 34])
def test_whatever_the_size_of_a_group_every_row_is_there(database, size):
    """Rows go in by tens, and what is left over one by one."""
    appender = Appender()
    store(database, appender, *map(entry, range(size)))
    store(database, appender, *map(entry, range(size, 2 * size)))
    assert [body["revision"] for body in readable(database)] == [1] * 2 * size
    rows = {name: len(found) for name, found in content(database).items()}
    assert (rows["bodies"], rows["answers"], rows["records"]) == (2 * size + 1, 2 * size, 2 * size)


@pytest.mark.parametrize("place", [0, 9, 10, 24])
def test_one_that_is_here_already_is_noticed_wherever_it_stands(database, place):
    appender = Appender()
    store(database, appender, entry(99))
    group = [entry(number) for number in range(25)]
    group[place] = entry(99)
    with pytest.raises(HereAlready):
        appender.append_new(database, encode(group, appender))


def test_new_entries_need_no_search(database):
    """What nearly always happens must not pay for what seldom does."""
    appender = Appender()
    store(database, appender, entry(0))
    statements: list[str] = []
    database.set_trace_callback(statements.append)
    store(database, appender, *map(entry, range(1, 50)))
    assert [text for text in statements if "SELECT" in text and "UPDATE" not in text] == []


def test_a_body_that_comes_again_is_stored_once(database):
    appender = Appender()
    for number in range(4):
        store(database, appender, entry(number))
    appender.forget()
    store(database, appender, *map(entry, range(4, 8)))
    (stored,) = database.execute("SELECT count(*) FROM bodies").fetchone()
    assert stored == 8 + 1, "eight states and one profile"


def test_what_was_squeezed_against_a_shelf_that_is_gone_is_squeezed_again(database):
    """Between encoding and writing the shelf may be rolled back or pruned, and begun with another text."""
    appender = Appender()
    database.execute("BEGIN")
    appender.append_new(database, encode([entry(0)], appender))
    waiting = encode([entry(1)], appender)
    database.execute("ROLLBACK")
    appender.forget()
    store(database, appender, entry(2))
    appender.append_new(database, waiting)
    assert readable(database) == [entry(2).records[0].body, entry(1).records[0].body]


def test_a_quarantine_without_its_answer_is_refused():
    with pytest.raises(ValueError, match="needs the answer"):
        encode([Entry(quarantine="not JSON")], Appender())
