"""The seam to where records go. `deliver.py` does the hard part: a sink only writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from poller.runtime.clock import Clock
from poller.vehicle.fleet import VehicleView
from poller.vehicle.privacy import Rendering

#: A record as this sink may see it: the JSON of docs/records.md.
Rendered = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a batch.

    The first `done` records are finished: accepted, or rejected for ever with a reason. The rest
    is kept and tried again, not before `retry_at` if that is given. `rejected` maps positions
    below `done` to the reason, in the destination's own words, free of secrets.
    """

    done: int
    rejected: Mapping[int, str] = field(default_factory=dict)
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What every sink is built with. `directory`: the data directory, from which paths count."""

    clock: Clock
    directory: Path
    rendering: Rendering


@runtime_checkable
class QueuedSink(Protocol):
    """A destination with a cursor in the journal: at least once, in order.

    A sink does not retry, buffer or sleep. Returning is a promise: what `deliver` calls done is
    with the destination, durably. Constructing opens nothing.
    """

    @property
    def name(self) -> str:
        """The table's name in the configuration."""
        ...

    async def open(self) -> None:
        """Make ready. Raises SinkMisconfigured if that can be known without sending."""
        ...

    async def deliver(self, records: Sequence[Rendered]) -> Settlement:
        """Send a batch, oldest first. What it raises means that nothing is done.

        SinkUnavailable: try again later. SinkMisconfigured: a human must mend something.
        BatchRefused: one of the records is to blame, and it is unknown which; send fewer.
        """
        ...

    async def close(self) -> None:
        """Let go of connections; may be called twice."""
        ...


@runtime_checkable
class LiveSink(Protocol):
    """A destination that shows the newest state of each vehicle and has no backlog."""

    @property
    def name(self) -> str:
        """The table's name in the configuration."""
        ...

    async def open(self) -> None:
        """Make ready."""
        ...

    async def publish(self, view: VehicleView) -> None:
        """Show this state; called after the commit, and at start with what the journal has."""
        ...

    async def retire(self, vin: str) -> None:
        """Forget a vehicle that no source lists any more."""
        ...

    async def close(self) -> None:
        """Let go of connections; may be called twice."""
        ...
