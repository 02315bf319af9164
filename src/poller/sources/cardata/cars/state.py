"""What is known of one car: each descriptor's newest value, merged from stream and REST.

Pure and immutable: a merge gives a new state. Values are kept as they came; `values` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Literal

from poller.errors import MalformedAnswer
from poller.sources.cardata.meaning import values as v
from poller.sources.cardata.meaning.catalogue import CATALOGUE
from poller.sources.texts import clean, moment
from poller.vehicle.records import dumps, milliseconds, rfc3339

Via = Literal["stream", "rest"]

ODOMETER: Final = "vehicle.vehicle.travelledDistance"
LATITUDE: Final = "vehicle.cabin.infotainment.navigation.currentLocation.latitude"
LONGITUDE: Final = "vehicle.cabin.infotainment.navigation.currentLocation.longitude"

#: Bounds of what a cloud, or whoever feeds the owner's broker, can make us keep. A whole REST answer of
#: all 294 descriptors has some 50 KB; the longest value seen, a fault memory in XML, 4 KB.
MAX_BODY: Final = 1024 * 1024
MAX_VALUE: Final = 16 * 1024
MAX_UNKNOWN: Final = 200
#: Characters of all of a car's texts together.
MAX_TEXT: Final = 256 * 1024
_MAX_NAME: Final = 200
_MAX_UNIT: Final = 20

#: BMW sends the two halves of a position as two messages about a second apart.
_PAIRED_WITHIN: Final = timedelta(seconds=2)
#: A measurement further ahead than this has a wrong clock; believed, it would shut out all later ones.
_AHEAD: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Held:
    """One descriptor's newest value, as it came.

    `timestamp`: when the car measured it, None if BMW did not say; `received_at`: when we had it.
    """

    value: v.Scalar
    unit: str | None
    timestamp: datetime | None
    via: Via
    received_at: datetime

    @property
    def presence(self) -> v.Presence:
        """How it says something, or nothing."""
        return v.presence(self.value)


@dataclass(frozen=True, slots=True)
class Position:
    """A latitude and a longitude that were measured together; `timestamp` is the older one's."""

    latitude: int | float
    longitude: int | float
    timestamp: datetime | None
    via: Via


