"""What a group of entries writes: answers, records, the newest snapshots, derived state."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from poller.journal import letters
from poller.journal.encode import Encoded, EncodedAnswer, EncodedRecord, Text
from poller.journal.faults import Damaged
from poller.journal.newest import Newest
from poller.journal.queries import SQL
from poller.journal.shelves import Shelf, ShelfKey, Shelves

Row = tuple[Any, ...]


class _HereAlready(Exception):
    """A row that was taken for new is not."""


@dataclass(slots=True)
class _Lot:
    """The rows of one go, table by table, and the numbers that the next ones get.

    `revisions`: of records that are here already, by id; what is not in it is taken for new.
    `numbered`: the bodies that got their number in this lot.
    """

    body: int
    seq: int
    newest: Newest
    revisions: Mapping[bytes, int]
    entries: Sequence[Encoded]
    numbered: dict[tuple[int, bytes], tuple[Shelf, int]] = field(default_factory=dict)
    bodies: list[Row] = field(default_factory=list)
    answers: list[Row] = field(default_factory=list)
    records: list[Row] = field(default_factory=list)
    outdated: list[Row] = field(default_factory=list)
    seqs: list[Sequence[int]] = field(default_factory=list)


class Appender:
    """Writes encoded entries inside the writer's transaction; holds the shelves of the day."""

    def __init__(self) -> None:
        self._shelves = Shelves()

    def dictionary_of(self, key: ShelfKey) -> bytes | None:
        """For the encoder, from its thread: what a shelf's texts are squeezed against, if that is known."""
        return self._shelves.dictionary_of(key)

    def forget(self) -> None:
        """After a rollback or a prune."""
        self._shelves.forget()

    def append(self, db: sqlite3.Connection, group: Sequence[Encoded]) -> Sequence[Sequence[int]]:
        """Store entries in their order; for each the seqs of its records, 0 for what was here already.

        At first everything is taken for new, which it nearly always is, and goes in at one go. If
        a row was here already (an answer read twice, an amended record), all are stored again one
        by one, looked up before.
        """
        lot = self._lot(db, group, {})
        db.execute("SAVEPOINT lot")
        try:
            self._store(db, lot)
        except _HereAlready:
            db.execute("ROLLBACK TO lot")
            lot.seqs = [[seq for part in _parts(e) for seq in self._append_known(db, part)] for e in group]
        db.execute("RELEASE lot")
        return lot.seqs

    def _append_known(self, db: sqlite3.Connection, entry: Encoded) -> Sequence[int]:
        revisions = {}
        for record in entry.records:
            held = db.execute(SQL["record_revision"], (record.id,)).fetchone()
            if held is not None:
                revisions[record.id] = int(held[0])
        for digest, text in entry.answer.bodies if entry.answer else ():
            shelf = self._shelves.of(db, text.key, text.raw)
            row = db.execute(SQL["body_find"], (shelf.id, digest)).fetchone()
            if row is not None:
                shelf.remember(digest, int(row[0]))
        lot = self._lot(db, [entry], revisions)
        try:
            self._store(db, lot)
        except _HereAlready as error:
            raise Damaged("a row that is here cannot be found: an index is broken") from error
        return lot.seqs[0]

    def _lot(
        self, db: sqlite3.Connection, entries: Sequence[Encoded], revisions: Mapping[bytes, int]
    ) -> _Lot:
        """Number the rows. What it writes, new shelves, holds whether or not the rows do."""
        ((body, seq),) = db.execute(SQL["next_numbers"])
        lot = _Lot(body, seq, Newest(db), revisions, entries)
        for entry in entries:
            if entry.answer is not None:
                self._answer(db, entry.answer, lot)
            lot.seqs.append([self._record(db, record, lot) for record in entry.records])
        return lot

    def _store(self, db: sqlite3.Connection, lot: _Lot) -> None:
        _insert(db, "body_add", lot.bodies)
        db.executemany(SQL["answer_add"], lot.answers)
        if lot.outdated:
            db.executemany(SQL["record_remove"], lot.outdated)
        _insert(db, "record_add", lot.records)
        lot.newest.store()
        for entry in lot.entries:
            if entry.state:
                db.executemany(SQL["memory_put"], entry.state)
            if entry.quarantine is not None:
                letters.put(db, "", *entry.quarantine)
        for (_, digest), (shelf, number) in lot.numbered.items():
            shelf.remember(digest, number)

    def _answer(self, db: sqlite3.Connection, answer: EncodedAnswer, lot: _Lot) -> None:
        numbers = [self._body(db, digest, text, lot) for digest, text in answer.bodies]
        shelf = self._shelves.of(db, answer.key, b"")
        lot.answers.append((shelf.id, answer.received_ms, f"[{','.join(map(str, numbers))}]"))

    def _body(self, db: sqlite3.Connection, digest: bytes, text: Text, lot: _Lot) -> int:
        shelf = self._shelves.of(db, text.key, text.raw)
        known = shelf.bodies.get(digest)
        if known is not None:
            return known
        if (shelf.id, digest) not in lot.numbered:
            lot.numbered[shelf.id, digest] = (shelf, lot.body)
            lot.bodies.append((lot.body, shelf.id, digest, text.against(shelf.dictionary)))
            lot.body += 1
        return lot.numbered[shelf.id, digest][1]

    def _record(self, db: sqlite3.Connection, record: EncodedRecord, lot: _Lot) -> int:
        held = lot.revisions.get(record.id)
        if held is not None and held >= record.revision:
            return 0
        # Sessions, trips and alerts always say something new, and so does an amended record.
        changed = lot.newest.take(record) if record.kind == "snapshot" else True
        if held is not None:
            lot.outdated.append((record.id,))
            changed = True
        shelf: Shelf = self._shelves.of(db, record.text.key, record.text.raw)
        seq, lot.seq = lot.seq, lot.seq + 1
        lot.records.append(
            (
                seq, record.id, shelf.id, record.received_ms, record.observed_ms, record.revision, changed,
                record.replayed, record.fingerprint, record.text.against(shelf.dictionary),
            )
        )  # fmt: skip
        return seq


def _insert(db: sqlite3.Connection, statement: str, rows: Sequence[Row]) -> None:
    """Insert rows that are all taken for new. Raises _HereAlready if one is not."""
    if rows and db.executemany(SQL[statement], rows).rowcount != len(rows):
        raise _HereAlready


def _parts(entry: Encoded) -> Iterator[Encoded]:
    """An entry piece by piece: the same id may come twice in it."""
    yield replace(entry, records=())
    for record in entry.records:
        yield Encoded(records=(record,))
