"""A channel that is down for a day: each alert is delivered once or counted as expired, none is just gone."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from channel_stage import Hook, Ntfy, alert_number, mailbox

from poller.deliver import Delivery
from poller.journal.base import Entry, Policy
from poller.journal.sqlite import SqliteJournal
from poller.runtime.metrics import Metrics
from poller.simulator.server import serve
from poller.sinks.base import SinkContext
from poller.sinks.notify import NotifySink
from poller.sinks.settings import NotifySettings, WebhookSettings
from poller.sinks.webhook import WebhookSink
from poller.testing.leaping import LeapingClock
from poller.testing.records import VIN
from poller.vehicle.privacy import Rendering

HOURS = 24
RENDERING = Rendering({VIN: "mini"}, key=b"key")


class Day:
    """An alert an hour into the journal, and a loop that tries to deliver it."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.clock = LeapingClock()
        self.journal = SqliteJournal(folder / "journal.db", Policy(), self.clock)
        self.metrics = Metrics()
        self.metrics.declare_sink("phone")
        self.told: list[str] = []
        self.delivery: Delivery

    @property
    def context(self) -> SinkContext:
        return SinkContext(self.clock, self.folder, RENDERING)

    def restart(self, sink, settings) -> None:
        """As with a new process: loop and sink remember only what is on disk."""
        self.delivery = Delivery(
            "phone", sink, self.journal, self.clock, RENDERING, settings, self.metrics, jitter=lambda: 1.0
        )

    async def hour(self) -> None:
        self.clock.slept += 3600
        record = alert_number(len(self.told), told_at=self.clock.now())
        self.told.append(record.id)
        await self.journal.append(Entry(records=(record,)))
        await self.delivery.drain()

    async def recover(self) -> None:
        self.clock.slept += 120
        assert await self.delivery.drain()

    def count(self, name: str) -> float:
        return self.metrics.registry.get_sample_value(f"poller_records_{name}_total", {"sink": "phone"})


@pytest.fixture
async def day(tmp_path):
    made = Day(tmp_path)
    await made.journal.open(["phone"])
    yield made
    await made.journal.close()


@pytest.mark.parametrize(("max_age", "kept"), [("6h", 6), ("0", HOURS)])
async def test_messages_are_delivered_or_expire_as_configured(day, max_age, kept) -> None:
    pytest.importorskip("apprise", reason="the extra [notify] is not installed")
    ntfy = Ntfy(status=503)
    async with serve(ntfy) as url:
        address = url.replace("http:", "ntfy:") + "/topic"
        settings = NotifySettings.model_validate({"type": "notify", "urls": [address], "max_age": max_age})
        for _ in range(HOURS):
            sink = NotifySink("phone", settings, day.context, apart=0)
            day.restart(sink, settings)
            await day.hour()
            await sink.close()
        ntfy.status = 200
        sink = NotifySink("phone", settings, day.context, apart=0)
        day.restart(sink, settings)
        await day.recover()
        await sink.close()
    assert ntfy.titles == [f"mini: window open ({number})" for number in range(HOURS - kept, HOURS)]
    assert (await day.journal.backlog("phone")).records == 0
    assert day.count("dropped") == HOURS - kept
    assert day.count("delivered") == kept


async def test_of_two_channels_the_one_that_works_has_each_alert_at_once_and_once(day) -> None:
    pytest.importorskip("apprise", reason="the extra [notify] is not installed")
    ntfy = Ntfy()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serve(ntfy))
        box = await stack.enter_async_context(mailbox())
        box.refusing = True
        mail = f"mailto://127.0.0.1:{box.port}?mode=insecure&from=poller@example.com&to=owner@example.com"
        urls = [url.replace("http:", "ntfy:") + "/topic", mail]
        settings = NotifySettings.model_validate({"type": "notify", "urls": urls})
        for hour in range(HOURS):
            sink = NotifySink("phone", settings, day.context, apart=0)
            day.restart(sink, settings)
            await day.hour()
            assert len(ntfy.messages) == hour + 1
            await sink.close()
        box.refusing = False
        sink = NotifySink("phone", settings, day.context, apart=0)
        day.restart(sink, settings)
        await day.recover()
        await sink.close()
    assert ntfy.titles == [f"mini: window open ({number})" for number in range(HOURS)]
    assert [mail["subject"] for mail in box.mails] == ntfy.titles[-6:]
    assert day.count("dropped") == HOURS - 6


async def test_requests_wait_for_the_server_as_long_as_it_takes(day) -> None:
    hook = Hook(status=503, headers={"Retry-After": "600"})
    async with serve(hook) as url:
        settings = WebhookSettings.model_validate({"type": "webhook", "url": url})
        sink = WebhookSink("phone", settings, day.context)
        day.restart(sink, settings)
        for _ in range(HOURS):
            await day.hour()
        assert day.delivery.status().retry_at - day.clock.now() == timedelta(seconds=600)
        hook.status = 200
        day.clock.slept += 600
        await day.recover()
        await sink.close()
    assert [body["id"] for body in hook.bodies] == day.told
    assert len({headers["webhook-id"] for headers in hook.asked}) == HOURS
    assert day.count("dropped") == 0
