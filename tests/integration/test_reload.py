"""A reload in the worst moment: what is under way is finished, what is bad is refused, nothing is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from poller.app import App
from poller.cli.status import lines
from poller.daemon import STALLED, Daemon, headline
from poller.errors import PollerError
from poller.journal.base import Entry
from poller.settings import load
from poller.testing.clock import ManualClock
from poller.testing.records import record_number
from poller.testing.sinks import RecordingSink
from poller.testing.sources import VIN, FakeSource
from poller.web.control import SOCKET_NAME, ControlClient

BASE = 'data_dir = "data"\nshutdown_grace = "{grace}"\n[web]\nlisten = "127.0.0.1:0"\n'
SOURCE = '[sources.car]\ntype = "recorded"\ndirectory = "dumps"\n'
#: The same name, another type.
CHANGED = '[sources.car]\ntype = "command"\ncommand = ["car"]\n'
WITHIN = 10


def sink(name: str) -> str:
    return f'[sinks.{name}]\ntype = "json_files"\ndirectory = "{name}"\n'


async def until(true: Callable[[], bool]) -> None:
    """What comes about in another task, without a word to us."""
    async with asyncio.timeout(WITHIN):
        while not true():  # noqa: ASYNC110 - the doubles have no event for it
            await asyncio.sleep(0.005)


class Manager:
    """A service manager; `readies` has the status line of each start and each reload that is over."""

    watchdog_seconds = 0.0

    def __init__(self) -> None:
        self.readies: asyncio.Queue[str] = asyncio.Queue()
        self.reloads = asyncio.Event()

    def ready(self, status: str) -> None:
        self.readies.put_nowait(status)

    def reloading(self) -> None:
        self.reloads.set()

    def status(self, _status: str) -> None: ...
    def stopping(self) -> None: ...
    def alive(self) -> None: ...


class House:
    """A daemon in this process, its configuration file, and the cars and destinations around it.

    `sinks`: a destination by name, the same over all reloads. `built`: every source that ever was.
    `shape`: what is done to a source when it is built.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "config.toml"
        self.clock = ManualClock()
        self.manager = Manager()
        self.sinks: dict[str, RecordingSink] = {}
        self.built: list[FakeSource] = []
        self.shape: Callable[[FakeSource], None] = lambda _: None
        self.tokens: list[str] = []
        self.environ = {"TZ": "UTC"}
        self.urls: list[str] = []
        (folder / "dumps").mkdir()

    def write(self, text: str, grace: str = "5s") -> None:
        self.path.write_text(BASE.format(grace=grace) + text)

    def load(self):
        return load(self.path, environ=self.environ)

    async def start(self, text: str, **how: str) -> None:
        self.write(text, **how)
        kinds = dict.fromkeys(("recorded", "command"), self._source)
        sinks = dict.fromkeys(("json_files", "axiom"), self._sink)
        self.app = App(self.load(), clock=self.clock, source_builders=kinds, sink_builders=sinks)
        self.daemon = Daemon(self.app, again=self.load, manager=self.manager)
        self.running = asyncio.create_task(self.daemon.run(self.urls.extend))
        await self.ready()

    async def ready(self) -> str:
        return await asyncio.wait_for(self.manager.readies.get(), WITHIN)

    async def reload(self, text: str | None = None) -> str:
        """Reload with that text, or the file as it is; what the service manager is told at the end."""
        if text is not None:
            self.write(text)
        self.daemon.reload()
        return await self.ready()

    async def stop(self) -> None:
        self.daemon.stop()
        await asyncio.wait_for(self.running, WITHIN)

    async def ask(self, command: str) -> dict:
        client = ControlClient(self.path.parent / "data" / SOCKET_NAME)
        return await asyncio.to_thread(client.call, command)

    async def delivered(self, name: str, count: int) -> list[str]:
        """The ids that the sink has accepted, once there are that many."""
        await until(lambda: name in self.sinks and len(self.sinks[name].ids) >= count)
        return self.sinks[name].ids

    async def polled(self) -> None:
        """Once the first source is asked for something."""
        await until(lambda: bool(self.built[0].fetched))

    def _source(self, name, settings, _context) -> FakeSource:
        source = FakeSource(self.clock, name=name)
        source.kind = settings.type
        source.account = f"{settings.type}:{name}"
        self.built.append(source)
        self.shape(source)
        return source

    def _sink(self, name, settings, _context) -> RecordingSink:
        if settings.type == "axiom":
            self.tokens.append(settings.token.get_secret_value())
        return self.sinks.setdefault(name, RecordingSink(name))


