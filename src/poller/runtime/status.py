"""How the daemon stands, as plain values: one model for page, API, metrics and readiness.

Each part keeps its own status; `app` gathers them into a `DaemonStatus`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure in words fit for a page: no secret, no VIN, no position."""

    at: datetime
    reason: str
    message: str
    hint: str | None = None


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
    quota_limit: int | None = None
    quota_remaining: int | None = None
    stream_connected: bool | None = None


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """One sink. `up`: the last attempt succeeded (None: nothing tried yet). `held`: why it is parked."""

    name: str
    kind: str
    live: bool
    up: bool | None = None
    backlog: int = 0
    oldest_record_at: datetime | None = None
    last_success_at: datetime | None = None
    retry_at: datetime | None = None
    held: str | None = None
    isolated: str | None = None
    failure: Failure | None = None
    dead_letters: int = 0
    backlog_limit: float = 0


@dataclass(frozen=True, slots=True)
class JournalStatus:
    """The journal. Sizes in bytes; `limit` 0: none."""

    path: str = ""
    size: int = 0
    limit: int = 0
    disk_free: int = 0
    oldest_record_at: datetime | None = None
    newest_record_at: datetime | None = None
    quarantined: int = 0
    orphans: Sequence[tuple[str, int]] = ()
    full: bool = False
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """Everything. `ready` is `reasons` being empty."""

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
    reasons: Sequence[str] = ()

    @property
    def ready(self) -> bool:
        """Whether /readyz says 200."""
        return not self.reasons
