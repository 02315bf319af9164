"""Alerts where they are made and seen: journal, restarts, reloads, two sources, page, metrics, command."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import httpx
import pytest
from structlog.testing import capture_logs

from poller.app import App
from poller.cli.main import run
from poller.commands import TABLE
from poller.daemon import Daemon
from poller.errors import JournalFull, MalformedAnswer, SourceUnavailable
from poller.runtime.metrics import exposition
from poller.settings import load
from poller.sources.base import Target
from poller.testing.clock import ManualClock
from poller.testing.sinks import RecordingSink
from poller.testing.sources import VIN, FakeSource
from poller.vehicle.alert import Alert, alert_of, alert_record
from poller.web.logins import Logins
from poller.web.page import Page
from poller.web.routes import Routes

CONFIG = """\
data_dir = "data"
[alerts]
{alerts}
[sources.bmw]
type = "mybmw"
username = "owner@example.com"
password = "-"
[sources.home]
type = "mybmw"
username = "other@example.com"
password = "-"
[vehicles.mini]
vin = "WMW00000000000001"
[sinks.phone]
type = "json_files"
kinds = ["alert"]
"""
WELL = {"odometer_km": 1000, "locked": True, "window_open.front_left": False, "brand": "MINI"}
OPEN = {**WELL, "window_open.front_left": True}
NOW = ManualClock().now()
ALERT = Alert("window_open", "raised", "warning", "", NOW, NOW, "T", "t", VIN, "bmw", values={"locked": True})


class House:
    """Two accounts that see the same car, and the app around them."""

    def __init__(self, folder) -> None:
        self.path = folder / "config.toml"
        self.clock = ManualClock()
        self.sources = {name: FakeSource(self.clock, name=name) for name in ("bmw", "home")}
        self.phone = RecordingSink("phone")
        for source in self.sources.values():
            source._last = WELL

    def load(self, alerts: str = ""):
        self.path.write_text(CONFIG.format(alerts=alerts), encoding="utf-8")
        return load(self.path, environ={"TZ": "UTC"})

    async def restart(self, alerts: str = "") -> App:
        if hasattr(self, "app"):
            await self.app.close()
        self.app = App(
            self.load(alerts),
            clock=self.clock,
            source_builders={"mybmw": lambda name, *_: self.sources[name]},
            sink_builders={"json_files": lambda *_: self.phone},
        )
        await self.app.open()
        return self.app

    async def poll(self, *names: str, minutes: float = 5) -> None:
        """Some minutes later, all of these at once."""
        await self.clock.advance(minutes * 60)
        polls = [self.app.road.collector.poll(self.sources[name], Target(VIN)) for name in names or ("bmw",)]
        await asyncio.gather(*polls)
        await self.app.road.deliveries["phone"].drain()

    def see(self, readings) -> None:
        for source in self.sources.values():
            source._last = readings

    @property
    def told(self) -> list[str]:
        return [f"{record['state']} {record['rule']}" for record in self.phone.records]


@pytest.fixture
async def house(tmp_path):
    made = House(tmp_path)
    await made.restart()
    yield made
    await made.app.close()


async def test_two_accounts_that_are_asked_at_once_tell_once(house) -> None:
    """What follows from one snapshot is on disk before the other is looked at."""
    await house.poll("bmw", "home")
    house.see(OPEN)
    for _ in range(4):
        await house.poll("bmw", "home")
    house.see(WELL)
    await house.poll("bmw", "home")
    assert house.told == ["raised window_open", "cleared window_open"]


async def test_a_restart_at_any_moment_tells_nothing_twice_and_loses_nothing(house) -> None:
    await house.poll()
    house.see(OPEN)
    for _ in range(15):
        await house.poll()
        await house.restart()
    house.see(WELL)
    await house.poll()
    assert house.told == ["raised window_open", "reminded window_open", "cleared window_open"]


async def test_a_snapshot_that_could_not_be_stored_is_told_with_the_next(house) -> None:
    await house.poll()
    house.see(OPEN)
    await house.poll()
    full, house.app.journal.append = house.app.journal.append, refuse
    with pytest.raises(SourceUnavailable):
        await house.poll()
    house.app.journal.append = full
    assert house.told == []
    await house.poll()
    assert house.told == ["raised window_open"]


async def refuse(_entry):
    raise JournalFull


async def test_a_reload_goes_by_what_the_old_road_told(house) -> None:
    """The new road is opened while the old one still polls: it must not tell again what that told."""
    await house.poll()
    house.see(OPEN)
    await house.poll()
    road = await house.app.prepare(house.load('open_locked_for = "1m"'))
    await house.poll()
    assert house.told == ["raised window_open"]
    await house.app.reload(road)
    await house.poll()
    assert house.told == ["raised window_open"]
    assert [alert.rule for alert in house.app.status().alerts] == ["window_open"]


async def test_what_is_set_anew_holds_from_the_next_snapshot_on(house) -> None:
    await house.app.reload(await house.app.prepare(house.load('off = ["window_open"]')))
    house.see(OPEN)
    for _ in range(4):
        await house.poll()
    assert house.told == []


async def raised(house) -> None:
    await house.poll()
    house.see(OPEN)
    await house.poll()
    await house.poll()


async def test_page_and_api_show_what_is_raised(house) -> None:
    await raised(house)
    app = house.app
    display = app._manners().display
    routes = Routes(app, Page(display), Logins(app, house.clock))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(routes.app()), base_url="http://x") as client:
        (alert,) = (await client.get("/api/v1/alerts")).json()["alerts"]
        page = (await client.get("/")).text
    assert alert == {
        "vehicle": "mini",
        "rule": "window_open",
        "subject": "",
        "severity": "warning",
        "raised_at": "2026-11-21T14:15:00.000Z",
        "title": "MINI: a window is open",
        "text": "The front left window has been open for 5 minutes although the car is locked.",
    }
    assert page.count("MINI: a window is open") == 1
    assert page.count("The front left window has been open for 5 minutes") == 1
    house.see(WELL)
    await house.poll()
    assert app.status().alerts == ()


async def test_metrics_count_what_is_raised(house) -> None:
    await raised(house)
    text = exposition(house.app.registries, "").body.decode()
    assert 'poller_alerts_active{rule="window_open",severity="warning",vehicle="mini"} 1.0' in text


async def test_the_poller_tells_of_itself_through_the_same_sinks(house) -> None:
    house.sources["bmw"].script += [SourceUnavailable("nobody answers", reason="network")] * 20
    for _ in range(8):
        await house.clock.advance(300)
        await house.app.road.rounds["bmw"].round()
        await house.app.road.rounds["home"].round()
        await house.app.watch.look()
    await house.app.road.deliveries["phone"].drain()
    assert house.told == ["raised no_fresh_data"]
    record = house.phone.records[0]
    assert (record["vehicle"], record["vin"], record["source"]) == ("", "", "")
    await house.restart()
    assert [alert.rule for alert in house.app.status().alerts] == ["no_fresh_data"]
    await house.clock.advance(60)
    await house.app.watch.look()
    assert house.told == ["raised no_fresh_data"]


async def test_the_daemon_looks_at_itself_every_minute(house) -> None:
    await house.app.close()
    house.load()
    house.path.write_text(house.path.read_text() + '[web]\nlisten = ""\n')
    app = App(
        load(house.path, environ={"TZ": "UTC"}),
        clock=house.clock,
        source_builders={"mybmw": lambda name, *_: house.sources[name]},
        sink_builders={"json_files": lambda *_: house.phone},
    )
    daemon = Daemon(app)
    started = asyncio.Event()
    running = asyncio.create_task(daemon.run(lambda _: started.set()))
    async with asyncio.timeout(20):
        await started.wait()
        assert app.watch.state == {}
        while not app.watch.state:
            await house.clock.advance(20)
            await asyncio.sleep(0.001)
        daemon.stop()
        await running


async def test_what_was_kept_for_a_fix_alerts_nobody(house) -> None:
    """An answer of last week that is understood at last is of the past."""
    await house.poll()
    source = house.sources["bmw"]
    understood, source.parse = source.parse, broken
    house.see(OPEN)
    for _ in range(4):
        await house.clock.advance(300)
        await house.app.road.rounds["bmw"].round()
    source.parse = understood
    report = await TABLE["dead-letters-retry"](house.app, {})
    assert report["parsed"] == 4
    await house.app.road.deliveries["phone"].drain()
    assert house.told == []


def broken(_answer):
    raise MalformedAnswer


async def test_what_is_sent_again_is_marked(house) -> None:
    await raised(house)
    await TABLE["resend"](house.app, {"sink": "phone", "from": "2026-11-21T00:00:00Z"})
    await house.app.road.deliveries["phone"].drain()
    assert [record.get("replayed") for record in house.phone.records] == [None, True]


def test_an_alert_comes_back_from_its_record() -> None:
    alert = alert_of(alert_record(ALERT))
    assert alert == ALERT
    others = [replace(ALERT, state="cleared", cleared_at=ALERT.told_at), replace(ALERT, reminder=2)]
    assert len({alert_record(one).id for one in (ALERT, *others)}) == 3


def test_the_command_lists_what_is_raised(tmp_path, capsys) -> None:
    """Without a daemon it opens the journal itself; nothing is raised in a new one."""
    path = tmp_path / "config.toml"
    path.write_text('data_dir = "data"\n[sources.dumps]\ntype = "recorded"\ndirectory = "."\n')
    assert run(["once", "--config", str(path)]) == 0
    capsys.readouterr()
    assert run(["alerts", "--config", str(path)]) == 0
    assert capsys.readouterr().out == "No alerts.\n"
    assert run(["alerts", "--json", "--config", str(path)]) == 0
    assert json.loads(capsys.readouterr().out) == {"alerts": []}


async def test_a_car_that_left_takes_its_alerts_along(house) -> None:
    await raised(house)
    source = house.sources["bmw"]
    await house.app.road.collector.retire(source, frozenset())
    assert house.app.status().alerts == ()


async def test_a_deriver_that_breaks_costs_no_snapshot(house) -> None:
    await house.poll()
    house.app.road.collector._state[f"derive:alerts:{VIN}"] = {"form": 1, "known": {"at": "garbage"}}
    with capture_logs() as logs:
        await house.poll()
    assert [one["event"] for one in logs if one["log_level"] == "error"] == ["derive.failed"]
