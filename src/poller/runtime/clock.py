"""Time, passed in wherever it matters."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time, steady time and waiting; `rate` is how much faster than real they run."""

    @property
    def rate(self) -> float:
        """1.0 in real life; N under ``--speed N``."""
        ...

    def now(self) -> datetime:
        """The wall clock, aware UTC; may jump."""
        ...

    def monotonic(self) -> float:
        """Steady seconds, for intervals; never jumps."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds of this clock."""
        ...


class SystemClock:
    """The machine's clocks, optionally warped: at rate N a day passes in 24/N hours."""

    def __init__(self, rate: float = 1.0) -> None:
        self._rate = rate
        self._wall_zero = time.time()
        self._steady_zero = time.monotonic()

    @property
    def rate(self) -> float:
        """How much faster than real this clock runs."""
        return self._rate

    def now(self) -> datetime:
        """Wall time, aware UTC; warped from the moment this clock was made."""
        wall = time.time()
        if self._rate != 1.0:
            wall = self._wall_zero + (wall - self._wall_zero) * self._rate
        return datetime.fromtimestamp(wall, UTC)

    def monotonic(self) -> float:
        """Steady time in this clock's seconds."""
        return self._steady_zero + (time.monotonic() - self._steady_zero) * self._rate

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds of this clock."""
        await asyncio.sleep(max(0.0, seconds) / self._rate)


async def wait(event: asyncio.Event, clock: Clock, seconds: float | None) -> bool:
    """Wait until `event` is set or `seconds` of `clock` have passed; True if it was set."""
    if event.is_set():
        return True
    if seconds is None:
        return await event.wait()
    sleeper = asyncio.ensure_future(clock.sleep(seconds))
    waiter = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({sleeper, waiter}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sleeper, waiter):
            task.cancel()
        await asyncio.gather(sleeper, waiter, return_exceptions=True)
    return event.is_set()
