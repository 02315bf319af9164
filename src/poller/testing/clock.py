"""A clock that moves only when told to."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta


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
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._steady + seconds, next(self._order), future))
        await future

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
        """Give every ready task its turn."""
        for _ in range(turns):
            await asyncio.sleep(0)

    def _move(self, steady: float) -> None:
        self._wall += timedelta(seconds=steady - self._steady)
        self._steady = steady
