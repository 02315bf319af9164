"""Letting go of old days, whole and oldest first; every record that a sink still waited for is counted."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

from poller.journal.base import Pruned
from poller.journal.codec import DAY_MS, day_of, from_ms, to_ms
from poller.journal.queries import SQL
from poller.journal.room import Room
from poller.runtime import log

logger = log.get("journal")


@dataclass(slots=True)
class Swept:
    """What was deleted of which days; `finished` when nothing of the last one is left."""

    days: set[int] = field(default_factory=set)
    records: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    finished: bool = False

    def add(self, more: Swept) -> None:
        """Count `more` in."""
        self.days |= more.days
        self.records += more.records
        self.dropped += more.dropped
        self.finished = more.finished


class Pruner:
    """Chooses days and deletes them; keeps the tally of what nobody asked for yet."""

    def __init__(self, room: Room, forget: Callable[[], None], sinks: Callable[[], Collection[str]]) -> None:
        self._room = room
        self._forget = forget
        self._sinks = sinks
        self._untold = Swept()
        # Pruning is noted in the event loop, relief in the writer's thread.
        self._guard = Lock()

    def next_day(self, db: sqlite3.Connection, now: datetime) -> int | None:
        """The day that the policy lets go of now, or None.

        By age: whatever is too old. By size: what all sinks have, so that appends find room; what
        they do not have only when there is none left. Never the present day.
        """
        (day,) = db.execute(SQL["day_first"]).fetchone()
        if day is None or day >= day_of(to_ms(now)):
            return None
        policy = self._room.policy
        if policy.max_age and (day + 1) * DAY_MS <= to_ms(now) - policy.max_age * 1000:
            return int(day)
        limits = self._room.measure(db)
        if limits is None or policy.when_full == "stop_collecting" or limits.spare >= limits.headroom:
            return None
        return int(day) if limits.spare <= 0 or self._delivered(db, day) else None

    def sweep(self, db: sqlite3.Connection, day: int) -> Swept:
        """One transaction's share of deleting a day; `note` it after the commit."""
        self._forget()
        return _sweep(db, day, self._room.rows, self._positions(db))

    def note(self, swept: Swept) -> None:
        """Add to the tally what is gone for good, and say once what sinks will miss."""
        with self._guard:
            self._untold.add(swept)
        if swept.dropped:
            logger.warning(
                "records.dropped",
                first_day=_date(min(swept.days)),
                last_day=_date(max(swept.days)),
                sinks=dict(swept.dropped),
            )

    def tell(self) -> Pruned:
        """All that was deleted since this was last asked, by whatever cause."""
        with self._guard:
            untold, self._untold = self._untold, Swept()
        return Pruned(untold.records, dict(untold.dropped))

    def relieve(self, db: sqlite3.Connection) -> bool:
        """Drop the oldest day at once, the present one if it must be; False if that is not to be."""
        (day,) = db.execute(SQL["day_first"]).fetchone()
        if day is None or self._room.policy.when_full != "drop_oldest":
            return False
        limits = self._room.measure(db)
        if limits is not None and limits.spare > limits.appends // 2:
            # What does not fit into half a journal must not cost the other half.
            return False
        gone = Swept()
        try:
            while not gone.finished:
                db.execute("BEGIN IMMEDIATE")
                self._room.admit(db, self._room.measure(db), appending=False)
                swept = self.sweep(db, day)
                db.execute("COMMIT")
                gone.add(swept)
        finally:
            self.note(gone)
        return True

    def _delivered(self, db: sqlite3.Connection, day: int) -> bool:
        (last,) = db.execute(SQL["day_last_seq"], (day,)).fetchone()
        return last is None or all(last <= position for position in self._positions(db).values())

    def _positions(self, db: sqlite3.Connection) -> dict[str, int]:
        """Cursors of configured sinks; those of others hold nothing back."""
        sinks = self._sinks()
        return {sink: at for sink, at in db.execute(SQL["cursor_all"]).fetchall() if sink in sinks}


def _date(day: int) -> str:
    return from_ms(day * DAY_MS).date().isoformat()


def _sweep(db: sqlite3.Connection, day: int, rows: int, positions: dict[str, int]) -> Swept:
    # In this order a crash, or an append in between, never leaves an answer without its bodies.
    swept = Swept({day})
    seqs = [seq for (seq,) in db.execute(SQL["day_records"], (day, rows))]
    db.executemany(SQL["record_drop"], [(seq,) for seq in seqs])
    swept.records = len(seqs)
    for sink, position in positions.items():
        waiting = len(seqs) - bisect_right(seqs, position)
        if waiting:
            swept.dropped[sink] = waiting
    left = rows - len(seqs)
    for found, drop in (("day_answers", "answer_drop"), ("day_bodies", "body_drop")):
        if left:
            keys = db.execute(SQL[found], (day, left)).fetchall()
            db.executemany(SQL[drop], keys)
            left -= len(keys)
    if left:
        db.execute(SQL["shelves_drop"], (day,))
        swept.finished = True
    return swept
