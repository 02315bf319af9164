"""Small JSON objects by key: derivers' state, back-off, quota ledgers."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from poller.journal.codec import Unreadable, read_object
from poller.journal.queries import SQL
from poller.runtime import log
from poller.vehicle.records import dumps

logger = log.get("journal")


def remember(db: sqlite3.Connection, key: str, value: Mapping[str, Any]) -> None:
    """Store a value, replacing the old one."""
    db.execute(SQL["memory_put"], (key, dumps(dict(value))))


def recall(db: sqlite3.Connection, key: str) -> dict[str, Any] | None:
    """The value, or None; one that cannot be read counts as forgotten and is logged."""
    row = db.execute(SQL["memory_get"], (key,)).fetchone()
    if row is None:
        return None
    try:
        return read_object(row[0])
    except Unreadable as error:
        logger.error("memory.unreadable", key=key, reason=str(error))
        return None