@dataclass(frozen=True, slots=True)
class CarState:
    """Descriptor → `Held` of one vehicle.

    `position` is the last pair: while only one half of a new one is here, the old one stands.
    `left_out` counts what was not kept because of the bounds above.
    """

    vin: str
    held: Mapping[str, Held] = field(default_factory=dict)
    position: Position | None = None
    left_out: int = 0

    @property
    def unknown(self) -> tuple[str, ...]:
        """The descriptors that are here and not in the catalogue."""
        return tuple(sorted(self.held.keys() - CATALOGUE.keys()))

    def presence(self, descriptor: str) -> v.Presence:
        """How a descriptor says something, or nothing."""
        held = self.held.get(descriptor)
        return v.Presence.ABSENT if held is None else held.presence

    def merge_stream(self, message: bytes, received_at: datetime) -> tuple[CarState, bool]:
        """The state with a stream message's values, and whether any of them was news.

        Raises MalformedAnswer for what is no such message, or another vehicle's.
        """
        body = _object(message)
        vin = body.get("vin")
        if vin is not None and not (isinstance(vin, str) and vin.strip().upper() == self.vin.upper()):
            raise MalformedAnswer("the message is another vehicle's")
        data = body.get("data")
        if not isinstance(data, dict):
            raise MalformedAnswer("the message has no data object")
        return self._merge(data, "stream", received_at)

    def merge_rest(self, body: bytes, received_at: datetime) -> tuple[CarState, bool]:
        """The state with a ``telematicData`` answer's values, and whether any of them was news.

        Raises MalformedAnswer for what is no such answer.
        """
        data = _object(body).get("telematicData")
        if not isinstance(data, dict):
            raise MalformedAnswer("the answer has no telematicData object")
        return self._merge(data, "rest", received_at)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; `from_json` gives an equal state back."""
        body: dict[str, Any] = {
            "vin": self.vin,
            "descriptors": {name: _held_json(held) for name, held in self.held.items()},
        }
        if self.position is not None:
            place = self.position
            body["position"] = {
                "latitude": place.latitude,
                "longitude": place.longitude,
                "timestamp": _written(place.timestamp),
                "via": place.via,
            }
        if self.left_out:
            body["left_out"] = self.left_out
        return body

    @classmethod
    def from_json(cls, value: Any) -> CarState:
        """The inverse of `to_json`; members that cannot be read are left out.

        Raises MalformedAnswer if it is no state at all.
        """
        descriptors = value.get("descriptors") if isinstance(value, Mapping) else None
        if not isinstance(descriptors, Mapping) or not isinstance(value.get("vin"), str):
            raise MalformedAnswer("it is no state of a car")
        read = {clean(name): _held_of(entry) for name, entry in descriptors.items()}
        left_out = value.get("left_out")
        return cls(
            vin=value["vin"],
            held=MappingProxyType({name: held for name, held in read.items() if held is not None}),
            position=_position_of(value.get("position")),
            left_out=left_out if type(left_out) is int else 0,
        )

    def _merge(self, data: Mapping[str, Any], via: Via, received_at: datetime) -> tuple[CarState, bool]:
        held, left_out = dict(self.held), self.left_out
        room = MAX_UNKNOWN - len(self.unknown)
        space = MAX_TEXT - sum(map(_length, held.values()))
        changed = False
        for name, entry in data.items():
            descriptor, new = clean(name), _held(entry, via, received_at)
            is_new = descriptor not in CATALOGUE and descriptor not in held
            if new is None or not 0 < len(descriptor) <= _MAX_NAME or (is_new and room <= 0):
                left_out += 1
                continue
            room -= is_new
            old = held.get(descriptor)
            new = _with_unit(descriptor, new, old)
            if old is None or _supersedes(new, old):
                more = _length(new) - _length(old)
                if more > max(space, 0):
                    left_out += 1
                    continue
                space -= more
                held[descriptor] = new
                changed = True
        position = _paired(held.get(LATITUDE), held.get(LONGITUDE), self.position)
        merged = replace(self, held=MappingProxyType(held), position=position, left_out=left_out)
        return merged, changed


# --- one value --------------------------------------------------------------------------------


def _held(entry: object, via: Via, received_at: datetime) -> Held | None:
    """A descriptor's entry in a message or answer, or None if it is none or too long to keep."""
    if not isinstance(entry, dict):
        return None
    value = entry.get("value")
    if isinstance(value, dict | list):
        value = _as_text(value)
    if isinstance(value, str):
        # A lone surrogate can be written in JSON, and not stored.
        value = value.encode("utf-8", "replace").decode()
        if len(value) > MAX_VALUE:
            return None
    received_at = milliseconds(received_at)
    measured = moment(entry.get("timestamp"))
    if measured is not None and measured > received_at + _AHEAD:
        measured = None
    return Held(value, _unit(entry.get("unit")), measured, via, received_at)


def _length(held: Held | None) -> int:
    return len(held.value) if held is not None and isinstance(held.value, str) else 0


def _as_text(value: dict[str, Any] | list[Any]) -> str | None:
    """What BMW has so far sent as JSON inside a string."""
    try:
        return dumps(value)
    except RecursionError:
        return None


def _unit(text: object) -> str | None:
    """A unit as BMW wrote it, or None where it says that there is none."""
    if not isinstance(text, str) or v.unit(text) is None:
        return None
    return clean(text)[:_MAX_UNIT] or None


def _with_unit(descriptor: str, new: Held, old: Held | None) -> Held:
    """A value without a unit is in the unit that the descriptor had last.

    But for the odometer: REST leaves its unit out and changes between kilometres and miles, so it is
    in the unit in which the car has driven the less far since.
    """
    if new.unit is not None or old is None or old.unit is None:
        return new
    unit: str = old.unit
    now, before, known = v.number(new.value), v.number(old.value), v.unit(old.unit)
    if descriptor == ODOMETER and now is not None and before is not None and known in ("km", "mi"):
        other, factor = ("mi", 1 / v.KM_PER_MILE) if known == "km" else ("km", v.KM_PER_MILE)
        if abs(now - before * factor) < abs(now - before):
            unit = other
    return replace(new, unit=unit)


