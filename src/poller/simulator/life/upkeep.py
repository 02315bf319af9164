"""Services: what comes due, by date and by distance, and when the owner goes."""

from __future__ import annotations

from poller.simulator.life.spec import CarSpec
from poller.simulator.life.state import Due
from poller.simulator.life.timeline import DAY, dice, seconds_at, time_at

_YEARS = 2
_EVERY_KM = 30_000.0
_BY_DISTANCE = frozenset({"oil", "vehicle_check"})
# Days and kilometres before: from here on a service is pending, …
_PENDING_DAYS, _PENDING_KM = 30, 1_000.0
# … and from here on it is done along with others.
_NEAR_DAYS, _NEAR_KM = 75, 3_000.0


def first_dues(spec: CarSpec, seed: int) -> tuple[Due, ...]:
    """What a car has before it on its first day; only engines have oil."""
    chance = dice(seed, "services", 0)
    kinds = ("brake_fluid", "vehicle_tuv", "vehicle_check") + (("oil",) if spec.drive.tank_liters else ())
    return tuple(
        _due(kind, round((0.15 + chance.random()) * 600 * DAY), spec.first_km + _EVERY_KM * chance.random())
        for kind in kinds
    )


def renewed(due: Due, at: int, odometer_km: float) -> Due:
    """The same service again, two years or 30,000 km from now."""
    return _due(due.what, at + _YEARS * 365 * DAY, odometer_km + _EVERY_KM)


def is_pending(due: Due, at: float, odometer_km: float) -> bool:
    """Whether the car asks for it."""
    by_distance = due.km is not None and due.km - odometer_km < _PENDING_KM
    return by_distance or due.at - at < _PENDING_DAYS * DAY


def is_overdue(due: Due, at: float, odometer_km: float) -> bool:
    """Whether its day or its distance is over."""
    return due.at < at or (due.km is not None and due.km < odometer_km)


def is_near(due: Due, at: float, odometer_km: float) -> bool:
    """Whether it is done along with another that is pending."""
    by_distance = due.km is not None and due.km - odometer_km < _NEAR_KM
    return by_distance or due.at - at < _NEAR_DAYS * DAY


def appointment(dues: tuple[Due, ...], at: float, odometer_km: float, chance: float) -> bool:
    """Whether the owner goes today: sooner or later while one is pending, soon once it is overdue."""
    if any(is_overdue(due, at, odometer_km) for due in dues):
        return chance < 0.2
    return chance < 0.06 and any(is_pending(due, at, odometer_km) for due in dues)


def _due(what: str, at: int, km: float) -> Due:
    """Due on the first of a month, as the maker counts."""
    day = time_at(at).replace(day=1, hour=0, minute=0, second=0)
    return Due(what, round(seconds_at(day)), km if what in _BY_DISTANCE else None)
