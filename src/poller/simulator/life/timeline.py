"""The simulator's time line: whole seconds since the first day, and the dice of a day."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

#: When every simulated car was delivered, fully charged. A day of a car begins at this hour.
EPOCH = datetime(2023, 1, 2, 4, tzinfo=UTC)  # a Monday
DAY = 86_400


def seconds_at(at: datetime) -> float:
    """A time on the time line."""
    return (at - EPOCH).total_seconds()


def time_at(seconds: float) -> datetime:
    """A place on the time line as a time, aware UTC."""
    return EPOCH + timedelta(seconds=seconds)


def date_of(day: int) -> date:
    """The date on which a day begins; day 0 is the first."""
    return EPOCH.date() + timedelta(days=day)


def dice(seed: int, what: str, number: int) -> random.Random:
    """Chance that depends on nothing but its arguments, whatever was asked before."""
    return random.Random(f"{seed} {what} {number}")  # noqa: S311  # repeatable chance, no secret
