"""How long an account is left alone after a failure; survives restarts."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from poller.errors import LoginRequired, RateLimited, SourceError
from poller.vehicle.records import parse_time, rfc3339

#: However long an outage: ask at least once an hour.
LONGEST = 3600.0


@dataclass(frozen=True, slots=True)
class BackOff:
    """Why and until when an account is not asked.

    `until` None with `login_version` set: not before another login is stored.
    """

    failures: int = 0
    until: datetime | None = None
    reason: str = ""
    login_version: str | None = None

    def after(self, error: SourceError, *, now: datetime, interval: float, login_version: str) -> BackOff:
        """The back-off that follows from `error`: what the server says, else full jitter.

        The first failure waits for the next tick; the nth up to ``interval × 2ⁿ⁻¹`` seconds.
        """
        failures = self.failures + 1
        if isinstance(error, LoginRequired):
            return BackOff(failures, None, error.reason, login_version)
        if isinstance(error, RateLimited):
            return BackOff(failures, error.until, error.reason)
        if failures == 1:
            return BackOff(failures, None, error.reason)
        ceiling = min(interval * 2 ** min(failures - 1, 10), max(LONGEST, interval))
        pause = random.uniform(0, ceiling)  # noqa: S311  # not cryptography
        return BackOff(failures, now + timedelta(seconds=pause), error.reason)

    def allows(self, now: datetime, login_version: str) -> bool:
        """Whether the account may be asked now."""
        if self.login_version is not None:
            return login_version != self.login_version
        return self.until is None or now >= self.until

    def to_json(self) -> dict[str, Any]:
        """For the journal's memory."""
        return {
            "failures": self.failures,
            "until": rfc3339(self.until) if self.until else None,
            "reason": self.reason,
            "login_version": self.login_version,
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any] | None) -> BackOff:
        """The inverse; None is no back-off."""
        if not raw:
            return cls()
        until = parse_time(raw["until"]) if raw["until"] else None
        return cls(raw["failures"], until, raw["reason"], raw["login_version"])
