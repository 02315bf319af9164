"""The day's calls: BMW's gateway counts them per device and begins anew at midnight UTC."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any


def until_midnight(now: datetime) -> float:
    """Seconds until the next UTC day, when quotas begin anew."""
    tomorrow = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return (tomorrow - now).total_seconds()


class Quota:
    """So many calls a day for each device (the build in ``x-user-agent``); None: no limit."""

    def __init__(self, per_day: int | None = None) -> None:
        self.per_day = per_day
        self._day: date | None = None
        self._spent: Counter[str] = Counter()

    def spend(self, user_agent: str, now: datetime) -> bool:
        """Count one call at `now`; whether it is still within the quota. Refused calls cost nothing."""
        if self.per_day is None:
            return True
        if self._day != now.date():
            self._day = now.date()
            self._spent.clear()
        device = user_agent.partition(";")[0]
        if self._spent[device] >= self.per_day:
            return False
        self._spent[device] += 1
        return True

    def listed(self, now: datetime) -> Mapping[str, Any]:
        """As JSON: the limit, and what each device has spent today."""
        return {"per_day": self.per_day, "spent": dict(self._spent) if self._day == now.date() else {}}
