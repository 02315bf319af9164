"""Reading back the answer that a snapshot was made of."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator

from poller.journal.codec import Unreadable, answer_id, day_of, to_ms
from poller.journal.queries import SQL
from poller.journal.shelves import Dictionaries
from poller.vehicle.answer import Answer
from poller.vehicle.records import Record


def of_records(
    db: sqlite3.Connection, dictionaries: Dictionaries, records: Iterable[Record]
) -> dict[str, Answer]:
    """Record id → answer; nothing for what was pruned, is broken, or is no snapshot."""
    found: dict[str, Answer] = {}
    for record in records:
        # The id is a hash of the answer, so it tells it from others of the same millisecond.
        for answer in _candidates(db, dictionaries, record):
            if answer_id(answer) == record.id:
                found[record.id] = answer
    return found


def _candidates(db: sqlite3.Connection, dictionaries: Dictionaries, record: Record) -> Iterator[Answer]:
    received = to_ms(record.received_at)
    where = (day_of(received), record.vin, record.source, received)
    for kind, numbers in db.execute(SQL["answers_at"], where).fetchall():
        try:
            bodies = dict(body(db, dictionaries, number) for number in json.loads(numbers))
        except (Unreadable, ValueError, TypeError):
            continue
        yield Answer(record.source, kind, record.vin, record.received_at, bodies)


def body(db: sqlite3.Connection, dictionaries: Dictionaries, number: int) -> tuple[str, bytes]:
    """Name and content of a body. Raises Unreadable."""
    row = db.execute(SQL["body_get"], (number,)).fetchone()
    if row is None:
        raise Unreadable("a body is lost")
    name, shelf, data = row
    return name, dictionaries.text(db, shelf, data)
