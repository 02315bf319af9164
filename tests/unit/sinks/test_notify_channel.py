"""One channel of the notify sink, over a service that is slow."""

from __future__ import annotations

import asyncio
import time

from poller.sinks.notify.channel import Channel


class Taken:
    def __init__(self) -> None:
        self.ids: set[str] = set()

    def has(self, _channel: str, record: str) -> bool:
        return record in self.ids

    async def add(self, _channel: str, record: str) -> None:
        self.ids.add(record)


class Slow:
    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, record) -> None:
        self.sent.append(record["id"])
        time.sleep(0.4)


async def test_a_sample_that_hangs_too_does_not_make_an_alert_come_twice() -> None:
    service = Slow()
    channel = Channel("name", "label", service, Taken(), 0.15)  # type: ignore[arg-type]

    async def rehearse() -> None:
        await asyncio.sleep(0.1)
        assert await channel.send({"id": "sample"}) is not None

    alert = [{"id": "alert"}]
    await asyncio.gather(channel.carry(alert, time.monotonic() + 9), rehearse())
    await asyncio.sleep(0.5)
    assert await channel.carry(alert, time.monotonic() + 9) == (1, None)
    assert service.sent.count("alert") == 1
