"""CarData on the whole road: the App, a real journal, sinks, a reload; BMW over HTTP, the stream in hand."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from cardata_house import ELECTRIC, HOUR, MINUTE, ODOMETER, STREAM_URL, House, Said, house

from poller.app import App
from poller.commands import TABLE
from poller.journal.base import Policy
from poller.journal.salvage import backup, salvage
from poller.journal.sqlite import SqliteJournal
from poller.runtime.metrics import exposition
from poller.settings import load
from poller.simulator.cardata.login import CLIENT_ID
from poller.sources.cardata.source import CarDataSource
from poller.sources.http import Limits

SINKS = '[sinks.files]\ntype = "json_files"\n[sinks.prometheus]\ntype = "prometheus"\n'


@dataclass
class Street:
    """A configuration, the app made from it, and its tasks."""

    road: House
    folder: Path
    name: str = "home"
    app: App | None = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def load(self, **more: str):
        table = {
            "type": "cardata",
            "client_id": CLIENT_ID,
            "auth_url": self.road.url,
            "api_url": self.road.url,
            "stream_url": STREAM_URL,
            **more,
        }
        lines = [f"[sources.{self.name}]", *(f'{key} = "{value}"' for key, value in table.items())]
        path = self.folder / "config.toml"
        path.write_text(f'data_dir = "data"\n{SINKS}' + "\n".join(lines))
        path.chmod(0o600)
        return load(path, environ={"TZ": "UTC"})

    async def open(self, **more: str) -> App:
        self.app = App(self.load(**more), clock=self.road.clock, source_builders={"cardata": self.build})
        await self.app.open()
        return self.app

    def build(self, name, settings, context) -> CarDataSource:
        return CarDataSource(name, settings, context, feed=self.road._feed, limits=Limits(timeout=5.0))

    async def run(self) -> None:
        """As the daemon starts the road; the stream is subscribed at once."""
        self.stop = asyncio.Event()
        self.tasks = self.app.road.start(self.stop)
        await self.road.clock.settle()
        for feed in self.road.feeds:
            if feed.running:
                feed.connect()

    async def halt(self) -> None:
        self.app.road.timer.stop()
        self.stop.set()
        await asyncio.gather(*self.tasks)
        self.tasks = []

    async def ask(self, command: str, **args):
        return await TABLE[command](self.app, args)

    async def close(self) -> None:
        if self.tasks:
            await self.halt()
        if self.app is not None:
            await self.app.close()


@asynccontextmanager
async def street(folder):
    async with house(folder / "data") as road:
        made = Street(road, folder)
        try:
            yield made
        finally:
            await made.close()


@pytest.fixture
async def home(tmp_path):
    (tmp_path / "data").mkdir()
    async with street(tmp_path) as made:
        yield made


def polls(home: Street):
    """One round by hand: the timer is in nobody's hand."""
    return home.app.road.rounds[home.name].round()


async def test_what_comes_by_stream_reaches_files_metrics_and_status(home):
    app = await home.open()
    await home.run()
    await polls(home)
    await home.road.feed.say(ELECTRIC, [{ODOMETER: 81700}])
    await home.road.clock.advance(5 * MINUTE)
    outcome = await polls(home)
    assert (outcome.good, outcome.bad) == (2, 0)
    for delivery in app.road.deliveries.values():
        await delivery.drain()
    written = sorted((home.folder / "data" / "snapshots" / "0000001").rglob("*.json"))
    assert json.loads(written[-1].read_text())["readings"]["odometer_km"] == 81700
    shown = exposition(app.registries, "").body.decode()
    assert 'poller_quota_limit_calls{source="home"} 50.0' in shown
    assert 'poller_stream_connected{source="home"} 1.0' in shown
    assert 'poller_source_silent{condition="car_quiet",source="home"} 0.0' in shown
    (status,) = app.status().sources
    assert status.quota.purposes["set-up"] == 2
    assert status.quota.used_24h == status.quota.limit - status.quota.remaining
    assert status.stream.connected
    assert status.login_expires_at is not None
    assert status.silences == ()


async def test_after_failures_it_is_looked_at_at_every_tick(home):
    """The stream may be back at any time; what REST may be asked is the plan's to say."""
    await home.open()
    await home.run()
    await polls(home)
    home.road.feed.cut("no_network", "the name cannot be resolved", "dns")
    await home.road.clock.advance(4 * HOUR)
    home.road.rest.order("CU-500", count=None)
    for _ in range(5):
        assert (await polls(home)).good == 0
    rounds = home.app.road.rounds["home"]
    assert rounds.status.state == "failing"
    assert rounds.next_poll(None) is None
    assert rounds.told_to_wait() is None


async def test_once_without_a_daemon_listens_to_nobody_and_a_second_one_costs_no_call(home):
    for calls in (7, 0):
        await home.open()
        report = await home.ask("once")
        assert report["exit_code"] == 0
        assert report["sources"][0]["good"] == 2
        assert sum(home.road.asked().values()) == calls
        assert not any(feed.running for feed in home.road.feeds)
        await home.close()


async def test_once_says_what_is_silent_although_its_snapshots_are_good(home):
    await home.open()
    assert (await home.ask("once"))["sources"][0]["silences"] == []
    home.road.rest.order("CU-429", count=None)
    await home.road.clock.advance(2 * HOUR)
    (source,) = (await home.ask("once"))["sources"]
    assert source["good"] == 2
    assert any("calls are spent" in message for message in source["silences"])


