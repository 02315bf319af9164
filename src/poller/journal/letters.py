"""Dead letters: copies of refused records and of answers that could not be parsed."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from poller.journal.base import DeadLetter, Rejected
from poller.journal.codec import Unreadable, from_ms, pack_id, pack_record, unpack_answer, unpack_record
from poller.journal.queries import SQL
from poller.vehicle.records import Record

#: The reason of a record whose row is broken; what SQLite or zlib said follows.
UNREADABLE = "unreadable in the journal"


def put(
    db: sqlite3.Connection,
    sink: str,
    subject: bytes,
    at_ms: int,
    reason: str,
    data: bytes,
    state: Literal["kept", "unreadable"] = "kept",
) -> None:
    """Keep a letter; one about the same record and sink gives way to it."""
    db.execute(SQL["letter_put"], (sink, subject, at_ms, state, reason, data))


def put_rejected(db: sqlite3.Connection, sink: str, rejected: Sequence[Rejected], at_ms: int) -> None:
    """Keep records that a sink refused."""
    for refusal in rejected:
        put(db, sink, pack_id(refusal.record.id), at_ms, refusal.reason, pack_record(refusal.record))


def put_unreadable(db: sqlite3.Connection, sink: str, records: Sequence[Rejected], at_ms: int) -> None:
    """Keep what is known of broken rows; there is nothing in them to deliver again."""
    for broken in records:
        data = pack_record(broken.record)
        put(db, sink, pack_id(broken.record.id), at_ms, broken.reason, data, "unreadable")


def listed(db: sqlite3.Connection, sink: str | None, limit: int, after: int) -> Sequence[DeadLetter]:
    """Letters after the id `after`, oldest first: all, or one sink's ("" for quarantined answers)."""
    name = "letters_all" if sink is None else "letters_of"
    rows = db.execute(SQL[name], {"sink": sink, "limit": limit, "after": after})
    return [_letter(row) for row in rows]


def marked(db: sqlite3.Connection, sink: str, limit: int) -> tuple[Sequence[DeadLetter], Sequence[int]]:
    """The letters marked for another delivery, and the ids of those that turn out to be broken."""
    good: list[DeadLetter] = []
    broken: list[int] = []
    for row in db.execute(SQL["letters_marked"], {"sink": sink, "limit": limit}):
        try:
            record = replace(unpack_record(row[5]), replayed=True)
        except Unreadable:
            broken.append(row[0])
        else:
            good.append(DeadLetter(row[0], sink, row[4], from_ms(row[3]), record=record))
    return good, broken


def mark(db: sqlite3.Connection, ids: Collection[int]) -> int:
    """Mark refused records for another delivery; gives how many could be marked."""
    return db.executemany(SQL["letter_mark"], [(number,) for number in ids]).rowcount if ids else 0


def settle(
    db: sqlite3.Connection, delivered: Collection[int], refused: Mapping[int, str], at_ms: int
) -> None:
    """Remove what was delivered; keep what was refused again, unmarked, with its new reason."""
    drop(db, delivered)
    db.executemany(SQL["letter_keep"], [(reason, at_ms, number) for number, reason in refused.items()])


def spoil(db: sqlite3.Connection, ids: Collection[int]) -> None:
    """Take broken letters out of the queue for good; they stay listed."""
    db.executemany(SQL["letter_spoil"], [(number,) for number in ids])


def drop(db: sqlite3.Connection, ids: Collection[int]) -> int:
    """Delete letters; gives how many there were."""
    return db.executemany(SQL["letter_drop"], [(number,) for number in ids]).rowcount if ids else 0


def counts(db: sqlite3.Connection) -> dict[str, int]:
    """How many letters each sink has; "" for quarantined answers."""
    return dict(db.execute(SQL["letters_count"]).fetchall())


def blank(record_id: str, kind: str = "unknown", vin: str = "", source: str = "") -> Record:
    """What stands for a record that cannot be read."""
    return Record(record_id, kind, vin, source, datetime.fromtimestamp(0, UTC), None, {})


def _letter(row: tuple[int, str, bytes, int, str, bytes]) -> DeadLetter:
    number, sink, subject, at_ms, reason, data = row
    at = datetime.fromtimestamp(0, UTC)
    try:
        at = from_ms(at_ms)
        if not sink:
            return DeadLetter(number, None, reason, at, answer=unpack_answer(data))
        return DeadLetter(number, sink, reason, at, record=unpack_record(data))
    except Unreadable:
        why = f"{reason} (its copy is {UNREADABLE})"
        return DeadLetter(number, sink or None, why, at, record=blank(subject.hex()))
