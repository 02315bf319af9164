"""The seam to where records go. `deliver.py` does the hard part: a sink only writes.

A sink may be more than one of these: `mqtt` shows the newest state and delivers alerts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from poller.runtime.clock import Clock
from poller.runtime.status import Failure
from poller.vehicle.fleet import VehicleView
from poller.vehicle.privacy import Rendering

#: A record as this sink may see it: the JSON of docs/records.md.
Rendered = Mapping[str, Any]
#: Where a sink's ``format`` asks for it, this holds a snapshot's keys as that library wrote them, in
#: place of `readings`.
LIBRARY: Final = "bimmerconnected"


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
class Preparing(Protocol):
    """A queued sink that can make a record ready before its turn, while the batch before it is under way."""

    def prepare(self, record: Rendered) -> Rendered:
        """What `deliver` gets instead of the record; it takes the record itself as well. Pure."""
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


#: What a builder gives: `road` asks each which of the two it is.
Sink: TypeAlias = QueuedSink | LiveSink


@dataclass(frozen=True, slots=True)
class Standing:
    """How a connection stands. `up` None: nothing tried yet. `held`: why a human must mend something."""

    up: bool | None = None
    held: str | None = None
    failure: Failure | None = None
    last_success_at: datetime | None = None


@runtime_checkable
class Attended(Protocol):
    """A live sink with a connection of its own to keep, so that showing never waits for it."""

    async def attend(self, stop: asyncio.Event) -> None:
        """Keep it until `stop`; supervised, so what it raises is a bug."""
        ...

    def standing(self) -> Standing:
        """How it stands; cheap, asks nobody."""
        ...


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a sample: the channel, in words without secrets; what went wrong ("": nothing), and
    what mends it.
    """

    channel: str
    error: str = ""
    hint: str = ""


@runtime_checkable
class Rehearsed(Protocol):
    """A sink that leads to people, and can show before it matters that it does."""

    async def rehearse(self, sample: Rendered) -> Sequence[Tried]:
        """Send a sample now through each channel, past the queue and every filter; raises no SinkError."""
        ...
