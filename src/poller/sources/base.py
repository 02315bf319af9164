"""The seam to a maker's cloud: who is asked, and what came back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from poller.runtime.clock import Clock
from poller.runtime.status import Channels
from poller.vehicle.answer import Answer
from poller.vehicle.snapshot import Snapshot

__all__ = ["Answer", "Attended", "LoginState", "Memory", "NoMemory", "Source", "SourceContext", "Target"]

Steering = Literal["left", "right"]
#: Keeps, counts and shows what arrived and was not understood, and why. Raises JournalError.
Quarantine = Callable[[Answer, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Target:
    """One vehicle at one source. `ref` tells several captured answers of one vehicle apart."""

    vin: str
    ref: str = ""


@dataclass(frozen=True, slots=True)
class LoginState:
    """What is known of a source's login without asking anybody.

    `version` changes whenever a new login is stored, by this process or another: a source that
    waits for a human is asked again when it differs. `expires_at`: when the login itself ends.
    """

    version: str = ""
    expires_at: datetime | None = None


class Memory(Protocol):
    """A few small JSON values that survive a restart; the journal keeps them."""

    async def recall(self, key: str) -> dict[str, Any] | None:
        """The value last remembered under `key`, or None."""
        ...

    async def remember(self, key: str, value: Mapping[str, Any]) -> None:
        """Store `value`; when this returns it is on disk. Raises JournalError."""
        ...

    async def keep(self, answer: Answer, key: str, value: Mapping[str, Any]) -> None:
        """Store what arrived and, under `key`, what it made of a merged state: in ONE transaction.

        Nobody may see that state before this returns. Raises JournalError, JournalFull.
        """
        ...


class NoMemory:
    """A Memory that keeps nothing: for a login beside a daemon that holds the journal."""

    async def recall(self, _key: str) -> dict[str, Any] | None:
        """Nothing."""
        return None

    async def remember(self, _key: str, _value: Mapping[str, Any]) -> None:
        """Forget it."""

    async def keep(self, _answer: Answer, _key: str, _value: Mapping[str, Any]) -> None:
        """Forget it."""


async def no_quarantine(_answer: Answer, _reason: str) -> None:
    """As NoMemory."""


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What every source is built with.

    `directory`: the data directory; logins live in ``accounts/`` below it. `base`: the folder of
    the configuration file, from which its relative paths count. `timezone`: for times of day in
    answers. `steering`: VIN → side, where the owner set it. `quarantine`: for a source that is fed
    by push; what a poll could not understand goes there by itself.
    """

    clock: Clock
    memory: Memory
    directory: Path
    base: Path
    timezone: tzinfo
    steering: Mapping[str, Steering] = field(default_factory=dict)
    quarantine: Quarantine = no_quarantine


@runtime_checkable
class Source(Protocol):
    """An account that knows vehicles. Constructing opens nothing."""

    @property
    def name(self) -> str:
        """The table's name in the configuration."""
        ...

    @property
    def kind(self) -> str:
        """The type: mybmw, cardata, command, recorded."""
        ...

    @property
    def account(self) -> str:
        """Kind and account, the key of back-off and login: the same after a rename of the table."""
        ...

    @property
    def lists_vehicles(self) -> bool:
        """Whether `targets` names every vehicle, so that one that is missing has left the account."""
        ...

    async def open(self) -> None:
        """Make ready, and read what is remembered; asks nobody. May be called again: it is read anew."""
        ...

    async def close(self) -> None:
        """Let go of connections; may be called twice."""
        ...

    def login_state(self) -> LoginState:
        """The stored login, read cheaply from disk; ``LoginState()`` where none is needed."""
        ...

    async def targets(self) -> Sequence[Target]:
        """What there is to poll, cached where asking costs. Raises SourceError."""
        ...

    async def fetch(self, target: Target) -> Answer:
        """Ask for one vehicle; understands nothing. Raises SourceError."""
        ...

    def stored(self, answer: Answer) -> None:
        """The answer is safe in the journal: a source that hands out each one once may forget it."""
        ...

    def parse(self, answer: Answer) -> Snapshot:
        """Understand an answer, also one fetched long ago; no I/O. Raises only MalformedAnswer."""
        ...


@runtime_checkable
class Attended(Protocol):
    """A source with work between its polls: a stream to listen to, a login to keep."""

    async def attend(self, stop: asyncio.Event) -> None:
        """That work, until `stop`; supervised, so what it raises is a bug."""
        ...

    def channels(self) -> Channels:
        """How quota and stream stand, and why there is nothing new; cheap, asks nobody."""
        ...
