"""A whole poller in this process, with the maker's cloud and an Axiom to spoil, and time to pass.

`living` starts the real daemon (`daemon.Daemon`: road, journal, web server, control socket) on a
configuration file, logs it in to a `FakeCloud` and waits until all is well. Both clouds are served
on loopback. Two things are not as in life: the clock moves only in `House.passes` and while a poll
waits, so that an hour takes milliseconds and a slow machine changes nothing; and, as APScheduler
keeps real time, a metronome on that clock marks the sources as due, as the timer does.

Use: ``async with living(folder, extra) as house``, spoil something, ``await house.passes(300)``,
``await house.looks()``. `fault_drill.rehearse` does all that for a row of the page.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, redirect_stderr
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import structlog
from fault_sight import WELL, Sight, parse_metrics, readable
from fault_street import Door, StridingClock, Yard
from starlette.types import Scope

from poller.app import App
from poller.daemon import Daemon
from poller.derive.alerts.rulebook import RULES
from poller.runtime import log
from poller.runtime.tls import shared_context
from poller.settings import Loaded, load
from poller.simulator.axiom import TOKEN, FakeAxiom
from poller.simulator.cloud import FakeCloud
from poller.simulator.login import PASSWORD, REFRESH_TOKEN, USER
from poller.sinks import BUILDERS as SINKS
from poller.sinks.axiom import AxiomSink
from poller.sources import BUILDERS as SOURCES
from poller.sources.base import NoMemory
from poller.sources.mybmw.settings import MyBmwSettings
from poller.sources.mybmw.source import MyBmwSource
from poller.sources.mybmw.transport import Limits
from poller.web.page import headline

#: Seconds between two polls, as shipped.
INTERVAL = 300.0
#: Real seconds after which something that should happen will not.
DEADLINE = 20.0

CONFIG = """
data_dir = "data"
[poll]
jitter = "0s"
[web]
listen = "127.0.0.1:0"
[display]
timezone = "UTC"
[alerts]
off = {alerts}
[vehicles.mini]
vin = "WMW00000000000001"
[vehicles.x1]
vin = "WBA00000000000002"
[sources.bmw]
type = "mybmw"
username = "{user}"
password = "{password}"
base_url = "{cloud}"
[sinks.prometheus]
type = "prometheus"
[sinks.files]
type = "json_files"
max_backlog_age = "10m"
layout = "{layout}"
[sinks.{axiom_name}]
type = "axiom"
url = "{axiom}"
dataset = "{dataset}"
token = "{token}"
max_backlog_age = "10m"
"""


@dataclass(frozen=True, slots=True)
class Request:
    """What the cloud was asked, and when by the house's clock."""

    at: datetime
    path: str
    vin: str


