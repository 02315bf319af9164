"""How long a server wants to be left alone, by the header Retry-After (RFC 9110)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

_SECONDS: Final = re.compile(r"[0-9]{1,9}")


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """The wait that a header's value asks for, in seconds or as a date, which may be over by `now`.

    None if there is none to read.
    """
    value = (value or "").strip()
    if _SECONDS.fullmatch(value):
        return timedelta(seconds=int(value))
    try:
        moment = parsedate_to_datetime(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError):
        return None
