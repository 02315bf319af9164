"""The sink: each alert once through every channel, whichever of them are down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta

from poller.errors import SinkError, SinkMisconfigured, SinkUnavailable
from poller.runtime import log
from poller.sinks.alerts import is_severe
from poller.sinks.base import Rendered, Settlement, SinkContext, Tried
from poller.sinks.notify.apprise import Failed, Messenger
from poller.sinks.notify.channel import Channel
from poller.sinks.notify.taken import REMEMBERED, Taken
from poller.sinks.settings import NotifySettings

#: Real seconds that a channel may take for a message.
WITHIN = 30.0
#: Real seconds of sending, then a delivery returns with what it has.
SLICE = 20.0
#: Seconds between two messages of a channel: a day's alerts at once are many to a service.
APART = 1.0
#: How long a channel that failed is left alone.
PAUSE = timedelta(seconds=60)


class NotifySink:
    """Implements `sinks.base.QueuedSink` and `Rehearsed`.

    The queue waits for the slowest channel, the others run ahead of it: what each has had is on disk.
    """

    def __init__(
        self,
        name: str,
        settings: NotifySettings,
        context: SinkContext,
        *,
        within: float = WITHIN,
        apart: float = APART,
    ) -> None:
        self.name = name
        self._settings = settings
        self._clock = context.clock
        self._within = within
        self._apart = apart
        self._taken = Taken(context.directory / "sinks" / f"{name}.taken", context.rendering.key, name)
        self._channels: list[Channel] = []
        self._opening = asyncio.Lock()
        self._log = log.get("sinks", sink=name)

    async def open(self) -> None:
        """Understand the addresses; may be called again. Raises SinkMisconfigured; sends nothing."""
        async with self._opening:
            if not self._channels:
                await self._open()

    async def _open(self) -> None:
        urls = [url.get_secret_value() for url in self._settings.urls]
        # The import alone takes a second.
        messengers = await asyncio.to_thread(self._messengers, urls)
        await asyncio.to_thread(self._taken.load, urls)
        for at, (url, messenger) in enumerate(zip(urls, messengers, strict=True), 1):
            label = f"channel {at} ({messenger.service})" if len(urls) > 1 else messenger.service
            name = self._taken.channel(url)
            self._channels.append(Channel(name, label, messenger, self._taken, self._within))

    async def deliver(self, records: Sequence[Rendered]) -> Settlement:
        """Send what each channel has not had yet; done is what all of them have."""
        first = [records[at] for at in range(min(len(records), REMEMBERED // 2))]
        places = [at for at, record in enumerate(first) if self._is_wanted(record)]
        alerts = [first[at] for at in places]
        until = time.monotonic() + SLICE
        carried = await asyncio.gather(*(channel.carry(alerts, until) for channel in self._channels))
        had = min(count for count, _ in carried)
        done = places[had] if had < len(alerts) else len(first)
        failed = {
            channel.label: why for channel, (_, why) in zip(self._channels, carried, strict=True) if why
        }
        if failed and not done:
            raise self._unavailable(failed)
        return Settlement(done, retry_at=self._clock.now() + PAUSE if failed else None)

    async def rehearse(self, sample: Rendered) -> Sequence[Tried]:
        """One message through each channel."""
        try:
            await self.open()
        except SinkError as error:
            return [Tried("", error.message, error.hint or "")]
        failed = await asyncio.gather(*(channel.send(sample) for channel in self._channels))
        return [
            Tried(channel.label, why.why if why else "")
            for channel, why in zip(self._channels, failed, strict=True)
        ]

    async def close(self) -> None:
        """Forget the channels; what they are sending may still get through."""
        self._channels = []

    def _is_wanted(self, record: Rendered) -> bool:
        if record["kind"] != "alert" or not is_severe(record, self._settings.severity):
            return False
        if record.get("replayed"):
            self._log.info(
                "record.withheld", record=record["id"], hint="what is sent again is no news to people"
            )
            return False
        return True

    def _messengers(self, urls: list[str]) -> list[Messenger]:
        return [
            Messenger(url, place=f"address {at} of `urls`", apart=self._apart)
            for at, url in enumerate(urls, 1)
        ]

    def _unavailable(self, failed: dict[str, Failed]) -> SinkError:
        words = "; ".join(f"{label}: {failure.why}" for label, failure in failed.items())
        if len(failed) == len(self._channels) and all(failure.refused for failure in failed.values()):
            return SinkMisconfigured(words, hint="is the address right? `poller alerts test` tries it")
        # Blameless: the others go on meanwhile, so the batch must not shrink to find a bad record.
        return SinkUnavailable(words, until=self._clock.now() + PAUSE, reason="network")
