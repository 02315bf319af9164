"""Sizes and counts for page, metrics and readiness."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from poller.journal import cursors, letters, memory, place
from poller.journal.base import JournalStats
from poller.journal.codec import Unreadable, from_ms
from poller.journal.queries import SQL
from poller.journal.room import Room
from poller.journal.store import BEGUN, VANISHED, open_readonly
from poller.vehicle.records import parse_time


def measure(db: sqlite3.Connection, path: Path, room: Room, sinks: Collection[str]) -> JournalStats:
    """The journal's figures; a handful of index look-ups."""
    counts = letters.counts(db)
    backlogs = cursors.backlogs(db)
    return JournalStats(
        path=str(path),
        size=place.size_of(path),
        limit=room.policy.max_size,
        disk_free=place.free_beside(path),
        records=db.execute(SQL["total_records"]).fetchone()[0],
        oldest_at=_moment(db, "edge_first"),
        newest_at=_moment(db, "edge_last"),
        last_at=_moment(db, "last_received"),
        quarantined=counts.pop("", 0),
        dead_letters={sink: counts.get(sink, 0) for sink in {*counts, *sinks}},
        orphans={sink: waiting for sink, waiting in backlogs.items() if sink not in sinks},
        full=room.is_full(db),
        set_aside=place.damaged_beside(path),
        vanished_at=_vanished_at(db),
    )


def newest_at(path: Path) -> datetime | None:
    """When the newest record in a journal was received; None where there is none that can be read.

    It only looks: no lock, no migration, and what is wrong with a file is said by whoever opens it.
    """
    if not path.is_file():
        return None
    try:
        with contextlib.closing(open_readonly(path)) as db:
            return _moment(db, "edge_last")
    except sqlite3.Error:
        return None


def _vanished_at(db: sqlite3.Connection) -> datetime | None:
    begun = memory.recall(db, BEGUN) or {}
    if begun.get("why") != VANISHED:
        return None
    try:
        return parse_time(str(begun.get("at")))
    except ValueError:
        return None


def _moment(db: sqlite3.Connection, statement: str) -> datetime | None:
    (milliseconds,) = db.execute(SQL[statement]).fetchone() or (None,)
    try:
        return None if milliseconds is None else from_ms(milliseconds)
    except Unreadable:
        return None
