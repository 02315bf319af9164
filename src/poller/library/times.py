"""Times as the library reads them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import Final

_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:?\d\d)", re.ASCII)


def parsed(value: object) -> datetime | None:
    """``2023-01-04T14:57:06.345Z`` → UTC without the fraction; None for anything else."""
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    try:
        return datetime.fromisoformat(match[1] + match[2]).astimezone(UTC) if match else None
    except (ValueError, OverflowError):
        return None


def monday(week_and_year: object) -> datetime | None:
    """The Monday of a tyre's week: 4021 is week 40 of 2021; None for 0, or for no such week."""
    if isinstance(week_and_year, bool) or not isinstance(week_and_year, int | str) or not week_and_year:
        return None
    try:
        week, year = divmod(int(week_and_year), 100)
        return datetime.combine(date.fromisocalendar(2000 + year, week, 1), time())
    except (ValueError, OverflowError):
        return None
