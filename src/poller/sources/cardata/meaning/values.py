"""CarData's values as they come: REST sends strings, the stream types; both are read here.

All functions are total: they never raise. What a value means to a signal is `meanings`' business.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from poller.sources.texts import clean

Scalar = bool | int | float | str | None

KM_PER_MILE: Final = 1.609344

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,3})?")
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


def presence(value: Scalar) -> Presence:
    """How a value that was sent says something or nothing."""
    name = None if isinstance(value, bool | int | float) else token(value)
    if name is None or name not in _NULLS | _NOT_AVAILABLE | _SENTINELS:
        return Presence.NULL if value is None else Presence.VALUE
    if name in _NULLS:
        # A word in another script has no letters left either, and is a value.
        return Presence.NULL if name or not written(value).strip(" -\t\r\n") else Presence.VALUE
    return Presence.NOT_AVAILABLE if name in _NOT_AVAILABLE else Presence.SENTINEL


def token(value: Scalar) -> str | None:
    """A word to compare with: ``ASN_selective-Locked`` is ``SELECTIVELOCKED``; None if it is none."""
    if value is None or isinstance(value, float):
        return None
    letters = re.sub(r"[^A-Z0-9]", "", written(value)[:_TOKEN].upper())
    return letters.removeprefix("ASN")


def number(value: Scalar) -> int | float | None:
    """A finite number of a size that arithmetic survives, from a number or its digits, or None."""
    if isinstance(value, str):
        text = value.strip()
        value = float(text) if _NUMBER.fullmatch(text) else None
    if isinstance(value, bool) or value is None or not -1e9 < value < 1e9:
        return None
    return tidy(value)


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
    items = read_json(value) if isinstance(value, str) else None
    items = [items] if isinstance(items, dict) else items
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else None


def read_json(text: str | bytes) -> Any:
    """JSON whose every number can be reckoned with and written again; None if it is no JSON."""
    try:
        return json.loads(text, parse_int=_read_number, parse_float=_read_number, parse_constant=str)
    except (ValueError, RecursionError):
        return None


def scalar(value: object) -> Scalar:
    """A member of a listed object as a value; an object or a list is none."""
    return value if isinstance(value, bool | int | float | str) else None


def strange(value: Scalar) -> Strange:
    """A value as a word for the counter."""
    return Strange(clean(written(value)[:_TOKEN])[:40])


def written(value: object) -> str:
    """A value as text; Python refuses to write an integer of more than 4,300 digits."""
    return "a huge number" if isinstance(value, int) and value.bit_length() > 1000 else str(value)


def tidy(value: float) -> int | float:
    """A whole number as an int: REST sends ``"81623"``, the stream 81623.0, and both are one value."""
    return int(value) if math.isfinite(value) and value == int(value) else value


def _read_number(digits: str) -> int | float | str:
    """A number; beyond any float it stays what it is written as."""
    if len(digits) < 20 and digits.lstrip("-").isdecimal():
        return int(digits)
    value = float(digits)
    return value if math.isfinite(value) else digits[:40]
