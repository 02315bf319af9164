"""Times as the library reads them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import strptime
from typing import Any, Final

_FORMS: Final = tuple(f"%Y-%m-%dT%H:%M:%S{end}" for end in (".%f%z", "%z", ".%fZ", "Z"))
_LAST_WEEK: Final = 53


def parsed(value: Any) -> datetime | None:
    """``2023-01-04T14:57:06.345Z`` → UTC without the fraction; None for any other text, and for nothing.

    Raises TypeError for what is no text.
    """
    if not value:
        return None
    for form in _FORMS:
        with suppress(ValueError, IndexError, OverflowError):
            read = strptime(value, form)
            return datetime(*read[:6], tzinfo=UTC) - timedelta(seconds=read.tm_gmtoff or 0)
    return None


def monday(week_and_year: Any) -> datetime | None:
    """The Monday of a tyre's week: 4021 is week 40 of 2021; None for nothing, or for no such week.

    There is a week 0, the one before the first, and a week 53 in every year. Raises TypeError for
    what is no number.
    """
    if not week_and_year:
        return None
    year, week = 2000 + int(week_and_year % 100), int(week_and_year / 100)
    if not 0 <= week <= _LAST_WEEK:
        return None
    return datetime.fromisocalendar(year, 1, 1) + timedelta(weeks=week - 1)
