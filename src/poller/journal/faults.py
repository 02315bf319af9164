"""What SQLite's errors mean for us: whose fault, and what the operator can do."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from enum import Enum

from poller.errors import JournalError, JournalFull


class Fault(Enum):
    """Who has to act on an error of a transaction."""

    CALLER = "caller"  # this job only: its values do not fit
    FULL = "full"  # no room: prune, or tell
    DAMAGED = "damaged"  # the file is broken: set it aside
    DISK = "disk"  # the disk does not play: tell, and open anew


class Damaged(Exception):
    """We looked, and the file is broken."""


class OutOfRoom(Exception):
    """Our own limit is reached before SQLite's."""


#: Hints by SQLite's primary error name; the rest of an extended name (IOERR_WRITE) is for the message.
_HINTS = {
    "FULL": "free disk space, raise [journal] max_size or lower keep_free; it then goes on by itself",
    "READONLY": "make the data directory and journal.db writable for this user; it then goes on by itself",
    "CANTOPEN": "check that data_dir exists and belongs to this user",
    "PERM": "check that data_dir belongs to this user",
    "IOERR": "look for disk errors in the system's log; it goes on by itself when the disk does",
    "BUSY": "close other programs that have journal.db open for writing",
    "LOCKED": "close other programs that have journal.db open for writing",
}


def fault_of(error: BaseException) -> Fault:
    """Classify what a job or a commit raised."""
    if isinstance(error, OutOfRoom):
        return Fault.FULL
    if isinstance(error, Damaged):
        return Fault.DAMAGED
    if not isinstance(error, sqlite3.DatabaseError):
        return Fault.CALLER
    match _primary(error):
        case "FULL":
            return Fault.FULL
        case "CORRUPT" | "NOTADB":
            return Fault.DAMAGED
        case "ERROR" if str(error) == "unsupported file format":
            # No SQLite writes such a number into the header of a file that it made.
            return Fault.DAMAGED
        case "CONSTRAINT" | "MISMATCH" | "TOOBIG" | "RANGE" | "ERROR" | "":
            return Fault.CALLER
        case _:
            return Fault.DISK


@contextlib.contextmanager
def legible() -> Iterator[None]:
    """Turn into a DatabaseError what sqlite3 cannot decode: words that SQLite quotes from a broken schema."""
    try:
        yield
    except UnicodeDecodeError as error:
        broken = sqlite3.DatabaseError("malformed database schema")
        broken.sqlite_errorname = "SQLITE_CORRUPT"
        raise broken from error


def explain(error: BaseException) -> BaseException:
    """The error to raise at the caller: a JournalError for what SQLite says, a bug as it is."""
    if isinstance(error, OutOfRoom):
        return JournalFull(hint=_HINTS["FULL"])
    if isinstance(error, Damaged):
        return JournalError(f"the journal is damaged: {error}")
    if not isinstance(error, sqlite3.Error):
        return error
    name = getattr(error, "sqlite_errorname", "").removeprefix("SQLITE_")
    if _primary(error) == "FULL":
        return JournalFull(hint=_HINTS["FULL"])
    return JournalError(f"the journal failed: {error} ({name or 'sqlite'})", hint=_HINTS.get(_primary(error)))


def _primary(error: BaseException) -> str:
    name: str = getattr(error, "sqlite_errorname", "")
    return name.removeprefix("SQLITE_").partition("_")[0]
