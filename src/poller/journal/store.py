"""Opening the file: settings of a connection, the schema, and a new start when it is damaged."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from poller.errors import JournalError
from poller.journal import cursors, place
from poller.journal.faults import Fault, explain, fault_of, legible
from poller.journal.lock import DirectoryLock
from poller.journal.migrate import migrate
from poller.journal.queries import SQL, migrations
from poller.runtime import log
from poller.runtime.clock import Clock
from poller.vehicle.records import dumps, rfc3339

PAGE: Final = 4096
#: Under this key stands when and why the journal was begun.
BEGUN: Final = "journal:begun"
#: Why: the file before was moved or deleted while the poller ran.
VANISHED: Final = "vanished"
#: Seconds to wait for somebody else's lock: a backup, or a curious owner with a shell.
_PATIENCE: Final = 1.0
#: A text of which a byte is broken is no reason to stop at its row for ever.
_READABLE: Final = partial(str, encoding="utf-8", errors="replace")
_HINTS: Final = {
    errno.EROFS: "look for disk errors in the system's log, and mount the disk for writing again",
    errno.ENOSPC: "free disk space; it then goes on by itself",
}
_LEFT: Final = (
    "nothing was changed; start the poller: it sets the file aside and begins a new one, and "
    "`poller salvage` takes back what is readable"
)

logger = log.get("journal")


class Store:
    """One journal file. `connect` gives the writer's connection, `reader` one that only reads.

    `scripts`: the migrations, ours if not given. `may_begin_anew`: False leaves a damaged file where it is.
    """

    def __init__(
        self, path: Path, clock: Clock, scripts: Sequence[str] | None = None, *, may_begin_anew: bool = True
    ) -> None:
        self.path = path
        self._may_begin_anew = may_begin_anew
        self.sinks: Collection[str] = ()
        self._scripts = migrations() if scripts is None else scripts
        self._identity: tuple[int, int] | None = None
        self._clock = clock
        self._lock = DirectoryLock(path.parent)

    def claim(self) -> None:
        """Make the folder and take its lock. Raises JournalError, JournalLocked."""
        place.prepare_folder(self.path.parent)
        try:
            self._lock.acquire()
        except OSError as error:
            raise _unusable(self.path, error) from error

    def release(self) -> None:
        """Let go of the lock; may be called twice."""
        self._lock.release()

    def connect(self) -> sqlite3.Connection:
        """Open or create, bring the schema up to date, give every sink a cursor.

        A damaged file is set aside and a new one begun. Raises JournalError.
        """
        try:
            return self._connect(begin="new")
        except sqlite3.Error as error:
            if fault_of(error) is not Fault.DAMAGED:
                raise explain(error) from error
            return self.begin_anew(str(error))

    def vanished(self) -> bool:
        """Whether the file that `connect` opened is not at its path any more: what is written is lost."""
        return self._identity is not None and self._identity != _identity_of(self.path)

    def reconnect(self) -> sqlite3.Connection:
        """After `vanished`: take the folder again, it may be gone too, and open what is there or begin.

        Raises JournalError, JournalLocked if another poller was quicker.
        """
        logger.error(
            "journal.vanished",
            file=str(self.path),
            hint="it was moved or deleted while the poller ran; records in it are gone unless you have it",
        )
        self.release()
        self.claim()
        try:
            return self._connect(begin=VANISHED)
        except sqlite3.Error as error:
            if fault_of(error) is not Fault.DAMAGED:
                raise explain(error) from error
            return self.begin_anew(str(error))

    def begin_anew(self, reason: str) -> sqlite3.Connection:
        """Set the file aside and start another; no connection to it may be open. Raises JournalError."""
        if not self._may_begin_anew:
            raise JournalError(f"the journal {self.path} is damaged: {reason}", hint=_LEFT)
        now = self._clock.now()
        try:
            aside = place.set_aside(self.path, now)
            logger.error(
                "journal.set_aside",
                file=str(aside),
                reason=reason,
                hint=f"poller salvage {aside} takes back what is readable",
            )
            db = self._connect(begin="damaged", aside=aside)
        except (sqlite3.Error, OSError) as error:
            raise _unusable(self.path, error) from error
        return db

    def reader(self) -> sqlite3.Connection:
        """A connection that cannot write, nor disturb the log when it closes."""
        return open_readonly(self.path)

    def _connect(self, *, begin: str, aside: Path | None = None) -> sqlite3.Connection:
        try:
            place.create_private(self.path)
        except OSError as error:
            raise _unusable(self.path, error) from error
        db = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            with legible():
                _prepare(db)
                fresh = migrate(db, self.path, self._scripts, self._clock)
                db.execute("BEGIN IMMEDIATE")
                if fresh:
                    self._mark_begin(db, begin, aside)
                cursors.begin(db, self.sinks)
                db.execute("COMMIT")
                _touch(db)
        except BaseException:
            db.close()
            raise
        self._identity = _identity_of(self.path)
        return db

    def _mark_begin(self, db: sqlite3.Connection, why: str, aside: Path | None) -> None:
        now = self._clock.now()
        value = {"at": rfc3339(now), "why": why}
        if aside is not None:
            value["set_aside"] = aside.name
        if why != "new":
            # Positions must go on rising: a batch peeked in the old file, or the history's own
            # position, must not fit into the new one by chance.
            db.execute(
                "INSERT INTO sqlite_sequence (name, seq) VALUES ('records', ?)",
                (int(now.timestamp() * 1000),),
            )
        db.execute(SQL["memory_put"], (BEGUN, dumps(value)))


def _identity_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def open_readonly(path: Path) -> sqlite3.Connection:
    """Open an existing database for reading; sqlite3.Error as SQLite has it."""
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        timeout=_PATIENCE,
        isolation_level=None,
        check_same_thread=False,
    )
    db.text_factory = _READABLE
    try:
        with legible():
            db.execute("PRAGMA cache_size = -256")
            # Only now is the schema read.
            db.execute("SELECT 1 FROM sqlite_schema").fetchone()
    except BaseException:
        db.close()
        raise
    return db


def fold(db: sqlite3.Connection) -> None:
    """Fold the write-ahead log into the file and cut it to nothing, unless a reader is in the way."""
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def is_damaged(db: sqlite3.Connection) -> bool:
    """Look at every page, and whether indexes and tables agree; half a minute for a gigabyte."""
    try:
        return bool(db.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",))
    except sqlite3.DatabaseError as error:
        return fault_of(error) is Fault.DAMAGED


def _prepare(db: sqlite3.Connection) -> None:
    db.text_factory = _READABLE
    db.execute(f"PRAGMA page_size = {PAGE}")
    (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise JournalError(
            "the data directory's file system does not allow a write-ahead log",
            hint="put data_dir on a local disk",
        )
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA cache_size = -256")


def _touch(db: sqlite3.Connection) -> None:
    """Read a little of every table, so that a broken one shows at start and not in the night."""
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    for name in names:
        db.execute(f'SELECT * FROM "{name}" LIMIT 1').fetchone()  # noqa: S608 - names from the schema itself
    db.execute(SQL["last_seq"]).fetchone()


def _unusable(path: Path, error: Exception) -> BaseException:
    if isinstance(error, OSError):
        hint = _HINTS.get(error.errno or 0, "check that data_dir belongs to this user")
        return JournalError(f"{path} cannot be used: {error.strerror}", hint=hint)
    return explain(error)
