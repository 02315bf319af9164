"""The one thread that writes: everything that waits goes into one transaction, one commit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from operator import attrgetter
from queue import SimpleQueue
from typing import Any, Final, NamedTuple

from poller.errors import JournalError
from poller.journal.encode import Encoded
from poller.journal.faults import Fault, explain, fault_of
from poller.journal.room import Room
from poller.journal.store import Store, fold, is_damaged
from poller.runtime import log

Job = Callable[[sqlite3.Connection], Any]

_FULL: Final = (logging.ERROR, "journal.filled")
_RELIEVED: Final = (logging.INFO, "journal.relieved")

logger = log.get("journal")


class Duty(Enum):
    """What a job is for."""

    APPEND = "append"  # may not touch the reserve
    KEEP = "keep"  # settles, remembers, prunes: may
    ALONE = "alone"  # outside of any transaction


@dataclass(frozen=True, slots=True)
class Aides:
    """What the writer asks of others, in its own thread.

    `append` stores an encoded entry and gives the seqs of its records; `append_new` does so for
    many at one go, and raises if something of them is here already; `relieve` makes room and says
    whether it could; `forget` drops what is remembered of a transaction that was taken back;
    while `let_go` is entered, no other connection of this process is open.
    """

    append: Callable[[sqlite3.Connection, Encoded], Sequence[int]]
    append_new: Callable[[sqlite3.Connection, Sequence[Encoded]], Sequence[Sequence[int]]]
    relieve: Callable[[sqlite3.Connection], bool]
    forget: Callable[[], None]
    let_go: Callable[[], AbstractContextManager[None]]


class _Task(NamedTuple):
    job: Job
    duty: Duty
    future: asyncio.Future[Any]
    entry: Encoded | None = None


Manner = Callable[[sqlite3.Connection, Sequence[_Task]], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class _Failed:
    error: BaseException


class Writer:
    """Group commit: a caller is answered when the commit that holds its job is on disk.

    Jobs are trusted at first, for savepoints double what SQLite has to do. If one raises, the
    transaction is taken back and done again with a savepoint for each: only that job's caller
    hears of it. A full or failing disk fails them all; the connection is then opened anew, so that
    nothing needs a restart once the disk plays again.

    While only appends wait, the answers to one group go out just before their commit: the event loop
    then works while this thread waits for the disk, and not while it needs the interpreter.
    """

    def __init__(self, store: Store, room: Room, aides: Aides) -> None:
        self._store = store
        self._room = room
        self._aides = aides
        self._waiting: deque[_Task | None] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._to_ring = False
        self._held: tuple[Sequence[_Task], Sequence[Any]] | None = None
        self._db: sqlite3.Connection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Open the file in the writer's thread. Raises JournalError."""
        if self._loop is not None:
            raise JournalError("the journal is open already")
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._waiting.clear()
        ready: asyncio.Future[None] = self._loop.create_future()
        futures = ready, self._ended
        threading.Thread(target=self._live, args=futures, name="journal-writer", daemon=True).start()
        try:
            await ready
        except BaseException:
            await self.stop()
            raise

    def append(self, entry: Encoded) -> asyncio.Future[Sequence[int]]:
        """The seqs of an entry's records, once it is on disk; or JournalError. Raises JournalError too."""
        return self.run(lambda db: self._aides.append(db, entry), Duty.APPEND, entry=entry)

    def run(self, job: Job, duty: Duty = Duty.KEEP, *, entry: Encoded | None = None) -> asyncio.Future[Any]:
        """The result of `job` once it is on disk; or JournalError, or what the job raised.

        A job may be taken back and run again. `entry`: what it appends, so that it can be done for
        many at one go. Raises JournalError.
        """
        if self._loop is None:
            raise JournalError("the journal is closed")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(_Task(job, duty, future, entry))
        if not self._to_ring:
            # When this turn of the loop is over: two threads that work at a time slow each other down.
            self._to_ring = True
            self._loop.call_soon(self._ring)
        return future

    async def stop(self) -> None:
        """Finish what is queued, fold the log into the file, close; may be called twice."""
        if self._loop is not None:
            self._loop = None
            self._waiting.append(None)
            self._ring()
        if self._ended is not None:
            await asyncio.shield(self._ended)

    def _ring(self) -> None:
        self._to_ring = False
        self._bell.put(None)

    def _live(self, ready: asyncio.Future[None], ended: asyncio.Future[None]) -> None:
        try:
            self._store.claim()
            self._database()
        except Exception as error:  # noqa: BLE001 - whatever it is, the opener must hear of it
            self._store.release()
            self._tell([ready, ended], [_Failed(error), None])
            return
        self._tell([ready], [None])
        while group := self._next_group():
            if any(task.entry is None for task in group):
                self._answer()  # how long that takes, only the job knows
            try:
                outcomes = self._carry_out(group)
            except Exception as error:  # noqa: BLE001 - a bug of ours must not leave callers waiting for ever
                self._take_back()
                self._close()
                outcomes = [_Failed(error) for _ in group]
            self._answer()
            self._held = group, outcomes
            if not self._waiting:
                self._answer()
        self._answer()
        self._close(final=True)
        self._store.release()
        self._tell([ended], [None])

    def _next_group(self) -> Sequence[_Task]:
        """Wait for a task and take along what else waits; empty at the end."""
        waiting = self._waiting
        while not waiting:
            self._bell.get()
        most = self._room.rows
        group: list[_Task] = []
        while waiting and len(group) < most:
            task = waiting[0]
            if task is None or (group and task.duty is Duty.ALONE):
                break
            group.append(task)
            waiting.popleft()
            if task.duty is Duty.ALONE:
                break
        return group

    def _carry_out(self, group: Sequence[_Task]) -> Sequence[Any]:
        """One outcome for each task; expected errors are outcomes too."""
        renewed = False
        while True:
            try:
                outcomes = self._transact(group)
            except Exception as error:  # noqa: BLE001 - every caller must be answered
                self._answer()  # what mends it may take long
                self._take_back()
                fault = fault_of(error)
                if fault is Fault.FULL and self._relieve():
                    continue
                if fault is Fault.DAMAGED and not renewed and self._renew(str(error)):
                    renewed = True
                    continue
                return self._give_up(group, error)
            else:
                self._note_room(group, full=False)
                return outcomes

    def _give_up(self, group: Sequence[_Task], error: Exception) -> Sequence[Any]:
        fault = fault_of(error)
        if fault is Fault.FULL and len(group) > 1:
            # One of them may be too big, and that is not its neighbours' fault.
            return [outcome for task in group for outcome in self._carry_out([task])]
        if fault in (Fault.DISK, Fault.DAMAGED):
            self._close()
        self._note_room(group, full=fault is Fault.FULL)
        return [_Failed(explain(error)) for _ in group]

    def _transact(self, group: Sequence[_Task]) -> Sequence[Any]:
        db = self._database()
        if group[0].duty is Duty.ALONE:
            return [group[0].job(db)]
        try:
            return self._commit(db, group, self._trusting)
        except Exception as error:
            if fault_of(error) is not Fault.CALLER:
                raise
            self._take_back()
        return self._commit(db, group, self._wary)

    def _commit(self, db: sqlite3.Connection, group: Sequence[_Task], manner: Manner) -> Sequence[Any]:
        db.execute("BEGIN IMMEDIATE")
        looking = self._room.must_look(appending=any(task.duty is Duty.APPEND for task in group))
        limits = self._room.measure(db) if looking else None
        outcomes: list[Any] = []
        for duty, run in groupby(group, key=attrgetter("duty")):
            if looking:
                self._room.admit(db, limits, appending=duty is Duty.APPEND)
            outcomes += manner(db, list(run))
        self._answer()
        db.execute("COMMIT")
        return outcomes

    def _trusting(self, db: sqlite3.Connection, run: Sequence[_Task]) -> Sequence[Any]:
        """All at one go; raises if one of them does not fit."""
        entries = [task.entry for task in run if task.entry is not None]
        if len(entries) == len(run):
            return self._aides.append_new(db, entries)
        return [task.job(db) for task in run]

    def _wary(self, db: sqlite3.Connection, run: Sequence[_Task]) -> Sequence[Any]:
        return [self._attempt(db, task.job) for task in run]

    def _attempt(self, db: sqlite3.Connection, job: Job) -> Any:
        db.execute("SAVEPOINT job")
        try:
            outcome = job(db)
        except Exception as error:
            if fault_of(error) is not Fault.CALLER or not db.in_transaction:
                raise
            db.execute("ROLLBACK TO job")
            self._aides.forget()
            outcome = _Failed(explain(error))
        db.execute("RELEASE job")
        return outcome

    def _database(self) -> sqlite3.Connection:
        if self._db is not None and self._store.vanished():
            self._close()
            with self._aides.let_go():
                self._db = self._store.reconnect()
            self._room.prepare(self._db)
        if self._db is None:
            self._db = self._store.connect()
            self._room.prepare(self._db)
        return self._db

    def _take_back(self) -> None:
        self._aides.forget()
        self._room.look_again()
        with contextlib.suppress(sqlite3.Error):
            if self._db is not None and self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _relieve(self) -> bool:
        try:
            return self._db is not None and self._aides.relieve(self._db)
        except sqlite3.Error:
            # A disk that is really full cannot even delete; it heals when somebody frees space.
            self._take_back()
            return False

    def _renew(self, reason: str) -> bool:
        """After SQLite called the file damaged: look, and begin a new one if it is."""
        if self._db is None or not is_damaged(self._db):
            return False
        self._close()
        try:
            with self._aides.let_go():
                self._db = self._store.begin_anew(reason)
            self._room.prepare(self._db)
        except JournalError:
            return False
        return True

    def _note_room(self, group: Sequence[_Task], *, full: bool) -> None:
        if self._db is None or full is self._room.refused is False:
            return
        # What finds no room in the reserve either says it all; that there is room, only an append can show.
        if not full and all(task.duty is not Duty.APPEND for task in group):
            return
        with contextlib.suppress(sqlite3.Error, OSError):
            if self._room.note(self._db, full=full):
                logger.log(*_FULL if full else _RELIEVED)

    def _close(self, *, final: bool = False) -> None:
        db, self._db = self._db, None
        self._aides.forget()
        if db is not None:
            with contextlib.suppress(sqlite3.Error):
                if final:
                    fold(db)
            with contextlib.suppress(sqlite3.Error):
                db.close()

    def _answer(self) -> None:
        """Tell the callers of the group before, if that was put off."""
        held, self._held = self._held, None
        if held is not None:
            group, outcomes = held
            self._tell([task.future for task in group], outcomes)

    @staticmethod
    def _tell(futures: Sequence[asyncio.Future[Any]], outcomes: Sequence[Any]) -> None:
        """Answer a whole group with one call into the event loop."""
        # The loop may be closed: then nobody waits any more.
        with contextlib.suppress(RuntimeError):
            futures[0].get_loop().call_soon_threadsafe(_resolve, futures, outcomes)


def _resolve(futures: Sequence[asyncio.Future[Any]], outcomes: Sequence[Any]) -> None:
    for future, outcome in zip(futures, outcomes, strict=True):
        if future.done():
            continue
        if isinstance(outcome, _Failed):
            future.set_exception(outcome.error)
        else:
            future.set_result(outcome)
