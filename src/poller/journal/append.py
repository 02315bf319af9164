"""What a group of entries writes: answers, records, the newest snapshots, derived state."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from poller.journal import letters
from poller.journal.encode import Encoded, EncodedAnswer, EncodedRecord, Text
from poller.journal.faults import Damaged
from poller.journal.newest import Newest
from poller.journal.queries import SQL
from poller.journal.shelves import Shelf, ShelfKey, Shelves

Row = tuple[Any, ...]

_AT_ONCE: Final = 10


class HereAlready(Exception):
    """A row that was taken for new is not."""


@dataclass(slots=True)
class _Lot:
    """The rows of one go, and the numbers that the next ones get.

    `bodies`, `answers` and `records` hold the values of their rows one after another.
    `revisions`: of records that are here already, by id; what is not in it is taken for new.
    """

    body: int
    seq: int
    revisions: Mapping[bytes, int]
    bodies: list[Any] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    records: list[Any] = field(default_factory=list)
    outdated: list[Row] = field(default_factory=list)
    memory: list[Row] = field(default_factory=list)
    letters: list[tuple[bytes, int, str, bytes]] = field(default_factory=list)


class Appender:
    """Writes encoded entries inside the writer's transaction.

    What nobody else changes is remembered from one to the next: the shelves of the day, the newest
    snapshots, the next numbers.
    """

    def __init__(self) -> None:
        self._shelves = Shelves()
        self._newest = Newest()
        self._numbers: tuple[int, int] | None = None

    def shelf_of(self, key: ShelfKey) -> Shelf | None:
        """For the encoder, from its thread: the shelf that a text will lie on, if that is known."""
        return self._shelves.held(key)

    def forget(self) -> None:
        """After a rollback, a prune, or with another file."""
        self._shelves.forget()
        self._newest.forget()
        self._numbers = None

    def append_new(self, db: sqlite3.Connection, group: Sequence[Encoded]) -> Sequence[Sequence[int]]:
        """Store entries in their order, at one go; for each the seqs of its records.

        Everything is taken for new, which it nearly always is. Raises HereAlready if a row is not
        (an answer read twice, an amended record): take the transaction back then, and `forget`.
        """
        return self._append(db, group, {})

    def append(self, db: sqlite3.Connection, entry: Encoded) -> Sequence[int]:
        """Store an entry, looked up before; the seqs of its records, 0 for what was here already."""
        return [seq for part in _parts(entry) for seq in self._append_known(db, part)]

    def _append_known(self, db: sqlite3.Connection, entry: Encoded) -> Sequence[int]:
        revisions = {}
        for record in entry.records:
            held = db.execute(SQL["record_revision"], (record.columns.id,)).fetchone()
            if held is not None:
                revisions[record.columns.id] = int(held[0])
        for digest, text in entry.answer.bodies if entry.answer else ():
            shelf = self._shelves.of(db, text.key, text.raw)
            row = db.execute(SQL["body_find"], (shelf.id, digest)).fetchone()
            if row is not None:
                shelf.remember(digest, int(row[0]))
        try:
            return self._append(db, [entry], revisions)[0]
        except HereAlready as error:
            raise Damaged("a row that is here cannot be found: an index is broken") from error

    def _append(
        self, db: sqlite3.Connection, entries: Sequence[Encoded], revisions: Mapping[bytes, int]
    ) -> Sequence[Sequence[int]]:
        body, seq = self._numbers or db.execute(SQL["next_numbers"]).fetchone()
        lot = _Lot(body, seq, revisions)
        seqs = []
        for entry in entries:
            if entry.answer is not None:
                self._answer(db, entry.answer, lot)
            seqs.append([self._record(db, record, lot, entry.now_ms) for record in entry.records])
            if entry.state:
                lot.memory += entry.state
            if entry.quarantine is not None:
                lot.letters.append(entry.quarantine)
        _store(db, lot)
        self._newest.store(db)
        self._numbers = lot.body, lot.seq
        return seqs

    def _answer(self, db: sqlite3.Connection, answer: EncodedAnswer, lot: _Lot) -> None:
        numbers = ",".join([str(self._body(db, digest, text, lot)) for digest, text in answer.bodies])
        lot.answers += (self._placed(db, answer.place)[0].id, answer.received_ms, f"[{numbers}]")

    def _body(self, db: sqlite3.Connection, digest: bytes, text: Text, lot: _Lot) -> int:
        shelf, squeezed = self._placed(db, text)
        known = shelf.bodies.get(digest)
        if known is not None:
            return known
        number, lot.body = lot.body, lot.body + 1
        lot.bodies += (number, shelf.id, digest, squeezed)
        shelf.remember(digest, number)
        return number

    def _record(self, db: sqlite3.Connection, record: EncodedRecord, lot: _Lot, now_ms: int) -> int:
        held = lot.revisions.get(record.columns.id)
        if held is not None and held >= record.columns.revision:
            return 0
        # Sessions, trips and alerts always say something new, and so does an amended record.
        changed = self._newest.take(db, record, now_ms) if record.kind == "snapshot" else True
        if held is not None:
            lot.outdated.append((record.columns.id,))
            changed = True
        shelf, squeezed = self._placed(db, record.text)
        seq, lot.seq = lot.seq, lot.seq + 1
        lot.records += (seq, shelf.id, int(changed), squeezed, *record.columns)
        return seq

    def _placed(self, db: sqlite3.Connection, text: Text) -> tuple[Shelf, bytes]:
        """The shelf of a text, and the text squeezed against its dictionary."""
        if text.shelf is not None and text.shelf.held:
            return text.shelf, text.squeezed
        shelf = self._shelves.of(db, text.key, text.raw)
        return shelf, text.against(shelf.dictionary)


def _store(db: sqlite3.Connection, lot: _Lot) -> None:
    """Write the rows. Raises HereAlready if one that was taken for new is not."""
    _insert(db, "body_add", lot.bodies)
    _insert(db, "answer_add", lot.answers, known=True)
    if lot.outdated:
        db.executemany(SQL["record_remove"], lot.outdated)
    _insert(db, "record_add", lot.records)
    if lot.memory:
        db.executemany(SQL["memory_put"], lot.memory)
    for letter in lot.letters:
        letters.put(db, "", *letter)


def _insert(db: sqlite3.Connection, name: str, values: Sequence[Any], *, known: bool = False) -> None:
    """Insert rows, by tens as far as they go. Raises HereAlready if one is, unless it may be `known`."""
    statement, width = SQL[name], SQL[name].count("?")
    ten = width * _AT_ONCE
    whole = len(values) // ten * ten
    added = 0
    if whole:
        rows = [values[at : at + ten] for at in range(0, whole, ten)]
        added = db.executemany(_TENFOLD[name], rows).rowcount
    if whole < len(values):
        rows = [values[at : at + width] for at in range(whole, len(values), width)]
        added += db.executemany(statement, rows).rowcount
    if added * width != len(values) and not known:
        raise HereAlready


def _tenfold(statement: str) -> str:
    """An INSERT of one row, made for ten: that costs SQLite a quarter less than ten times one."""
    head, values, row = statement.partition("VALUES ")
    return head + values + ", ".join([row] * _AT_ONCE)


_TENFOLD: Final = {name: _tenfold(SQL[name]) for name in ("body_add", "answer_add", "record_add")}


def _parts(entry: Encoded) -> Iterator[Encoded]:
    """An entry piece by piece: the same id may come twice in it."""
    yield replace(entry, records=())
    for record in entry.records:
        yield Encoded(entry.now_ms, records=(record,))