def _supersedes(new: Held, old: Held) -> bool:
    """Whether `new` is the newer one by its time of measurement; what says the same again is not.

    Without a time, REST's word replaces only REST's: its server may be behind the stream.
    """
    if new.timestamp is not None and old.timestamp != new.timestamp:
        return old.timestamp is None or new.timestamp > old.timestamp
    if _alike(new, old):
        return False
    if new.timestamp is not None:
        # Times are to the second: of two values in one, the later message has the newer.
        return new.presence is v.Presence.VALUE or old.presence is not v.Presence.VALUE
    return new.via == "stream" or old.via == "rest"


def _alike(one: Held, two: Held) -> bool:
    """Whether two values say the same: REST writes as a string what the stream types."""
    if v.unit(one.unit) != v.unit(two.unit):
        return False
    numbers = v.number(one.value), v.number(two.value)
    if numbers != (None, None):
        return numbers[0] == numbers[1]
    return one.value == two.value or (_word(one) is not None and _word(one) == _word(two))


def _word(held: Held) -> str | None:
    """A short value to compare; a long text is compared as it is."""
    return (v.token(held.value) or None) if len(str(held.value)) < 60 else None


def _paired(north: Held | None, east: Held | None, before: Position | None) -> Position | None:
    """The position that the two halves make, if they belong together; else the one from before."""
    if north is None or east is None:
        return before
    latitude, longitude = _degrees(north, 90), _degrees(east, 180)
    if latitude is None and longitude is None:
        return None
    if latitude is None or longitude is None or not _together(north, east):
        return before
    if latitude == 0 and longitude == 0:
        return None
    times = [half.timestamp for half in (north, east) if half.timestamp is not None]
    return Position(latitude, longitude, min(times, default=None), north.via)


def _together(north: Held, east: Held) -> bool:
    if north.timestamp is None or east.timestamp is None:
        return north.timestamp == east.timestamp and (north.via, north.received_at) == (
            east.via,
            east.received_at,
        )
    return abs(north.timestamp - east.timestamp) <= _PAIRED_WITHIN


def _degrees(half: Held, limit: int) -> int | float | None:
    degrees = v.number(half.value)
    return degrees if degrees is not None and abs(degrees) <= limit else None


# --- JSON -------------------------------------------------------------------------------------


def _object(body: bytes) -> dict[str, Any]:
    """A body as a JSON object whose every part can be stored. Raises MalformedAnswer."""
    if len(body) > MAX_BODY:
        raise MalformedAnswer("it is too long")
    value = v.read_json(body)
    if not isinstance(value, dict):
        raise MalformedAnswer("it is no JSON object")
    return value


def _held_json(held: Held) -> dict[str, Any]:
    body: dict[str, Any] = {"value": held.value}
    if held.unit is not None:
        body["unit"] = held.unit
    if held.timestamp is not None:
        body["timestamp"] = rfc3339(held.timestamp)
    return {**body, "via": held.via, "received_at": rfc3339(held.received_at)}


def _held_of(entry: Any) -> Held | None:
    if not isinstance(entry, Mapping):
        return None
    via, received_at = _via(entry.get("via")), moment(entry.get("received_at"))
    value, unit = entry.get("value"), entry.get("unit")
    if (
        via is None
        or received_at is None
        or not (value is None or isinstance(value, bool | int | float | str))
    ):
        return None
    return Held(value, _unit(unit), moment(entry.get("timestamp")), via, received_at)


def _position_of(value: Any) -> Position | None:
    if not isinstance(value, Mapping):
        return None
    latitude, longitude = (
        v.number(v.scalar(value.get("latitude"))),
        v.number(v.scalar(value.get("longitude"))),
    )
    via = _via(value.get("via"))
    if latitude is None or longitude is None or via is None:
        return None
    return Position(latitude, longitude, moment(value.get("timestamp")), via)


def _via(value: object) -> Via | None:
    if value == "stream":
        return "stream"
    return "rest" if value == "rest" else None


def _written(time: datetime | None) -> str | None:
    return None if time is None else rfc3339(time)
