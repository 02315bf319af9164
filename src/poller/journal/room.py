"""How much room there is: the size limit and the free disk, as pages, asked before each transaction."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from poller.journal import place
from poller.journal.base import Policy
from poller.journal.faults import OutOfRoom
from poller.journal.store import PAGE

_UNLIMITED: Final = 4294967294
#: What the write-ahead log may take at most, and its share of a small size limit.
_LOG_BYTES: Final = 6 * 2**20
_LOG_SHARE: Final = 8
#: Pages that only settling, pruning and remembering may use: at the limit UPDATE works but INSERT fails.
_RESERVE: Final = 1024
_RESERVE_SHARE: Final = 16
#: Rows that one transaction may touch at most: bounds its wait, its memory and its part of the log.
_ROWS: Final = 1000
#: With so many pages left, so many transactions in a row that append nothing go without a look.
_PLENTY: Final = 16 * _RESERVE
_UNSEEN: Final = 16
#: Pages that must have come free before a full journal counts as having room again.
_WORTH_TRYING: Final = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """Pages in use (free ones inside the file not counted), and what appends may use in all."""

    used: int
    appends: int
    reserve: int

    @property
    def spare(self) -> int:
        """Pages left for appends; 0 or less: full."""
        return self.appends - self.used

    @property
    def headroom(self) -> int:
        """Pages that pruning keeps spare, so that appends seldom have to wait for it."""
        return max(16, self.appends // 64)


@dataclass(frozen=True, slots=True)
class _Refused:
    """What was left when an append found no room."""

    spare: int
    free: int


class Room:
    """Knows the policy and measures; sets SQLite's page limit for the job at hand."""

    def __init__(self, path: Path, policy: Policy) -> None:
        self._path = path
        self.policy = policy
        self._refused: _Refused | None = None
        self._allowed = 0
        self._unseen = _UNSEEN

    @property
    def rows(self) -> int:
        """How many rows one transaction may touch; fewer where the log's share is small."""
        return max(16, min(_ROWS, self._log_bytes() // PAGE))

    def prepare(self, db: sqlite3.Connection) -> None:
        """Keep the write-ahead log of a new connection within its share."""
        self._allowed, self._unseen = 0, _UNSEEN
        log_bytes = self._log_bytes()
        db.execute(f"PRAGMA wal_autocheckpoint = {max(16, log_bytes // PAGE * 2 // 3)}")
        db.execute(f"PRAGMA journal_size_limit = {log_bytes}")

    def must_look(self, *, appending: bool) -> bool:
        """Whether to `measure` and `admit` before the next transaction; what only settles needs little."""
        self._unseen += 1
        return appending or self._unseen > _UNSEEN

    def look_again(self) -> None:
        """After a transaction that was taken back."""
        self._unseen = _UNSEEN

    def measure(self, db: sqlite3.Connection) -> Limits | None:
        """The limits of this moment, or None without any."""
        policy = self.policy
        if not policy.max_size and not policy.keep_free:
            return None
        (total,) = db.execute("PRAGMA page_count").fetchone()
        (unused,) = db.execute("PRAGMA freelist_count").fetchone()
        reserve, bounds = _RESERVE, []
        if policy.max_size:
            pages = (policy.max_size - self._log_bytes()) // PAGE
            reserve = max(8, min(_RESERVE, pages // _RESERVE_SHARE))
            bounds.append(pages - reserve)
        if policy.keep_free:
            bounds.append(total + max(0, place.free_beside(self._path) - policy.keep_free) // PAGE)
        return Limits(total - unused, min(bounds), reserve)

    def admit(self, db: sqlite3.Connection, limits: Limits | None, *, appending: bool) -> None:
        """Set the page limit for what follows. Raises OutOfRoom for an append where there is none."""
        pages = _UNLIMITED
        if limits is not None:
            if appending and limits.spare <= 0:
                raise OutOfRoom
            pages = limits.appends if appending else limits.appends + limits.reserve
            self._unseen = 0 if limits.spare >= _PLENTY else _UNSEEN
        if pages != self._allowed:
            # SQLite never takes a limit below the file's present size: free pages inside stay usable.
            db.execute(f"PRAGMA max_page_count = {max(1, pages)}")
            self._allowed = pages

    @property
    def refused(self) -> bool:
        """Whether the last append found no room."""
        return self._refused is not None

    def note(self, db: sqlite3.Connection, *, full: bool) -> bool:
        """Remember how the last append fared; True if that is news."""
        news = full != self.refused
        if full:
            limits = None
            with contextlib.suppress(sqlite3.Error):  # on a disk without a byte left it may not even be read
                limits = self.measure(db)
            self._refused = _Refused(limits.spare if limits else 0, place.free_beside(self._path))
        else:
            self._refused = None
        return news

    def is_full(self, db: sqlite3.Connection) -> bool:
        """Whether an append would find no room: asked before a source is.

        After a refusal it takes more room than there was then, or every poll would be in vain.
        """
        limits = self.measure(db)
        if limits and limits.spare <= 0 and self.policy.when_full == "stop_collecting":
            return True
        if self._refused is None:
            return False
        more_pages = limits is not None and limits.spare >= self._refused.spare + _WORTH_TRYING
        more_disk = place.free_beside(self._path) >= self._refused.free + _WORTH_TRYING * PAGE
        return not (more_pages or more_disk)

    def _log_bytes(self) -> int:
        limit = self.policy.max_size
        return min(_LOG_BYTES, limit // _LOG_SHARE) if limit else _LOG_BYTES
