"""The poller put together: what must hold when its configuration, its clock or its answers change."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from structlog.testing import capture_logs

from poller.app import App
from poller.commands import TABLE
from poller.daemon import Daemon
from poller.errors import PollerError
from poller.journal.base import Entry
from poller.settings import load
from poller.testing.clock import ManualClock
from poller.testing.records import VIN, record_number, snapshot_number
from poller.vehicle.answer import Answer

SOURCE = '[sources.dumps]\ntype = "recorded"\ndirectory = "dumps"\n'
FILES = '[sinks.files]\ntype = "json_files"\n'
WEB = '[web]\nlisten = "127.0.0.1:0"\n'


class Desk:
    """A configuration file and the app that was made from it."""

    def __init__(self, folder) -> None:
        self.path = folder / "config.toml"
        self.clock = ManualClock()
        (folder / "dumps").mkdir()

    def load(self, text: str):
        self.path.write_text(f'data_dir = "data"\n{text}')
        return load(self.path, environ={"TZ": "UTC"})

    async def restart(self, text: str = SOURCE) -> App:
        if hasattr(self, "app"):
            await self.app.close()
        self.app = App(self.load(text), clock=self.clock)
        await self.app.open()
        return self.app

    async def ask(self, command: str, **args):
        return await TABLE[command](self.app, args)


@pytest.fixture
async def desk(tmp_path):
    made = Desk(tmp_path)
    await made.restart()
    yield made
    await made.app.close()


async def test_a_reload_that_cannot_be_opened_changes_nothing(desk):
    app = await desk.restart(SOURCE + FILES)
    old = app.road
    key = desk.path.parent / "data" / "installation.key"
    key.unlink()
    key.mkdir()
    with pytest.raises(PollerError, match="installation"):
        await app.prepare(desk.load(SOURCE))
    assert app.road is old
    assert (await app.journal.stats()).orphans == {}


async def test_a_reload_swaps_sinks_and_keeps_what_is_known(desk):
    app = await desk.restart(SOURCE + FILES)
    await app.reload(await app.prepare(desk.load(SOURCE)))
    assert list(app.road.deliveries) == []
    assert list((await app.journal.stats()).orphans) == ["files"]


async def test_a_record_from_a_wrong_future_silences_the_poller_for_a_day_at_most(desk):
    await desk.app.journal.append(Entry(records=[record_number(20_000)]))
    app = await desk.restart()
    assert not app.status().clock_set
    await desk.clock.advance(86_400)
    assert app.status().clock_set


async def test_a_clock_behind_the_newest_record_is_right_again_once_it_has_caught_up(desk):
    """An imported answer may be a little ahead of us: nothing is polled until then, and then again."""
    await desk.app.journal.append(Entry(records=[record_number(2)]))
    app = await desk.restart()
    assert not app.status().clock_set
    report = await desk.ask("once")
    assert report["exit_code"] == 1
    assert "nothing was asked: clock not set" in report["sources"][0]["error"]
    await desk.clock.advance(600)
    assert app.status().clock_set
    assert (await desk.ask("once"))["exit_code"] == 0


async def test_a_source_that_left_the_configuration_takes_its_vehicles_with_it(desk):
    await desk.app.journal.append(Entry(records=[record_number(-2), record_number(-1, source="dumps")]))
    app = await desk.restart()
    assert list(app.fleet.view(VIN).sources) == ["dumps"]


async def test_a_letter_that_nobody_can_read_does_not_keep_the_others_back(desk):
    answer, _ = snapshot_number(-1)
    orphan = Answer("old", "gone", VIN, answer.received_at, answer.bodies)
    good = Answer(
        "dumps", "recorded", VIN, answer.received_at, {"state": b'{"state": {"currentMileage": 7}}'}
    )
    for letter in (orphan, good):
        await desk.app.journal.append(Entry(answer=letter, quarantine="not understood"))
    report = await desk.ask("dead-letters-retry")
    assert report == {"marked": 0, "parsed": 1, "still_malformed": 1}


async def test_a_failure_that_repeats_is_remembered_once(desk):
    (desk.path.parent / "dumps").rmdir()
    for _ in range(3):
        await desk.clock.advance(300)
        await desk.ask("once")
        desk.app.status()
    [(subject, failure)] = desk.app.status().recent_failures
    assert subject == "source dumps"
    assert failure.at == desk.clock.now()


class Manager:
    """A service manager that counts how often we were ready."""

    watchdog_seconds = 0.0

    def __init__(self) -> None:
        self.readies: asyncio.Queue[str] = asyncio.Queue()

    def ready(self, status: str) -> None:
        self.readies.put_nowait(status)

    def status(self, _status: str) -> None: ...
    def reloading(self) -> None: ...
    def stopping(self) -> None: ...
    def alive(self) -> None: ...


async def test_a_sink_that_left_the_configuration_is_named_in_the_log(tmp_path):
    desk = Desk(tmp_path)
    for text in (SOURCE + FILES + WEB, SOURCE + WEB):
        with capture_logs() as logs:
            daemon = Daemon(App(desk.load(text), clock=desk.clock), manager=Manager())
            daemon.stop()
            await daemon.run()
    assert [entry["sink"] for entry in logs if entry["event"] == "sink.orphaned"] == ["files"]


@pytest.fixture
async def running(tmp_path):
    """A daemon in this process: (daemon, its page's address, its manager, what its file says next)."""
    desk, manager, texts = Desk(tmp_path), Manager(), [SOURCE + WEB]
    app = App(desk.load(texts[0]), clock=desk.clock)
    daemon = Daemon(app, again=lambda: desk.load(texts[-1]), manager=manager)
    urls: list[str] = []
    task = asyncio.create_task(daemon.run(urls.extend))
    await asyncio.wait_for(manager.readies.get(), 10)
    yield daemon, urls[0], manager, texts
    daemon.stop()
    await asyncio.wait_for(task, 10)


async def healthy(url: str) -> int:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        return (await client.get(f"{url}healthz")).status_code


@pytest.mark.parametrize(
    "reloaded",
    [
        pytest.param(SOURCE + FILES + WEB, id="another_sink"),
        pytest.param(SOURCE + WEB + 'password = "scrypt$3$8$1$AAAA$AAAA"\n', id="impossible_password_hash"),
        pytest.param(SOURCE + "[web]\nlisten = 9\n", id="bad_file"),
    ],
)
async def test_a_reload_good_or_bad_leaves_the_page_where_it_was(running, reloaded):
    daemon, url, manager, texts = running
    texts.append(reloaded)
    for _ in range(2):
        daemon.reload()
        await asyncio.wait_for(manager.readies.get(), 10)
    assert await healthy(url) == 200


async def test_what_is_sent_again_without_a_daemon_waits_from_then_on(desk):
    """`poller resend` while none runs: the next start is not red over a month that nobody waited."""
    config = SOURCE + FILES
    app = await desk.restart(config)
    for number in range(3):
        await app.journal.append(Entry(records=(record_number(number),)))
    await app.road.deliveries["files"].drain()
    await desk.clock.advance(30 * 86_400)
    await desk.restart(config)
    assert (await desk.ask("resend", sink="files", **{"from": "2020-01-01T00:00:00Z"}))["records"] == 3
    await desk.clock.advance(60)
    app = await desk.restart(config)
    assert [reason for reason in app.status().reasons if reason.startswith("sink ")] == []
    await desk.clock.advance(5 * 86_400)
    app = await desk.restart(config)
    (reason,) = [reason for reason in app.status().reasons if reason.startswith("sink ")]
    assert "3 records waiting, the oldest for 5 days" in reason
