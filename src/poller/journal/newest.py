"""The newest snapshot of each vehicle and source: for live sinks, and to tell what has changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from poller.journal.codec import (
    Unreadable,
    from_ms,
    pack_fingerprint,
    pack_id,
    read_object,
    to_ms,
    unpack_fingerprint,
)
from poller.journal.queries import SQL
from poller.runtime import log
from poller.vehicle.records import Record

logger = log.get("journal")


def take(db: sqlite3.Connection, record: Record, body: str) -> bool:
    """Take in a snapshot unless a newer one is here; True if it differs from the newest before it."""
    newest = db.execute(SQL["newest_of"], (record.vin, record.source)).fetchone()
    received = to_ms(record.received_at)
    if newest is None or received >= newest[0]:
        observed = None if record.observed_at is None else to_ms(record.observed_at)
        fingerprint = pack_fingerprint(record.fingerprint)
        key = (record.vin, record.source, pack_id(record.id))
        db.execute(
            SQL["newest_put"],
            (*key, received, observed, record.revision, record.replayed, fingerprint, body),
        )
    return newest is None or not record.fingerprint or unpack_fingerprint(newest[1]) != record.fingerprint


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
        id=packed.hex(),
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
