"""The road as configured: sources, collector, deliveries and sinks, built and run together.

`app` owns what outlives a reload (journal, web, metrics); a reload swaps one road for another.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poller.collect import Collector
from poller.deliver import Delivery
from poller.derive import Deriver
from poller.derive.alerts.car import AlertDeriver
from poller.errors import JournalError, PollerError
from poller.journal.base import Journal
from poller.runtime import log
from poller.runtime.atomic import write_atomic
from poller.runtime.clock import Clock
from poller.runtime.metrics import Metrics, Registry
from poller.runtime.pulse import Pulse
from poller.runtime.supervise import supervise
from poller.schedule.rounds import Rounds
from poller.schedule.timer import Timer
from poller.settings import Loaded, Settings
from poller.sinks import BUILDERS as SINKS
from poller.sinks import LIVE_KINDS
from poller.sinks import Builder as SinkBuilder
from poller.sinks.base import Attended as AttendedSink
from poller.sinks.base import LiveSink, QueuedSink, Sink, SinkContext
from poller.sinks.settings import LibraryForm
from poller.sources import BUILDERS as SOURCES
from poller.sources import PAST_KINDS
from poller.sources import Builder as SourceBuilder
from poller.sources.base import Attended, Memory, Source, SourceContext
from poller.vehicle.display import Display, Units
from poller.vehicle.fleet import Fleet
from poller.vehicle.privacy import Rendering

if TYPE_CHECKING:
    from poller.library.offer import Offer

#: The secret of this installation, in `data_dir`.
KEY_FILE = "installation.key"


class Road:
    """Everything between the clock and the sinks, for one set of settings. Constructing opens nothing."""

    def __init__(
        self,
        loaded: Loaded,
        *,
        journal: Journal,
        clock: Clock,
        metrics: Metrics,
        pulse: Pulse,
        on_jump: Callable[[float], None],
        clock_set: Callable[[], bool],
        source_builders: Mapping[str, SourceBuilder] = SOURCES,
        sink_builders: Mapping[str, SinkBuilder] = SINKS,
    ) -> None:
        self.settings: Settings = loaded.settings
        self.loaded = loaded
        self._journal = journal
        self._clock = clock
        self._metrics = metrics
        self._pulse = pulse
        self._clock_set = clock_set
        self._source_builders = source_builders
        self._sink_builders = sink_builders
        self.fleet = Fleet(clock.now)
        self._key = b""
        self._used: Counter[str] = Counter()
        self._closed = False
        self.timer = Timer(clock, on_jump)
        self.sources: dict[str, Source] = {}
        self.rounds: dict[str, Rounds] = {}
        self.live: dict[str, LiveSink] = {}
        self.deliveries: dict[str, Delivery] = {}
        self._queued: dict[str, QueuedSink] = {}
        self.collector: Collector
        self._logger = log.get("app")

    @staticmethod
    def queued_names(settings: Settings) -> list[str]:
        """The sinks that need a cursor."""
        return [name for name, sink in settings.sinks.items() if kind_of(sink) not in LIVE_KINDS]

    def kind(self, sink: str) -> str:
        """The `type` of a configured sink."""
        return kind_of(self.settings.sinks[sink])

    def rendering(self, sink: Any) -> Rendering:
        """How a sink with these settings may see vehicles and records."""
        return Rendering(self.settings.names, sink.location, sink.vin, self._key)

    def offer(self, rendering: Rendering, *, units: Units | None = None, data: bool = True) -> Offer:
        """How a reader with this rendering gets vehicles in the form of the bimmer_connected library."""
        # Only for those who want it: the model is as large as a room.
        from poller.library.offer import Offer
        from poller.sources.mybmw.regions import CODES
        from poller.sources.mybmw.settings import MyBmwSettings

        display = self.settings.display
        regions = {
            name: CODES[source.region]
            for name, source in self.settings.sources.items()
            if isinstance(source, MyBmwSettings)
        }
        return Offer(rendering, units or display.units, display.zone, data, regions)

    async def open(self) -> None:
        """Build and open every part; a part that cannot be opened is logged and tried again by its task."""
        settings = self.settings
        self._key = await asyncio.to_thread(installation_key, settings.data_dir)
        self._build_sinks(settings)
        self.collector = Collector(
            self._journal,
            derivers=derivers_of(settings),
            fleet=self.fleet,
            live=list(self.live.values()),
            metrics=self._metrics,
            committed=self.wake,
        )
        self._build_sources(settings)
        # Queued sinks are opened by their deliveries, which hold one that cannot be opened.
        for sink in self.live.values():
            await sink.open()
        await self.catch_up()

    async def catch_up(self) -> None:
        """Take over what the journal knows: the newest of each vehicle, back-off, what sources remember.

        Again when the road that ran before this one has ended: it may have polled meanwhile.
        """
        for source in self.sources.values():
            await source.open()
        await self.collector.restore(self.sources)
        for rounds in self.rounds.values():
            await rounds.open()

    @property
    def sinks(self) -> Mapping[str, Sink]:
        """All sinks, by name."""
        return {**self.live, **self._queued}

    @property
    def registries(self) -> list[Registry]:
        """The cars' metrics, from the sinks that serve them."""
        found = (getattr(sink, "registry", None) for sink in self.live.values())
        return [registry for registry in found if registry is not None]

    @contextlib.asynccontextmanager
    async def using(self, name: str) -> AsyncIterator[Source]:
        """A source that stays open until the block ends, though a reload closes this road meanwhile."""
        source = self.sources[name]
        self._used[name] += 1
        try:
            yield source
        finally:
            self._used[name] -= 1
            if self._closed and not self._used[name]:
                await source.close()

    async def close(self, within: float = 3.0) -> None:
        """Close all parts together; may be called twice. What does not end in time is left to itself.

        A source that is in use is closed when its user is done.
        """
        self._closed = True
        unused = [source for name, source in self.sources.items() if not self._used[name]]
        parts: list[Source | Sink] = [*unused, *self.live.values()]
        closing = asyncio.gather(
            *(part.close() for part in [*parts, *self._queued.values()]), return_exceptions=True
        )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(closing, within)

    def wake(self) -> None:
        """There is something new in the journal."""
        for delivery in self.deliveries.values():
            delivery.wake()

    def start(self, stop: asyncio.Event) -> list[asyncio.Task[None]]:
        """Start one supervised task per source and queued sink, what sources do between, and the timer."""

        def task(name: str, run: Callable[[asyncio.Event], Any]) -> asyncio.Task[None]:
            supervised = supervise(name, run, stop=stop, clock=self._clock, metrics=self._metrics)
            return asyncio.create_task(supervised, name=name)

        tasks = [task(f"deliver:{name}", delivery.run) for name, delivery in self.deliveries.items()]
        tasks += [
            task(f"sink:{name}", sink.attend)
            for name, sink in self.live.items()
            if isinstance(sink, AttendedSink)
        ]
        # Before the polls: the first of these looks at the stream.
        tasks += [
            task(f"attend:{name}", source.attend)
            for name, source in self.sources.items()
            if isinstance(source, Attended)
        ]
        for name, rounds in self.rounds.items():
            tasks.append(task(f"source:{name}", rounds.run))
            interval = self._interval(name)
            jitter = min(self.settings.poll.jitter, interval / 2)
            self.timer.add(
                name, rounds.mark_due, interval=interval, jitter=jitter, last_attempt=rounds.last_attempt
            )
        self.timer.start()
        tasks.append(
            task("clock", lambda stop: self.timer.watch(stop, lambda: self._pulse.beat("scheduler")))
        )
        return tasks

    def _build_sources(self, settings: Settings) -> None:
        context = source_context(self.loaded, self._clock, self._journal)
        context = replace(context, quarantine=self.collector.quarantine)
        for name, source_settings in settings.sources.items():
            source = self._source_builders[kind_of(source_settings)](name, source_settings, context)
            self.sources[name] = source
            self._metrics.declare_source(name)
            self.rounds[name] = Rounds(
                source,
                poll=self.collector.poll,
                memory=self._journal,
                clock=self._clock,
                interval=self._interval(name),
                closed=self._closed_by,
                listed=self.collector.retire,
                failed=self.collector.note_failure,
            )

    def _build_sinks(self, settings: Settings) -> None:
        for name, sink_settings in settings.sinks.items():
            rendering = self.rendering(sink_settings)
            context = SinkContext(self._clock, settings.data_dir, rendering)
            sink = self._sink_builders[kind_of(sink_settings)](name, sink_settings, context)
            if isinstance(sink, LiveSink):
                self.live[name] = sink
            if not isinstance(sink, QueuedSink):
                continue
            self._queued[name] = sink
            self._metrics.declare_sink(name)
            self.deliveries[name] = Delivery(
                name,
                sink,
                self._journal,
                self._clock,
                rendering,
                sink_settings,
                self._metrics,
                offer=self._offer_to(sink_settings, rendering),
            )

    def _offer_to(self, sink: Any, rendering: Rendering) -> Offer | None:
        """For a sink whose settings want the library's form."""
        if not isinstance(sink, LibraryForm) or not sink.format:
            return None
        return self.offer(rendering, data=sink.data)

    async def _closed_by(self) -> str:
        """Why no answer could be kept, under its right time; "": it could."""
        if not self._clock_set():
            return "clock not set, it is older than the newest record or than this release"
        if self.settings.journal.when_full != "stop_collecting":
            return ""
        try:
            full = (await self._journal.stats()).full
        except JournalError as error:
            return f"the journal cannot be used, {error.message}"
        return "the journal is full" if full else ""

    def _interval(self, source: str) -> float:
        own: float | None = self.settings.sources[source].interval
        return own or self.settings.poll.interval


