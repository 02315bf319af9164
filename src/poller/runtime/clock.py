"""Time, passed in wherever it matters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        """Ends its block with TimeoutError after that many seconds of this clock; None: never."""
        ...


class SystemClock:
    """The machine's clocks, optionally warped: at rate N a day passes in 24/N hours.

    `start`: what the wall clock shows now; default: the truth.
    """

    def __init__(self, rate: float = 1.0, start: datetime | None = None) -> None:
        self._rate = rate
        self._wall_zero = time.time()
        self._start = self._wall_zero if start is None else start.timestamp()
        self._steady_zero = time.monotonic()

    @property
    def rate(self) -> float:
        """How much faster than real this clock runs."""
        return self._rate

    def now(self) -> datetime:
        """Wall time, aware UTC; warped from the moment this clock was made."""
        wall = self._start + (time.time() - self._wall_zero) * self._rate
        return datetime.fromtimestamp(wall, UTC)

    def monotonic(self) -> float:
        """Steady time in this clock's seconds."""
        return self._steady_zero + (time.monotonic() - self._steady_zero) * self._rate

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds of this clock."""
        await asyncio.sleep(max(0.0, seconds) / self._rate)

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        """Ends its block with TimeoutError after that many seconds of this clock; None: never."""
        return asyncio.timeout(None if seconds is None else seconds / self._rate)


@dataclass(frozen=True, slots=True)
class Until:
    """The end of a wait on both clocks; it is over as soon as one of them is there.

    Steady time ends it although the wall clock was set back, and wall time although the machine was
    suspended, which steady time does not count.
    """

    wall: datetime
    steady: float

    @classmethod
    def told(cls, wall: datetime, clock: Clock) -> Until:
        """The end that a wall clock as it stands now means by `wall`."""
        return cls(wall, clock.monotonic() + (wall - clock.now()).total_seconds())

    def at(self, clock: Clock) -> datetime:
        """The end, by the wall clock as it stands now."""
        return min(self.wall, clock.now() + timedelta(seconds=self.steady - clock.monotonic()))

    def reached(self, clock: Clock) -> bool:
        """Whether the wait is over."""
        return clock.now() >= self.at(clock)


async def wait(event: asyncio.Event, clock: Clock, seconds: float | None) -> bool:
    """Wait until `event` is set or `seconds` of `clock` have passed (None: for ever); True if it was set."""
    with suppress(TimeoutError):
        async with clock.timeout(seconds):
            await event.wait()
    return event.is_set()


async def wait_for_any(events: Collection[asyncio.Event], clock: Clock, seconds: float | None) -> bool:
    """As `wait`, for several events."""
    either = asyncio.Event()
    passing = [asyncio.ensure_future(_pass_on(event, either)) for event in events]
    try:
        await wait(either, clock, seconds)
    finally:
        await _end(passing)
    return any(event.is_set() for event in events)


@asynccontextmanager
async def passing_on(event: asyncio.Event, to: asyncio.Event) -> AsyncIterator[None]:
    """While the block runs, whoever waits for `to` is woken by `event` as well.

    For a loop that waits often: a task for its whole life, and none for each wait.
    """
    passing = asyncio.ensure_future(_pass_on(event, to))
    try:
        yield
    finally:
        await _end([passing])


async def _pass_on(event: asyncio.Event, to: asyncio.Event) -> None:
    await event.wait()
    to.set()


async def _end(tasks: Collection[asyncio.Future[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
