"""What stands around the poller in a rehearsal: its clock, the cars, and doors to what it talks to."""

from __future__ import annotations

import asyncio
import heapq
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from poller.simulator.garage import mapping
from poller.simulator.server import Attended, serve
from poller.testing.clock import ManualClock
from poller.vehicle.records import rfc3339

MINI, X1 = "WMW00000000000001", "WBA00000000000002"


class StridingClock(ManualClock):
    """A manual clock that goes in strides: who is due within one wakes at its end."""

    async def stride(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        await asyncio.sleep(0)
        self._move(self._steady + seconds)
        while self._sleepers and self._sleepers[0][0] <= self._steady:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
        await asyncio.sleep(0)


class Yard:
    """The two cars as the cloud tells of them: a kilometre a minute; implements `simulator.garage.Garage`.

    `late` is how long ago they last reported, `gone` are those that left the account.
    """

    def __init__(self, begin: datetime) -> None:
        self._begin = begin
        self.brands = {MINI: "mini", X1: "bmw"}
        self.gone: set[str] = set()
        self.late = timedelta(minutes=1)

    def mappings(self, brand: str) -> Sequence[Mapping[str, Any]]:
        return [mapping(vin) for vin in self._here() if self.brands[vin] == brand]

    def profile(self, vin: str) -> bytes | None:
        return json.dumps({"vin": vin}).encode() if vin in self._here() else None

    def state(self, vin: str, at: datetime) -> bytes | None:
        if vin not in self._here():
            return None
        reported = at - self.late
        state = {
            "lastFetched": rfc3339(at),
            "lastUpdatedAt": rfc3339(reported),
            "currentMileage": 1000 + int((reported - self._begin).total_seconds()) // 60,
            "doorsState": {"combinedSecurityState": "SECURED", "combinedState": "CLOSED"},
        }
        capabilities = {"isChargingPlanSupported": vin == MINI}
        return json.dumps({"state": state, "capabilities": capabilities}).encode()

    def charging(self, vin: str, at: datetime) -> bytes | None:  # noqa: ARG002  # it has none at any time
        return b"{}" if vin in self._here() else None

    def _here(self) -> list[str]:
        return [vin for vin in self.brands if vin not in self.gone]


class Door:
    """An ASGI app behind a port that can be closed and opened again."""

    def __init__(self, app: ASGIApp, seen: Callable[[Scope], None] = lambda _: None) -> None:
        self._app = app
        self._seen = seen
        self._stack = AsyncExitStack()
        self._port = 0
        self.url = ""

    async def open(self) -> None:
        """Take connections, always on the same port."""
        self.url = await self._stack.enter_async_context(serve(self, port=self._port))
        self._port = int(self.url.rpartition(":")[2])

    async def close(self) -> None:
        """Refuse them, as if nobody were there."""
        await self._stack.aclose()

    async def attend(self, door: Any) -> None:
        """An app that minds its own door may."""
        if isinstance(self._app, Attended):
            await self._app.attend(door)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._seen(scope)
        await self._app(scope, receive, send)
