"""The journal's reader beside a writer that puts another file in the place of a damaged one."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from poller.journal.reader import Reader
from poller.journal.store import Store
from poller.runtime.clock import SystemClock


def begin(path: Path, name: str) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE file (name TEXT)")
        db.execute("INSERT INTO file VALUES (?)", (name,))
    db.close()


def name_of(db: sqlite3.Connection) -> str:
    return str(db.execute("SELECT name FROM file").fetchone()[0])


async def test_nothing_is_read_while_the_file_is_replaced(tmp_path) -> None:
    """A read in between would open the old file and hold on to it: what is sent could never be settled."""
    path = tmp_path / "journal.db"
    begin(path, "damaged")
    reader = Reader(Store(path, SystemClock()))
    reader.start()
    assert await reader.run(name_of) == "damaged"
    with reader.let_go():
        reading = asyncio.ensure_future(reader.run(name_of))
        assert await asyncio.wait({reading}, timeout=0.1) == (set(), {reading})
        path.rename(tmp_path / "aside.db")
        begin(path, "new")
    assert [await reading, await reader.run(name_of)] == ["new", "new"]
    await reader.stop()
