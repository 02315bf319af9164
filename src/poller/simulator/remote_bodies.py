"""What the app sends with a remote service, in our own words; ValueError if the app sends no such thing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from poller.simulator.life.wishes import Command, Plan, Timer, Wishes
from poller.simulator.mybmw_plan import ACTIONS, MODES, PREFERENCES, TIMERS

_TIME: Final = re.compile(r"0001-01-01T([01]\d|2[0-3]):([0-5]\d):00(?:\.000)?")
_MODES: Final[Mapping[str, Any]] = {sent: mode for mode, (_, sent) in MODES.items()}
_PREFERENCES: Final = {sent: by_window for by_window, sent in PREFERENCES.items()}
_TIMERS: Final = {sent: weekly for weekly, (_, sent) in TIMERS.items()}
_ACTIONS: Final = {sent: active for active, sent in ACTIONS.items()}
_DAYS: Final = {
    f"{day}day".upper(): f"{day}day" for day in ("mon", "tues", "wednes", "thurs", "fri", "satur", "sun")
}


def settings(body: Mapping[str, Any]) -> Command:
    """Of ``charging-settings``: one of both members must say something."""
    target, amperes = _number(body, "chargingTarget"), _number(body, "acLimitValue")
    if target is None and amperes is None:
        raise ValueError("neither chargingTarget nor acLimitValue is given")
    if target is not None and (target % 5 or not 20 <= target <= 100):
        raise ValueError("chargingTarget is not 20, 25 … 100")
    return Command("set", Wishes(target, amperes))


def profile(body: Mapping[str, Any]) -> Command:
    """Of ``charging-profile``: the whole plan; nothing may be left out."""
    mode, timer = _of(body, "chargingMode", dict), _of(body, "departureTimer", dict)
    _of(mode, "timerChange", str)
    _of(body, "servicePack", str)
    start, end = _minute(mode, "startTimeSlot"), _minute(mode, "endTimeSlot")
    plan = Plan(
        mode=_word(mode, "type", _MODES),
        by_window=_word(mode, "chargingPreference", _PREFERENCES),
        window=None if start == end else (start, end),
        weekly=_word(timer, "type", _TIMERS),
        timers=tuple(_timer(one) for one in _of(timer, "weeklyTimers", list)),
        precondition=_of(body, "isPreconditionForDepartureActive", bool),
    )
    return Command("set", Wishes(plan=plan))


def destination(body: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Of ``send-to-car``: the VIN, and the place with a position that can be."""
    (place,) = _of(body, "places", list)
    for key in ("title", "formattedAddress", "placeType"):
        _of(place, key, str)
    position = _of(place, "position", dict)
    latitude, longitude = _of(position, "lat", int, float), _of(position, "lng", int, float)
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise ValueError("position is nowhere on Earth")
    return _of(_of(body, "vehicleInformation", dict), "vin", str), place


def _timer(timer: Any) -> Timer:
    days = _of(timer, "daysOfTheWeek", list)
    if not all(isinstance(day, str) and day in _DAYS for day in days):
        raise ValueError("daysOfTheWeek holds something else")
    return Timer(
        number=_of(timer, "id", int),
        active=_word(timer, "timerAction", _ACTIONS),
        days=tuple(_DAYS[day] for day in days),
        minute=None if timer.get("time") is None else _minute(timer, "time"),
    )


def _number(body: Mapping[str, Any], name: str) -> int | None:
    return None if body.get(name) is None else _of(body, name, int)


def _minute(body: Mapping[str, Any], name: str) -> int:
    found = _TIME.fullmatch(_of(body, name, str))
    if found is None:
        raise ValueError(f"{name} is no time of a day")
    return 60 * int(found[1]) + int(found[2])


def _word(body: Mapping[str, Any], name: str, known: Mapping[str, Any]) -> Any:
    word = _of(body, name, str)
    if word not in known:
        raise ValueError(f"{name} is none of {', '.join(known)}")
    return known[word]


def _of(body: Any, name: str, *kinds: type) -> Any:
    """A member of that type; a truth is no number."""
    value = body.get(name) if isinstance(body, Mapping) else None
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise ValueError(f"{name} is missing, or of another type")
    return value
