"""A copy of the journal that a running daemon does not notice, and of the logins beside it."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from poller.errors import JournalError
from poller.journal import place
from poller.journal.copying import Progress, publish, write_copy
from poller.journal.faults import Damaged, Fault, explain, fault_of
from poller.journal.store import open_readonly

_ROOM: Final = "choose a folder on another disk, or free some space"


def backup(path: Path, to: Path, progress: Progress | None = None) -> None:
    """Copy the journal at `path` to one new file `to`: 0600, checked, on disk, all or nothing.

    It holds all that was acknowledged when it began. A file that is there is never replaced.
    Raises JournalError.
    """
    _require_readable(path)
    try:
        if to.exists() and to.samefile(path):
            raise JournalError("a journal cannot be copied onto itself", hint="choose another file")
        _require_room(path, to)
        with contextlib.closing(open_readonly(path)) as source:
            write_copy(source, to, progress)
    except OSError as error:
        raise _unwritable(to, error) from error
    except Damaged as error:
        raise JournalError(
            f"the journal is damaged: {error}",
            hint="restart the daemon: it sets the file aside; then `poller salvage`",
        ) from error
    except sqlite3.Error as error:
        raise _uncopied(to, error) from error


def archive(folder: Path, names: Sequence[str], to: Path) -> None:
    """Put what there is of `names` in `folder` into one new tar file `to`: 0600, on disk, all or nothing.

    Raises JournalError.
    """
    partial = to.with_name(f".{to.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                with tarfile.open(fileobj=file, mode="w") as tar:
                    for name in names:
                        if (folder / name).exists():
                            tar.add(folder / name, name)
                file.flush()
                os.fsync(file.fileno())
            publish(partial, to)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(to, error) from error


def _require_readable(path: Path) -> None:
    # Not by opening it: closing it would let go of SQLite's own locks on it.
    try:
        path.stat()
        if os.access(path, os.R_OK):
            return
        why = os.strerror(errno.EACCES)
    except FileNotFoundError as error:
        raise JournalError(f"there is no journal at {path}", hint="check data_dir") from error
    except OSError as error:
        why = error.strerror or "the system refuses it"
    raise JournalError(
        f"this user may not read {path}: {why}",
        hint="run this as root (`sudo poller backup …`) or as the poller's user",
    )


def _require_room(path: Path, to: Path) -> None:
    needed, free = place.size_of(path), place.free_beside(to)
    if needed > free:
        words = f"the backup needs {needed:,} bytes, and {free:,} are free in {to.parent}"
        raise JournalError(words, hint=_ROOM)


def _uncopied(to: Path, error: sqlite3.Error) -> BaseException:
    if fault_of(error) is Fault.FULL:
        return JournalError(f"there is no room for the backup in {to.parent}", hint=_ROOM)
    return explain(error)


def _unwritable(to: Path, error: OSError) -> JournalError:
    if isinstance(error, FileExistsError):
        return JournalError(f"{to} exists already", hint="choose another name")
    return JournalError(
        f"the backup cannot be written to {to}: {error.strerror}",
        hint="choose a folder this user may write",
    )
