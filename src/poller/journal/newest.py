"""The newest snapshot of each vehicle and source: for live sinks, and to tell what has changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from poller.journal.codec import (
    Unreadable,
    from_ms,
    read_object,
    unpack_fingerprint,
    unpack_id,
)
from poller.journal.encode import EncodedRecord
from poller.journal.queries import SQL
from poller.runtime import log
from poller.vehicle.records import Record

logger = log.get("journal")


class Newest:
    """Takes in snapshots one after another, writes the newest of each at a transaction's end."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[int, bytes | str] | None] = {}
        self._taken: dict[tuple[str, str], EncodedRecord] = {}

    def take(self, db: sqlite3.Connection, record: EncodedRecord, now_ms: int) -> bool:
        """Take in a snapshot unless a newer one is here; True if it differs from the newest before it.

        One from the future, from before the clock went back, gives way to any.
        """
        key, received, fingerprint = record.of, record.columns.received_ms, record.columns.fingerprint
        if key not in self._known:
            self._known[key] = db.execute(SQL["newest_of"], key).fetchone()
        newest = self._known[key]
        if newest is None or received >= newest[0] or newest[0] > now_ms:
            self._known[key] = (received, fingerprint)
            self._taken[key] = record
        return newest is None or not fingerprint or newest[1] != fingerprint

    def store(self, db: sqlite3.Connection) -> None:
        """Write what was taken in."""
        rows = [(*record.of, *record.columns, record.body) for record in self._taken.values()]
        db.executemany(SQL["newest_put"], rows)
        self._taken.clear()

    def forget(self) -> None:
        """After a rollback, or with another file."""
        self._known.clear()
        self._taken.clear()


def listed(db: sqlite3.Connection) -> Sequence[Record]:
    """The newest snapshots, by VIN and source; a broken one is left out and logged."""
    records = []
    for row in db.execute(SQL["newest_all"]):
        try:
            records.append(_record(row))
        except Unreadable as error:
            logger.error("newest.unreadable", source=row[2], reason=str(error))
    return records


def _record(row: tuple[Any, ...]) -> Record:
    packed, vin, source, received, observed, revision, replayed, fingerprint, body = row
    return Record(
        id=unpack_id(packed),
        kind="snapshot",
        vin=vin,
        source=source,
        received_at=from_ms(received),
        observed_at=None if observed is None else from_ms(observed),
        body=read_object(body),
        revision=revision,
        replayed=bool(replayed),
        fingerprint=unpack_fingerprint(fingerprint),
    )
