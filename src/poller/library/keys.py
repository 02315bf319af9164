"""The library's JSON: its keys, each exactly as ``bimmerconnected status -j`` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, time
from enum import Enum
from typing import Any, Final

from poller.library.vehicle import Vehicle
from poller.library.words import ValueWithUnit
from poller.vehicle.records import Json

#: They come first, in this order; the vehicle's other attributes follow by the alphabet.
AREAS: Final = (
    "fuel_and_battery", "vehicle_location", "doors_and_windows", "condition_based_services", "headunit",
    "check_control_messages", "climate", "charging_profile", "tires",
)  # fmt: skip


def vehicle_json(vehicle: Vehicle) -> Json:
    """All keys of one vehicle; ``data`` only if there is any. BMW's own objects are not copied.

    An account's vehicle counts as its last answer.
    """
    rest = _members(getattr(vehicle, "last", vehicle))
    data = rest.pop("data")
    rest |= rest.pop("capabilities")
    head = {} if data is None else {"data": data}
    return head | {area: rest.pop(area) for area in AREAS} | dict(sorted(rest.items()))


def as_json(value: Any) -> Any:
    """A part of the model as the library writes it: fields and properties, times in ISO 8601."""
    if isinstance(value, ValueWithUnit):
        return list(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | time):
        return value.isoformat()
    if is_dataclass(value):
        return _members(value)
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return value


def _members(part: Any) -> Json:
    out: Json = {}
    for one in fields(part):
        value = getattr(part, one.name)
        # BMW's own objects stay as they are.
        out[one.metadata.get("json", one.name)] = value if isinstance(value, Mapping) else as_json(value)
    for name, member in vars(type(part)).items():
        if isinstance(member, property):
            out[name] = as_json(getattr(part, name))
    return out
