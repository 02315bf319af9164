"""The composition root: builds, opens, runs, and closes in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

from poller import __released__, __version__
from poller.derive.alerts.active import active
from poller.derive.alerts.car import AlertDeriver
from poller.derive.alerts.words import car_name
from poller.errors import JournalError
from poller.journal.base import JournalStats, Policy
from poller.journal.sqlite import SqliteJournal
from poller.last_orders import LastOrders
from poller.road import Road
from poller.runtime import log
from poller.runtime.clock import Clock, SystemClock
from poller.runtime.metrics import Metrics, Registry
from poller.runtime.pulse import Pulse
from poller.runtime.status import (
    AlertStatus,
    DaemonStatus,
    Failure,
    JournalStatus,
    OrderStatus,
    SinkStatus,
    SourceStatus,
)
from poller.schedule.rounds import Rounds
from poller.settings import Loaded, Settings
from poller.sinks import BUILDERS as SINKS
from poller.sinks import Builder as SinkBuilder
from poller.sinks.base import Attended as AttendedSink
from poller.sources import BUILDERS as SOURCES
from poller.sources import Builder as SourceBuilder
from poller.sources.device import ByDevice
from poller.sources.findings import Examined
from poller.vehicle.display import Display, since
from poller.vehicle.fleet import Fleet, VehicleView
from poller.vehicle.privacy import Rendering, short_vin
from poller.vehicle.records import Json, Record, parse_time
from poller.vehicle.thresholds import TELLING
from poller.watch import Manners, Watch
from poller.web.readiness import reasons

#: Real seconds that a look into the journal may take before the status does without.
PATIENCE = 5.0
#: Seconds; a machine with a network has the right time long before.
STEADY = 86_400.0
#: Failures that the page remembers, so that successes do not wash them away.
REMEMBERED_FAILURES = 20
#: Real seconds in which a writer that is idle answers.
BREATH = 0.25


class App:
    """One poller over one data directory: the journal, the road, and how they stand.

    `looks_only`: what is there is shown, and a damaged journal left where it is.

    `running` is set by the daemon; a command that opens the app by itself leaves it False; so is
    `reload_failure`. Builders: kind → how a source or sink of that kind is made.
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        clock: Clock | None = None,
        simulated: bool = False,
        looks_only: bool = False,
        source_builders: Mapping[str, SourceBuilder] = SOURCES,
        sink_builders: Mapping[str, SinkBuilder] = SINKS,
    ) -> None:
        self.loaded = loaded
        self.clock: Clock = clock or SystemClock()
        self.metrics = Metrics()
        self.pulse = Pulse(self.clock)
        settings = loaded.settings
        file, policy = settings.data_dir / "journal.db", policy_of(settings)
        self.journal = SqliteJournal(file, policy, self.clock, may_begin_anew=not looks_only)
        self._source_builders = source_builders
        self._sink_builders = sink_builders
        self.road = self._road(loaded)
        self.metrics.expose(self.status)
        self.running = False
        self.orders = LastOrders(self.journal)
        #: Vehicles (VIN) that an order is under way to: one at a time.
        self.ordered: set[str] = set()
        #: Ends of orders that the journal could not take when they came, by id.
        self.unkept: dict[str, Record] = {}
        self._keeping: dict[str, asyncio.Task[None]] = {}
        self.reload_failure: Failure | None = None
        self._needs_restart: tuple[str, ...] = ()
        self._started_at = self.clock.now()
        self._refreshed_at: float | None = None
        self._listening: asyncio.Task[None] | None = None
        self._stats: JournalStats | None = None
        self._journal_failure: Failure | None = None
        self._failures: list[tuple[str, Failure]] = []
        self._simulated = simulated or self.clock.rate != 1.0
        self._steady_since = self.clock.monotonic()
        self._jumps = 0
        #: No clock is right that shows an earlier time.
        self._earliest = parse_time(__released__)
        self.watch = Watch(
            self.journal,
            self.clock,
            status=self.status,
            manners=self._manners,
            committed=self._wake,
        )
        self._logger = log.get("app")

    async def open(self) -> None:
        """Take the data directory and open every part. Raises JournalLocked, JournalError."""
        await self.journal.open(Road.queued_names(self.loaded.settings))
        await self.road.open()
        await self.watch.open()
        await self.refresh()
        self._judge_clock()

    async def close(self, within: float = 3.0) -> None:
        """Close in reverse; may be called twice. Connections get `within` real seconds to end well."""
        if self._listening is not None:
            self._listening.cancel()
        await self.road.close(within)
        await self.keep_ends()
        for task in self._keeping.values():
            task.cancel()
        await self.journal.close()

    async def keep_ends(self) -> None:
        """Journal what is `unkept`, each end that the journal takes now.

        One that hangs is not waited for, and not tried again beside that.
        """
        for record in self.unkept.values():
            if record.id not in self._keeping:
                self._keeping[record.id] = asyncio.create_task(self._keep(record), name="unkept-end")
        if self._keeping:
            await asyncio.wait(self._keeping.values(), timeout=PATIENCE)

    async def _keep(self, record: Record) -> None:
        try:
            await self.orders.append(record)
        except JournalError:
            return
        finally:
            del self._keeping[record.id]
        del self.unkept[record.id]
        self._wake()

    @property
    def fleet(self) -> Fleet:
        """The newest of every vehicle."""
        return self.road.fleet

    @property
    def registries(self) -> tuple[Registry, ...]:
        """What /metrics serves: the daemon's own, then the cars'."""
        return (self.metrics.registry, *self.road.registries)

    @property
    def rendering(self) -> Rendering:
        """How page, API and command line see vehicles: by name, without position."""
        return Rendering(self.loaded.settings.names, location="none", vin="short")

    async def refresh(self) -> None:
        """Read what status needs from the journal; a failing journal becomes part of the status.

        Ends within `PATIENCE` real seconds whatever the disk does, and reads at most once a second.
        """
        now = time.monotonic()
        if self._refreshed_at is not None and now - self._refreshed_at < 1.0:
            return
        self._refreshed_at = now
        try:
            async with asyncio.timeout(PATIENCE):
                for delivery in self.road.deliveries.values():
                    await delivery.refresh()
                self._stats = await self.journal.stats()
                await self.orders.recall([view.vin for view in self.fleet.views()])
        except JournalError as error:
            self._journal_failure = Failure(self.clock.now(), "journal", error.message, error.hint)
        except TimeoutError:
            self._journal_failure = Failure(self.clock.now(), "timeout", "the journal does not answer")
            return
        else:
            self._journal_failure = None
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._listen(), name="journal-beat")
        # Mostly at once. A writer that has much to do, or hangs, is not waited for.
        await asyncio.wait({self._listening}, timeout=BREATH)

    async def _listen(self) -> None:
        """The journal beats when its writer answers, be it late; one that hangs is never heard again."""
        # An error is an answer: a restart would not mend the disk.
        with contextlib.suppress(JournalError):
            await self.journal.knock()
        self.pulse.beat("journal")

    async def prune(self) -> None:
        """Let go of what the policy lets go, and count what a sink had not had yet."""
        pruned = await self.journal.prune(policy_of(self.loaded.settings), self.clock.now())
        for sink, count in pruned.dropped.items():
            self.metrics.dropped.labels(sink).inc(count)

    def status(self) -> DaemonStatus:
        """How everything stands, as of the last `refresh`."""
        sources, sinks = self._sources(), self._sinks()
        self._remember_failures(sources, sinks)
        status = DaemonStatus(
            version=__version__,
            started_at=self._started_at,
            now=self.clock.now(),
            sources=sources,
            sinks=sinks,
            journal=self._journal(),
            recent_failures=tuple(reversed(self._failures)),
            task_restarts=self.metrics.restarts,
            clock_jumps=self._jumps,
            clock_set=self._clock_set(),
            simulated=self._simulated,
            progressing=not self.pulse.silent(),
            reload_failure=self.reload_failure,
            needs_restart=self._needs_restart,
        )
        alerts, orders = tuple(self._alerts()), tuple(self._last_orders())
        return replace(status, reasons=tuple(reasons(status)), alerts=alerts, orders=orders)

    def to_log_in(self, source: str) -> ByDevice | None:
        """The source of that name, if a human logs in to it with a code; None if not."""
        found = self.road.sources.get(source)
        return found if isinstance(found, ByDevice) else None

    def origins(self, vin: str) -> Mapping[str, Mapping[str, str]]:
        """Source → record key → the way by which its value came; only sources that have several ways."""
        sources = self.road.sources.items()
        return {name: source.origins(vin) for name, source in sources if isinstance(source, Examined)}

    async def status_json(self) -> Json:
        """The status as the API has it."""
        from poller.web.model import status_json

        await self.refresh()
        return status_json(self)

    async def prepare(self, loaded: Loaded) -> Road:
        """Before a `reload`: a road with these settings, opened beside the one that runs.

        Raises PollerError, with nothing changed.
        """
        road = self._road(self._within_reach(loaded))
        try:
            await road.open()
            # Last: from now on its new sinks are owed what comes.
            await self.journal.register(Road.queued_names(loaded.settings))
        except BaseException:
            await road.close()
            raise
        return road

    def _within_reach(self, loaded: Loaded) -> Loaded:
        """`loaded` without what only a restart can change."""
        old = self.loaded.settings
        web = loaded.settings.web.model_copy(update={"listen": old.web.listen})
        settings = loaded.settings.model_copy(update={"data_dir": old.data_dir, "web": web})
        return replace(loaded, settings=settings)

    async def reload(self, road: Road, loaded: Loaded | None = None) -> None:
        """Swap the road for one that `prepare` gave; the tasks of the old one have ended.

        `loaded`: what it was prepared from; what of it needs a restart is said in log and status. Raises
        PollerError if the new one could not take over what the old one left: `Road.catch_up` then has to
        be called again before it starts.
        """
        self._note_restarts(loaded or road.loaded)
        old, self.road, self.loaded = self.road, road, road.loaded
        self.reload_failure = None
        await old.close()
        # It may have polled since the new one looked.
        await road.catch_up()
        self._refreshed_at = None
        await self.refresh()

    def _note_restarts(self, loaded: Loaded) -> None:
        new, old = loaded.settings, self.loaded.settings
        changed = {"data_dir": new.data_dir != old.data_dir, "web.listen": new.web.listen != old.web.listen}
        self._needs_restart = tuple(name for name, differs in changed.items() if differs)
        for name in self._needs_restart:
            self._logger.warning("reload.needs_restart", setting=name)

    def _road(self, loaded: Loaded) -> Road:
        return Road(
            loaded,
            journal=self.journal,
            clock=self.clock,
            metrics=self.metrics,
            pulse=self.pulse,
            on_jump=self._jumped,
            clock_set=self._clock_set,
            source_builders=self._source_builders,
            sink_builders=self._sink_builders,
        )

    def _jumped(self, _seconds: float) -> None:
        self._jumps += 1
        self.metrics.clock_jumps.inc()
        # NTP, or a hand: whoever set the clock while we ran, knows better than our records.
        self._earliest = parse_time(__released__)

    def _judge_clock(self) -> None:
        # Not the newest: one from a day when the clock was ahead must not cost a day at every start.
        last = self._stats.last_at if self._stats else None
        self._earliest = max(filter(None, (self._earliest, last)))
        if not self._clock_set():
            known = self._earliest.isoformat()
            self._logger.error(
                "clock.not_set",
                newest_known=known,
                hint="set the machine's clock; if it is right, it is believed after a day; "
                "or this data directory was used with --speed: take another data_dir",
            )

    def _clock_set(self) -> bool:
        """Whether the wall clock may be believed.

        Older than the newest record it may still be right, and the record from a day when it was
        not: what has run steadily for `STEADY` is believed.
        """
        released = parse_time(__released__)
        if self.clock.now() >= released and self.clock.monotonic() - self._steady_since >= STEADY:
            self._earliest = released
        return self.clock.now() >= self._earliest

    def _alerts(self) -> Iterator[AlertStatus]:
        """What is raised and not over: the poller's own, then the cars'."""
        now = self.clock.now()
        yield from active(self.watch.state or {}, "", now)
        for view in self.fleet.views():
            state = self.road.collector.derived(AlertDeriver.name, view.vin)
            yield from active(state, self.rendering.slug(view.vin), now)

    def _last_orders(self) -> Iterator[OrderStatus]:
        for view in self.fleet.views():
            under_way = view.vin.upper() in self.ordered
            yield from self.orders.of(view.vin, self.rendering.slug(view.vin), under_way=under_way)

    def _wake(self) -> None:
        self.road.wake()  # the road of now

    def _manners(self) -> Manners:
        settings = self.loaded.settings
        display = Display(settings.display.units, settings.display.zone)
        names = {self.rendering.slug(view.vin): self._car_name(view) for view in self.fleet.views()}
        return Manners(settings.alerts, display, names)

    def _car_name(self, view: VehicleView) -> str:
        brand, model = (view.readings.get(key) for key in ("brand", "model"))
        slug = self.rendering.names.get(view.vin)
        return car_name(slug, str(brand[0].value) if brand else "", str(model[0].value) if model else "")

    def _sources(self) -> tuple[SourceStatus, ...]:
        return tuple(self._source(name, rounds) for name, rounds in self.road.rounds.items())

    def _source(self, name: str, rounds: Rounds) -> SourceStatus:
        status, vins = rounds.status, self.road.fleet.vins_of(name)
        slugs = {short_vin(vin): self.rendering.slug(vin) for vin in vins}
        return replace(
            status,
            next_poll_at=rounds.next_poll(self.road.timer.next_due(name)),
            vehicles=tuple(sorted(slugs.values())),
            silences=tuple(
                replace(silence, vehicle=slugs.get(silence.vehicle, silence.vehicle))
                for silence in status.silences
            ),
        )

    def _sinks(self) -> tuple[SinkStatus, ...]:
        letters = self._stats.dead_letters if self._stats else {}
        queued = (
            replace(delivery.status(), dead_letters=letters.get(name, 0))
            for name, delivery in self.road.deliveries.items()
        )
        live = (
            SinkStatus(name, self.road.kind(name), live=True, up=True)
            for name in self.road.live
            if name not in self.road.deliveries
        )
        return tuple(self._with_standing(sink) for sink in (*queued, *live))

    def _with_standing(self, status: SinkStatus) -> SinkStatus:
        """What a sink with a connection of its own knows of it, and its queue does not."""
        sink = self.road.live.get(status.name)
        if not isinstance(sink, AttendedSink):
            return status
        standing = sink.standing()
        successes = [at for at in (status.last_success_at, standing.last_success_at) if at]
        return replace(
            status,
            up=False if status.up is False else standing.up,
            held=status.held or standing.held,
            failure=status.failure or standing.failure,
            last_success_at=max(successes, default=None),
        )

    def _journal(self) -> JournalStatus:
        stats = self._stats
        if stats is None:
            return JournalStatus(failure=self._journal_failure)
        vanished_at = stats.vanished_at
        if vanished_at and since(vanished_at, self.clock.now()) > TELLING.journal_vanished_for:
            vanished_at = None
        return JournalStatus(
            path=stats.path,
            size=stats.size,
            limit=stats.limit,
            disk_free=stats.disk_free,
            oldest_record_at=stats.oldest_at,
            newest_record_at=stats.newest_at,
            quarantined=stats.quarantined,
            orphans=tuple(stats.orphans.items()),
            full=stats.full,
            set_aside=tuple(stats.set_aside),
            vanished_at=vanished_at,
            failure=self._journal_failure,
        )

    def _remember_failures(self, sources: tuple[SourceStatus, ...], sinks: tuple[SinkStatus, ...]) -> None:
        for what, parts in (("source", sources), ("sink", sinks)):
            for part in parts:
                if part.failure is not None:
                    self._remember(f"{what} {part.name}", part.failure)
        del self._failures[:-REMEMBERED_FAILURES]

    def _remember(self, subject: str, failure: Failure) -> None:
        """Keep a failure; one that repeats is kept once, with its latest time."""
        if (subject, failure) in self._failures:
            return
        gist = (subject, failure.reason, failure.message)
        self._failures = [(s, f) for s, f in self._failures if (s, f.reason, f.message) != gist]
        self._failures.append((subject, failure))


def policy_of(settings: Settings) -> Policy:
    """The journal's limits as configured."""
    journal = settings.journal
    return Policy(journal.max_age, journal.max_size, journal.keep_free, journal.when_full)
