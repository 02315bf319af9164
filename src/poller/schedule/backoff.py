"""How long an account is left alone after a failure; survives restarts."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

from poller.errors import LoginRequired, RateLimited, SourceError
from poller.vehicle.records import parse_time, rfc3339

#: However long an outage: ask at least once an hour.
LONGEST = 3600.0
#: No source takes a server's word for more than a day; the hour is for a clock that is set meanwhile.
LONGEST_TOLD = timedelta(hours=25)


@dataclass(frozen=True, slots=True)
class BackOff:
    """Why and until when an account is not asked.

    `until` None with `login_version` set: not before another login is stored. `message` and `hint`
    are the error's, so that a restart does not forget why.
    """

    failures: int = 0
    until: datetime | None = None
    reason: str = ""
    login_version: str | None = None
    message: str = ""
    hint: str | None = None

    def after(self, error: SourceError, *, now: datetime, interval: float, login_version: str) -> BackOff:
        """The back-off that follows from `error`: what the server says, else full jitter.

        The first failure waits for the next tick; the nth up to ``interval × 2ⁿ⁻¹`` seconds.
        """
        why = BackOff(self.failures + 1, reason=error.reason, message=error.message, hint=error.hint)
        if isinstance(error, LoginRequired):
            return replace(why, login_version=login_version)
        if isinstance(error, RateLimited):
            return replace(why, until=error.until)
        if why.failures == 1:
            return why
        ceiling = min(interval * 2 ** min(self.failures, 10), max(LONGEST, interval))
        pause = random.uniform(0, ceiling)  # noqa: S311  # not cryptography
        return replace(why, until=now + timedelta(seconds=pause))

    def allows(self, now: datetime, login_version: str) -> bool:
        """Whether the account may be asked now."""
        if self.login_version is not None:
            return login_version != self.login_version
        # A wait that no server asked for was noted while the clock was ahead: it would last for years.
        return self.until is None or now >= self.until or self.until - now > LONGEST_TOLD

    def to_json(self) -> dict[str, Any]:
        """For the journal's memory."""
        raw = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**raw, "until": rfc3339(self.until) if self.until else None}

    @classmethod
    def from_json(cls, raw: dict[str, Any] | None) -> BackOff:
        """The inverse; None is no back-off, and what a newer version wrote besides is passed over.

        So is a value that was damaged on disk: it must not keep the poller from starting.
        """
        known = {field.name: raw[field.name] for field in fields(cls) if raw and field.name in raw}
        try:
            known["failures"] = int(known.get("failures", 0))
            if known.get("until"):
                known["until"] = parse_time(known["until"])
        except (ValueError, TypeError):
            return cls()
        return cls(**known)
