"""Alerts through Apprise, to an ntfy-like server over real HTTP and a mailbox over real SMTP."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import threading
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
import structlog
from channel_stage import Mailbox, Ntfy, alert_number, mailbox

from poller.errors import SinkMisconfigured, SinkUnavailable
from poller.simulator.server import serve
from poller.sinks.base import SinkContext, Tried
from poller.sinks.notify import NotifySink
from poller.sinks.notify.apprise import Failed
from poller.sinks.notify.channel import Channel
from poller.sinks.notify.taken import Taken
from poller.sinks.settings import NotifySettings
from poller.testing.clock import ManualClock
from poller.testing.records import VIN, record_number
from poller.vehicle.privacy import Rendering

pytest.importorskip("apprise", reason="the extra [notify] is not installed")

RENDERING = Rendering({VIN: "mini"}, key=b"key")


def rendered(*numbers: int, **changes) -> list[dict]:
    return [RENDERING.render(alert_number(number, **changes)) for number in numbers]


class Stage:
    """Two channels and a sink that leads to both."""

    def __init__(self, folder, ntfy_url: str, ntfy: Ntfy, box: Mailbox) -> None:
        self.folder = folder
        self.ntfy = ntfy
        self.box = box
        host = ntfy_url.removeprefix("http://")
        self.ntfy_url = f"ntfy://{host}/private-topic"
        self.mail_url = (
            f"mailto://127.0.0.1:{box.port}?mode=insecure&from=poller@example.com&to=owner@example.com"
        )
        self.clock = ManualClock()

    def sink(self, *urls: str, within: float = 10.0, **settings) -> NotifySink:
        values = {"type": "notify", "urls": urls or (self.ntfy_url, self.mail_url), **settings}
        context = SinkContext(self.clock, self.folder, RENDERING)
        return NotifySink("phone", NotifySettings.model_validate(values), context, within=within, apart=0)

    @property
    def subjects(self) -> list[str]:
        return [mail["subject"] for mail in self.box.mails]


@pytest.fixture
async def stage(tmp_path):
    async with AsyncExitStack() as stack:
        ntfy = Ntfy()
        url = await stack.enter_async_context(serve(ntfy))
        yield Stage(tmp_path, url, ntfy, await stack.enter_async_context(mailbox()))


@pytest.fixture
async def both(stage):
    sink = stage.sink()
    await sink.open()
    yield sink
    await sink.close()


async def test_title_and_text_arrive_in_both(stage, both) -> None:
    assert (await both.deliver(rendered(1))).done == 1
    (message,) = stage.ntfy.messages
    assert message["topic"] == "private-topic"
    assert message["title"] == "mini: window open (1)"
    assert message["message"] == "The front left window has been open for 10 min."
    (mail,) = stage.box.mails
    assert (mail["subject"], mail["to"]) == ("mini: window open (1)", "owner@example.com")
    assert "front left window has been open" in mail.get_body(("html", "plain")).get_content()


async def test_a_channel_that_is_down_costs_the_other_nothing(stage, both) -> None:
    """The queue waits for it; the one that works has every alert at once, and each once."""
    stage.box.refusing = True
    for numbers in ((1,), (1, 2), (1, 2, 3)):
        with pytest.raises(SinkUnavailable) as caught:
            await both.deliver(rendered(*numbers))
    assert "channel 2 (E-Mail)" in caught.value.message
    assert "ntfy" not in caught.value.message
    assert caught.value.until == stage.clock.now() + timedelta(seconds=60)
    assert stage.ntfy.titles == [f"mini: window open ({number})" for number in (1, 2, 3)]
    stage.box.refusing = False
    assert (await both.deliver(rendered(1, 2, 3))).done == 3
    assert stage.subjects == stage.ntfy.titles
    assert len(stage.ntfy.titles) == 3


async def test_nor_does_a_restart_in_between(stage, both) -> None:
    stage.box.refusing = True
    with pytest.raises(SinkUnavailable):
        await both.deliver(rendered(1, 2))
    await both.close()
    stage.box.refusing = False
    # The order of the addresses is not what a channel is known by.
    again = stage.sink(stage.mail_url, stage.ntfy_url)
    await again.open()
    assert (await again.deliver(rendered(1, 2))).done == 2
    assert len(stage.ntfy.messages) == 2
    assert len(stage.box.mails) == 2
    await again.close()


async def test_part_of_a_batch_is_done_when_a_channel_fails_in_the_middle(stage, both) -> None:
    taken = []

    async def second_fails(_server, _session, envelope) -> str:
        taken.append(envelope)
        return "250 OK" if len(taken) != 2 else "451 later"

    stage.box.handle_DATA = second_fails
    settlement = await both.deliver(rendered(1, 2, 3))
    assert settlement.done == 1
    assert settlement.retry_at is not None
    assert (await both.deliver(rendered(2, 3))).done == 2
    assert len(stage.ntfy.messages) == 3


async def test_an_answer_that_comes_late_is_waited_for_not_asked_for_again(stage) -> None:
    sink = stage.sink(stage.ntfy_url + "?rto=30", within=0.3)
    await sink.open()
    stage.ntfy.gate.clear()
    for _ in range(2):
        with pytest.raises(SinkUnavailable, match="did not answer in time"):
            await sink.deliver(rendered(1))
    with pytest.raises(SinkUnavailable, match="still does not answer"):
        await sink.deliver(rendered(2))
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "notify"]
    assert thread.daemon, "the process may end all the same"
    stage.ntfy.gate.set()
    async with asyncio.timeout(10):
        while True:
            try:
                assert (await sink.deliver(rendered(1))).done == 1
                break
            except SinkUnavailable:
                continue
    assert stage.ntfy.asked == 1
    await sink.close()


@pytest.mark.parametrize(("status", "error"), [(500, SinkUnavailable), (403, SinkMisconfigured)])
async def test_what_the_service_answered_is_said(stage, status, error) -> None:
    sink = stage.sink(stage.ntfy_url)
    await sink.open()
    stage.ntfy.status = status
    with pytest.raises(error) as caught:
        await sink.deliver(rendered(1))
    assert caught.value.message == f"ntfy: it answered HTTP {status}"
    await sink.close()


async def test_only_what_is_severe_enough_is_sent_and_never_what_is_replayed(stage) -> None:
    sink = stage.sink(stage.ntfy_url, severity="warning")
    await sink.open()
    records = [
        *rendered(1, severity="info"),
        *rendered(2, severity="critical"),
        {**rendered(3)[0], "replayed": True},
        RENDERING.render(record_number(4)),
        *rendered(5, state="cleared", cleared_at=stage.clock.now()),
    ]
    with structlog.testing.capture_logs() as logs:
        assert (await sink.deliver(records)).done == 5
    assert [entry["event"] for entry in logs] == ["record.withheld"]
    assert stage.ntfy.titles == ["mini: window open (2)", "mini: window open (5)"]
    await sink.close()


async def test_a_sample_goes_through_each_and_says_what_came_of_it(stage, both) -> None:
    stage.ntfy.status = 401
    assert await both.rehearse(rendered(0, severity="info")[0]) == [
        Tried("channel 1 (ntfy)", "it answered HTTP 401"),
        Tried("channel 2 (E-Mail)"),
    ]


async def test_an_address_that_is_none_is_named_by_its_place(stage) -> None:
    sink = stage.sink(stage.ntfy_url, "nonsense://user:hush@somewhere")
    with pytest.raises(SinkMisconfigured) as caught:
        await sink.open()
    assert caught.value.message.startswith("address 2 of `urls`")
    (tried,) = await sink.rehearse(rendered(0)[0])
    assert "address 2" in tried.error


async def test_no_address_is_in_logs_errors_or_files(stage, capfd) -> None:
    secrets = ("private-topic", "hush", "owner@example.com")
    # What libraries say arrives at the root logger, unless it is kept from there.
    heard = io.StringIO()
    listening = logging.StreamHandler(heard)
    logging.getLogger().addHandler(listening)
    urls = (stage.ntfy_url.replace("ntfy://", "ntfy://me:hush@"), stage.mail_url)
    sink = stage.sink(*urls)
    await sink.open()
    stage.ntfy.status, stage.box.refusing = 403, True
    with structlog.testing.capture_logs() as logs, pytest.raises(SinkUnavailable) as caught:
        await sink.deliver(rendered(1))
    stage.ntfy.status = 200
    with pytest.raises(SinkUnavailable):
        await sink.deliver(rendered(1))
    await sink.close()
    logging.getLogger().removeHandler(listening)
    stored = (stage.folder / "sinks" / "phone.taken").read_text()
    text = repr(logs) + repr(caught.value) + stored + heard.getvalue() + "".join(capfd.readouterr())
    assert [secret for secret in secrets if secret in text] == []
    assert sum(map(len, json.loads(stored).values())) == 1


async def test_without_apprise_it_says_how_to_install_it(stage, monkeypatch) -> None:
    # None in its place is Python's own word for a module that is not there.
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(SinkMisconfigured, match="not installed") as caught:
        await stage.sink().open()
    assert "`pip install apprise`" in caught.value.hint
    assert "pipx inject bmw-poller apprise" in caught.value.hint


async def test_a_memory_that_cannot_be_read_or_written_costs_no_message(stage) -> None:
    (stage.folder / "sinks").mkdir()
    (stage.folder / "sinks" / "phone.taken").mkdir()
    sink = stage.sink(stage.ntfy_url)
    await sink.open()
    assert (await sink.deliver(rendered(1))).done == 1
    assert (await sink.deliver(rendered(1))).done == 1
    assert stage.ntfy.asked == 1
    await sink.close()


async def test_a_service_whose_own_code_fails_is_a_channel_that_fails(stage) -> None:
    class Failing:
        service = "failing"

        def send(self, _record) -> None:
            raise RuntimeError("private-topic")

    channel = Channel("key", "failing", Failing(), Taken(stage.folder / "taken", b"key", "phone"), within=5)
    assert await channel.send(rendered(1)[0]) == Failed("its code failed with RuntimeError")
