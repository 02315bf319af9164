"""A clock that moves only when told to."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

#: Turns in which nobody else was ready, after which nobody will be: a packet to ourselves takes less.
_QUIET = 5


class ManualClock:
    """Implements `runtime.clock.Clock`; `advance` wakes sleepers in order, `jump` moves only the wall."""

    rate = 1.0

    def __init__(self, start: datetime = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)) -> None:
        self._wall = start
        self._steady = 1000.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """The wall clock."""
        return self._wall

    def monotonic(self) -> float:
        """The steady clock."""
        return self._steady

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has gone that far; 0 only gives way."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        await self._end_of(seconds)

    @asynccontextmanager
    async def timeout(self, seconds: float | None) -> AsyncIterator[None]:
        """Ends its block with TimeoutError once `advance` has gone that far; None: never."""
        if seconds is None or seconds <= 0:
            async with asyncio.timeout(seconds):
                yield
            return
        loop, end = asyncio.get_running_loop(), self._end_of(seconds)

        def expire(_: asyncio.Future[None]) -> None:
            # The block may have ended just then.
            with suppress(RuntimeError):
                over.reschedule(loop.time())

        async with asyncio.timeout(None) as over:
            end.add_done_callback(expire)
            try:
                yield
            finally:
                end.remove_done_callback(expire)
                end.cancel()

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass, stopping at each sleeper on the way so that it can run."""
        end = self._steady + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, future = heapq.heappop(self._sleepers)
            self._move(max(due, self._steady))
            if not future.done():
                future.set_result(None)
            await self.settle()
        self._move(end)
        await self.settle()

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator or NTP does."""
        self._wall += timedelta(seconds=seconds)

    @property
    def sleeping(self) -> int:
        """How many wait."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def settle(self, turns: int = 50) -> None:
        """Give every ready task its turn, as often as one has become ready, up to `turns` times."""
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]  # noqa: SLF001  # asked nowhere else
        quiet = 0
        for _ in range(turns):
            await asyncio.sleep(0)
            quiet = 0 if ready else quiet + 1
            if quiet == _QUIET:
                return

    def _end_of(self, seconds: float) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._steady + seconds, next(self._order), future))
        return future

    def _move(self, steady: float) -> None:
        self._wall += timedelta(seconds=steady - self._steady)
        self._steady = steady
