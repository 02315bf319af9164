"""A `web.base.Daemon` that stands still: shows the status and the cars it was given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from poller.runtime.metrics import Registry
from poller.runtime.status import DaemonStatus
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
    ) -> None:
        self.current = current
        self.fleet = fleet or Fleet()
        self.registries = registries
        self.rendering = rendering or Rendering({}, location="none", vin="short")

    async def refresh(self) -> None:
        """It stands still."""

    def status(self) -> DaemonStatus:
        """What was given, judged by the real rules."""
        return replace(self.current, reasons=reasons(self.current))
