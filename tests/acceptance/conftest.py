"""The installed command against a cloud and an Axiom on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from poller.runtime.clock import SystemClock
from poller.simulator.axiom import TOKEN, FakeAxiom
from poller.simulator.cloud import FakeCloud
from poller.simulator.garage import demo_garage
from poller.simulator.login import REFRESH_TOKEN, USER
from poller.simulator.server import serve

CONFIG = """
data_dir = "data"
[poll]
interval = "{interval}"
jitter   = "0s"
[web]
listen = "127.0.0.1:0"
[log]
level  = "debug"
format = "json"
[sources.bmw]
type     = "mybmw"
username = "{user}"
base_url = "{cloud}"
[sinks.files]
type = "json_files"
[sinks.axiom]
type    = "axiom"
url     = "{axiom}"
dataset = "cars"
token   = "{token}"
[sinks.prometheus]
type = "prometheus"
"""


class Process:
    """A poller that was started; its log is read line by line as it comes."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.child = child
        self.events: list[dict[str, object]] = []
        self._grown = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.child.stderr is not None
        async for line in self.child.stderr:
            try:
                event = json.loads(line)
            except ValueError:
                event = {"event": "text", "text": line.decode(errors="replace")}
            async with self._grown:
                self.events.append(event)
                self._grown.notify_all()

    async def until(self, event: str, count: int = 1, within: float = 20) -> dict[str, object]:
        """The `count`th event of that name; fails with the whole log if it does not come."""

        def seen() -> list[dict[str, object]]:
            return [entry for entry in self.events if entry["event"] == event]

        try:
            async with asyncio.timeout(within), self._grown:
                await self._grown.wait_for(lambda: len(seen()) >= count)
        except TimeoutError:
            pytest.fail(f"no {event} within {within} s:\n" + "\n".join(map(str, self.events)))
        return seen()[count - 1]

    def acknowledged(self) -> set[str]:
        """Ids of the records that the journal acknowledged."""
        return {str(entry["record"]) for entry in self.events if entry["event"] == "poll.completed"}

    async def page(self) -> str:
        """The address of the page."""
        started = await self.until("app.started")
        urls = started["page"]
        assert isinstance(urls, list)
        return str(urls[0])

    async def kill(self) -> None:
        """Kill -9; what was written to the log before is read."""
        if self.child.returncode is None:
            self.child.send_signal(signal.SIGKILL)
        await self.child.wait()
        await self._reader

    async def terminate(self, within: float) -> int:
        """SIGTERM; the exit code, which must come within that many seconds."""
        self.child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(within):
            code = await self.child.wait()
        await self._reader
        return code


class Rehearsal:
    """A folder with a configuration, the cloud and the Axiom that it names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = SystemClock()
        self.cloud = FakeCloud(demo_garage(1), self.clock)
        self.axiom = FakeAxiom(clock=self.clock)
        self.addresses = ("", "")
        self.processes: list[Process] = []

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "config.toml"

    def configure(self, cloud: str, axiom: str, interval: str = "1s", extra: str = "") -> None:
        """Write the configuration."""
        text = CONFIG.format(interval=interval, user=USER, cloud=cloud, axiom=axiom, token=TOKEN)
        self.config.write_text(text + extra)
        self.config.chmod(0o600)

    async def start(self, *arguments: str, **options: object) -> Process:
        """Start ``poller ARGUMENTS --config …``."""
        command = [sys.executable, "-m", "poller", *arguments, "--config", str(self.config)]
        child = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, **options
        )
        self.processes.append(Process(child))
        return self.processes[-1]

    async def command(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        """Run a command to its end: exit code, stdout, stderr."""
        words = [sys.executable, "-m", "poller", *arguments, "--config", str(self.config)]
        child = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        async with asyncio.timeout(60):
            out, err = await child.communicate(stdin.encode())
        assert child.returncode is not None
        return child.returncode, out.decode(), err.decode()

    async def log_in(self) -> None:
        """Hand the simulated account's refresh token to the poller."""
        from poller.cli.login import login_to
        from poller.settings import load

        await login_to(load(self.config), "bmw", refresh_token=REFRESH_TOKEN)

    def files(self) -> dict[str, dict[str, object]]:
        """Every record in the JSON files, by id; a file that is not whole fails the test."""
        records = {}
        for path in (self.folder / "data" / "snapshots").rglob("*.json"):
            record = json.loads(path.read_bytes())
            records[record["id"]] = record
        return records


@pytest.fixture
async def rehearsal(tmp_path: Path) -> AsyncIterator[Rehearsal]:
    """A configured poller folder whose cloud and Axiom answer, logged in."""
    async with rehearsing(tmp_path) as world:
        yield world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting_rehearsal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rehearsal]:
    """The same for all tests of a module that only look."""
    async with rehearsing(tmp_path_factory.mktemp("rehearsal")) as world:
        yield world


@asynccontextmanager
async def rehearsing(folder: Path) -> AsyncIterator[Rehearsal]:
    """A rehearsal in that folder, whose processes end with it."""
    world = Rehearsal(folder)
    async with AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(serve(world.cloud))
        axiom = await stack.enter_async_context(serve(world.axiom))
        world.configure(cloud, axiom)
        world.addresses = (cloud, axiom)
        await world.log_in()
        yield world
        for process in world.processes:
            await process.kill()
