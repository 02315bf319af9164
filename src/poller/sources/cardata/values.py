"""CarData's values in our words: REST sends strings, the stream types; both are read here.

All functions are total: they never raise. A converter gets a value and its canonical unit; it gives
what the catalogue of signals wants, None where the car says nothing, or `Strange` for what has no
meaning here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Literal

from poller.sources.mybmw.values import clean, moment

Scalar = bool | int | float | str | None
Convert = Callable[[Scalar, str | None], object]

KM_PER_MILE: Final = 1.609344

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,3})?")
_DAY: Final = re.compile(
    r"([0-9]{2})([./])([0-9]{2})[./]([0-9]{4})(?: [0-9]{2}:[0-9]{2}(?::[0-9]{2})?)?(?: UTC)?"
)
_MONTH: Final = re.compile(r"([0-9]{4})-([0-9]{2})(?:-([0-9]{2}))?")
_FIRST_YEAR, _LAST_YEAR = 1990, 2200
#: A token is compared by its first characters; no word of BMW's is longer.
_TOKEN: Final = 120

#: What BMW writes where it has no value, as `token` gives it.
_NOT_AVAILABLE: Final = frozenset({"NA", "NOTAVAILABLE"})
_NULLS: Final = frozenset({"", "NULL", "NONE"})
_SENTINELS: Final = frozenset({"INVALID", "SIGNALINVALID", "UNKNOWN", "ISUNKNOWN", "UNDEFINED"})

_UNITS: Final[Mapping[str, str]] = {
    spelling: unit
    for unit, spellings in {
        "km": "km kms kilometer kilometers kilometre kilometres",
        "mi": "mi mile miles",
        "%": "% percent pct",
        "°C": "°c c degc celsius",
        "°F": "°f f degf fahrenheit",
        "°": "° deg degree degrees",
        "kPa": "kpa kilopascal",
        "bar": "bar",
        "psi": "psi",
        "l": "l liter liters litre litres",
        "gal": "gal gallon gallons",
        "kWh": "kwh",
        "Wh": "wh",
        "kW": "kw",
        "W": "w watt watts",
        "A": "a ampere amperes",
        "V": "v volt volts",
        "mV": "mv",
        "s": "s sec second seconds",
        "min": "min mins minute minutes",
        "h": "h hour hours",
        "km/h": "km/h kmh kph",
        "mph": "mph mi/h",
        "m": "m meter meters metre metres",
        "ft": "ft foot feet",
    }.items()
    for spelling in spellings.split()
}
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


class Presence(StrEnum):
    """Whether a descriptor says something, and if not, how it says so."""

    VALUE = "value"  # a real value
    NULL = "null"  # the key is known, there is nothing to say
    NOT_AVAILABLE = "not_available"  # -NA-
    SENTINEL = "sentinel"  # a word for no value: INVALID, UNKNOWN, ASN_isUnknown
    ABSENT = "absent"  # never sent


@dataclass(frozen=True, slots=True)
class Strange:
    """What was sent and is not understood, for the counter of unknown words."""

    word: str


# --- plain values -----------------------------------------------------------------------------


def presence(value: Scalar) -> Presence:
    """How a value that was sent says something or nothing."""
    name = None if isinstance(value, bool | int | float) else token(value)
    if name is None or name not in _NULLS | _NOT_AVAILABLE | _SENTINELS:
        return Presence.NULL if value is None else Presence.VALUE
    if name in _NULLS:
        # A word in another script has no letters left either, and is a value.
        return Presence.NULL if name or not _text(value).strip(" -\t\r\n") else Presence.VALUE
    return Presence.NOT_AVAILABLE if name in _NOT_AVAILABLE else Presence.SENTINEL


def token(value: Scalar) -> str | None:
    """A word to compare with: ``ASN_selective-Locked`` is ``SELECTIVELOCKED``; None if it is none."""
    if value is None or isinstance(value, float):
        return None
    letters = re.sub(r"[^A-Z0-9]", "", _text(value)[:_TOKEN].upper())
    return letters.removeprefix("ASN")


def number(value: Scalar) -> int | float | None:
    """A finite number of a size that arithmetic survives, from a number or its digits, or None."""
    if isinstance(value, str):
        text = value.strip()
        value = float(text) if _NUMBER.fullmatch(text) else None
    if isinstance(value, bool) or value is None or not -1e9 < value < 1e9:
        return None
    return _tidy(value)


def unit(text: object) -> str | None:
    """The canonical spelling of a unit; an unknown one as it is, in lower case; None if there is none.

    ``Â°C`` is a degree sign that was encoded twice.
    """
    if not isinstance(text, str):
        return None
    name = clean(text).lower().replace("â", "").replace("º", "°")
    return None if name in ("", "-", "null", "none", "n/a", "-na-") else _UNITS.get(name, name)


def listed(value: Scalar) -> list[dict[str, Any]] | None:
    """The objects of a JSON array inside a string, or None if it is no such text."""
    if not isinstance(value, str):
        return None
    try:
        items = json.loads(value, parse_int=whole)
    except (ValueError, RecursionError):
        return None
    items = [items] if isinstance(items, dict) else items
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else None


def scalar(value: object) -> Scalar:
    """A member of a listed object as a value; an object or a list is none."""
    return value if isinstance(value, bool | int | float | str) else None


# --- converters -------------------------------------------------------------------------------


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
        return None if found == 0 and not zero else _tidy(round(found * factor, 3))

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
    return clean(_text(value)) or None


def brand(value: object) -> str | None:
    """bmw, mini, toyota …: BMW sells ``BMWi`` and ``Toyota-Supra`` as brands of their own."""
    name = label(value)
    return None if name is None else _BRANDS.get(name.lower(), name.lower())


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


def strange(value: Scalar) -> Strange:
    """A value as a word for the counter."""
    return Strange(clean(_text(value)[:_TOKEN])[:40])


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
#: basicData's words in those of the MyBMW app: one car has one drive train, whoever tells it.
DRIVE_TRAINS: Final[Mapping[str, str]] = {
    "BEV": "electric",
    "PHEV": "plugin_hybrid",
    "MHEV": "mild_hybrid",
    "CONV": "combustion",
}
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


def _text(value: object) -> str:
    """A value as text; Python refuses to write an integer of more than 4,300 digits."""
    return "a huge number" if isinstance(value, int) and value.bit_length() > 1000 else str(value)


def _tidy(value: float) -> int | float:
    """A whole number as an int: REST sends ``"81623"``, the stream 81623.0, and both are one value."""
    return int(value) if math.isfinite(value) and value == int(value) else value


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
    if not _FIRST_YEAR <= int(year) < _LAST_YEAR:
        return None
    try:
        return datetime(int(year), int(month), int(day), tzinfo=UTC)
    except ValueError:
        return None


def whole(digits: str) -> int | float:
    """No car has a number of 20 digits; at 4,301 Python would refuse the whole text."""
    return int(digits) if len(digits) < 20 else float(digits)