@pytest.fixture
async def house(tmp_path):
    made = House(tmp_path)
    yield made
    if not made.running.done():
        await made.stop()


class TestUnderWay:
    async def test_a_delivery_is_finished_and_not_made_twice(self, house) -> None:
        house.sinks["files"] = sink_ = RecordingSink("files")
        sink_.gate.clear()
        await house.start(SOURCE + sink("files"))
        await until(lambda: bool(sink_.batches))
        house.manager.reloads.clear()
        reloading = asyncio.create_task(house.reload(SOURCE + sink("files") + sink("more")))
        await asyncio.wait_for(house.manager.reloads.wait(), WITHIN)
        sink_.gate.set()
        await reloading
        assert len(await house.delivered("files", 1)) == 1
        assert (await house.ask("status"))["sinks"][0]["backlog"] == 0

    async def test_a_delivery_that_hangs_is_made_again_by_the_new_road(self, house) -> None:
        """The answer to the first try may be lost, the record is not."""
        house.sinks["files"] = sink_ = RecordingSink("files")
        sink_.gate.clear()
        await house.start(SOURCE + sink("files"), grace="0.1s")
        await until(lambda: bool(sink_.batches))
        await house.reload(SOURCE + sink("files"))
        sink_.gate.set()
        assert len(await house.delivered("files", 1)) == 1

    async def test_a_poll_is_finished_and_its_record_kept(self, house) -> None:
        gate = asyncio.Event()
        house.shape = lambda source: setattr(source, "before_answer", gate.wait)
        await house.start(SOURCE + sink("files"))
        await house.polled()
        house.manager.reloads.clear()
        reloading = asyncio.create_task(house.reload(SOURCE + sink("files") + sink("more")))
        await asyncio.wait_for(house.manager.reloads.wait(), WITHIN)
        gate.set()
        await reloading
        assert len(await house.delivered("files", 1)) == 1
        # The new sink begins where the journal stood when it was configured: before that record or after.
        assert set(house.sinks["more"].ids) <= set(house.sinks["files"].ids)

    async def test_a_poll_that_hangs_is_asked_again_in_its_time(self, house) -> None:
        await_for_ever = asyncio.Event().wait
        house.shape = lambda source: setattr(source, "before_answer", await_for_ever)
        await house.start(SOURCE + sink("files"), grace="0.1s")
        await house.polled()
        house.shape = lambda _: None
        await house.reload()
        assert (await house.ask("once"))["exit_code"] == 0
        assert len(await house.delivered("files", 1)) == 1

    async def test_a_command_that_polls_keeps_the_road_until_it_is_done(self, house) -> None:
        """`poller once` must not meet a source that was closed under it."""
        await house.start(SOURCE + sink("files"))
        await house.delivered("files", 1)
        gate, asked = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            asked.set()
            await gate.wait()

        house.built[0].before_answer = wait
        await house.clock.advance(1)
        once = asyncio.create_task(house.ask("once"))
        await asyncio.wait_for(asked.wait(), WITHIN)
        with capture_logs() as logs:
            reloading = asyncio.create_task(house.reload())
            await until(lambda: "reload.waiting" in [entry["event"] for entry in logs])
            assert house.app.road.sources["car"] is house.built[0]
            gate.set()
            assert (await once)["exit_code"] == 0
            await reloading
        assert house.app.road.sources["car"] is house.built[-1] is not house.built[0]
        assert len(await house.delivered("files", 2)) == 2

    async def test_a_stop_does_not_wait_for_what_hangs_in_a_reload(self, house) -> None:
        await house.start(SOURCE)
        opening = asyncio.Event()

        def hangs(source: FakeSource) -> None:
            async def open_for_ever() -> None:
                opening.set()
                await asyncio.Event().wait()

            source.open = open_for_ever

        house.shape = hangs
        house.daemon.reload()
        await asyncio.wait_for(opening.wait(), WITHIN)
        house.daemon.stop()
        await asyncio.wait_for(house.running, 5)

    async def test_a_stop_while_a_reload_waits_for_a_command_ends_both(self, house) -> None:
        await house.start(SOURCE, grace="0.1s")
        await house.polled()
        asked = asyncio.Event()

        async def wait() -> None:
            asked.set()
            await asyncio.Event().wait()

        house.built[0].before_answer = wait
        once = asyncio.create_task(house.ask("once"))
        await asyncio.wait_for(asked.wait(), WITHIN)
        house.manager.reloads.clear()
        house.daemon.reload()
        await asyncio.wait_for(house.manager.reloads.wait(), WITHIN)
        house.daemon.stop()
        await asyncio.wait_for(house.running, 8)
        with pytest.raises(PollerError, match="stopped"):
            await once


