"""How the daemon stands, as plain values: one model for page, API, metrics and readiness.

Each part keeps its own status; `app` gathers them into a `DaemonStatus`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure in words fit for a page: no secret, no VIN, no position."""

    at: datetime
    reason: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class QuotaStatus:
    """Calls of a metered account. `limit`: a day's; `remaining` may be made now, all but `reserve` by polls.

    `next_free_at`: when the next poll may cost a call, None: now. `purposes`: what the calls of the last
    24 hours were for.
    """

    limit: int
    remaining: int
    reserve: int = 0
    used_24h: int = 0
    used_today: int = 0
    next_free_at: datetime | None = None
    purposes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """How a source's stream stands, `since` when; `failure` says why it is not connected.

    `kicked`: another client keeps taking the account's one connection.
    """

    state: Literal["connecting", "connected", "kicked", "refused", "no_network", "waiting"]
    since: datetime | None = None
    last_message_at: datetime | None = None
    retry_at: datetime | None = None
    failure: Failure | None = None
    own_broker: bool = False

    @property
    def connected(self) -> bool:
        """Whether messages can arrive."""
        return self.state == "connected"


#: Why there is nothing new, the first that is true.
Condition = Literal["refused", "no_network", "budget_spent", "stream_down", "car_quiet"]


@dataclass(frozen=True, slots=True)
class Silence:
    """Why a source brings nothing new, or less than it could; words fit for a page.

    `car_quiet` is no fault: everything works, the car sends nothing. `vehicle`: short VIN, if it is one
    vehicle's.
    """

    condition: Condition
    message: str
    hint: str | None = None
    since: datetime | None = None
    vehicle: str = ""


@dataclass(frozen=True, slots=True)
class Channels:
    """What a source knows of itself beside how its polls went."""

    quota: QuotaStatus | None = None
    stream: StreamStatus | None = None
    silences: Sequence[Silence] = ()


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One source. `allowed_age`: seconds without success after which it is not ready any more."""

    name: str
    kind: str
    state: Literal["starting", "ok", "backing_off", "login_required", "blocked", "failing"]
    allowed_age: float
    vehicles: Sequence[str] = ()
    last_attempt_at: datetime | None = None
    last_success_at: datetime | None = None
    next_poll_at: datetime | None = None
    last_duration: float | None = None
    failure: Failure | None = None
    consecutive_failures: int = 0
    login_expires_at: datetime | None = None
    quota: QuotaStatus | None = None
    stream: StreamStatus | None = None
    silences: Sequence[Silence] = ()


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """One sink. `up`: the last attempt succeeded (None: nothing tried yet). `held`: why it is parked.

    Of what waits, the oldest was received at `oldest_record_at`, and waits since `waiting_since`: an
    imported dump is years old when it comes.
    """

    name: str
    kind: str
    live: bool
    up: bool | None = None
    backlog: int = 0
    oldest_record_at: datetime | None = None
    waiting_since: datetime | None = None
    last_success_at: datetime | None = None
    retry_at: datetime | None = None
    held: str | None = None
    isolated: str | None = None
    failure: Failure | None = None
    dead_letters: int = 0
    backlog_limit: float = 0


@dataclass(frozen=True, slots=True)
class JournalStatus:
    """The journal. Sizes in bytes; `limit` 0: none. `set_aside`: names of damaged ones beside it.

    `vanished_at`: when, within the last week, it was begun because the one before vanished under us.
    """

    path: str = ""
    size: int = 0
    limit: int = 0
    disk_free: int = 0
    oldest_record_at: datetime | None = None
    newest_record_at: datetime | None = None
    quarantined: int = 0
    orphans: Sequence[tuple[str, int]] = ()
    full: bool = False
    set_aside: Sequence[str] = ()
    vanished_at: datetime | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class AlertStatus:
    """An alert that is raised and not over. `vehicle`: the slug, "" for the poller itself.

    `title` and `text` are in the owner's words, as of now.
    """

    vehicle: str
    rule: str
    subject: str
    severity: Literal["info", "warning", "critical"]
    raised_at: datetime
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class OrderStatus:
    """One of the last orders to a car, as its record has it. `vehicle`: the slug.

    `state` "ordered" without being `under_way`: the poller was stopped over it, and nobody knows.
    """

    vehicle: str
    source: str
    service: str
    state: str
    ordered_at: datetime
    ended_at: datetime | None = None
    reason: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    under_way: bool = False


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """Everything. `ready` is `reasons` being empty.

    `reload_failure`: why the last reload was refused; None after a good one. `needs_restart`: settings
    that were changed and are not in force before a restart.
    """

    version: str
    started_at: datetime
    now: datetime
    sources: Sequence[SourceStatus] = ()
    sinks: Sequence[SinkStatus] = ()
    journal: JournalStatus = field(default_factory=JournalStatus)
    recent_failures: Sequence[tuple[str, Failure]] = ()
    task_restarts: int = 0
    clock_jumps: int = 0
    clock_set: bool = True
    simulated: bool = False
    progressing: bool = True
    reload_failure: Failure | None = None
    needs_restart: Sequence[str] = ()
    reasons: Sequence[str] = ()
    alerts: Sequence[AlertStatus] = ()
    orders: Sequence[OrderStatus] = ()

    @property
    def ready(self) -> bool:
        """Whether /readyz says 200."""
        return not self.reasons


#: What a failed poll means to an owner; the other reasons are faults of ours.
_MEANS: Mapping[str, Condition] = {
    "login_required": "refused",
    "blocked": "refused",
    "unavailable": "no_network",
    "timeout": "no_network",
    "network": "no_network",
    "server": "no_network",
    "rate_limited": "budget_spent",
    "quota": "budget_spent",
}


def conditions(source: SourceStatus) -> set[Condition]:
    """What a source says of itself; where it says nothing, what its last failure means."""
    if source.silences:
        return {silence.condition for silence in source.silences}
    condition = _MEANS.get(source.failure.reason) if source.failure and source.state != "ok" else None
    return {condition} if condition else set()
