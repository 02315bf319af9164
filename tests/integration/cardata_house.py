"""What the tests of the CarData source share: a fake BMW on loopback, a stream in the test's hand, a disk."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from poller.errors import SourceError
from poller.runtime.status import Failure, StreamStatus
from poller.simulator.cardata.login import CLIENT_ID, GCID, Login
from poller.simulator.cardata.rest import FakeRest, Vehicle
from poller.simulator.server import serve
from poller.sources.base import Answer, Memory, SourceContext
from poller.sources.cardata.settings import CarDataSettings
from poller.sources.cardata.source import CarDataSource
from poller.sources.http import Limits
from poller.testing.clock import ManualClock
from poller.testing.memory import DictMemory
from poller.vehicle.snapshot import Snapshot

START = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
ELECTRIC, PETROL, GUEST = "WBA00000000000001", "WMW00000000000002", "WBA00000000000003"
STREAM_URL = "mqtt://127.0.0.1:1883"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

ODOMETER = "vehicle.vehicle.travelledDistance"
LOCK = "vehicle.cabin.door.lock.status"
SOC = "vehicle.drivetrain.batteryManagement.header"
MOVING = "vehicle.isMoving"
CHARGING = "vehicle.drivetrain.electricEngine.charging.status"

VEHICLES = (
    Vehicle(
        ELECTRIC, basic={"brand": "BMW", "driveTrain": "BEV", "steering": "RL"}, tyres={"passengerCar": {}}
    ),
    Vehicle(PETROL, basic={"brand": "MINI", "driveTrain": "CONV"}, tyres={"passengerCar": {}}),
    Vehicle(GUEST, mapping="SECONDARY"),
)


@dataclass(frozen=True)
class Said:
    """One message of the stream."""

    vin: str
    body: bytes
    received_at: datetime


class HandFeed:
    """Implements `source.Feed`: what comes and goes is the test's to say."""

    def __init__(self, _name, settings, auth, clock, *, on_messages, **_more) -> None:
        self.auth, self.running = auth, False
        self._own = settings.own_broker
        self._clock, self._hand_on = clock, on_messages
        self._status = StreamStatus("connecting", own_broker=self._own)
        self._lost_at: datetime | None = None
        self._gap_ended_at: datetime | None = None

    async def run(self, stop) -> None:
        self.running = True
        self._status = StreamStatus("connecting", self._clock.now(), own_broker=self._own)
        try:
            await stop.wait()
        finally:
            self.running = False
            self._status = StreamStatus("connecting", own_broker=self._own)

    def status(self) -> StreamStatus:
        return self._status

    @property
    def gap_ended_at(self) -> datetime | None:
        return self._gap_ended_at

    def connect(self, since: datetime | None = None) -> None:
        """Subscribed now, or so it says `since`."""
        now = self._clock.now()
        if self._lost_at is None or now - self._lost_at >= timedelta(minutes=5):
            self._gap_ended_at = now
        self._status = StreamStatus("connected", since or now, own_broker=self._own)

    def cut(self, state="waiting", message="the stream is gone", reason="closed") -> None:
        """Not connected from now on."""
        self._lost_at = now = self._clock.now()
        failure = Failure(now, reason, message, "look at it")
        self._status = StreamStatus(state, now, failure=failure, own_broker=self._own)

    async def tell(self, vin: str, *, at: datetime | None = None, **values: Any) -> None:
        """One message; ``__`` in a name is a dot."""
        data = {name.replace("__", "."): value for name, value in values.items()}
        await self.say(vin, [data], at=at)

    async def say(self, vin: str, messages: Sequence[Mapping[str, Any]], at: datetime | None = None) -> None:
        """Messages in one batch; a value of a message is what the car says at `at`."""
        stamp = (at or self._clock.now()).strftime("%Y-%m-%dT%H:%M:%SZ")
        bodies = [
            {"vin": vin, "data": {key: {"timestamp": stamp, "value": value} for key, value in data.items()}}
            for data in messages
        ]
        await self.hand_on(*(Said(vin, json.dumps(body).encode(), self._clock.now()) for body in bodies))

    async def hand_on(self, *messages: Said) -> None:
        self._status = replace(self._status, last_message_at=self._clock.now())
        await self._hand_on(messages)


def car_data(_vin: str, descriptors: Sequence[str], at: datetime) -> dict[str, Any]:
    """What BMW's server has of a parked car: measured an hour ago."""
    values = {ODOMETER: "81623", LOCK: "SECURED", MOVING: "false"}
    measured = (at - timedelta(hours=1)).isoformat()
    return {
        key: {"timestamp": measured, "unit": None, "value": values[key]}
        if key in values
        else {"timestamp": None, "unit": None, "value": None}
        for key in descriptors
    }


