"""The sink: files written off the loop, tidied once a UTC day."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from poller.errors import SinkMisconfigured, SinkUnavailable
from poller.runtime import log
from poller.sinks.base import Rendered, Settlement, SinkContext
from poller.sinks.json_files.folders import make_folders
from poller.sinks.json_files.layouts import DailyLayout, Layout, SnapshotLayout
from poller.sinks.json_files.names import older_than
from poller.sinks.settings import JsonFilesSettings

T = TypeVar("T")

#: Real seconds of writing, then a delivery returns with what it has: a stop must not wait for a slow disk.
SLICE = 1.0
#: Old files deleted in one go; what is left goes after the next delivery.
DELETED_AT_ONCE = 2000

_HINTS = {
    errno.ENOSPC: "the disk is full: free some space, or set keep",
    errno.EDQUOT: "the quota of this user is used up: free some space, or set keep",
    errno.EROFS: "the file system is mounted read-only",
    errno.EACCES: "let this user write there, or set another directory",
    errno.EPERM: "let this user write there, or set another directory",
}


class JsonFilesSink:
    """Implements `sinks.base.QueuedSink`."""

    def __init__(
        self,
        name: str,
        settings: JsonFilesSettings,
        context: SinkContext,
        *,
        deleted_at_once: int = DELETED_AT_ONCE,
    ) -> None:
        self.name = name
        self._clock = context.clock
        self._deleted_at_once = deleted_at_once
        self._root = context.directory / settings.directory
        self._mode = settings.mode
        self._keep = timedelta(seconds=settings.keep)
        layout = SnapshotLayout if settings.layout == "snapshot" else DailyLayout
        self._layout: Layout = layout(self._root, settings.mode)
        self._log = log.get("sinks", sink=name)
        self._tidied: date | None = None
        # A thread of its own: one that hangs on a dead network disk must not take the others' threads.
        self._thread: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        """Make the directory. Raises SinkMisconfigured if something else has its name."""
        try:
            await self._aside(partial(make_folders, self._root, self._mode))
        except (FileExistsError, NotADirectoryError) as error:
            message = f"{self._root} cannot be a directory: a file is in its way"
            raise SinkMisconfigured(message, hint="set another directory") from error
        except OSError as error:
            raise self._unavailable(error) from error

    async def deliver(self, records: Sequence[Rendered]) -> Settlement:
        """Write for about a second; what is done by then is on disk."""
        done = await self._aside(partial(self._write, records))
        today = self._clock.now().date()
        if self._tidied != today and await self._aside(partial(self._tidy, today)):
            self._tidied = today
        return Settlement(done)

    async def close(self) -> None:
        """Let go of the thread; may be called twice."""
        if self._thread is not None:
            self._thread.shutdown(wait=False)
            self._thread = None

    async def _aside(self, job: Callable[[], T]) -> T:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, f"sink-{self.name}")
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    def _write(self, records: Sequence[Rendered]) -> int:
        until = self._clock.monotonic() + SLICE * self._clock.rate
        done = 0
        while done < len(records) and (not done or self._clock.monotonic() < until):
            try:
                done += self._layout.write(records[done:])
            except OSError as error:
                if not done:
                    raise self._unavailable(error) from error
                break
        return done

    def _tidy(self, today: date) -> bool:
        """Compress and delete what is due; True if that is all for this day. Never costs a delivery."""
        try:
            complete = not self._keep or self._delete_old()
            if complete:
                self._layout.tidy(today)
        except OSError as error:
            self._log.warning("tidying.failed", error=error.strerror or str(error))
            return True
        return complete

    def _delete_old(self) -> bool:
        """Delete our own files of days that ended more than `keep` ago, and folders left empty."""
        limit = (self._clock.now() - self._keep).date()
        folders: set[Path] = set()
        for count, path in enumerate(older_than(self._root, limit)):
            if count == self._deleted_at_once:
                return False
            path.unlink(missing_ok=True)
            folders.add(path.parent)
        for folder in folders:
            if folder.parent != self._root and not any(folder.iterdir()):
                folder.rmdir()
        return True

    def _unavailable(self, error: OSError) -> SinkUnavailable:
        why = error.strerror or type(error).__name__
        hint = _HINTS.get(error.errno or 0)
        reason = "disk" if hint else None
        return SinkUnavailable(f"cannot write below {self._root}: {why}", hint=hint, reason=reason)
