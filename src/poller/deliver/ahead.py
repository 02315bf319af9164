"""The queue of one sink, read ahead: what comes next is at hand when a delivery is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from poller.errors import JournalError
from poller.journal.base import Batch

#: Up to so many records after the cursor (None) or after a place in the journal. Raises JournalError.
Peek = Callable[[int, int | None], Awaitable[Batch]]
#: Turns of the event loop in which a delivery gets under way; a request has left after half as many.
HEAD_START = 12


class Ahead:
    """Gives the records after the cursor, and reads those behind them while they are under way.

    What was read ahead serves only after a settlement that succeeded; after anything else the
    journal is asked again. The settlement's compare-and-set has the last word anyway.
    """

    def __init__(self, peek: Peek) -> None:
        self._peek = peek
        self._known: Batch | None = None
        self._settled = False
        self._behind: asyncio.Task[Batch | None] | None = None

    async def next(self, limit: int) -> Batch:
        """Up to `limit` records after the cursor. Raises JournalError.

        It says to be the last only if it was just read: what came since must be seen, too.
        """
        at_hand = await self._at_hand()
        known = at_hand or await self._peek(limit, None)
        records = known.records[:limit]
        cut = len(records) < len(known.records)
        if not known.last:
            wanted = limit + len(records) - len(known.records)
            self._behind = asyncio.create_task(self._read_behind(max(1, wanted), known.through))
        self._known = known
        through = records[-1].seq if cut else known.through
        return replace(known, records=records, through=through, last=known.last and at_hand is None)

    def settled(self, through: int) -> None:
        """The cursor stands at `through` now, at the end of what `next` gave or within it."""
        if self._known is not None:
            left = [queued for queued in self._known.records if queued.seq > through]
            self._known = replace(self._known, records=left, since=through)
            self._settled = True

    def forget(self) -> None:
        """Let go of what was read ahead, and of a reading under way."""
        if self._behind is not None:
            self._behind.cancel()
        self._known, self._settled, self._behind = None, False, None

    async def _at_hand(self) -> Batch | None:
        """What is left and what lies behind it; None: the journal must be asked."""
        known, behind = self._known, self._behind
        if known is None or behind is None or not self._settled:
            self.forget()
            return None
        self._known, self._settled, self._behind = None, False, None
        more = await behind
        if more is None or more.through == known.since:
            return None
        return replace(more, records=[*known.records, *more.records], since=known.since)

    async def _read_behind(self, limit: int, after: int) -> Batch | None:
        # What is under way goes first: a reading beside it would slow it down, and the answer takes longer.
        for _ in range(HEAD_START):
            await asyncio.sleep(0)
        with suppress(JournalError):  # whoever asks next will hear of it
            return await self._peek(limit, after)
        return None
