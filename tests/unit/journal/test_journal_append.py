"""A group of entries goes in at one go, and leaves what the same entries leave one by one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from poller.journal.append import Appender
from poller.journal.base import Entry
from poller.journal.cursors import peek
from poller.journal.encode import Encoded, Encoder
from poller.journal.shelves import Dictionaries
from poller.journal.store import migrate
from poller.testing.records import snapshot_number

TABLES = ("shelves", "bodies", "answers", "records", "totals", "newest", "memory", "sqlite_sequence")


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    db = empty()
    yield db
    db.close()


def empty() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db, Path("memory"))
    db.execute("INSERT INTO cursors (sink, position) VALUES ('files', 0)")
    return db


def entry(number: int, *, revision: int = 1, body: bytes = b"") -> Entry:
    answer, record = snapshot_number(number)
    bodies = {**answer.bodies, "profile": body or b"always the same"}
    record = replace(record, revision=revision, body={**record.body, "revision": revision})
    return Entry(replace(answer, bodies=bodies), [record], {"trips": {"seen": number}})


def encode(entries: Sequence[Entry], appender: Appender) -> Sequence[Encoded]:
    encoder = Encoder(appender.dictionary_of)
    return [encoder.encode(each, 0) for each in entries]


def content(db: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}  # noqa: S608 - our own names


def readable(db: sqlite3.Connection) -> list[dict[str, object]]:
    seen = peek(db, Dictionaries(), "files", 1000, None, only_changes=False)
    assert not seen.unreadable
    return [dict(queued.record.body) for queued in seen.batch.records]


def test_a_group_leaves_what_its_entries_leave_one_by_one(database, rng):
    entries = [entry(rng.randrange(30), revision=rng.randrange(1, 4)) for _ in range(60)]
    entries.append(Entry(records=[*entries[0].records, replace(entries[0].records[0], revision=9)]))
    single, apart, together = empty(), Appender(), Appender()
    one_by_one = [seqs for each in entries for seqs in apart.append(single, encode([each], apart))]
    grouped: list[Sequence[int]] = []
    for first in range(0, len(entries), 20):
        grouped += together.append(database, encode(entries[first : first + 20], together))
    assert [list(seqs) for seqs in grouped] == [list(seqs) for seqs in one_by_one]
    assert [0] in one_by_one, "some must have been here already"
    assert content(database) == content(single)
    single.close()


def test_new_entries_need_one_look_and_no_search(database):
    """What nearly always happens must not pay for what seldom does."""
    appender = Appender()
    appender.append(database, encode([entry(0)], appender))
    statements: list[str] = []
    database.set_trace_callback(statements.append)
    appender.append(database, encode([entry(number) for number in range(1, 50)], appender))
    searches = [text for text in statements if "SELECT" in text and "UPDATE" not in text]
    assert len(searches) == 2, searches  # the next numbers, the newest of the car


def test_a_body_that_comes_again_is_stored_once(database):
    appender = Appender()
    for number in range(4):
        appender.append(database, encode([entry(number)], appender))
    appender.forget()
    appender.append(database, encode([entry(number) for number in range(4, 8)], appender))
    (stored,) = database.execute("SELECT count(*) FROM bodies").fetchone()
    assert stored == 8 + 1, "eight states and one profile"


def test_what_was_squeezed_against_a_shelf_that_is_gone_is_squeezed_again(database):
    """Between encoding and writing the shelf may be rolled back or pruned, and begun with another text."""
    appender = Appender()
    database.execute("BEGIN")
    appender.append(database, encode([entry(0)], appender))
    waiting = encode([entry(1)], appender)
    database.execute("ROLLBACK")
    appender.forget()
    appender.append(database, encode([entry(2)], appender))
    appender.append(database, waiting)
    assert readable(database) == [entry(2).records[0].body, entry(1).records[0].body]


def test_a_quarantine_without_its_answer_is_refused():
    with pytest.raises(ValueError, match="needs the answer"):
        encode([Entry(quarantine="not JSON")], Appender())