class House:
    """The poller (`app`, `daemon`), its surroundings (`cloud`, `yard`, `axiom`, doors) and its `clock`.

    `requests`: what the cloud was asked. `values`: what stands in the configuration; `configure`
    changes it, and a reload makes it so. `patience`: real seconds that a request of the poller may take.
    """

    def __init__(self, folder: Path, extra: str = "", patience: float = DEADLINE, **values: str) -> None:
        self.folder = folder
        self.patience = patience
        self.clock = StridingClock()
        self.yard = Yard(self.clock.now())
        self.cloud = FakeCloud(self.yard, self.clock)
        self.axiom = FakeAxiom(clock=self.clock)
        self.requests: list[Request] = []
        self.cloud_door = Door(self.cloud, self._note)
        self.axiom_door = Door(self.axiom)
        self.values = {
            "user": USER, "password": PASSWORD, "token": TOKEN, "layout": "snapshot", "dataset": "cars",
            "axiom_name": "axiom", **values,
        }  # fmt: skip
        self.extra = extra
        self.app: App
        self.daemon: Daemon
        self.logins = 0
        self._log = io.StringIO()
        self._read = 0
        self._url = ""
        self._client: httpx.AsyncClient

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "config.toml"

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    def configure(self, **values: str) -> Loaded:
        """Write the configuration, changed like this, and read it."""
        self.values |= values
        # So that each record is a poll: what is told has tests of its own.
        told = json.dumps(list(RULES))
        text = CONFIG.format(alerts=told, cloud=self.cloud_door.url, axiom=self.axiom_door.url, **self.values)
        self.config.write_text(text + self.extra)
        self.config.chmod(0o600)
        return load(self.config, environ={"TZ": "UTC"})

    async def reload(self) -> None:
        """As SIGHUP does, to its end."""
        road = self.app.road
        self.daemon.reload()
        await self.until(lambda: self.app.road is not road)
        await self.settles()

    async def log_in(self, captcha_token: str | None = None) -> None:
        """What ``poller login bmw`` does beside the daemon; without captcha from a refresh token."""
        from poller.road import source_context

        loaded = load(self.config, environ={"TZ": "UTC"})
        context = source_context(loaded, self.clock, NoMemory())
        settings = MyBmwSettings.model_validate(loaded.settings.sources["bmw"])
        source = MyBmwSource("bmw", settings, context)
        await source.open()
        try:
            known = REFRESH_TOKEN if captcha_token is None else None
            await source.login(captcha_token=captcha_token, refresh_token=known)
            self.logins += 1
        finally:
            await source.close()

    async def passes(self, seconds: float, stride: float = INTERVAL / 2) -> None:
        """Let time pass, and the poller do all that it does meanwhile.

        A little more passes if a sink that is well has not had all records yet.
        """
        end = self.clock.monotonic() + seconds
        while (left := end - self.clock.monotonic()) > 0 or await self._delivering():
            await self.clock.stride(min(stride, left) if left > 0 else 0.2)
            await self.settles()

    async def settles(self) -> None:
        """Wait until nobody polls, delivers or asks; a poll that pauses between two tries is given time."""
        idle = 0
        async with asyncio.timeout(DEADLINE):
            while idle < 2:
                await self.clock.settle(10)
                await asyncio.sleep(0.001)
                idle = 0 if self._busy() else idle + 1
                if not idle:
                    await self.clock.stride(0.2)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something is so, in real time."""
        async with asyncio.timeout(DEADLINE):
            while not holds():  # noqa: ASYNC110  # what a test looks at sends no event
                await asyncio.sleep(0.001)

    async def is_well(self) -> bool:
        """Whether the page's headline would say so, and no sink waits for anything."""
        await self._refresh()
        status = self.app.status()
        waiting = any(sink.backlog or sink.held for sink in status.sinks)
        return headline(status).text == WELL and not waiting

    async def looks(self) -> Sight:
        """Look at log, /readyz, page and /metrics, over HTTP, as of now."""
        await self._refresh()
        ready = await self._client.get(self._url + "readyz")
        page = await self._client.get(self._url)
        metrics = await self._client.get(self._url + "metrics")
        return Sight(
            self.clock.now(),
            self._new_lines(),
            ready.status_code,
            ready.json()["reasons"],
            readable(page.text),
            parse_metrics(metrics.text),
            metrics.text,
        )

    def files(self) -> dict[str, dict[str, Any]]:
        """Every record that the `files` sink wrote, by id."""
        folder = self.data / "snapshots"
        lines = [path.read_text() for path in folder.rglob("*.json")]
        for path in folder.rglob("*.ndjson"):
            lines += path.read_text().splitlines()
        records = [json.loads(line) for line in lines]
        return {record["id"]: record for record in records}

    async def run(self, stack: AsyncExitStack) -> None:
        """Open the doors, log in, start the daemon; all is undone with the stack."""
        for door in (self.cloud_door, self.axiom_door):
            await door.open()
            stack.push_async_callback(door.close)
        stack.enter_context(_logging_to(self._log))
        loaded = self.configure()
        await self.log_in()
        self.app = App(
            loaded,
            clock=self.clock,
            source_builders=SOURCES | {"mybmw": self._source},
            sink_builders=SINKS | {"axiom": self._sink},
        )
        self.daemon = Daemon(self.app, again=lambda: load(self.config, environ={"TZ": "UTC"}))
        self._client = await stack.enter_async_context(_browser())
        urls: list[str] = []
        task = asyncio.create_task(self.daemon.run(urls.extend), name="daemon")
        stack.push_async_callback(self._stop, task)
        await self.until(lambda: bool(urls) or task.done())
        if task.done():
            task.result()
        self._url = urls[0]
        metronome = asyncio.create_task(self._tick(), name="metronome")
        stack.callback(metronome.cancel)
        await self.until(lambda: len(self.app.fleet.views()) >= 2)
        await self.settles()
        await self.passes(1)

    def _source(self, name: str, settings: Any, context: Any) -> MyBmwSource:
        limits = Limits(timeout=self.patience, last_word=min(self.patience, 1.0))
        return MyBmwSource(name, settings, context, limits=limits)

    def _sink(self, name: str, settings: Any, context: Any) -> AxiomSink:
        return AxiomSink(name, settings, context, timeout=self.patience)

    async def _stop(self, task: asyncio.Task[None]) -> None:
        self.daemon.stop()
        async with asyncio.timeout(DEADLINE):
            await task

    async def _tick(self) -> None:
        begin = self.clock.monotonic()
        while True:
            await self.clock.sleep(INTERVAL - (self.clock.monotonic() - begin) % INTERVAL)
            for rounds in self.app.road.rounds.values():
                rounds.mark_due()

    async def _refresh(self) -> None:
        # The daemon reads the journal once a real second at most; here that is an hour.
        self.app._refreshed_at = None
        await self.app.refresh()

    async def _delivering(self) -> bool:
        """Whether a sink has something to do and nothing that hinders it."""
        deliveries = self.app.road.deliveries
        well = [name for name, delivery in deliveries.items() if delivery.status().failure is None]
        return any([(await self.app.journal.backlog(name)).records > 0 for name in well])

    def _busy(self) -> bool:
        """Whether a poll is due or under way, or a delivery is."""
        road = self.app.road
        polling = any(rounds._due.is_set() or rounds._idle.locked() for rounds in road.rounds.values())
        return polling or any(delivery._busy.locked() for delivery in road.deliveries.values())

    def _new_lines(self) -> list[dict[str, object]]:
        text = self._log.getvalue()
        lines, self._read = text[self._read :].splitlines(), len(text)
        return [json.loads(line) for line in lines]

    def _note(self, scope: Scope) -> None:
        vin = dict(scope["headers"]).get(b"bmw-vin", b"").decode()
        self.requests.append(Request(self.clock.now(), scope["path"], vin))


@asynccontextmanager
async def living(
    folder: Path, extra: str = "", patience: float = DEADLINE, **values: str
) -> AsyncIterator[House]:
    """A house in which all is well; `extra` goes behind the configuration, `values` into it."""
    async with AsyncExitStack() as stack:
        house = House(folder, extra, patience, **values)
        await house.run(stack)
        assert await house.is_well(), house.app.status()
        yield house


def _browser() -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False, timeout=DEADLINE, verify=shared_context())


@contextmanager
def _logging_to(stream: io.StringIO) -> Iterator[None]:
    """Log as under a service manager, at the level that ships, and put the tests' own way back."""
    handlers, level = logging.root.handlers[:], logging.root.level
    try:
        # A reload configures the log anew: to stderr.
        with redirect_stderr(stream):
            log.configure("info")
            yield
    finally:
        structlog.reset_defaults()
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
