"""A copy of the journal that a running daemon does not notice."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from poller.errors import JournalError
from poller.journal import place
from poller.journal.faults import explain
from poller.journal.store import open_readonly
from poller.runtime.atomic import sync_folder


def backup(path: Path, to: Path) -> None:
    """Copy the journal at `path` to one file `to`: 0600, checked, all or nothing.

    It holds all that was acknowledged when it began. Raises JournalError.
    """
    if not path.is_file():
        raise JournalError(f"there is no journal at {path}", hint="check data_dir")
    if to.exists() and to.samefile(path):
        raise JournalError("a journal cannot be copied onto itself", hint="choose another file")
    partial = to.with_name(f".{to.name}.partial")
    try:
        _remove(partial)
        place.create_private(partial)
        _copy(path, partial)
        _check(partial)
        partial.replace(to)
        sync_folder(to.parent)
    except OSError as error:
        raise JournalError(
            f"the backup cannot be written to {to}: {error.strerror}",
            hint="choose a folder this user may write",
        ) from error
    except sqlite3.Error as error:
        raise explain(error) from error
    finally:
        _remove(partial)


def _copy(path: Path, partial: Path) -> None:
    source = open_readonly(path)
    try:
        target = sqlite3.connect(partial)
        try:
            # In one step: one moment of the journal, however much is appended meanwhile.
            source.backup(target)
        finally:
            target.close()
    finally:
        source.close()


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
        raise JournalError(
            f"the journal is damaged: {verdict}",
            hint="restart the daemon: it sets the file aside; then `poller salvage`",
        )


def _remove(partial: Path) -> None:
    for suffix in place.SUFFIXES:
        partial.with_name(partial.name + suffix).unlink(missing_ok=True)
