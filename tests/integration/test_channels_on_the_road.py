"""Channels in the whole poller: recorded cars at a broker, how it stands in the status, and the sample."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import pytest
from channel_stage import Hook, Ntfy, alert_number, mailbox
from mosquitto_stage import mosquitto
from mqtt_stage import SOON, USERS, left_at
from stream_stage import make_certificates
from typer.testing import CliRunner

from poller.app import App
from poller.cli.main import app as command_line
from poller.commands import alerts_test
from poller.errors import ConfigError, PollerError
from poller.journal.base import Entry
from poller.settings import load
from poller.settings.writing import document, masked
from poller.simulator.fleet import MINI_VIN
from poller.simulator.garage import demo_garage
from poller.simulator.server import serve
from poller.warp import refuse_warping
from poller.web.control import SOCKET_NAME, ControlServer

AT = datetime(2026, 11, 19, 14, tzinfo=UTC)
CONFIG = """
data_dir = "data"
[web]
listen = ""
[sources.dumps]
type = "recorded"
directory = "dumps"
"""


def configured(folder, **sinks: str):
    """A configuration with these sinks, and a dump of a car in its folder."""
    dumps = folder / "dumps"
    dumps.mkdir(parents=True, exist_ok=True)
    state = json.loads(demo_garage().state(MINI_VIN, AT))
    (dumps / "1.json").write_text(json.dumps({"vin": MINI_VIN, "data": state}))
    path = folder / "config.toml"
    path.write_text(CONFIG + "".join(f"[sinks.{name}]\n{text}\n" for name, text in sinks.items()))
    path.chmod(0o600)
    return path


def loaded(path):
    return load(path, environ={"HOME": str(path.parent), "TZ": "UTC"}, cwd=path.parent)


@asynccontextmanager
async def running(path):
    """The poller with everything but web and signals."""
    app, stop = App(loaded(path)), asyncio.Event()
    await app.open()
    tasks = app.road.start(stop)
    try:
        yield app
    finally:
        stop.set()
        app.road.timer.stop()
        done, pending = await asyncio.wait(tasks, timeout=5)
        for task in pending:
            task.cancel()
        await asyncio.gather(*done, *pending, return_exceptions=True)
        await app.close()


def mqtt_table(broker) -> str:
    return f'type = "mqtt"\nurl = "{broker.plain}"\nusername = "poller"\npassword = "{USERS["poller"]}"'


async def until(good) -> None:
    async with asyncio.timeout(SOON):
        while not await good():  # noqa: ASYNC110  # the journal gives no event
            await asyncio.sleep(0.02)


@pytest.fixture
async def broker(tmp_path):
    folder = tmp_path / "broker"
    folder.mkdir()
    async with mosquitto(make_certificates(folder), **USERS) as made:
        yield made


async def test_a_recorded_car_is_at_the_broker_with_its_alerts_and_how_that_stands_in_the_status(
    broker, tmp_path
) -> None:
    path = configured(tmp_path, broker=mqtt_table(broker))
    async with running(path) as app:

        async def shown() -> bool:
            found = await left_at(broker)
            return any(topic.endswith("/soc_percent") for topic in found) and any(
                topic.startswith("homeassistant/device_tracker/") for topic in found
            )

        await until(shown)
        (sink,) = app.status().sinks
        assert (sink.name, sink.kind, sink.live, sink.up, sink.failure) == (
            "broker",
            "mqtt",
            False,
            True,
            None,
        )
        await app.journal.append(Entry(records=[alert_number(1, vin=MINI_VIN, told_at=app.clock.now())]))
        app.road.wake()

        async def delivered() -> bool:
            await app.refresh()
            return (await app.journal.backlog("broker")).records == 0

        await until(delivered)
        broker.stop()

        async def down() -> bool:
            return app.status().sinks[0].up is False

        await until(down)
        failure = app.status().sinks[0].failure
        assert failure.message in ("the broker broke off", "the broker takes no connections")


async def test_collecting_goes_on_while_the_broker_is_away(broker, tmp_path) -> None:
    broker.stop()
    path = configured(tmp_path, broker=mqtt_table(broker))
    async with running(path) as app:

        async def collected() -> bool:
            return bool(app.fleet.views())

        await until(collected)
        assert app.status().task_restarts == 0


async def test_a_broker_that_refuses_us_turns_readiness_red(broker, tmp_path) -> None:
    path = configured(tmp_path, broker=mqtt_table(broker).replace(USERS["poller"], "wrong"))
    async with running(path) as app:

        async def red() -> bool:
            return any("sink broker: held: the broker refuses us" in one for one in app.status().reasons)

        await until(red)


async def test_the_sample_goes_through_every_channel_and_each_answer_is_told(tmp_path) -> None:
    pytest.importorskip("apprise", reason="the extra [notify] is not installed")
    async with AsyncExitStack() as stack:
        ntfy, hook = Ntfy(), Hook()
        ntfy_url = await stack.enter_async_context(serve(ntfy))
        hook_url = await stack.enter_async_context(serve(hook))
        box = await stack.enter_async_context(mailbox())
        mail = f"mailto://127.0.0.1:{box.port}?mode=insecure&from=poller@example.com&to=owner@example.com"
        urls = json.dumps([ntfy_url.replace("http:", "ntfy:") + "/topic", mail])
        path = configured(
            tmp_path,
            phone=f'type = "notify"\nurls = {urls}\nseverity = "critical"',
            hook=f'type = "webhook"\nurl = "{hook_url}"',
            files='type = "json_files"',
        )

        def invoke(*more: str):
            return CliRunner().invoke(command_line, ["alerts", "test", "--config", str(path), *more])

        result = await asyncio.to_thread(invoke)
        assert result.exit_code == 0, result.output
        assert result.output.splitlines()[-3:] == [
            "ok   phone, channel 1 (ntfy): it was taken",
            "ok   phone, channel 2 (E-Mail): it was taken",
            "ok   hook, 127.0.0.1: it was taken",
        ]
        assert ntfy.titles == [box.mails[0]["subject"]] == ["Test from the poller"]
        assert (hook.bodies[0]["rule"], hook.bodies[0]["vin"], hook.bodies[0]["vehicle"]) == ("test", "", "")
        # Twice is twice: a channel that remembers what it had must not swallow it.
        hook.status = 503
        result = await asyncio.to_thread(invoke, "--json")
        report = json.loads(result.output)
        assert (result.exit_code, report["exit_code"]) == (1, 1)
        assert [one["error"] for one in report["channels"]] == ["", "", "127.0.0.1 answered HTTP 503"]
        assert len(ntfy.messages) == 2
        assert not (tmp_path / "data" / "snapshots").exists()


def test_what_mends_it_is_told_too(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    path = configured(tmp_path, phone='type = "notify"\nurls = ["ntfy://topic"]')
    result = CliRunner().invoke(command_line, ["alerts", "test", "--config", str(path)])
    assert result.exit_code == 1
    assert "BAD  phone: Apprise is not installed" in result.output
    assert "     → install it: `pip install apprise`" in result.output


async def test_without_a_channel_it_says_where_to_find_one(tmp_path) -> None:
    app = App(loaded(configured(tmp_path)))
    try:
        await app.open()
        with pytest.raises(PollerError, match="no sink leads to a person"):
            await alerts_test(app, {})
        with pytest.raises(PollerError) as caught:
            await alerts_test(app, {"sinks": ["phone"]})
        hint = "the running poller has not read the file since it changed: reload it"
        assert caught.value.hint == hint, "it was added a moment ago"
    finally:
        await app.close()


async def test_a_sink_that_the_running_poller_does_not_know_yet_is_named(tmp_path) -> None:
    config = configured(tmp_path, phone='type = "notify"\nurls = ["ntfy://127.0.0.1:9/topic"]')
    before = configured(tmp_path / "before", hook='type = "webhook"\nurl = "http://127.0.0.1:9/"')
    async with running(before) as app:

        async def answered(args: dict) -> dict:
            return await alerts_test(app, args)

        control = ControlServer(tmp_path / "data" / SOCKET_NAME, {"alerts-test": answered})
        (tmp_path / "data").mkdir()
        await control.start()
        arguments = ["alerts", "test", "--config", str(config)]
        result = await asyncio.to_thread(CliRunner().invoke, command_line, arguments)
        await control.stop()
    assert result.output.splitlines()[-2:] == [
        "not tried: phone",
        "     → the running poller has not read the file since it changed: reload it",
    ]


@pytest.mark.parametrize(
    ("table", "fine"),
    [
        ('type = "webhook"\nurl = "http://127.0.0.1:9/?key=x"', True),
        ('type = "webhook"\nurl = "https://hooks.example.com/?key=x"', False),
        ('type = "notify"\nurls = ["ntfy://127.0.0.1:9/topic"]', True),
        ('type = "notify"\nurls = ["ntfy://127.0.0.1:9/topic", "ntfy://topic"]', False),
        ('type = "mqtt"\nurl = "mqtt://localhost"', True),
        ('type = "mqtt"\nurl = "mqtt://broker.example.com"', False),
    ],
)
def test_a_warped_clock_alerts_nobody_elsewhere(tmp_path, table, fine) -> None:
    settings = loaded(configured(tmp_path, channel=table))
    if fine:
        refuse_warping(settings)
        return
    with pytest.raises(ConfigError) as caught:
        refuse_warping(settings)
    assert "key=x" not in str(caught.value)
    assert "//topic" not in str(caught.value)


@pytest.mark.parametrize(
    "table",
    [
        'type = "webhook"\nurl = "ftp://hush.example.com"',
        'type = "webhook"\nurl = "https://h.example.com"\nheaders = ["hush"]',
        'type = "webhook"\nurl = "https://h.example.com"\nheaders = ["X: hush\\nY: hush"]',
        'type = "webhook"\nurl = "https://h.example.com"\ncontent_type = "hush"',
        'type = "notify"\nurls = []',
        'type = "notify"\nurls = "hush://x"',
        'type = "mqtt"\nurl = "mqtt://me:hush@host"',
        'type = "mqtt"\nurl = "http://host"',
        'type = "mqtt"\nurl = "mqtt://host"\ntopic = "a/#"',
        'type = "mqtt"\nurl = "mqtt://host"\ndiscovery = "+"',
    ],
)
def test_what_cannot_be_meant_is_refused_and_not_shown(tmp_path, table) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(configured(tmp_path, channel=table))
    assert len(caught.value.problems) == 1
    assert "hush" not in str(caught.value)


def test_addresses_come_from_a_variable_and_are_shown_to_nobody(tmp_path) -> None:
    path = configured(
        tmp_path,
        phone='type = "notify"\nurls = ["ntfy://hush-1"]',
        hook='type = "webhook"\nurl = "https://hush-2.example"\nheaders = ["X: hush-3"]\nsecret = "hush-4"',
    )
    outside = "ntfy://hush-5, mailto://me:hush-6@example.com"
    environ = {"HOME": str(tmp_path), "TZ": "UTC", "POLLER_SINKS__PHONE__URLS": outside}
    settings = load(path, environ=environ, cwd=tmp_path).settings
    urls = [url.get_secret_value() for url in settings.sinks["phone"].urls]
    assert urls == ["ntfy://hush-5", "mailto://me:hush-6@example.com"]
    assert "hush" not in repr(settings) + document(masked(settings))


def test_check_says_that_apprise_is_missing(tmp_path, monkeypatch) -> None:
    # None in its place is Python's own word for a module that is not there.
    monkeypatch.setitem(sys.modules, "apprise", None)
    path = configured(tmp_path, phone='type = "notify"\nurls = ["ntfy://topic"]')
    (warning,) = [text for text in loaded(path).warnings if "Apprise" in text]
    assert "sinks.phone" in warning
    assert "`pip install apprise`" in warning


def test_a_file_that_others_can_read_is_warned_about_for_these_secrets_too(tmp_path) -> None:
    path = configured(
        tmp_path,
        phone='type = "notify"\nurls = ["ntfy://topic"]',
        hook='type = "webhook"\nurl = "https://h.example.com"\nheaders = ["X: hush"]',
    )
    path.chmod(0o644)
    (warning,) = [text for text in loaded(path).warnings if "others can read" in text]
    for place in ("sinks.phone.urls", "sinks.hook.url", "sinks.hook.headers"):
        assert place in warning
