"""BMW's words as both its clouds write them. All functions are total: they never raise."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any, Final

from poller.vehicle.records import milliseconds, parse_time

#: Later than this, adding minutes could leave what a date can hold; earlier than this is "never".
FIRST_YEAR: Final = 1990
LAST_YEAR: Final = 2199


def object_in(body: bytes) -> dict[str, Any]:
    """A body as a JSON object; empty if it is none."""
    try:
        whole = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return whole if isinstance(whole, dict) else {}


def clean(text: str) -> str:
    """`text` without what cannot be stored or shown: lone surrogates, control characters."""
    if not text.isprintable():
        text = "".join(char for char in text if char.isprintable())
    return text.strip()


def moment(value: object) -> datetime | None:
    """An ISO time with ``Z`` or an offset, in UTC; ``0001-01-01`` is never."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
        if parsed.tzinfo is None or not FIRST_YEAR <= parsed.year <= LAST_YEAR:
            return None
        return milliseconds(parse_time(value))
    except (ValueError, OverflowError):
        return None


def dimension(value: object) -> str | None:
    """``TIRE_PRESSURE`` → ``tire_pressure``; None if nothing is left of it."""
    name = re.sub(r"[^a-z0-9]+", "_", value.lower()).strip("_") if isinstance(value, str) else ""
    return name[:60] or None
