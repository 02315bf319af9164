"""A record as an Axiom event: flat, from an allow-list, one type per field for ever.

A dataset's fields are counted over its life and never given back, so the names must be a fixed set
that no car, maker or message can widen. What has no field of its own goes as JSON text into `other`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from poller.sinks.base import LIBRARY, Rendered
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
_TYPES: dict[Kind, type] = {
    Kind.NUMBER: float,
    Kind.BOOL: bool,
    Kind.ENUM: str,
    Kind.TIME: str,
    Kind.TEXT: str,
}
_ENVELOPE: dict[str, type] = {
    "id": str,
    "kind": str,
    "schema": int,
    "vehicle": str,
    "vin": str,
    "source": str,
    "observed_at": str,
    "received_at": str,
    "revision": int,
    "replayed": bool,
}
#: Parts of a record's body that are taken apart, or left to the journal and the files.
_TAKEN_APART = frozenset({"readings", "reading_times"})


def _keys(signal: Signal) -> Iterator[str]:
    if signal.dimension is None:
        yield signal.key
        return
    for value in sorted(CLOSED_DIMENSIONS.get(signal.dimension, _OWN_FIELDS.get(signal.dimension, ()))):
        yield f"{signal.key}.{value}"


#: Record key → the field's one type.
READINGS: dict[str, type] = {key: _TYPES[signal.kind] for signal in SIGNALS for key in _keys(signal)}
#: Every name that an event can have.
FIELDS = frozenset({"_time", OTHER, *_ENVELOPE, *READINGS})


class Line(dict[str, Any]):
    """An event as it is sent: `json` ends with its newline. As a mapping it has its `_time`, no more."""

    __slots__ = ("json",)

    def __init__(self, event: Event) -> None:
        super().__init__(_time=event["_time"])
        try:
            self.json = orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)
        except orjson.JSONEncodeError:  # an integer of more than 64 bits
            self.json = dumps(event).encode() + b"\n"


def event_of(record: Rendered) -> Event:
    """The event: `_time` is when the answer was received, readings stand beside the envelope.

    In the form of bimmer_connected: the library's keys as they are, `id`, `_time` and `vehicle` beside them.
    """
    if LIBRARY in record:
        return {
            **record[LIBRARY],
            "id": record["id"],
            "vehicle": record["vehicle"],
            "_time": record["received_at"],
        }
    # A copy and its few corrections cost half of what it costs to put the fields in one by one.
    event: Event = dict(record.get("readings", ()))
    other = _taken_out(event, READINGS)
    for key, value in record.items():
        if type(value) is _ENVELOPE.get(key):
            event[key] = value
        elif key not in _TAKEN_APART:
            other[key] = value
    event["_time"] = record["received_at"]
    if other:
        event[OTHER] = dumps(other)
    return event


def _taken_out(event: Event, fields: Mapping[str, type]) -> Event:
    """Take out what is no field, or not of its one type; numbers become floats."""
    other: Event = {}
    # A copy of the items, for it is changed; exactly the type, for a bool is an int to isinstance.
    for key, value in list(event.items()):
        wanted = fields.get(key)
        if type(value) is not wanted:
            if wanted is float and type(value) is int:
                event[key] = float(value)
            else:
                other[key] = event.pop(key)
    return other
