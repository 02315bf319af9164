"""What CarData's values mean: converters for the table. All functions are total: they never raise.

A converter gets a value and its canonical unit; it gives what the catalogue of signals wants, None
where the car says nothing, or `Strange` for what has no meaning here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal

from poller.sources.cardata.meaning.values import (
    KM_PER_MILE,
    Presence,
    Scalar,
    Strange,
    number,
    presence,
    scalar,
    strange,
    tidy,
    token,
    written,
)
from poller.sources.texts import FIRST_YEAR, LAST_YEAR, clean, moment

Convert = Callable[[Scalar, str | None], object]

_DAY: Final = re.compile(
    r"([0-9]{2})([./])([0-9]{2})[./]([0-9]{4})(?: [0-9]{2}:[0-9]{2}(?::[0-9]{2})?)?(?: UTC)?"
)
_BUILT: Final = re.compile(r"([0-9]{4})(?:[^0-9].*)?")
_MONTH: Final = re.compile(r"([0-9]{4})-([0-9]{2})(?:-([0-9]{2}))?")

_FLAGS: Final = {
    "TRUE": True,
    "ISTRUE": True,
    "YES": True,
    "1": True,
    "FALSE": False,
    "ISFALSE": False,
    "NO": False,
    "0": False,
}
_BRANDS: Final = {"bmwi": "bmw", "toyota-supra": "toyota"}
_STEERING: Final[Mapping[str, Literal["left", "right"]]] = {
    "LL": "left",
    "LEFT": "left",
    "RL": "right",
    "RIGHT": "right",
}
CHARGING_STATES: Final[Mapping[str, str]] = {
    "NOCHARGING": "not_charging",
    "INITIALIZATION": "waiting",
    "CHARGINGACTIVE": "charging",
    "CHARGINGPAUSED": "paused",
    "CHARGINGENDED": "complete",
    "CHARGINGERROR": "error",
    # charging.hvStatus
    "NOTCHARGING": "not_charging",
    "CHARGING": "charging",
    "WAITINGFORCHARGING": "waiting",
    "FINISHEDFULLYCHARGED": "complete",
    "FINISHEDNOTFULL": "complete",
    "ERROR": "error",
}
LOCK_STATES: Final[Mapping[str, str]] = {
    "SECURED": "secured",
    "LOCKED": "locked",
    "SELECTIVELOCKED": "selective_locked",
    "PARTIALLYLOCKED": "partially_locked",
    "UNLOCKED": "unlocked",
}
#: basicData's words in those of the MyBMW app: one car has one drive train, whoever tells it.
DRIVE_TRAINS: Final[Mapping[str, str]] = {
    "BEV": "electric",
    "PHEV": "plugin_hybrid",
    "MHEV": "mild_hybrid",
    "CONV": "combustion",
}


# --- kinds of converters ----------------------------------------------------------------------


def one_of(words: Mapping[str, object]) -> Convert:
    """A converter for words with a meaning each (None: says nothing), written as `token` gives them."""

    def convert(value: Scalar, _unit: str | None = None) -> object:
        if presence(value) is not Presence.VALUE:
            return None
        name = token(value) or ""
        return words[name] if name in words else strange(value)

    return convert


def measured(factors: Mapping[str, float], default: str | None, *, zero: bool = True) -> Convert:
    """A converter for numbers in one of several units; `default` where BMW leaves the unit out.

    `zero` false: BMW writes 0 where it has no value.
    """

    def convert(value: Scalar, unit: str | None = None) -> object:
        if presence(value) is not Presence.VALUE:
            return None
        found, factor = number(value), factors.get(unit or default or "")
        if found is None:
            return strange(value)
        if factor is None:
            return Strange(str(unit)[:40])
        return None if found == 0 and not zero else tidy(round(found * factor, 3))

    return convert


def percent(value: Scalar, _unit: str | None = None) -> object:
    """Percent, whatever the unit says; what is out of range is one of BMW's ways to say nothing."""
    found = number(value)
    if found is None:
        return strange(value) if presence(value) is Presence.VALUE else None
    return found if 0 <= found <= 100 else None


def health(value: Scalar, _unit: str | None = None) -> object:
    """As `percent`; a new battery can have a little more than it should, and never nothing."""
    found = number(value)
    if found is None:
        return percent(value)
    return found if 0 < found <= 120 else None


def heading(value: Scalar, _unit: str | None = None) -> object:
    """Degrees; what is no heading is not counted either: it is personal."""
    degrees = number(value)
    return degrees if degrees is not None and 0 <= degrees <= 360 else None


def due(value: Scalar, _unit: str | None = None) -> object:
    """A day, or a month's first: ``2027-07``, ``17.01.2027 00:00:00 UTC``, ``01/17/2027 00:00 UTC``."""
    if presence(value) is not Presence.VALUE:
        return None
    text = clean(value) if isinstance(value, str) else ""
    return moment(text) or _month(text) or _day(text) or strange(value)


def charging_mode(value: Scalar, _unit: str | None = None) -> object:
    """A mode's word; the descriptor may hold a whole XML document instead, which is not read."""
    if isinstance(value, str) and value.lstrip().startswith("<"):
        return None
    return _mode(value, None)


