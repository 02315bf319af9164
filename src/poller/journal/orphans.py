"""Cursors that nobody's sink belongs to any more, read without opening the journal as its owner."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection
from pathlib import Path

from poller.errors import JournalError
from poller.journal.cursors import backlogs
from poller.journal.faults import explain
from poller.journal.store import open_readonly


def orphans(path: Path, sinks: Collection[str]) -> dict[str, int]:
    """The backlog of each cursor in the journal at `path` that is none of `sinks`; {} without a journal.

    Reads beside a running daemon. Raises JournalError.
    """
    try:
        if not path.is_file():
            return {}
        with contextlib.closing(open_readonly(path)) as db:
            return {sink: waiting for sink, waiting in backlogs(db).items() if sink not in sinks}
    except sqlite3.Error as error:
        raise explain(error) from error
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}") from error
