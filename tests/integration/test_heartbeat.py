"""The dead-man's switch: a sign of life while all goes on, none when it does not, no word of its address."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Route
from structlog.testing import capture_logs

from poller.derive.alerts.settings import Alerts
from poller.errors import JournalError
from poller.runtime.status import DaemonStatus, SinkStatus
from poller.simulator.server import serve
from poller.testing.clock import ManualClock
from poller.testing.journal import MemoryJournal
from poller.vehicle.display import Display
from poller.watch import Manners, Watch

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
WELL = DaemonStatus("1", NOW, NOW)
OLD = SinkStatus("axiom", "axiom", live=False, backlog=3, waiting_since=NOW - timedelta(hours=2))


class Service:
    """A service that waits for signs of life; `status` is what it answers."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.status = 200
        self.app = Starlette(routes=[Route("/{rest:path}", self.hear)])

    async def hear(self, request):
        self.heard.append(f"{request.method} {request.url.path}")
        if self.status == 302:
            return RedirectResponse("/elsewhere", 302)
        return PlainTextResponse("OK", self.status)


class Poller:
    """What looks at itself; `status` is what it sees."""

    def __init__(self, url: str, **settings) -> None:
        self.status = WELL
        self.clock = ManualClock(NOW)
        self.journal = MemoryJournal(self.clock)
        alerts = Alerts(heartbeat_url=f"{url}/ping/secret-uuid", **settings)
        self.watch = Watch(
            self.journal,
            self.clock,
            status=lambda: self.status,
            manners=lambda: Manners(alerts, Display("metric", UTC), {}),
            committed=lambda: None,
        )

    async def minutes(self, number: int) -> None:
        for _ in range(number):
            await self.watch.look()
            await self.clock.advance(60)


@pytest.fixture
async def scene():
    service = Service()
    async with serve(service.app) as url:
        poller = Poller(url)
        await poller.journal.open([])
        yield poller, service


async def test_it_beats_every_five_minutes(scene) -> None:
    poller, service = scene
    await poller.minutes(11)
    assert service.heard == ["GET /ping/secret-uuid"] * 3


@pytest.mark.parametrize(
    "trouble",
    [
        DaemonStatus("1", NOW, NOW, reasons=["source bmw: no answer yet"]),
        DaemonStatus("1", NOW, NOW, progressing=False),
        DaemonStatus("1", NOW, NOW, sinks=[OLD]),
    ],
)
async def test_it_stops_when_something_does(scene, trouble) -> None:
    poller, service = scene
    poller.status = trouble
    await poller.minutes(11)
    assert service.heard == []
    poller.status = WELL
    await poller.minutes(1)
    assert len(service.heard) == 1


async def test_it_stops_when_the_journal_cannot_keep_what_is_to_be_told(scene) -> None:
    poller, service = scene
    poller.journal.failure = JournalError("the disk is gone")
    await poller.minutes(3)
    assert service.heard == []


@pytest.mark.parametrize("status", [500, 404, 302])
async def test_a_failure_is_told_once_without_the_address(scene, status) -> None:
    poller, service = scene
    service.status = status
    with capture_logs() as logs:
        await poller.minutes(16)
        service.status = 200
        await poller.minutes(5)
    assert [one["event"] for one in logs] == ["heartbeat.failed", "heartbeat.recovered"]
    assert logs[0]["why"] == f"HTTP {status}"
    assert "secret" not in str(logs)
    assert not any("elsewhere" in one for one in service.heard)


async def test_a_service_that_is_away_stops_nothing() -> None:
    poller = Poller("http://127.0.0.1:1")
    await poller.journal.open([])
    with capture_logs() as logs:
        await poller.minutes(12)
    assert [one["event"] for one in logs] == ["heartbeat.failed"]
    assert "secret" not in str(logs)


def test_the_address_is_a_secret() -> None:
    settings = Alerts(heartbeat_url="https://dead-man.invalid/ping/secret-uuid", home="48.1, 11.5")
    assert "secret-uuid" not in f"{settings!r} {settings.model_dump_json()}"
    assert "48.1" not in f"{settings!r} {settings.model_dump_json()}"