class TestManyAtOnce:
    async def test_signals_in_a_row_end_with_the_newest_file(self, house) -> None:
        await house.start(SOURCE + sink("one"))
        for name in ("two", "three", "four"):
            house.write(SOURCE + sink(name))
            house.daemon.reload()
            await asyncio.sleep(0)
        async with asyncio.timeout(WITHIN):
            while list(house.app.road.deliveries) != ["four"]:
                await house.ready()

    async def test_a_signal_during_a_reload_is_not_lost(self, house) -> None:
        await house.start(SOURCE + sink("one"))
        first = True

        def write_and_signal(_source: FakeSource) -> None:
            nonlocal first
            if first:
                first = False
                house.write(SOURCE + sink("three"))
                house.daemon.reload()

        house.shape = write_and_signal
        await house.reload(SOURCE + sink("two"))
        await house.ready()
        assert list(house.app.road.deliveries) == ["three"]


class TestWhoIsConfigured:
    async def test_added_removed_and_back_again_misses_nothing(self, house) -> None:
        await house.start(SOURCE + sink("files"))
        await house.delivered("files", 1)
        await house.reload(SOURCE + sink("files") + sink("late"))
        await house.app.journal.append(Entry(records=[record_number(1)]))
        await house.reload(SOURCE + sink("late"))
        await house.app.journal.append(Entry(records=[record_number(2)]))
        assert [name for name, _ in house.app.status().journal.orphans] == ["files"]
        await house.reload(SOURCE + sink("files") + sink("late"))
        assert await house.delivered("late", 2) == [record_number(n).id for n in (1, 2)]
        assert (await house.delivered("files", 3))[1:] == [record_number(n).id for n in (1, 2)]
        assert len(house.sinks["files"].ids) == 3

    async def test_a_renamed_sink_is_named_with_what_waits_for_it(self, house) -> None:
        house.sinks["old"] = old = RecordingSink("old")
        old.gate.clear()
        await house.start(SOURCE + sink("old"), grace="0.1s")
        await house.polled()
        await until(lambda: bool(old.batches))
        await house.reload(SOURCE + sink("new"))
        assert house.app.status().journal.orphans == (("old", 1),)
        assert house.sinks["new"].ids == []
        old.gate.set()
        await house.reload(SOURCE + sink("old"))
        assert len(await house.delivered("old", 1)) == 1

    async def test_a_source_of_another_type_under_the_same_name(self, house) -> None:
        """It owes nothing to the old one's back-off, and shows its own answers."""
        await house.start(SOURCE + sink("files"))
        await house.delivered("files", 1)
        await house.clock.advance(1)
        await house.reload(CHANGED + sink("files"))
        assert len(await house.delivered("files", 2)) == 2
        [source] = house.app.status().sources
        assert (source.name, source.kind, source.state) == ("car", "command", "ok")
        assert house.app.fleet.vins_of("car") == {VIN}

    async def test_a_secret_file_is_read_again(self, house, tmp_path) -> None:
        secret = tmp_path / "token"
        house.environ["POLLER_SINKS__CLOUD__TOKEN_FILE"] = str(secret)
        secret.write_text("first\n")
        cloud = '[sinks.cloud]\ntype = "axiom"\ndataset = "cars"\n'
        await house.start(SOURCE + cloud)
        secret.write_text("second\n")
        await house.reload()
        assert house.tokens == ["first", "second"]
        secret.unlink()
        await house.reload()
        assert house.tokens == ["first", "second"]
        assert house.app.reload_failure is not None
        assert list(house.app.road.deliveries) == ["cloud"]


