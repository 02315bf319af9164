"""The day's calls, per account; when a day is over is not known of BMW, so both ways are here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

Day = Literal["utc", "rolling"]


class AccountQuota:
    """So many calls an account has per UTC day, or in any 24 hours. Refused ones cost nothing.

    `made`: when each call was let in, by account, for as long as this lives: the truth for tests.
    """

    def __init__(self, per_day: int = 50, day: Day = "utc") -> None:
        self.per_day = per_day
        self.day = day
        self.made: defaultdict[str, list[datetime]] = defaultdict(list)
        self._elsewhere: defaultdict[str, list[datetime]] = defaultdict(list)

    def spend(self, account: str, now: datetime) -> bool:
        """Count one call at `now`; whether it is still within the quota."""
        within = self.used(account, now) < self.per_day
        if within:
            self.made[account].append(now)
        return within

    def spend_elsewhere(self, account: str, now: datetime) -> None:
        """Let another program use up what is left."""
        left = self.per_day - self.used(account, now)
        self._elsewhere[account] += [now] * left

    def used(self, account: str, now: datetime) -> int:
        """How many count at `now`."""
        spent = (*self.made[account], *self._elsewhere[account])
        if self.day == "utc":
            return sum(at.date() == now.date() for at in spent)
        return sum(now - at < timedelta(days=1) for at in spent)

    def listed(self, now: datetime) -> Mapping[str, Any]:
        """As JSON: the limit, and what each account has spent of it."""
        spent = {account: self.used(account, now) for account in tuple(self.made)}
        return {"per_day": self.per_day, "day": self.day, "spent": spent}
