"""A part of the daemon hangs: health, readiness and the service manager's watchdog all know."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from poller.app import App
from poller.daemon import Daemon
from poller.runtime.pulse import LIMIT
from poller.settings import load
from poller.testing.clock import ManualClock

CONFIG = """
data_dir = "data"
[web]
listen = "127.0.0.1:0"
[sources.dumps]
type = "recorded"
directory = "dumps"
"""


#: Three looks in the time within which the service manager wants a sign of life.
EVERY = 10.0


class Watchdog:
    """A service manager that listens: `looks` has its status line, and whether it was fed, look by look."""

    watchdog_seconds = 3 * EVERY

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.looks: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
        self._fed = False

    def ready(self, _status: str) -> None:
        self.started.set()

    def status(self, status: str) -> None:
        self.looks.put_nowait((status, self._fed))
        self._fed = False

    def alive(self) -> None:
        self._fed = True

    def stopping(self) -> None: ...
    def reloading(self) -> None: ...


@pytest.fixture
async def house(tmp_path):
    """A running daemon: its clock, its app, its watchdog, and the address of its page."""
    (tmp_path / "dumps").mkdir()
    (tmp_path / "config.toml").write_text(CONFIG)
    clock, manager, urls = ManualClock(), Watchdog(), []
    app = App(load(tmp_path / "config.toml", environ={"TZ": "UTC"}), clock=clock)
    daemon = Daemon(app, manager=manager)
    task = asyncio.create_task(daemon.run(urls.extend))
    await asyncio.wait_for(manager.started.wait(), 10)
    yield clock, app, manager, urls[0]
    daemon.stop()
    await asyncio.wait_for(task, 10)


async def ask(url: str, path: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        return await client.get(url + path)


async def look(clock: ManualClock, manager: Watchdog) -> tuple[str, bool]:
    """What the next look says to the service manager."""
    await clock.advance(EVERY)
    # In between it asks the journal's thread.
    return await asyncio.wait_for(manager.looks.get(), 10)


async def test_a_daemon_that_works_is_healthy_and_feeds_the_watchdog(house):
    clock, _, manager, url = house
    assert [(await look(clock, manager))[1] for _ in range(6)] == [True] * 6
    assert (await ask(url, "healthz")).status_code == 200


async def test_a_part_that_hangs_is_unhealthy_unready_and_the_watchdog_goes_hungry(house):
    clock, app, manager, url = house
    app.pulse.beat("a part that hangs")
    looks = [await look(clock, manager) for _ in range(12)]
    still = int(LIMIT / EVERY)
    assert [fed for _, fed in looks] == [True] * still + [False] * (12 - still)
    health, ready = await ask(url, "healthz"), await ask(url, "readyz")
    assert (health.status_code, ready.status_code) == (503, 503)
    assert "progress" in health.json()["reasons"][0]
    assert "progress" in ready.json()["reasons"][0]
    assert "progress" in looks[-1][0]
