"""Sinks that remember what they were given, and fail as they are told."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from poller.errors import SinkError
from poller.sinks.base import Rendered, Settlement
from poller.vehicle.fleet import VehicleView

#: What a delivery does: settle so, raise, or work it out from the batch.
Outcome = Settlement | Exception | Callable[[Sequence[Rendered]], Settlement]


def accept(records: Sequence[Rendered]) -> Settlement:
    """Everything is taken."""
    return Settlement(len(records))


class RecordingSink:
    """Implements `sinks.base.QueuedSink`.

    `plan` queues outcomes, one a delivery; then `standing` holds, which accepts. `batches` has the
    ids of every batch offered, `records` what was accepted, in order and repeated if it was.
    """

    def __init__(self, name: str = "recording") -> None:
        self.name = name
        self.standing: Outcome = accept
        self.opening: deque[SinkError] = deque()
        self.batches: list[list[str]] = []
        self.records: list[Rendered] = []
        self.opened = False
        #: Cleared: deliveries wait here before they answer.
        self.gate = asyncio.Event()
        self.gate.set()
        self._plan: deque[Outcome] = deque()

    def plan(self, *outcomes: Outcome) -> None:
        """Queue outcomes for the next deliveries."""
        self._plan.extend(outcomes)

    @property
    def ids(self) -> list[str]:
        """The ids of what was accepted, in order."""
        return [record["id"] for record in self.records]

    async def open(self) -> None:
        """Ready, unless `opening` holds an error for this time."""
        if self.opening:
            raise self.opening.popleft()
        self.opened = True

    async def deliver(self, records: Sequence[Rendered]) -> Settlement:
        """Do what is planned."""
        self.batches.append([record["id"] for record in records])
        outcome = self._plan.popleft() if self._plan else self.standing
        await self.gate.wait()
        if isinstance(outcome, Exception):
            raise outcome
        settlement = outcome if isinstance(outcome, Settlement) else outcome(records)
        self.records += [
            record for at, record in enumerate(records[: settlement.done]) if at not in settlement.rejected
        ]
        return settlement

    async def close(self) -> None:
        """Not ready any more."""
        self.opened = False


class RecordingLiveSink:
    """Implements `sinks.base.LiveSink`: `views` is what is shown, `published` all that ever was."""

    def __init__(self, name: str = "recording") -> None:
        self.name = name
        self.views: dict[str, VehicleView] = {}
        self.published: list[VehicleView] = []

    async def open(self) -> None:
        """Nothing to make ready."""

    async def publish(self, view: VehicleView) -> None:
        """Show and remember it."""
        self.views[view.vin] = view
        self.published.append(view)

    async def retire(self, vin: str) -> None:
        """Show it no more."""
        self.views.pop(vin, None)

    async def close(self) -> None:
        """Nothing to let go of."""
