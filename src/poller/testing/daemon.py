"""A `web.base.Daemon` that stands still: shows the status and the cars it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from poller.runtime.metrics import Registry
from poller.runtime.status import DaemonStatus
from poller.sources.device import ByDevice
from poller.vehicle.fleet import Fleet
from poller.vehicle.privacy import Rendering
from poller.web.readiness import reasons


class StillDaemon:
    """`current` may be replaced at any time; its reasons are computed when it is read."""

    def __init__(
        self,
        current: DaemonStatus,
        *,
        fleet: Fleet | None = None,
        registries: Sequence[Registry] = (),
        rendering: Rendering | None = None,
        by_device: Mapping[str, ByDevice] | None = None,
        origins: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.current = current
        self.fleet = fleet or Fleet()
        self.registries = registries
        self.rendering = rendering or Rendering({}, location="none", vin="short")
        self.by_device = by_device or {}
        self.ways = origins or {}

    async def refresh(self) -> None:
        """It stands still."""

    def to_log_in(self, source: str) -> ByDevice | None:
        """One of those that were given."""
        return self.by_device.get(source)

    def origins(self, _vin: str) -> Mapping[str, Mapping[str, str]]:
        """What was given, for every vehicle."""
        return self.ways

    def status(self) -> DaemonStatus:
        """What was given, judged by the real rules."""
        return replace(self.current, reasons=reasons(self.current))
