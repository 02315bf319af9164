"""A daemon that stands as it is told: real metrics behind a real web server, and nothing that polls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from poller.runtime.clock import SystemClock
from poller.runtime.metrics import Metrics
from poller.runtime.status import (
    DaemonStatus,
    JournalStatus,
    QuotaStatus,
    Silence,
    SinkStatus,
    SourceStatus,
    StreamStatus,
)
from poller.sinks.base import SinkContext
from poller.sinks.prometheus import PrometheusSink
from poller.sinks.settings import PrometheusSettings
from poller.testing.daemon import StillDaemon
from poller.vehicle.display import Display
from poller.vehicle.fleet import VehicleView
from poller.vehicle.privacy import Rendering
from poller.vehicle.snapshot import Reading
from poller.web.server import WebServer

#: The car of whom its source tells what MyBMW never does.
VIN, CAR = "WBY00000000000007", "beside"


class Imagined:
    """`days`: how long a day is that its login lasts, in days."""

    def __init__(self, days: float = 1) -> None:
        self._day = timedelta(days=days)
        self.metrics = Metrics()
        self.metrics.declare_sink("hook")
        self.metrics.task_restarts.labels("deliver.hook")
        now = datetime.now(UTC)
        source = SourceStatus(
            "home", "cardata", "ok", 900, last_success_at=now, next_poll_at=now, last_duration=1,
            login_expires_at=now + 14 * self._day,
            quota=QuotaStatus(50, 40, 10), stream=StreamStatus("connected"),
        )  # fmt: skip
        sink = SinkStatus("hook", "webhook", live=False, up=True, last_success_at=now)
        journal = JournalStatus(size=10**6, limit=10**9, disk_free=50 * 10**9, oldest_record_at=now)
        self.well = DaemonStatus("1", now, now, (source,), (sink,), journal)
        context = SinkContext(SystemClock(), Path(), Rendering({VIN: CAR}))
        self._cars = PrometheusSink("prometheus", PrometheusSettings(type="prometheus"), context)
        self.daemon = StillDaemon(self.well, registries=(self.metrics.registry, self._cars.registry))
        self.metrics.expose(self.daemon.status)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """Host and port of its `/metrics`."""
        display = Display("metric", UTC)
        web = WebServer(self.daemon, listen=[("127.0.0.1", 0)], display=display, clock=SystemClock())
        web.bind()
        stop = asyncio.Event()
        task = asyncio.create_task(web.run(stop))
        try:
            yield web.urls[0].removeprefix("http://").rstrip("/")
        finally:
            stop.set()
            await task

    def suffer(self) -> None:
        """Calls and login run out, the stream is down, the disk fills, a task dies, records are lost."""
        [source] = self.well.sources
        silences = [Silence(condition, "…") for condition in ("budget_spent", "stream_down", "car_quiet")]
        ending = replace(
            source,
            silences=silences,
            quota=QuotaStatus(50, 3, 10),
            login_expires_at=datetime.now(UTC) + 2 * self._day,
        )
        journal = replace(self.well.journal, disk_free=5 * 10**8)
        self.daemon.current = replace(self.well, sources=(ending,), journal=journal)
        self.metrics.dropped.labels("hook").inc(7)
        self.metrics.task_restarts.labels("deliver.hook").inc(9)

    def count(self) -> None:
        """Another poll and another delivery, of which one each fails; something waits for the sink."""
        self.metrics.polls.labels("home").inc()
        self.metrics.count_poll_failure("home", "network")
        self.metrics.deliveries.labels("hook").inc()
        self.metrics.delivered.labels("hook").inc(3)
        self.metrics.count_delivery_failure("hook", "server")
        [sink] = self.well.sinks
        waiting = replace(sink, backlog=4, oldest_record_at=self.well.now, dead_letters=1)
        self.daemon.current = replace(self.daemon.current, sinks=(waiting,))

    def recover(self) -> None:
        self.daemon.current = self.well

    async def measure(self, volts: float) -> None:
        """Show its car's 12 V battery; until then it has no car."""
        readings = {"aux_battery_volts": (Reading(volts), "home")}
        await self._cars.publish(VehicleView(VIN, readings, {}))