@dataclass
class House:
    """BMW, the owner's machine, and the sources that were started on it."""

    rest: FakeRest
    login: Login
    clock: ManualClock
    folder: Path
    url: str = ""
    memory: Memory = field(default_factory=DictMemory)
    steering: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    running: list[tuple[asyncio.Event, asyncio.Task[None]]] = field(default_factory=list)
    feeds: list[HandFeed] = field(default_factory=list)
    sources: list[CarDataSource] = field(default_factory=list)
    quarantined: list[tuple[Answer, str]] = field(default_factory=list)

    def source(self, **more: Any) -> CarDataSource:
        """As the road builds it."""
        raw = {"stream_url": STREAM_URL, "stream_topic": "", **self.settings, **more}
        settings = CarDataSettings.model_validate(
            {"type": "cardata", "client_id": CLIENT_ID, "auth_url": self.url, "api_url": self.url, **raw}
        )
        context = SourceContext(
            self.clock, self.memory, self.folder, self.folder, UTC, self.steering, self._quarantine
        )
        made = CarDataSource("home", settings, context, feed=self._feed, limits=Limits(timeout=5.0))
        self.sources.append(made)
        return made

    async def started(self, *, connected: bool = True, **more: Any) -> CarDataSource:
        """Opened and attended; the stream is subscribed at once."""
        source = self.source(**more)
        await source.open()
        stop = asyncio.Event()
        self.running.append((stop, asyncio.create_task(source.attend(stop))))
        await self.clock.settle()
        if connected and any(feed.running for feed in self.feeds):
            self.feed.connect()
        return source

    async def stop(self) -> None:
        """As the daemon does: tasks first, then the source."""
        for stop, task in self.running:
            stop.set()
            await task
        self.running.clear()
        for source in self.sources:
            await source.close()
        self.sources.clear()

    async def restarted(self, **more: Any) -> CarDataSource:
        await self.stop()
        return await self.started(**more)

    async def log_in(self, source: CarDataSource | None = None) -> str:
        """The human says yes on the page."""
        source = source or self.source()
        await source.open()
        self.login.automatic = True
        code = await source.begin_login()
        waiting = asyncio.create_task(source.finish_login(code))
        await self.clock.settle()
        await self.clock.advance(code.interval)
        return await waiting

    @property
    def feed(self) -> HandFeed:
        """The one that runs."""
        return next(feed for feed in reversed(self.feeds) if feed.running)

    def asked(self) -> dict[str, int]:
        """What BMW was asked since the last look, by the end of the path."""
        counted: dict[str, int] = {}
        for request, count in self.rest.requests.items():
            what = request.rsplit("/", 1)[-1]
            counted[what] = counted.get(what, 0) + count
        self.rest.requests.clear()
        return counted

    async def _quarantine(self, answer: Answer, reason: str) -> None:
        self.quarantined.append((answer, reason))

    def _feed(self, *args: Any, **more: Any) -> HandFeed:
        self.feeds.append(HandFeed(*args, **more))
        return self.feeds[-1]


async def tick(source: CarDataSource) -> dict[str, Snapshot | SourceError]:
    """One round, as `schedule.rounds` makes it; each vehicle's snapshot or failure."""
    found: dict[str, Snapshot | SourceError] = {}
    try:
        targets = await source.targets()
    except SourceError as error:
        return {"": error}
    for target in targets:
        try:
            answer = await source.fetch(target)
        except SourceError as error:
            found[target.vin] = error
        else:
            source.stored(answer)
            found[target.vin] = source.parse(answer)
    return found


@asynccontextmanager
async def house(
    folder: Path,
    vehicles: Sequence[Vehicle] = VEHICLES,
    *,
    data: Any = car_data,
    clock: ManualClock | None = None,
    memory: Memory | None = None,
    logged_in: bool = True,
    **more: Any,
) -> AsyncIterator[House]:
    """All of it while the block runs. `more` is for `FakeRest`."""
    clock = clock or ManualClock(START)
    login = Login(clock)
    words = {"yes": GCID, "token": "CU-102", "scope": "CU-103"}
    rest = FakeRest(vehicles, data, clock, admits=lambda request: words[login.admits(request)], **more)
    made = House(rest, login, clock, folder, memory=memory or DictMemory())
    async with serve(Starlette(routes=[*rest.routes(), *login.routes()])) as url:
        made.url = url
        try:
            if logged_in:
                await made.log_in()
                await made.stop()
            yield made
        finally:
            await made.stop()
