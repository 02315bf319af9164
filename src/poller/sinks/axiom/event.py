"""A record as an Axiom event: flat, from an allow-list, one type per field for ever.

A dataset's fields are counted over its life and never given back, so the names must be a fixed set
that no car, maker or message can widen. What has no field of its own goes as JSON text into `other`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from poller.sinks.base import Rendered
from poller.vehicle.records import dumps
from poller.vehicle.signals import CLOSED_DIMENSIONS, SIGNALS, Kind, Signal

Event = dict[str, Any]

#: Distinct field names in a dataset at most, for ever; the smallest plan allows 256.
MAX_FIELDS = 200
OTHER = "other"

#: Which services and messages have fields of their own; the vocabulary of both makers' interfaces is open.
_OWN_FIELDS = {
    "service": (
        "adblue", "battery", "brake_fluid", "brake_pads_front", "brake_pads_rear", "coolant",
        "emission_check", "microfilter", "oil", "spark_plugs", "tire_wear_front", "tire_wear_rear",
        "vehicle_check", "vehicle_tuv",
    ),
    "message": (
        "adblue", "battery", "brake_fluid", "brake_pads", "coolant", "engine_oil", "fuel_level",
        "lights", "tire_pressure", "vehicle_check", "washer_fluid", "washing_fluid",
    ),
}  # fmt: skip


# A bool is an int to isinstance, and what comes out of JSON has exactly these types.


def _float(value: Any) -> float | None:
    return value if type(value) is float else float(value) if type(value) is int else None


def _int(value: Any) -> int | None:
    return value if type(value) is int else None


def _bool(value: Any) -> bool | None:
    return value if type(value) is bool else None


def _text(value: Any) -> str | None:
    return value if type(value) is str else None


_AS: dict[Kind, Callable[[Any], Any]] = {
    Kind.NUMBER: _float,
    Kind.BOOL: _bool,
    Kind.ENUM: _text,
    Kind.TIME: _text,
    Kind.TEXT: _text,
}
_ENVELOPE: dict[str, Callable[[Any], Any]] = {
    "id": _text,
    "kind": _text,
    "schema": _int,
    "vehicle": _text,
    "vin": _text,
    "source": _text,
    "observed_at": _text,
    "received_at": _text,
    "revision": _int,
    "replayed": _bool,
}
#: Parts of a record's body that are taken apart, or left to the journal and the files.
_TAKEN_APART = frozenset({"readings", "reading_times"})


def _keys(signal: Signal) -> Iterator[str]:
    if signal.dimension is None:
        yield signal.key
        return
    for value in sorted(CLOSED_DIMENSIONS.get(signal.dimension, _OWN_FIELDS.get(signal.dimension, ()))):
        yield f"{signal.key}.{value}"


#: Record key → what turns its value into the field's one type (None: it is not of that type).
READINGS: dict[str, Callable[[Any], Any]] = {
    key: _AS[signal.kind] for signal in SIGNALS for key in _keys(signal)
}
#: Every name that an event can have.
FIELDS = frozenset({"_time", OTHER, *_ENVELOPE, *READINGS})


def event_of(record: Rendered) -> Event:
    """The event: `_time` is when the answer was received, readings stand beside the envelope."""
    event: Event = {"_time": record["received_at"]}
    other: Event = {}
    for fields, items in ((_ENVELOPE, _outside_readings(record)), (READINGS, record.get("readings", {}))):
        for key, value in items.items():
            typed = fields[key](value) if key in fields else None
            if typed is None:
                other[key] = value
            else:
                event[key] = typed
    if other:
        event[OTHER] = dumps(other)
    return event


def _outside_readings(record: Rendered) -> Event:
    return {key: value for key, value in record.items() if key not in _TAKEN_APART}