def label(value: object) -> str | None:
    """A text or a whole number as text."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return clean(written(value)) or None


def brand(value: object) -> str | None:
    """bmw, mini, toyota …: BMW sells ``BMWi`` and ``Toyota-Supra`` as brands of their own."""
    name = label(value)
    return None if name is None else _BRANDS.get(name.lower(), name.lower())


def build_year(value: object) -> str | None:
    """``2021`` of ``2021-03-01``, when the car was built: BMW tells no model year here."""
    match = _BUILT.fullmatch(label(value) or "")
    return match[1] if match and FIRST_YEAR <= int(match[1]) <= LAST_YEAR else None


def drive_train(value: object) -> str | None:
    """The drive train in the MyBMW app's word; one that we do not know as it is, in lower case."""
    name = label(value)
    return None if name is None else DRIVE_TRAINS.get(name.upper(), name.lower())


def head_unit(value: object) -> str | None:
    """``HU_MGU`` is the MyBMW app's ``MGU``."""
    name = label(value)
    return None if name is None else name.removeprefix("HU_") or None


def steering(value: object) -> Literal["left", "right"] | None:
    """The side of the steering wheel: ``LL`` (seen) and ``RL`` are BMW's German letters."""
    return _STEERING.get(token(scalar(value)) or "")


# --- the converters ---------------------------------------------------------------------------

flag = one_of(_FLAGS)
opening = one_of(
    {
        **_FLAGS,
        "CLOSED": False,
        "CLOSEDSECURED": False,
        "OPEN": True,
        "OPENSECURED": True,
        "OPENTILT": True,
        "INTERMEDIATE": True,
        "INTERMEDIATETILT": True,
    }
)
plugged = one_of({**_FLAGS, "CONNECTED": True, "DISCONNECTED": False, "ERROR": None})
charging_state = one_of(CHARGING_STATES)
charging = one_of({word: state == "charging" for word, state in CHARGING_STATES.items()})
charging_connection = one_of({"CONDUCTIVE": "conductive", "INDUCTIVE": "inductive"})
charging_preference = one_of(
    {
        "CHARGINGWINDOW": "charging_window",
        "NOPRESELECTION": "no_preselection",
        "SMARTCHARGING": "unknown",  # known to BMW; MyBMW has no such state
    }
)
charging_control_type = one_of({"WEEKLYPLANNER": "weekly_planner", "TWOTIMESTIMER": "two_times_timer"})
_mode = one_of(
    {
        "IMMEDIATECHARGING": "immediate_charging",
        "DELAYEDCHARGING": "delayed_charging",
        "NOACTION": "no_action",
    }
)
ac_limited = one_of({**_FLAGS, "ACLIMITACTIVE": True, "ACLIMITINACTIVE": False})
lock_state = one_of(LOCK_STATES)
locked = one_of({word: state in ("locked", "secured") for word, state in LOCK_STATES.items()})
armed = one_of({**_FLAGS, "UNARMED": False, "DOORSONLY": True, "DOORSTILTCABIN": True})
climate_state = one_of(
    {
        "COMFORTHEATING": "heating",
        "COMFORTCOOLING": "cooling",
        "COMFORTVENTILATION": "ventilation",
        "COMFORTUNDEFINED": None,
        "DEFROST": "heating",
        "NOTACTIVE": "inactive",
        # preConditioning.activity
        "STANDBY": "standby",
        "HEATING": "heating",
        "COOLING": "cooling",
        "VENTILATION": "ventilation",
        "INACTIVE": "inactive",
    }
)
service_state = one_of({"OK": "ok", "PENDING": "pending", "OVERDUE": "overdue"})
severity = one_of({"OK": None, "LOW": "low", "MEDIUM": "medium", "HIGH": "high", "CRITICAL": "critical"})

_LENGTHS: Final = {"km": 1.0, "mi": KM_PER_MILE, "m": 0.001}
distance = measured(_LENGTHS, "km")
#: 0 where BMW has none: odometer, distance to a service.
positive_distance = measured(_LENGTHS, "km", zero=False)
#: 26.5 gallons are 100 litres in the catalogue: US ones.
volume = measured({"l": 1.0, "gal": 3.785411784}, "l")
energy = measured({"kWh": 1.0, "Wh": 0.001}, "kWh", zero=False)
power = measured({"W": 1.0, "kW": 1000.0}, "W")
pressure = measured({"kPa": 1.0, "bar": 100.0, "psi": 6.894757}, "kPa")
current = measured({"A": 1.0}, "A")
voltage = measured({"V": 1.0, "mV": 0.001}, "V", zero=False)
seconds = measured({"min": 60.0, "s": 1.0, "h": 3600.0}, "min")


def _month(text: str) -> datetime | None:
    match = _MONTH.fullmatch(text)
    return _date(match[1], match[2], match[3] or "1") if match else None


def _day(text: str) -> datetime | None:
    match = _DAY.fullmatch(text)
    if match is None:
        return None
    first, sign, second, year = match.groups()
    return _date(year, second, first) if sign == "." else _date(year, first, second)


def _date(year: str, month: str, day: str) -> datetime | None:
    if not FIRST_YEAR <= int(year) <= LAST_YEAR:
        return None
    try:
        return datetime(int(year), int(month), int(day), tzinfo=UTC)
    except ValueError:
        return None
