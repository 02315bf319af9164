"""What the MyBMW tests share: synthetic cars, a watched simulator, a source in a folder of its own."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Message, Receive, Scope, Send

from poller.errors import RateLimited, SourceBlocked, SourceError, SourceUnavailable
from poller.runtime.clock import Clock
from poller.simulator import china_login as china
from poller.simulator.cloud import FakeCloud
from poller.simulator.faults import Fault
from poller.simulator.garage import Garage, mapping
from poller.simulator.login import PASSWORD, REFRESH_TOKEN, USER
from poller.simulator.server import serve
from poller.sources.base import Memory, SourceContext
from poller.sources.mybmw.settings import MyBmwSettings
from poller.sources.mybmw.source import MyBmwSource
from poller.sources.mybmw.transport import Limits
from poller.testing.clock import ManualClock
from poller.testing.memory import DictMemory
from poller.vehicle.answer import Answer
from poller.vehicle.records import parse_time

CASES = Path(__file__).parents[1] / "cases" / "mybmw"

CONFIG = "/eadrax-ucs/v1/presentation/oauth/config"
AUTHENTICATE = "/gcdm/oauth/authenticate"
TOKEN = "/gcdm/oauth/token"
LIST = "/eadrax-vcs/v5/vehicle-list"
PROFILE = "/eadrax-vcs/v5/vehicle-data/profile"
STATE = "/eadrax-vcs/v4/vehicles/state"
CHARGING = "/eadrax-crccs/v2/vehicles"

CHINA_KEY = "/eadrax-coas/v1/cop/publickey"
CHINA_PUZZLE = "/eadrax-coas/v2/cop/slider-captcha"
CHINA_CHECK = "/eadrax-coas/v1/cop/check-captcha"
CHINA_LOGIN = "/eadrax-coas/v2/login/pwd"
CHINA_TOKEN = "/eadrax-coas/v2/oauth/token"
CHINA_STEPS = (CHINA_KEY, CHINA_PUZZLE, CHINA_CHECK, CHINA_LOGIN)


@dataclass(frozen=True)
class Case:
    """A captured or made-up answer of one vehicle, with what is known of it."""

    name: str
    vin: str
    bodies: Mapping[str, bytes]
    expected: Mapping[str, Any] = field(default_factory=dict)

    def answer(self, received_at: datetime | None = None) -> Answer:
        at = received_at or parse_time(self.expected["received_at"])
        return Answer("case", "mybmw", self.vin, at, self.bodies)


def synthetic_cases() -> list[Case]:
    """Our own cars, one folder each."""
    return [_case(folder) for folder in sorted(CASES.iterdir()) if folder.is_dir()]


def _case(folder: Path) -> Case:
    expected = json.loads((folder / "expected.json").read_text())
    bodies = {path.stem: path.read_bytes() for path in folder.glob("*.json") if path.stem != "expected"}
    return Case(folder.name, expected["vin"], bodies, expected)


def case(name: str) -> Case:
    """One of our own cars."""
    return _case(CASES / name)


def captured_cases(shared: Path) -> list[Case]:
    """The real cars' answers beside the checkout."""
    cases = []
    for folder in sorted(shared.glob("fingerprints*/*/")):
        states = list(folder.glob("*-eadrax-vcs_v4_vehicles_state_*.json"))
        if not states:
            continue
        vin = states[0].stem.rpartition("_")[2]
        bodies = {"state": states[0].read_bytes()}
        for name, pattern in (("profile", "*data_profile_*"), ("charging_settings", "*crccs_v2*")):
            for path in folder.glob(pattern):
                bodies[name] = path.read_bytes()
        expected = json.loads((folder.parent / "expected" / f"{folder.name}.json").read_text())
        cases.append(Case(folder.name, vin, bodies, expected))
    return cases


