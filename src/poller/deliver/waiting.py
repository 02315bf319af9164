"""For how long records have waited for a sink: not since they were received, but since they lie here."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta
from typing import Final

from poller.errors import JournalError
from poller.journal.base import Backlog
from poller.runtime.clock import Clock
from poller.sources.base import Memory
from poller.vehicle.records import parse_time, rfc3339

#: What was received so long before the sink fell behind is history: imported, or to be sent again.
_HISTORY: Final = timedelta(minutes=10)


class Waiting:
    """Knows since when one sink is behind.

    No record has waited longer than that, however long ago it was received. The memory is told only
    where it makes a difference, so that after a restart an import does not look years late.
    """

    def __init__(self, sink: str, memory: Memory, clock: Clock) -> None:
        self._key = f"waiting:{sink}"
        self._memory = memory
        self._clock = clock
        #: When the sink was last seen without a backlog.
        self._clear_at: datetime | None = None
        self._noted: datetime | None = None

    async def since(self, backlog: Backlog) -> datetime | None:
        """When the oldest record began to wait, at the earliest; None: nothing waits. Raises JournalError."""
        now, oldest = self._clock.now(), backlog.oldest_at
        if not backlog.records:
            self._clear_at = now
        if not backlog.records or oldest is None:
            return None
        if self._clear_at is None:
            self._clear_at = self._noted = await self._recalled()
        # A clock that was ahead once must not keep us calm for years.
        since = self._clear_at = min(self._clear_at or oldest, now)
        if since - oldest > _HISTORY and since != self._noted:
            await self._note(since)
        return max(oldest, since)

    async def _recalled(self) -> datetime | None:
        kept = await self._memory.recall(self._key)
        try:
            return parse_time(kept["since"]) if kept else None
        except (KeyError, TypeError, ValueError):
            return None

    async def _note(self, since: datetime) -> None:
        """Once for each time that it falls behind; what cannot be noted costs patience after a restart."""
        self._noted = since
        with contextlib.suppress(JournalError):
            await self._memory.remember(self._key, {"since": rfc3339(since)})
