"""What is known of one car for its alerts, over all its sources and over restarts."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any

from poller.vehicle.records import Json, json_value, parse_time, rfc3339
from poller.vehicle.signals import split_key
from poller.vehicle.snapshot import Reading, Snapshot
from poller.vehicle.thresholds import TELLING

_KEPT = frozenset(
    [
        "window_open", "door_open", "sunroof_open", "hood_open", "trunk_open", "locked", "lock_state",
        "moving", "odometer_km", "soc_percent", "soc_target_percent", "plugged", "charging", "charging_state",
        "fuel_percent", "fuel_liters", "tire_pressure_kpa", "tire_pressure_target_kpa",
        "service_state", "service_due_at", "service_due_km", "check_control", "aux_battery_volts",
        "software_version", "model", "brand",
    ]
)  # fmt: skip
_BELIEVED = timedelta(seconds=TELLING.believed_for)
_METERS_PER_DEGREE = 111_320.0
#: Not a signal: whether the car was at home. The position itself is not kept here.
AT_HOME = "at_home"

Plain = bool | int | float | str
#: Most readings of a car bear one of the same few times.
_moment = lru_cache(maxsize=64)(parse_time)
_spelt = lru_cache(maxsize=64)(rfc3339)


@dataclass(frozen=True, slots=True)
class Held:
    """A reading. `at`: the car's own time, else when we had it; `own`: whether it is the car's.

    `since`: from when on the value is known to have been the same.
    """

    value: Plain
    at: datetime
    own: bool
    since: datetime
    source: str

    def to_json(self) -> list[Any]:
        """For the state in the journal."""
        return [self.value, _spelt(self.at), self.own, _spelt(self.since), self.source]

    @classmethod
    def from_json(cls, raw: list[Any]) -> Held:
        """The inverse of `to_json`."""
        value, at, own, since, source = raw
        return cls(value, _moment(at), own, _moment(since), source)


@dataclass(frozen=True)
class Known:
    """The newest readings as of `now`, when the last snapshot was received. `held`: record key → reading."""

    now: datetime
    held: Mapping[str, Held] = field(default_factory=dict)

    def value(self, key: str) -> Plain | None:
        """The value, or None where nothing is known."""
        held = self.held.get(key)
        return None if held is None else held.value

    def number(self, key: str) -> float | None:
        """The value, if it is a number."""
        value = self.value(key)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def text(self, key: str) -> str:
        """The value, if it is a word; "" otherwise."""
        value = self.value(key)
        return value if isinstance(value, str) else ""

    def under(self, key: str) -> Mapping[str, Held]:
        """Dimension → reading, of all readings of a signal."""
        return self._dimensions.get(key, {})

    @cached_property
    def _dimensions(self) -> Mapping[str, Mapping[str, Held]]:
        """Signal → dimension → reading: the rules ask eight times, of some thirty readings."""
        grouped: dict[str, dict[str, Held]] = {}
        for name, held in self.held.items():
            signal, dimension = split_key(name)
            if dimension is not None:
                grouped.setdefault(signal, {})[dimension] = held
        return grouped

    def fresh(self, *keys: str) -> bool:
        """Whether all of these that are known are young enough to raise something."""
        return all(self.now - self.held[key].at <= _BELIEVED for key in keys if key in self.held)

    @property
    def parked_since(self) -> datetime | None:
        """Since when the car stands as far as it tells; None while it drives.

        Most cars say nothing of moving, but their odometers do.
        """
        if self.value("moving") is True:
            return None
        stands = [self.held[key].since for key in ("moving", "odometer_km") if key in self.held]
        return max(stands, default=min((one.since for one in self.held.values()), default=self.now))

    def driven_since(self, moment: datetime) -> bool:
        """Whether it drives, or has driven since then."""
        odometer = self.held.get("odometer_km")
        return self.value("moving") is True or (odometer is not None and odometer.since > moment)

    @property
    def burns(self) -> bool:
        """Whether the car has a tank."""
        return "fuel_percent" in self.held or "fuel_liters" in self.held

    def taken_in(self, snapshot: Snapshot, home: tuple[float, float] | None, radius: float) -> Known:
        """With a snapshot: of each signal the newer reading stays."""
        now = snapshot.received_at
        held = dict(self.held)
        for key, reading in _read(snapshot, home, radius):
            held[key] = _newer(key, held.get(key), reading, now, snapshot.source)
        if self.held and "odometer_km" in held.keys() - self.held.keys():
            # That it is told of for the first time is no drive.
            since = min(one.since for one in self.held.values())
            held["odometer_km"] = replace(held["odometer_km"], since=since)
        for key in self._gone(snapshot):
            held[key] = replace(held[key], value="", since=now)
        for key in self._forgotten():
            if held[key].value == "":
                del held[key]
        return Known(now, held)

    def not_after(self, now: datetime) -> Known:
        """After the clock was set back: nothing was measured later than `now`."""
        held = {k: replace(h, at=min(now, h.at), since=min(now, h.since)) for k, h in self.held.items()}
        return Known(now, held)

    def inherited(self, live: Collection[str], heir: str) -> Known:
        """What sources left that are configured no more is the heir's, and gives way to whatever it says.

        But for the software: each source spells it in its own way.
        """
        if all(held.source in live for held in self.held.values()):
            return self
        held = {
            key: one if one.source in live else replace(one, own=False, source=heir)
            for key, one in self.held.items()
            if one.source in live or key != "software_version"
        }
        return replace(self, held=held)

    def _gone(self, snapshot: Snapshot) -> Iterator[str]:
        """Messages that their source shows no more: in answers, that they are missing is how they end."""
        if not any(split_key(key)[0] in ("odometer_km", "door_open", "locked") for key in snapshot.readings):
            return
        for name, held in self.under("check_control").items():
            key = f"check_control.{name}"
            if held.value and held.source == snapshot.source and key not in snapshot.readings:
                yield key

    def _forgotten(self) -> Iterator[str]:
        """Messages that were gone for long when we last looked: they only add up."""
        for name, held in self.under("check_control").items():
            if held.value == "" and self.now - held.since > _BELIEVED:
                yield f"check_control.{name}"

    def to_json(self) -> Json:
        """For the state in the journal."""
        return {"at": rfc3339(self.now), "held": {key: held.to_json() for key, held in self.held.items()}}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Known:
        """The inverse of `to_json`."""
        held = {key: Held.from_json(value) for key, value in raw["held"].items()}
        return cls(parse_time(raw["at"]), held)


def _read(
    snapshot: Snapshot, home: tuple[float, float] | None, radius: float
) -> Iterator[tuple[str, Reading]]:
    for key, reading in snapshot.readings.items():
        name = split_key(key)[0]
        if name in _KEPT and (reading.value != "unknown" or name == "check_control"):
            yield key, reading
    here = [snapshot.readings.get(key) for key in ("latitude_degrees", "longitude_degrees")]
    if home is not None and here[0] is not None and here[1] is not None:
        near = _meters(home, (here[0].value, here[1].value)) <= radius
        yield AT_HOME, Reading(near, here[0].observed_at)


def _meters(one: tuple[float, float], other: tuple[Any, Any]) -> float:
    """Good enough around a house."""
    north = float(other[0]) - one[0]
    east = (float(other[1]) - one[1] + 180) % 360 - 180
    return _METERS_PER_DEGREE * math.hypot(north, east * math.cos(math.radians(one[0])))


def _is_rounded(reading: Reading, old: Held) -> bool:
    """Whether what differs may be rounding: one source cuts off what another tells in full, or rounds up."""
    numbers = (reading.value, old.value)
    return all(isinstance(n, int | float) for n in numbers) and 0 < abs(numbers[1] - numbers[0]) <= 1  # type: ignore[operator]


def _newer(key: str, old: Held | None, reading: Reading, now: datetime, source: str) -> Held:
    """The newer of two; one with a time of the car's own goes before one without, as in `snapshot.merge`."""
    own = reading.observed_at is not None
    if key == "odometer_km" and old is not None and old.source != source and _is_rounded(reading, old):
        # Within a kilometre the word of the source stands that was heard first, with its own time: a short
        # drive is seen when that one tells of it, or when it is more than rounding.
        return old
    at = min(now, reading.observed_at or now)
    value = json_value(reading.value)
    if old is None or old.value == "":
        return Held(value, at, own, at, source)
    if (own, at) < (old.own, old.at) or (value, at, own, source) == (old.value, old.at, old.own, old.source):
        return old
    # What was closed before a long silence and is closed after it may have been open meanwhile.
    if value == old.value and (key == "odometer_km" or at - old.at <= _BELIEVED):
        return Held(value, at, own, old.since, source)
    # A new value under the old time: it came after we last looked.
    return Held(value, at, own, at if at > old.at else now, source)