class CaseGarage:
    """Cases as the simulator's garage."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._cases = {case.vin: case for case in cases}

    def mappings(self, brand: str) -> Sequence[Mapping[str, Any]]:
        return [mapping(vin) for vin, case in self._cases.items() if _brand(case) == brand]

    def profile(self, vin: str) -> bytes | None:
        return self._body(vin, "profile")

    def state(self, vin: str, at: datetime) -> bytes | None:  # noqa: ARG002  # a case knows one time
        return self._body(vin, "state")

    def charging(self, vin: str, at: datetime) -> bytes | None:  # noqa: ARG002  # as `state`
        return self._body(vin, "charging_settings")

    def _body(self, vin: str, name: str) -> bytes | None:
        return self._cases[vin].bodies.get(name) if vin in self._cases else None


def _brand(case: Case) -> str:
    brand = json.loads(case.bodies.get("profile", b"{}")).get("brand", "BMW")
    return {"MINI": "mini", "DRITTKUNDE": "toyota"}.get(brand, "bmw")


@dataclass
class Request:
    """One request that the cloud saw."""

    path: str
    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str]
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class WatchedCloud:
    """The simulator, with a record of every request and a gate before any path."""

    def __init__(self, garage: Garage, clock: Clock, lifetime: float = 3600.0) -> None:
        self.cloud = FakeCloud(garage, clock, token_lifetime=lifetime)
        self.requests: list[Request] = []
        #: path → the requests to it wait here, after they were carried out, before they are answered.
        self.gates: dict[str, asyncio.Event] = {}
        self.waiting = asyncio.Event()
        self.on_request: Callable[[Request], None] = lambda _request: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, receive = await _read(receive)
        request = Request(
            scope["path"],
            scope["method"],
            {key.decode(): value.decode() for key, value in scope["headers"]},
            dict(parse_qsl(scope["query_string"].decode())),
            dict(parse_qsl(body.decode())),
            body,
        )
        self.requests.append(request)
        self.on_request(request)
        await self.cloud(scope, receive, self._gated(request.path, send))

    def _gated(self, path: str, send: Send) -> Send:
        async def gated(message: Message) -> None:
            if path in self.gates and message["type"] == "http.response.start":
                self.waiting.set()
                await self.gates[path].wait()
            await send(message)

        return gated

    def fail(self, path: str, status: int, body: str = "", *, times: int | None = 1, **more: Any) -> None:
        """Answer the next requests to `path` with `status`."""
        self.cloud.faults.add(
            Fault(path_prefix=path, kind="status", status=status, body=body, count=times, **more)
        )

    def spoil(self, path: str, kind: Any, *, times: int | None = 1, **more: Any) -> None:
        """Spoil the next answers: half_body, broken_json, reset, slow."""
        self.cloud.faults.add(Fault(path_prefix=path, kind=kind, count=times, **more))

    def counts(self) -> Counter[str]:
        """Requests by path since the last call."""
        counted = Counter(request.path for request in self.requests)
        self.requests.clear()
        return counted

    def to(self, path: str) -> list[Request]:
        """The requests to one path."""
        return [request for request in self.requests if request.path == path]


async def _read(receive: Receive) -> tuple[bytes, Receive]:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return whole.pop() if whole else await receive()

    return body, again


class HastyClock(ManualClock):
    """A manual clock whose sleepers move it on: waits cost no real time."""

    def __init__(self, start: datetime = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)) -> None:
        super().__init__(start)
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._move(self._steady + seconds)
        await asyncio.sleep(0)

    @asynccontextmanager
    async def timeout(self, seconds: float | None) -> AsyncIterator[None]:
        if seconds is not None:
            self.slept.append(seconds)
            self._move(self._steady + seconds)
        async with asyncio.timeout(None if seconds is None else 0):
            yield


def context(directory: Path, clock: Clock, memory: Memory | None = None, zone: Any = UTC) -> SourceContext:
    """What a source is built with."""
    return SourceContext(clock, memory or DictMemory(), directory, directory, zone)


def settings(base_url: str | None, **more: Any) -> MyBmwSettings:
    """The simulated account's of the region."""
    in_china = more.get("region") == "china"
    user, password = (china.USER, china.PASSWORD) if in_china else (USER, PASSWORD)
    return MyBmwSettings.model_validate(
        {"type": "mybmw", "username": user, "password": password, "base_url": base_url, **more}
    )


@dataclass
class Stage:
    """A cloud on loopback and what is needed to build sources for it."""

    watched: WatchedCloud
    url: str
    directory: Path
    clock: Any
    memory: DictMemory
    zone: Any = UTC
    region: str = "rest_of_world"
    sources: list[MyBmwSource] = field(default_factory=list)

    @property
    def cloud(self) -> FakeCloud:
        return self.watched.cloud

    @property
    def token_path(self) -> str:
        """Where the region's tokens are refreshed."""
        return CHINA_TOKEN if self.region == "china" else TOKEN

    @property
    def known(self) -> dict[str, str]:
        """The login that the region's simulated account begins with, as `MyBmwSource.login` takes it."""
        if self.region == "china":
            return {"refresh_token": china.REFRESH_TOKEN, "gcid": china.GCID}
        return {"refresh_token": REFRESH_TOKEN}

    async def source(
        self, *, limits: Limits | None = None, directory: Path | None = None, **more: Any
    ) -> MyBmwSource:
        """An opened source; closed with the stage."""
        made = MyBmwSource(
            "bmw",
            settings(self.url, **{"region": self.region, **more}),
            context(directory or self.directory, self.clock, self.memory, self.zone),
            limits=limits or Limits(timeout=5.0),
        )
        await made.open()
        self.sources.append(made)
        return made

    async def logged_in(self, **more: Any) -> MyBmwSource:
        """A source that took over a refresh token; nothing is counted yet."""
        source = await self.source(**more)
        await source.login(**self.known)
        self.watched.counts()
        return source

    async def log_in_again(self, source: MyBmwSource) -> None:
        """By password, as a human would."""
        await source.login(captcha_token=None if self.region == "china" else "P1_once")


@asynccontextmanager
async def stage(
    directory: Path,
    garage: Garage | None = None,
    *,
    clock: Any = None,
    lifetime: float = 3600.0,
    region: str = "rest_of_world",
) -> AsyncIterator[Stage]:
    """The simulator with one electric and one combustion car of our own, unless told otherwise."""
    clock = clock or HastyClock()
    cars = garage or CaseGarage([case("electric_charging"), case("combustion_mini_open")])
    watched = WatchedCloud(cars, clock, lifetime)
    async with serve(watched) as url:
        set_up = Stage(watched, url, directory, clock, DictMemory(), region=region)
        try:
            yield set_up
        finally:
            for source in set_up.sources:
                await source.close()


def stored(road: Stage) -> dict[str, str]:
    """The login on disk."""
    (path,) = (road.directory / "accounts").glob("*.json")
    return json.loads(path.read_text())


#: Answers of a login server that say nothing about the login.
COULD_NOT_ASK: list[tuple[int, str, type[SourceError]]] = [
    (429, '{"message": "Rate limit is exceeded. Try again in 2 seconds."}', RateLimited),
    (403, '{"message": "Out of call volume quota. Quota will be replenished in 02:12:20."}', RateLimited),
    (489, "Blocked", SourceBlocked),
    (500, "INTERNAL SERVER ERROR", SourceUnavailable),
    (503, "", SourceUnavailable),
    (403, "forbidden", SourceUnavailable),
    (404, "", SourceUnavailable),
    (200, "<html>", SourceUnavailable),
    (200, "{}", SourceUnavailable),
    (301, "", SourceUnavailable),
]
