"""All snapshots in the order of time, read beside whoever writes the journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from poller.errors import JournalError
from poller.journal.codec import Unreadable, day_of, to_ms
from poller.journal.cursors import record_of
from poller.journal.faults import explain
from poller.journal.queries import SQL, migrations
from poller.journal.shelves import Dictionaries
from poller.journal.store import open_readonly
from poller.vehicle.records import Record

_AS_POLLER = "run it as root or as the user that the poller runs as, as `sudo -u poller poller …`"
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class History:
    """One journal's past. A UTC day is read at a time, so that no read keeps the writer waiting.

    `unreadable` counts what was passed over because it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.unreadable = 0
        self._path = path

    def snapshots(self, since: datetime | None = None, until: datetime | None = None) -> Iterator[Record]:
        """The snapshots received from `since` to `until`, both included, oldest first.

        Memory is bounded by the records of one day. Raises JournalError.
        """
        bounds = to_ms(since or _FIRST), to_ms(until or _LAST)
        with self._reading() as db:
            yield from self._read(db, *bounds)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """The open journal. Raises JournalError, for what SQLite says meanwhile too."""
        try:
            with closing(self._open()) as db:
                yield db
        except sqlite3.Error as error:
            raise explain(error) from error

    def _open(self) -> sqlite3.Connection:
        try:
            if not self._path.is_file():
                raise JournalError(f"there is no journal at {self._path}", hint="check data_dir")
            db = open_readonly(self._path)
        except PermissionError as error:
            raise JournalError(f"{self._path} may not be read by this user", hint=_AS_POLLER) from error
        except sqlite3.OperationalError as error:
            raise JournalError(f"{self._path} cannot be opened: {error}", hint=_AS_POLLER) from error
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version != len(migrations()):
            db.close()
            raise JournalError(
                f"{self._path} was written by another version of the poller",
                hint="use the version that the daemon has",
            )
        return db

    def _read(self, db: sqlite3.Connection, since: int, until: int) -> Iterator[Record]:
        dictionaries = Dictionaries()
        days = db.execute(SQL["history_days"], (day_of(since), day_of(until))).fetchall()
        for (day,) in days:
            # Fetched whole: a reader that stands between two rows would keep the log from being folded.
            rows = db.execute(SQL["history_of_day"], {"day": day, "since": since, "until": until}).fetchall()
            for row in rows:
                try:
                    yield record_of(db, dictionaries, row, replayed=False)
                except Unreadable:
                    self.unreadable += 1