def source_context(loaded: Loaded, clock: Clock, memory: Memory) -> SourceContext:
    """What every source is built with."""
    settings = loaded.settings
    return SourceContext(
        clock=clock,
        memory=memory,
        directory=settings.data_dir,
        base=loaded.base,
        timezone=settings.display.zone,
        steering={v.vin: v.steering for v in settings.vehicles.values() if v.steering},
    )


def derivers_of(settings: Settings) -> tuple[Deriver, ...]:
    """What follows from snapshots, in the order in which it is derived."""
    display = settings.display
    alerts = AlertDeriver(
        settings.alerts,
        Display(display.units, display.zone),
        own={vehicle.vin: vehicle.alerts for vehicle in settings.vehicles.values()},
        names=settings.names,
        live=[name for name, source in settings.sources.items() if kind_of(source) not in PAST_KINDS],
    )
    return (alerts,)


def kind_of(settings: Any) -> str:
    """The `type` of a source's or sink's table."""
    kind: str = settings.type
    return kind


def installation_key(data_dir: Path) -> bytes:
    """The secret of this installation, made at the first start; VIN hashes depend on it.

    Raises PollerError if it can be neither read nor made.
    """
    path = data_dir / KEY_FILE
    try:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            key = secrets.token_bytes(32)
            write_atomic(path, key)
            return key
    except OSError as error:
        words = f"{path} cannot be used: {error.strerror}"
        raise PollerError(words, hint="check that data_dir belongs to this user") from error
