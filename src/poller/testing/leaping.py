"""A clock for one loop with real I/O: waiting takes no time, yet the time passes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta


class LeapingClock:
    """Implements `runtime.clock.Clock`: every sleep is over at once and moves both clocks by its length.

    For code that sleeps in one place at a time; `slept` counts the seconds.
    """

    rate = 1.0

    def __init__(self, start: datetime = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)) -> None:
        self._start = start
        self.slept = 0.0

    def now(self) -> datetime:
        """The start and all that was slept since."""
        return self._start + timedelta(seconds=self.slept)

    def monotonic(self) -> float:
        """The same in seconds."""
        return 1000.0 + self.slept

    async def sleep(self, seconds: float) -> None:
        """Give way once, and it is later."""
        self.slept += max(0.0, seconds)
        await asyncio.sleep(0)

    def timeout(self, seconds: float | None) -> asyncio.Timeout:
        """It is that much later, and the block is over at its first wait."""
        self.slept += max(0.0, seconds or 0.0)
        return asyncio.timeout(None if seconds is None else 0)