@pytest.mark.parametrize("scopes", [{"openid"}, {"openid", "cardata:streaming:read"}])
async def test_once_without_the_scope_needs_a_human(home, scopes):
    home.road.login.subscribed = scopes
    await home.road.log_in()
    await home.open()
    report = await home.ask("once")
    assert report["exit_code"] == 3
    assert report["sources"][0]["reason"] == "scope"


async def test_once_with_a_login_that_is_gone_needs_a_human_although_its_values_were_read(home):
    """The stream goes on without it: what it brings is read, until it has to log in again."""
    await home.open()
    await home.run()
    assert (await home.ask("once"))["exit_code"] == 0
    [login] = (home.road.folder / "accounts").glob("*.json")
    login.unlink()
    report = await home.ask("once")
    await home.halt()
    assert (report["exit_code"], report["sources"][0]["reason"]) == (3, "login_required")
    assert report["sources"][0]["good"] == 2
    assert "no login is stored" in report["sources"][0]["silences"]


async def test_once_with_a_container_refused_needs_no_login(home):
    await home.open()
    home.road.rest.order("CU-403", count=None)
    report = await home.ask("once")
    assert report["exit_code"] != 3


async def test_a_reload_listens_once_and_forgets_no_call_and_no_message(home):
    """A new table name, the same account: what the old road learns while the new one is made is not lost."""
    app = await home.open()
    await home.run()
    await polls(home)
    old = home.road.feed
    home.name = "garage"
    road = await app.prepare(home.load())
    assert [feed.running for feed in home.road.feeds[-2:]] == [True, False]
    await old.say(ELECTRIC, [{ODOMETER: 99999}])
    await home.road.clock.advance(5 * MINUTE)
    await home.app.road.rounds["home"].round()
    spent = app.status().sources[0].quota.used_24h
    home.app.road.timer.stop()
    await home.halt()
    assert not any(feed.running for feed in home.road.feeds)
    await app.reload(road)
    await home.run()
    assert [feed.running for feed in home.road.feeds].count(True) == 1
    assert app.status().sources[0].quota.used_24h == spent
    home.road.asked()
    assert (await polls(home)).good == 2
    assert app.fleet.view(ELECTRIC).readings["odometer_km"][0].value == 99999
    assert "telematicData" not in home.road.asked()


async def test_a_message_that_is_none_is_counted_and_seen_where_answers_in_quarantine_are(home):
    app = await home.open()
    await home.run()
    await polls(home)
    said = [Said(ELECTRIC, body, home.road.clock.now()) for body in (b"[1]", b"no JSON")]
    await home.road.feed.hand_on(*said)
    await home.road.feed.say(ELECTRIC, [{ODOMETER: 81700}])
    assert (await polls(home)).good == 2
    assert "poller_answers_quarantined_total 1.0" in exposition(app.registries, "").body.decode()
    (letter,) = (await home.ask("dead-letters-list", sink=""))["dead_letters"]
    assert (letter["reason"], letter["vehicle"]) == ("it is no JSON object", "0000001")
    # The page's note and `poller status` count these.
    assert (await app.journal.stats()).quarantined == 1
    (kept,) = await app.journal.dead_letters("")
    assert list(kept.answer.bodies.values()) == [b"[1]", b"no JSON"]


# --- answers without records, as messages are -------------------------------------------------


async def filled(home: Street) -> App:
    """Three days of messages; no sink has seen any record yet."""
    app = await home.open()
    for _ in range(3):
        await home.road.feeds[-1].say(ELECTRIC, [{ODOMETER: 1}, {ODOMETER: 2}])
        await home.road.clock.advance(24 * HOUR)
    await polls(home)
    return app


async def test_messages_are_no_records_for_sinks_newest_or_resend(home):
    app = await filled(home)
    batch = await app.journal.peek("files", limit=100)
    assert {queued.record.kind for queued in batch.records} == {"snapshot"}
    assert len(await app.journal.newest()) == 2
    stats = await app.journal.stats()
    assert stats.records == len(batch.records)
    assert await app.journal.rewind("files", home.road.clock.now() - timedelta(days=30)) <= stats.records
    assert stats.quarantined == 0


async def test_messages_are_pruned_with_their_day_and_the_state_stays(home):
    app = await filled(home)
    key = f"state:{account(app)}:{ELECTRIC}"
    state = await app.journal.recall(key)
    assert await messages_in(home) == 3
    await app.journal.prune(Policy(max_age=86_400.0), home.road.clock.now())
    assert await messages_in(home) < 3
    assert await app.journal.recall(key) == state
    assert (await polls(home)).good == 2


async def test_messages_and_the_list_of_vehicles_survive_backup_and_salvage(home, tmp_path):
    await filled(home)
    await asyncio.to_thread(backup, home.folder / "data" / "journal.db", tmp_path / "copy.db")
    assert await messages_in(home, tmp_path / "copy.db") == 3
    (tmp_path / "other").mkdir()
    other = SqliteJournal(tmp_path / "other" / "journal.db", Policy(), home.road.clock)
    await other.open([])
    taken = await salvage(tmp_path / "copy.db", other)
    assert taken.lost == 0
    assert taken.answers >= 3 + 2
    await other.close()
    assert await messages_in(home, tmp_path / "other" / "journal.db") == 3


def account(app: App) -> str:
    return next(iter(app.road.sources.values())).account


async def messages_in(home: Street, path: Path | None = None) -> int:
    """Batches of messages that lie in a journal file."""
    from poller.journal.wreck import Wreck

    def count() -> int:
        wreck = Wreck(path or home.folder / "data" / "journal.db")
        try:
            return sum("message-1" in answer.bodies for answer in wreck.answers())
        finally:
            wreck.close()

    return await asyncio.to_thread(count)