class TestRefused:
    async def test_it_is_said_in_log_status_and_page_until_it_is_mended(self, house) -> None:
        await house.start(SOURCE)
        with capture_logs() as logs:
            told = await house.reload(SOURCE + "[sinks.files]\ntype = 'no_such_kind'\n[pol]\n")
        [refused] = [entry for entry in logs if entry["event"] == "reload.refused"]
        assert len(refused["problems"]) == 2
        assert "sinks.files.type" in str(refused["problems"])
        assert told == headline(house.app)
        status = await house.ask("status")
        assert status["reload_failure"]["message"].endswith("(and 1 more: see the log)")
        [note] = [note for note in status["notes"] if note.startswith("configuration")]
        assert f"! {note}" in list(lines(status))
        assert "the former one is in force" in await page(house)
        await house.reload(SOURCE)
        assert (await house.ask("status"))["reload_failure"] is None
        assert "the former one" not in await page(house)

    async def test_a_file_that_is_not_there(self, house) -> None:
        await house.start(SOURCE + sink("files"))
        house.path.unlink()
        await house.reload()
        assert "cannot be read" in house.app.reload_failure.message
        assert list(house.app.road.deliveries) == ["files"]

    async def test_another_file_than_before_is_not_taken_by_chance(self, house, tmp_path) -> None:
        """Without --config the next place is looked at when the file is away for a moment."""
        await house.start(SOURCE + sink("files"))
        other = tmp_path / "other.toml"
        other.write_text(BASE.format(grace="5s") + SOURCE)
        house.path = other
        await house.reload()
        assert "config.toml was in force" in house.app.reload_failure.message
        assert list(house.app.road.deliveries) == ["files"]

    async def test_a_bug_met_on_the_way_does_not_end_the_daemon(self, house) -> None:
        await house.start(SOURCE)

        def breaks(_source: FakeSource) -> None:
            raise ZeroDivisionError

        house.shape = breaks
        await house.reload(SOURCE + sink("files"))
        assert "ZeroDivisionError" in house.app.reload_failure.message
        house.shape = lambda _: None
        await house.reload()
        assert house.app.reload_failure is None
        assert list(house.app.road.deliveries) == ["files"]

    async def test_a_new_sink_of_a_refused_file_leaves_nothing_behind(self, house) -> None:
        await house.start(SOURCE)

        def breaks(_source: FakeSource) -> None:
            raise PollerError("cannot be opened")

        house.shape = breaks
        await house.reload(SOURCE + sink("files"))
        house.shape = lambda _: None
        await house.reload(SOURCE)
        assert (await house.app.journal.stats()).orphans == {}

    async def test_what_needs_a_restart_is_said_until_it_is_as_before(self, house) -> None:
        await house.start(SOURCE)
        good = house.path.read_text()
        house.path.write_text(good.replace('"data"', '"elsewhere"').replace("127.0.0.1:0", "127.0.0.1:1"))
        await house.reload()
        assert house.app.status().needs_restart == ("data_dir", "web.listen")
        assert "web.listen has changed" in await page(house)
        assert not (house.path.parent / "elsewhere").exists()
        house.path.write_text(good)
        await house.reload()
        assert house.app.status().needs_restart == ()


async def test_a_new_road_that_cannot_read_the_journal_waits_and_then_starts(house) -> None:
    """It must know what the old one did (calls spent, messages held) before it asks anybody."""
    await house.start(SOURCE + sink("files"))
    await house.delivered("files", 1)
    opened = 0

    def stumbles(source: FakeSource) -> None:
        async def open_() -> None:
            nonlocal opened
            opened += 1
            if opened == 2:
                raise PollerError("the disk does not answer")

        source.open = open_

    house.shape = stumbles
    with capture_logs() as logs:
        reloading = asyncio.create_task(house.reload())
        await until(lambda: "reload.stalled" in [entry["event"] for entry in logs])
        for _ in range(3):
            await house.clock.advance(STALLED)
        await reloading
    assert opened == 3
    await house.app.journal.append(Entry(records=[record_number(1)]))
    house.app.road.wake()
    assert len(await house.delivered("files", 2)) == 2


async def test_a_storm_of_reloads_loses_and_doubles_nothing(house) -> None:
    """Records come all the time, sinks come and go with every reload; each gets its own, in order, once."""
    rng = random.Random(11)
    names = ["a", "b", "c"]
    await house.start(SOURCE + sink("always"))
    ids = [*(await house.delivered("always", 1))]

    async def records() -> None:
        for number in range(1, 150):
            await house.app.journal.append(Entry(records=[record_number(number)]))
            ids.append(record_number(number).id)
            house.app.road.wake()
            await asyncio.sleep(0.002)

    coming = asyncio.create_task(records())
    for _ in range(10):
        some = "".join(map(sink, rng.sample(names, rng.randrange(len(names) + 1))))
        await house.reload(SOURCE + sink("always") + some)
        assert house.app.reload_failure is None
    await coming
    await house.reload(SOURCE + "".join(map(sink, ["always", *names])))
    for name in ["always", *names]:
        await until(lambda name=name: house.sinks[name].ids[-1:] == ids[-1:])
        got = house.sinks[name].ids
        # From when it was configured first to the end, without a gap and without a repetition.
        assert got == ids[-len(got) :]
    assert len(house.sinks["always"].ids) == len(ids)


async def page(house: House) -> str:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        return (await client.get(house.urls[0])).text
