"""Reading beside the writer: one thread, one connection that cannot write."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from poller.errors import JournalError
from poller.journal.shelves import Dictionaries
from poller.journal.store import Store

T = TypeVar("T")


class Reader:
    """Runs short reads off the event loop, each in a transaction of its own that ends at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pool: ThreadPoolExecutor | None = None
        self._db: sqlite3.Connection | None = None
        self._turn = threading.Lock()
        self.dictionaries = Dictionaries()

    def start(self) -> None:
        """Make ready; the connection is opened by the first read."""
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal-reader")

    async def run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `job`. Raises JournalError when closed, sqlite3.Error as SQLite has it."""
        if self._pool is None:
            raise JournalError("the journal is closed")
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, job)

    @contextlib.contextmanager
    def let_go(self) -> Iterator[None]:
        """For another thread: while the block runs nothing is read and no connection is open.

        A read that comes meanwhile waits, or it would hold on to a file that is being replaced.
        """
        with self._turn:
            self._close()
            yield

    async def stop(self) -> None:
        """Finish what is queued and close; may be called twice."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await asyncio.get_running_loop().run_in_executor(pool, self._end)
            pool.shutdown()

    def _read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        with self._turn:
            if self._db is None:
                self._db = self._store.reader()
            try:
                self._db.execute("BEGIN")
                try:
                    return job(self._db)
                finally:
                    if self._db.in_transaction:
                        self._db.execute("COMMIT")
            except sqlite3.Error:
                self._close()
                raise

    def _end(self) -> None:
        with self._turn:
            self._close()

    def _close(self) -> None:
        self.dictionaries.forget()
        if self._db is not None:
            self._db.close()
            self._db = None
