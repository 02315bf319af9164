"""The sink: what is wanted at the broker against what is there, and the connection over which to mend it."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Mapping, Sequence

from poller.errors import SinkError, SinkMisconfigured, SinkUnavailable
from poller.runtime import log
from poller.runtime.clock import wait, wait_for_any
from poller.runtime.status import Failure
from poller.sinks.base import Rendered, Settlement, SinkContext, Standing, Tried
from poller.sinks.mqtt.discovery import Announcer
from poller.sinks.mqtt.link import ONLINE, Link, Will, place, trust
from poller.sinks.mqtt.memory import Memory
from poller.sinks.mqtt.topics import Names, state
from poller.sinks.settings import MqttSettings
from poller.vehicle.fleet import VehicleView
from poller.vehicle.records import dumps

#: Pauses between attempts to connect: doubling, with chance.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
#: Real seconds for each of the broker's answers.
ANSWER = 10.0
WITHHELD = "what is sent again is no news to whoever listens"
#: Real seconds of a delivery, then it returns with what it has.
SLICE = 5.0


class MqttSink:
    """Implements `LiveSink` for the state, `QueuedSink` for records, `Attended` and `Rehearsed`.

    The state is shown by `attend` alone: `publish` only puts it down, so that no broker holds up a poll.
    """

    def __init__(
        self, name: str, settings: MqttSettings, context: SinkContext, *, answer: float = ANSWER
    ) -> None:
        self.name = name
        self._settings = settings
        self._clock = context.clock
        self._directory = context.directory
        self._answer = answer
        self._names = Names(settings.topic, context.rendering)
        poller = "poller_" + hashlib.sha256(context.rendering.key).hexdigest()[:8]
        self._announcer = Announcer(settings.discovery, self._names, poller)
        broker = "{}:{}".format(*place(settings.url))
        self._memory = Memory(context.directory / "sinks" / f"{name}.topics", broker, name)
        self._views: dict[str, VehicleView] = {}
        self._news = asyncio.Event()
        self._link: Link | None = None
        self._connecting = asyncio.Lock()
        self._standing = Standing()
        self._pause = FIRST_PAUSE
        self._up_since: float | None = None
        self._complained: set[str] = set()
        self._log = log.get("sinks", sink=name)

    async def open(self) -> None:
        """Nothing to make ready: whoever needs the connection makes it."""

    async def publish(self, view: VehicleView) -> None:
        """To be shown as soon as the broker can be reached."""
        self._views[view.vin] = view
        self._news.set()

    async def retire(self, vin: str) -> None:
        """Its topics go away likewise."""
        self._views.pop(vin, None)
        self._news.set()

    async def attend(self, stop: asyncio.Event) -> None:
        """Keep the broker at what is wanted, and the connection up, until `stop`."""
        await asyncio.to_thread(self._memory.load)
        while not stop.is_set():
            self._news.clear()
            try:
                await self._work(stop)
            except SinkError as error:
                self._note_failure(error)
                await wait(stop, self._clock, self._next_pause())
                continue
            if not stop.is_set():
                self._note_success()
            await wait_for_any((stop, self._news), self._clock, None)

    def standing(self) -> Standing:
        """How the connection stands."""
        return self._standing

    async def deliver(self, records: Sequence[Rendered]) -> Settlement:
        """Say each to whoever is there, for some seconds; what comes after is kept."""
        link = await self._linked()
        until = time.monotonic() + SLICE
        for at, record in enumerate(records):
            if at and time.monotonic() > until:
                return Settlement(at)
            if record.get("replayed"):
                self._log.info("record.withheld", record=record["id"], hint=WITHHELD)
                continue
            try:
                await self._tell(link, record)
            except SinkError:
                if not at:
                    raise
                return Settlement(at)
        return Settlement(len(records))

    async def rehearse(self, sample: Rendered) -> Sequence[Tried]:
        """One message."""
        broker = place(self._settings.url)[0]
        try:
            await self._tell(await self._linked(), sample)
        except SinkError as error:
            return [Tried(broker, error.message, error.hint or "")]
        return [Tried(broker)]

    async def close(self) -> None:
        """Say that the poller is gone, and hang up; may be called twice."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def _tell(self, link: Link, record: Rendered) -> None:
        await link.tell(self._names.of_record(record["vehicle"], record["kind"]), dumps(record))

    async def _linked(self) -> Link:
        """The connection, made anew if there is none. Raises SinkError."""
        async with self._connecting:
            if self._link is not None and not self._link.lost:
                return self._link
            await self.close()
            tls = await asyncio.to_thread(trust, self._settings, self._directory)
            will = Will(self._names.status)
            link = Link(self._settings, tls, will, answer=self._answer, heard=self._heard)
            discovery = self._settings.discovery
            await link.connect(f"{discovery}/status" if discovery else "")
            self._link = link
            return link

    def _heard(self, word: str) -> None:
        """Home Assistant is there again and knows nothing; or, without a word, the connection is lost."""
        if word == ONLINE and self._link is not None:
            kept = self._link.retained.items()
            self._link.retained = {t: p for t, p in kept if not t.startswith(f"{self._settings.discovery}/")}
        self._news.set()

    def _next_pause(self) -> float:
        """Seconds; the first one again after a connection that lasted."""
        since, self._up_since = self._up_since, None
        if since is not None and self._clock.monotonic() - since > LONGEST_PAUSE:
            self._pause = FIRST_PAUSE
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE)
        return pause * random.uniform(0.75, 1)  # noqa: S311  # no secret

    async def _work(self, stop: asyncio.Event) -> None:
        """Bring the broker up to date, given up at once at a `stop`: a silent one must not hold that up."""
        working = asyncio.create_task(self._bring_up_to_date())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            working.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)
        if not working.cancelled():
            working.result()

    async def _bring_up_to_date(self) -> None:
        if self._up_since is not None and (self._link is None or self._link.lost):
            # One that breaks off again and again is not to be asked at once each time.
            raise SinkUnavailable("the broker broke off", reason="network")
        link = await self._linked()
        wanted = self._wanted()
        # Before anything is there: what a crash leaves behind is found again.
        await asyncio.to_thread(self._memory.store, self._memory.topics | wanted.keys())
        for topic, payload in wanted.items():
            if link.retained.get(topic) != payload:
                await link.retain(topic, payload)
        for topic in sorted(self._memory.topics - wanted.keys()):
            await link.retain(topic, "")
        await asyncio.to_thread(self._memory.store, wanted.keys())

    def _wanted(self) -> Mapping[str, str]:
        """Everything that ought to be retained at the broker."""
        wanted = {self._names.status: ONLINE}
        shown = self._shown()
        for view in shown:
            wanted |= state(view, self._names)
        self._memory.forget_others({self._announcer.uid(view.vin) for view in shown})
        if self._settings.discovery:
            wanted |= self._announcer.about_poller()
            for view in shown:
                seen = self._memory.note_seen(self._announcer.uid(view.vin), view.readings)
                wanted |= self._announcer.about(view, seen)
        return wanted

    def _shown(self) -> Sequence[VehicleView]:
        """The vehicles; of two with one name only the first, and it is said."""
        names: dict[str, VehicleView] = {}
        for view in self._views.values():
            slug = self._names.rendering.slug(view.vin)
            if slug not in names:
                names[slug] = view
            elif view.vin not in self._complained:
                self._complained.add(view.vin)
                hint = "give one of them a name of its own: [vehicles.NAME] with its vin"
                self._log.error("vehicle.name_taken", vehicle=slug, hint=hint)
        return list(names.values())

    def _note_success(self) -> None:
        if self._up_since is None:
            self._log.info("broker.connected")
            self._up_since = self._clock.monotonic()
        self._standing = Standing(up=True, last_success_at=self._clock.now())

    def _note_failure(self, error: SinkError) -> None:
        """Only the first of the same failures in a row is logged, and keeps its time."""
        known = self._standing.failure
        if known is None or known.message != error.message:
            self._log.warning("broker.unavailable", error=error.message, hint=error.hint)
            known = Failure(self._clock.now(), error.reason, error.message, error.hint)
        held = error.message if isinstance(error, SinkMisconfigured) else None
        self._standing = Standing(False, held, known, self._standing.last_success_at)
