"""The world outside, in a process of its own: a simulated cloud and a simulated Axiom over loopback HTTP.

What they cost is not charged to anybody who is measured. Unless told not to, they hang up after the last
request of a poll and after each delivery: five minutes later, in life, no connection would be open either.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from poller.runtime.clock import SystemClock
from poller.simulator.axiom import FakeAxiom
from poller.simulator.cloud import FakeCloud
from poller.simulator.garage import demo_garage
from poller.simulator.server import serve

ROOT = Path(__file__).resolve().parents[1]
STATE = "/eadrax-vcs/v4/vehicles/state"
CHARGING = "/eadrax-crccs/v2/vehicles"
INGEST = "/v1/ingest/cars"
#: What an onlooker asks the simulated Axiom; never asked by what is measured.
_TAKEN = "/_bench/taken"


@dataclass(frozen=True, slots=True)
class World:
    """Both addresses, and what an onlooker may ask over a client of its own."""

    cloud: str
    axiom: str
    onlooker: httpx.Client

    def polls(self) -> int:
        """How many times the state of a vehicle was asked for."""
        requests: dict[str, int] = self.onlooker.get(f"{self.cloud}/_sim/state").json()["requests"]
        return requests.get(STATE, 0)

    def taken(self) -> list[tuple[float, int]]:
        """Each request that the simulated Axiom has taken in: when it was answered, and how many events.

        The time is `time.monotonic`'s, which all processes of a machine share.
        """
        return [(at, events) for at, events in self.onlooker.get(self.axiom + _TAKEN).json()]

    def body(self, number: int) -> bytes:
        """What the `number`-th of them held, uncompressed."""
        return self.onlooker.get(f"{self.axiom}{_TAKEN}/{number}").content


@contextmanager
def world(speed: float = 1.0, *, hang_up: bool = True) -> Iterator[World]:
    """The world while the block runs; its clock goes `speed` times faster than real."""
    command = [sys.executable, "-m", "bench.world", str(speed), "1" if hang_up else "0"]
    with (
        subprocess.Popen(  # noqa: S603  # ourselves
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
        httpx.Client(timeout=30, trust_env=False) as onlooker,
    ):
        try:
            addresses = json.loads(process.stdout.readline() if process.stdout else "{}")
            yield World(addresses["cloud"], addresses["axiom"], onlooker)
        finally:
            process.terminate()


class _HangingUp:
    """An ASGI app that closes the connection after an answer to `last`."""

    def __init__(self, app: ASGIApp, last: str) -> None:
        self._app = app
        self._last = last

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def hanging_up(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"connection", b"close"))
            await send(message)

        await self._app(scope, receive, hanging_up if scope["path"] == self._last else send)


class _Onlooked:
    """An Axiom that notes when it has answered, and tells an onlooker what it has taken in."""

    def __init__(self, axiom: FakeAxiom) -> None:
        self._axiom = axiom
        self._answered: list[float] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path.startswith(_TAKEN):
            await self._told(path.removeprefix(_TAKEN).strip("/"))(scope, receive, send)
        else:
            await self._axiom(scope, receive, send)
            self._answered.append(time.monotonic())

    def _told(self, number: str) -> Response:
        taken = self._axiom.requests
        if number:
            return Response(taken[int(number)].body)
        return JSONResponse([(at, len(one.events)) for at, one in zip(self._answered, taken, strict=False)])


async def _serve(speed: float, *, hang_up: bool) -> None:
    clock = SystemClock(speed)
    cloud = _HangingUp(FakeCloud(demo_garage(), clock), CHARGING if hang_up else "")
    axiom = _HangingUp(_Onlooked(FakeAxiom(clock=clock)), INGEST if hang_up else "")
    async with serve(cloud) as cloud_url, serve(axiom) as axiom_url:
        print(json.dumps({"cloud": cloud_url, "axiom": axiom_url}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]), hang_up=sys.argv[2] == "1"))
