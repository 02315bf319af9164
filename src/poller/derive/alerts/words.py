"""Words for alerts: lengths of time, lists, and what a car is called. No position, no VIN."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

SPAN = "{span}"


def lasting(seconds: float) -> str:
    """As a person says it: ``12 minutes``, ``an hour``, ``3 hours``, ``2 days``."""
    minutes = max(0, round(seconds / 60))
    if minutes < 60:
        return "a minute" if minutes <= 1 else f"{minutes} minutes"
    hours = round(minutes / 60)
    if hours < 48:
        return "an hour" if hours == 1 else f"{hours} hours"
    return f"{round(hours / 24)} days"


def filled(text: str, since: datetime, now: datetime) -> str:
    """`text` with how long it has lasted by `now`."""
    return text.replace(SPAN, lasting((now - since).total_seconds()))


def listed(parts: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1]))) if parts else ""


def capital(text: str) -> str:
    """The first letter large, the others as they are."""
    return text[:1].upper() + text[1:]


def count(number: int, noun: str) -> str:
    """``1 day``, ``1,500 records``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def car_name(slug: str | None, brand: str, model: str) -> str:
    """What the owner calls the car, written as its maker does if it is the maker; else brand and model."""
    shown = brand.upper() if len(brand) <= 4 else brand.capitalize()
    if slug:
        return shown if slug == brand.lower() else slug
    if not model:
        return shown or "Your car"
    return model if model.lower().startswith(brand.lower()) else f"{shown} {model}".strip()
