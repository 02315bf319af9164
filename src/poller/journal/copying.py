"""One private file that is a whole copy of an open journal, or no file at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from poller.errors import JournalError
from poller.journal.faults import Damaged
from poller.runtime.atomic import sync_folder

#: Told pages that are left and pages in all.
Progress = Callable[[int, int], None]

#: What SQLite may leave beside a file when it is killed.
_BESIDE: Final = ("-wal", "-shm", "-journal")
#: Pages between two words of progress: 16 MiB.
_STEP: Final = 4096


def write_copy(source: sqlite3.Connection, to: Path, progress: Progress | None = None) -> None:
    """Copy what `source` sees at this moment to a new file `to`: 0600, every page checked, on disk.

    `source` must not be in a transaction. Raises FileExistsError if `to` is there, OSError,
    sqlite3.Error, Damaged if the copy is no good, JournalError if another copy to `to` is under way.
    """
    if os.path.lexists(to):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(to))
    partial = to.with_name(f".{to.name}.partial")
    with _claimed(partial) as descriptor:
        _copy(source, partial, progress)
        _check(partial)
        os.fsync(descriptor)
        publish(partial, to)


def publish(partial: Path, to: Path) -> None:
    """Give a finished file its name, durably; one that has it already is never replaced.

    `partial` may still be there afterwards. Raises FileExistsError, OSError.
    """
    try:
        os.link(partial, to)
    except FileExistsError:
        raise
    except OSError:
        # No hard links on this file system: a stick, a share.
        if os.path.lexists(to):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(to)) from None
        partial.rename(to)
    sync_folder(to.parent)


@contextlib.contextmanager
def _claimed(partial: Path) -> Iterator[int]:
    """Make the unfinished file, empty and ours alone; whatever is left of it goes at the end."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(partial, flags, 0o600)
    try:
        _lock(descriptor, partial)
        try:
            os.ftruncate(descriptor, 0)
            _remove(partial, *_BESIDE)
            yield descriptor
        finally:
            _remove(partial, "", *_BESIDE)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, partial: Path) -> None:
    busy = JournalError(f"another copy is being written to {partial.parent}", hint="wait until it is done")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise busy from error
    except OSError:
        return  # a share without locks
    # Whoever had it a moment ago may have taken the file away as it ended.
    if not partial.exists() or partial.stat().st_ino != os.fstat(descriptor).st_ino:
        raise busy


def _copy(source: sqlite3.Connection, partial: Path, progress: Progress | None) -> None:
    target = sqlite3.connect(partial)
    try:
        # One transaction around all steps: one moment of the journal, however much is appended meanwhile.
        source.execute("BEGIN")
        try:
            source.execute("SELECT 1 FROM sqlite_schema").fetchone()
            told = (lambda _status, left, total: progress(left, total)) if progress else None
            source.backup(target, pages=_STEP, progress=told)
        finally:
            source.execute("ROLLBACK")
    finally:
        target.close()


def _check(partial: Path) -> None:
    db = sqlite3.connect(partial, isolation_level=None)
    try:
        db.execute("PRAGMA synchronous = FULL")
        # One file by itself, without a log beside it.
        db.execute("PRAGMA journal_mode = DELETE")
        verdict = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    finally:
        db.close()
    if verdict != "ok":
        raise Damaged(verdict)


def _remove(partial: Path, *suffixes: str) -> None:
    for suffix in suffixes:
        partial.with_name(partial.name + suffix).unlink(missing_ok=True)
