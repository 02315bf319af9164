"""Taking back what is readable of a damaged journal: row by row, around the pages that are not."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from poller.errors import JournalError
from poller.journal.backup import backup
from poller.journal.base import Entry, Journal
from poller.journal.wreck import Wreck

__all__ = ["Salvaged", "backup", "salvage"]

#: Entries read and appended at a time.
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What was readable, and how much at least was not."""

    records: int
    answers: int
    lost: int


async def salvage(path: Path, into: Journal) -> Salvaged:
    """Append to an open journal what can be read of the one at `path`.

    Records come as replayed, under their ids, so doing it twice doubles nothing; the damaged file
    is left as it is. Raises JournalError where there is nothing to read, or no room.
    """
    wreck = await asyncio.to_thread(_open, path)
    try:
        records = await _append(into, (Entry(records=(replace(r, replayed=True),)) for r in wreck.records()))
        answers = await _append(into, (Entry(answer=answer) for answer in wreck.answers()))
    finally:
        wreck.close()
    return Salvaged(records, answers, wreck.lost)


def _open(path: Path) -> Wreck:
    if not path.is_file():
        raise JournalError(f"there is no file {path}", hint="name the file that was set aside")
    try:
        return Wreck(path)
    except sqlite3.Error as error:
        raise JournalError(
            f"nothing in {path} can be read: {error}", hint="restore a backup, if there is one"
        ) from error
    except OSError as error:
        raise JournalError(
            f"there is no room to work beside {path}: {error.strerror}",
            hint="copy the file, and what is named like it, to a folder with room for two of it",
        ) from error


async def _append(into: Journal, entries: Iterable[Entry]) -> int:
    count, source = 0, iter(entries)
    while chunk := await asyncio.to_thread(_chunk, source):
        await asyncio.gather(*map(into.append, chunk))
        count += len(chunk)
    return count


def _chunk(source: Iterator[Entry]) -> list[Entry]:
    return list(islice(source, _BATCH))
