"""The journal in one SQLite file: a thread that writes, a thread that reads, `base.Journal` to the outside.

::

    append ─► encode.py ┐                  ┌ append.py   answers, records, newest ┐
    settle ─────────────├─► writer.py ────►├ cursors.py  compare and set          ├─► journal.db
    prune ──────────────┘   one commit for └ prune.py    whole days, oldest first ┘   store.py, room.py
                            all that waits
    peek, stats, … ─► reader.py ─► cursors.py, letters.py, stats.py
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from poller.errors import JournalError
from poller.journal import answers, cursors, letters, memory, newest, stats
from poller.journal.append import Appender
from poller.journal.base import (
    Backlog,
    Batch,
    DeadLetter,
    Entry,
    JournalStats,
    Policy,
    Pruned,
    Queued,
    Rejected,
)
from poller.journal.codec import to_ms
from poller.journal.encode import Encoder
from poller.journal.faults import Damaged, Fault, explain, fault_of
from poller.journal.prune import Pruner, Swept
from poller.journal.reader import Reader
from poller.journal.room import Room
from poller.journal.store import Store, fold, is_damaged
from poller.journal.writer import Aides, Duty, Writer
from poller.runtime import log
from poller.runtime.clock import Clock
from poller.vehicle.answer import Answer
from poller.vehicle.records import Record

T = TypeVar("T")

#: Records that are decoded without a break: a fraction of a millisecond. A thread of its own would be
#: no gain: while it is busy, the event loop gets its turn only every few milliseconds.
_AT_A_TIME: Final = 20

logger = log.get("journal")


class SqliteJournal:
    """Implements `base.Journal` on ``path``; the policy is the one in force until `prune` brings another.

    `may_begin_anew`: False, for who only looks: a damaged file stays where it is, and is an error.
    """

    def __init__(self, path: Path, policy: Policy, clock: Clock, *, may_begin_anew: bool = True) -> None:
        self._clock = clock
        self._path = path
        self._store = Store(path, clock, may_begin_anew=may_begin_anew)
        self._room = Room(path, policy)
        self._reader = Reader(self._store)
        self._appender = Appender()
        self._encoder = Encoder(self._appender.shelf_of)
        self._pruner = Pruner(self._room, self._appender.forget, lambda: self._store.sinks)
        appender = self._appender
        aides = Aides(
            appender.append, appender.append_new, self._pruner.relieve, appender.forget, self._reader.let_go
        )
        self._writer = Writer(self._store, self._room, aides)

    async def open(self, sinks: Collection[str]) -> None:
        """Open or create, take the lock, and give each queued sink a durable cursor (new: the end)."""
        self._store.sinks = frozenset(sinks)
        await self._writer.start()
        self._reader.start()

    async def register(self, sinks: Collection[str]) -> None:
        """After a reload: these sinks are configured now; new ones get a cursor at the end."""
        await self._writer.run(partial(cursors.begin, sinks=sinks))
        self._store.sinks = frozenset(sinks)

    async def close(self) -> None:
        """Finish what is queued and let go of the lock; may be called twice."""
        await self._reader.stop()
        await self._writer.stop()

    async def append(self, entry: Entry) -> Sequence[int]:
        """Store in ONE transaction; when this returns it survives power loss."""
        return await self._writer.append(self._encoder.encode(entry, self._now()))

    async def peek(
        self,
        sink: str,
        *,
        limit: int,
        kinds: Collection[str] | None = None,
        only_changes: bool = False,
        after: int | None = None,
    ) -> Batch:
        """Up to `limit` records after the sink's cursor; a broken one becomes a dead letter."""

        def look(db: sqlite3.Connection) -> cursors.Seen:
            held = self._reader.dictionaries
            return cursors.peek(db, held, sink, limit, kinds, only_changes=only_changes, after=after)

        seen = await self._read(look)
        queued: list[Queued] = []
        unreadable: list[Rejected] = []
        for first in range(0, len(seen.rows), _AT_A_TIME):
            for one in cursors.decode(seen, slice(first, first + _AT_A_TIME)):
                if isinstance(one, Queued):
                    queued.append(one)
                else:
                    unreadable.append(one)
            if first + _AT_A_TIME < len(seen.rows):
                await asyncio.sleep(0)
        for broken in unreadable:
            logger.error("record.unreadable", sink=sink, record=broken.record.id, reason=broken.reason)
        if unreadable:
            await self._writer.run(
                partial(letters.put_unreadable, sink=sink, records=unreadable, at_ms=self._now())
            )
        return replace(seen.batch, records=queued)

    async def answers_of(self, records: Sequence[Record]) -> Mapping[str, Answer]:
        """Record id → the answer that the snapshot was made of, as far as it is still there."""
        held = self._reader.dictionaries
        return await self._read(partial(answers.of_records, dictionaries=held, records=records))

    async def settle(self, sink: str, *, since: int, through: int, rejected: Sequence[Rejected] = ()) -> bool:
        """Move the cursor from `since` to `through` and store dead letters, in one transaction."""
        job = partial(cursors.settle, sink=sink, since=since, through=through, rejected=rejected)
        return bool(await self._writer.run(partial(job, at_ms=self._now())))

    async def backlog(self, sink: str) -> Backlog:
        """Records after the sink's cursor, by sequence difference."""
        return await self._read(partial(cursors.backlog, sink=sink))

    async def rewind(self, sink: str, to: datetime) -> int:
        """Move the cursor back to the first record received at or after `to`; gives how many."""
        low, high = await self._writer.run(partial(cursors.rewind, sink=sink, to=to))
        return await self._read(partial(cursors.count_between, low=low, high=high))

    async def forget(self, sink: str) -> bool:
        """Drop the cursor and dead letters of a sink that left the configuration.

        Raises JournalError for one that is configured.
        """
        if sink in self._store.sinks:
            raise JournalError(
                f"the sink {sink!r} is in the configuration", hint="take it out of the configuration first"
            )
        return bool(await self._writer.run(partial(cursors.drop, sink=sink)))

    async def newest(self) -> Sequence[Record]:
        """The newest snapshot of each vehicle and source; outlives pruning."""
        return await self._read(newest.listed)

    async def dead_letters(
        self, sink: str | None = None, *, limit: int = 1000, after: int = 0
    ) -> Sequence[DeadLetter]:
        """Dead letters after the id `after`, oldest first: all, or one sink's ("" for answers)."""
        return await self._read(partial(letters.listed, sink=sink, limit=limit, after=after))

    async def retry(self, ids: Collection[int]) -> int:
        """Mark refused records for another delivery to their sink, ahead of its queue."""
        return int(await self._writer.run(partial(letters.mark, ids=tuple(ids))))

    async def retries(self, sink: str, *, limit: int) -> Sequence[DeadLetter]:
        """The marked dead letters of a sink, oldest first; their records carry `replayed`."""
        good, broken = await self._read(partial(letters.marked, sink=sink, limit=limit))
        if broken:
            await self._writer.run(partial(letters.spoil, ids=broken))
        return good

    async def settle_retries(self, delivered: Collection[int], refused: Mapping[int, str]) -> None:
        """Remove the delivered ones; keep the refused ones, unmarked, with their new reason."""
        job = partial(letters.settle, delivered=tuple(delivered), refused=dict(refused), at_ms=self._now())
        await self._writer.run(job)

    async def drop_dead_letters(self, ids: Collection[int]) -> int:
        """Delete dead letters for good; gives how many there were."""
        return int(await self._writer.run(partial(letters.drop, ids=tuple(ids))))

    async def recall(self, key: str) -> dict[str, Any] | None:
        """The value last remembered under `key`; "journal:begun" says when and why this file began."""
        return await self._read(partial(memory.recall, key=key))

    async def remember(self, key: str, value: Mapping[str, Any]) -> None:
        """Store a small JSON value, replacing the old one."""
        await self._writer.run(partial(memory.remember, key=key, value=dict(value)))

    async def keep(self, answer: Answer, key: str, value: Mapping[str, Any]) -> None:
        """Store what arrived and the state that it makes, in one transaction. Raises JournalFull."""
        await self.append(Entry(answer=answer, state={key: value}))

    async def prune(self, policy: Policy, now: datetime) -> Pruned:
        """Delete whole UTC days, oldest first, as far as the policy says; every drop is counted.

        Tells also what appends had to drop for want of room since the last call.
        """
        self._room.policy = policy
        gone = Swept()
        try:
            while (day := await self._writer.run(partial(self._pruner.next_day, now=now))) is not None:
                await self._drop(day, gone)
        finally:
            self._pruner.note(gone)
        if gone.days:
            await self._writer.run(fold, Duty.ALONE)
        return self._pruner.tell()

    async def stats(self) -> JournalStats:
        """Sizes and counts for page, metrics and readiness; cheap."""
        return await self._read(
            partial(stats.measure, path=self._path, room=self._room, sinks=self._store.sinks)
        )

    async def knock(self) -> None:
        """Back when the writer has come to it; changes nothing. Whoever waits in vain knows that it hangs."""
        await self._writer.run(_nothing, Duty.ALONE)

    async def _drop(self, day: int, gone: Swept) -> None:
        finished = False
        while not finished:
            # Transaction by transaction, so that appends get in between.
            swept: Swept = await self._writer.run(partial(self._pruner.sweep, day=day))
            gone.add(swept)
            finished = swept.finished

    async def _read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._reader.run(job)
        except sqlite3.Error as error:
            if fault_of(error) is not Fault.DAMAGED:
                raise explain(error) from error
        # The writer looks at every page and begins a new file if need be; ask that one then.
        await self._writer.run(_inspect, Duty.ALONE)
        try:
            return await self._reader.run(job)
        except sqlite3.Error as error:
            raise explain(error) from error

    def _now(self) -> int:
        return to_ms(self._clock.now())


def _nothing(_db: sqlite3.Connection) -> None:
    pass


def _inspect(db: sqlite3.Connection) -> None:
    if is_damaged(db):
        raise Damaged("a page that was read is broken")
