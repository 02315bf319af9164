"""What one entry writes: the answer, its records, the newest snapshot, derived state."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from poller.journal import letters, memory, newest
from poller.journal.base import Entry
from poller.journal.codec import (
    answer_id,
    day_of,
    digest,
    pack_answer,
    pack_fingerprint,
    pack_id,
    squeeze,
    to_ms,
)
from poller.journal.queries import SQL
from poller.journal.shelves import ShelfKey, Shelves
from poller.vehicle.answer import Answer
from poller.vehicle.records import Record, dumps


class Appender:
    """Writes entries inside the writer's transaction; holds the shelves of the day."""

    def __init__(self) -> None:
        self._shelves = Shelves()

    def forget(self) -> None:
        """After a rollback or a prune."""
        self._shelves.forget()

    def append(self, db: sqlite3.Connection, entry: Entry, now_ms: int) -> Sequence[int]:
        """Store an entry; the seq of each record, 0 for one that was here already."""
        if entry.answer is not None:
            self._answer(db, entry.answer)
        if entry.quarantine is not None:
            if entry.answer is None:
                raise ValueError("a quarantine needs the answer")
            subject = pack_id(answer_id(entry.answer))
            letters.put(db, "", subject, now_ms, entry.quarantine, pack_answer(entry.answer))
        seqs = [self._record(db, record) for record in entry.records]
        for key, value in entry.state.items():
            memory.remember(db, key, value)
        return seqs

    def _answer(self, db: sqlite3.Connection, answer: Answer) -> None:
        received = to_ms(answer.received_at)
        key = ShelfKey(day_of(received), "answer", answer.kind, answer.vin, answer.source)
        bodies = [
            self._body(db, key._replace(role="body", name=name), answer.bodies[name])
            for name in sorted(answer.bodies)
        ]
        shelf = self._shelves.of(db, key, b"")
        db.execute(SQL["answer_add"], (shelf.id, received, dumps(bodies)))

    def _body(self, db: sqlite3.Connection, key: ShelfKey, body: bytes) -> int:
        shelf = self._shelves.of(db, key, body)
        name = digest(body)
        row = db.execute(SQL["body_find"], (shelf.id, name)).fetchone()
        if row is not None:
            return int(row[0])
        added = db.execute(SQL["body_add"], (shelf.id, name, squeeze(body, shelf.dictionary)))
        return int(added.lastrowid or 0)

    def _record(self, db: sqlite3.Connection, record: Record) -> int:
        packed = pack_id(record.id)
        held = db.execute(SQL["record_revision"], (packed,)).fetchone()
        if held is not None and held[0] >= record.revision:
            return 0
        body = dumps(record.body)
        # Sessions, trips and alerts always say something new, and so does an amended record.
        changed = newest.take(db, record, body) if record.kind == "snapshot" else True
        if held is not None:
            db.execute(SQL["record_remove"], (packed,))
            changed = True
        received = to_ms(record.received_at)
        observed = None if record.observed_at is None else to_ms(record.observed_at)
        text = body.encode()
        key = ShelfKey(day_of(received), "record", record.kind, record.vin, record.source)
        shelf = self._shelves.of(db, key, text)
        flags = (record.revision, changed, record.replayed, pack_fingerprint(record.fingerprint))
        added = db.execute(
            SQL["record_add"],
            (packed, shelf.id, received, observed, *flags, squeeze(text, shelf.dictionary)),
        )
        return int(added.lastrowid or 0)
