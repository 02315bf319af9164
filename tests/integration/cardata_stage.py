"""What the tests of the simulated CarData share: all of it on loopback, and a bare client of it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import aiomqtt
import httpx

from poller.simulator.cardata.cloud import PREFIX, FakeCarData
from poller.simulator.cardata.login import CLIENT_ID, GCID, SCOPES
from poller.simulator.cloud import FakeCloud
from poller.simulator.garage import CarGarage, all_cars_garage
from poller.simulator.server import serve
from poller.testing.clock import ManualClock

#: A morning on which every car drives.
START = datetime(2026, 11, 19, 6, tzinfo=UTC)
CARS = tuple(all_cars_garage().cars.values())
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass
class Stage:
    """The simulated cloud with its CarData, and somebody who asks it."""

    fake: FakeCarData
    cloud: FakeCloud
    clock: ManualClock
    http: httpx.AsyncClient
    stream_url: str
    tokens: dict[str, Any] = field(default_factory=dict)
    container: str = ""

    async def ask_for_code(self, **more: str) -> dict[str, Any]:
        form = {
            "client_id": CLIENT_ID, "response_type": "device_code", "scope": " ".join(SCOPES),
            "code_challenge": CHALLENGE, "code_challenge_method": "S256", **more,
        }  # fmt: skip
        return (await self.http.post(f"{PREFIX}/gcdm/oauth/device/code", data=form)).json()

    async def redeem(self, code: dict[str, Any]) -> httpx.Response:
        form = {
            "grant_type": GRANT,
            "client_id": CLIENT_ID,
            "device_code": code["device_code"],
            "code_verifier": VERIFIER,
        }
        return await self.http.post(f"{PREFIX}/gcdm/oauth/token", data=form)

    async def refresh(self) -> httpx.Response:
        form = {
            "grant_type": "refresh_token",
            "client_id": CLIENT_ID,
            "refresh_token": self.tokens["refresh_token"],
        }
        answer = await self.http.post(f"{PREFIX}/gcdm/oauth/token", data=form)
        if answer.status_code == 200:
            self.tokens = answer.json()
        return answer

    async def log_in(self) -> None:
        code = await self.ask_for_code()
        assert self.fake.login.answer(code["user_code"], "allow")
        self.tokens = (await self.redeem(code)).json()

    async def get(self, path: str, **params: str) -> httpx.Response:
        """Ask the REST API below ``/customers/``."""
        return await self.http.get(f"{PREFIX}/customers/{path}", params=params, headers=self._headers)

    async def post(self, path: str, body: object) -> httpx.Response:
        return await self.http.post(f"{PREFIX}/customers/{path}", json=body, headers=self._headers)

    async def telematic(self, vin: str, *names: str) -> dict[str, Any]:
        """The `telematicData` with these descriptors."""
        body = {"name": "t", "purpose": "t", "technicalDescriptors": list(names)}
        container = (await self.post("containers", body)).json()["containerId"]
        answer = await self.get(f"vehicles/{vin}/telematicData", containerId=container)
        return answer.json().get("telematicData", answer.json())

    async def order(self, **fault: object) -> None:
        """As a person orders it; given time to come true."""
        answer = await self.http.post("/_sim/faults", json=fault)
        assert answer.status_code == 200, answer.text
        await self.clock.settle()

    @asynccontextmanager
    async def listening(self, topic: str = f"{GCID}/+") -> AsyncIterator[list[dict[str, Any]]]:
        """On the stream, and what came so far."""
        heard: list[dict[str, Any]] = []
        async with self.client() as client:
            await client.subscribe(topic)
            task = asyncio.create_task(_gather(client, heard))
            try:
                yield heard
            finally:
                task.cancel()
                await asyncio.wait([task])

    def client(self, protocol: aiomqtt.ProtocolVersion | None = None) -> aiomqtt.Client:
        url = urlsplit(self.stream_url)
        return aiomqtt.Client(
            url.hostname,
            url.port,
            username=GCID,
            password=self.tokens.get("id_token", "none"),
            timeout=5,
            protocol=protocol,
        )

    @property
    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.tokens.get('access_token', '')}", "x-version": "v1"}


async def _gather(client: aiomqtt.Client, heard: list[dict[str, Any]]) -> None:
    async for message in client.messages:
        heard.append(json.loads(message.payload))  # noqa: PERF401  # read while it grows


async def until(condition: Callable[[], object]) -> None:
    """Wait for what goes over a socket."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # a socket has no event
            await asyncio.sleep(0.005)


@asynccontextmanager
async def staged(*, logged_in: bool = True, **more: Any) -> AsyncIterator[Stage]:
    """All of it while the block runs; `more` is for `FakeCarData`."""
    clock = ManualClock(START)
    fake = FakeCarData(CARS, clock, **more)
    cloud = FakeCloud(CarGarage([]), clock, cardata=fake)
    async with (
        fake.serve_stream() as stream_url,
        serve(cloud) as url,
        httpx.AsyncClient(base_url=url, timeout=5) as http,
    ):
        stage = Stage(fake, cloud, clock, http, stream_url)
        if logged_in:
            await stage.log_in()
        yield stage
