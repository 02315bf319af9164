"""What is known of one vehicle, and how far it can still be believed.

A value *is old* when it may well be wrong by now: no source could be asked for longer than it is
allowed to be silent, or the car itself has not spoken of it for a day (of what changes by itself:
for an hour).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from poller.runtime.status import DaemonStatus
from poller.vehicle.display import ago, since, span
from poller.vehicle.fleet import VehicleView
from poller.vehicle.signals import split_key
from poller.vehicle.snapshot import Reading, Value
from poller.web.model import asked_at, reported_at, shown

Tone = Literal["", "good", "warn", "bad"]

_DAY = 86400.0
_HOUR = 3600.0
#: What changes without anybody touching the car.
_LIVELY = frozenset(
    [
        "charging", "charging_state", "charging_power_watts", "charging_remaining_seconds",
        "charging_end_at", "moving", "climate_state", "climate_end_at",
    ]
)  # fmt: skip
#: Seconds by which a reading lags behind the car's newest before its own age is said.
_LAG = 15 * 60.0


@dataclass(frozen=True, slots=True)
class Fact:
    """One line about the car. `age` is said where it differs from the car's newest report."""

    label: str
    text: str
    tone: Tone = ""
    old: bool = False
    age: str = ""
    source: str = ""


class Known:
    """A vehicle's readings at `status.now`, positions left out; `origins` as `web.base.Daemon` has them."""

    def __init__(
        self,
        view: VehicleView,
        status: DaemonStatus,
        origins: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self._view = view
        self._origins = origins or {}
        self._metered = {source.name for source in status.sources if source.quota is not None}
        self._limits = {source.name: source.allowed_age for source in status.sources}
        self.now = status.now
        self.readings = shown(view)
        self.asked_at = asked_at(view)
        self.reported_at = reported_at(view)
        #: Why nothing on the card can be relied on; "" if that is not so.
        self.stale = self._why_stale()

    def value(self, key: str) -> Value | None:
        """The value of a record key."""
        entry = self.readings.get(key)
        return None if entry is None else entry[0].value

    def number(self, key: str) -> float | None:
        """The value, if it is a number."""
        value = self.value(key)
        return float(value) if isinstance(value, int | float) else None

    def moment(self, key: str) -> datetime | None:
        """The value, if it is a time."""
        value = self.value(key)
        return value if isinstance(value, datetime) else None

    def token(self, key: str) -> str:
        """The word of an enumeration; "" where it is absent or unknown."""
        value = self.value(key)
        return value if isinstance(value, str) and value != "unknown" else ""

    def under(self, key: str) -> dict[str, Value]:
        """Dimension → value, of all readings of a signal."""
        split = ((*split_key(name), entry[0].value) for name, entry in self.readings.items())
        return {dimension: value for name, dimension, value in split if name == key and dimension}

    def fact(self, label: str, text: str, keys: Sequence[str], tone: Tone = "") -> Fact:
        """A fact drawn from the readings of `keys`: as old as the oldest of them."""
        found = [(key, *self.readings[key]) for key in keys if key in self.readings]
        old = any(self.is_old(key, reading) for key, reading, _ in found)
        oldest = min((reading.observed_at for _, reading, _ in found if reading.observed_at), default=None)
        return Fact(label, text, tone, old, self._lag(oldest), self.came_from(found[0][0]) if found else "")

    def is_old(self, key: str, reading: Reading) -> bool:
        """Whether this reading may be wrong by now."""
        if self.stale or reading.observed_at is None:
            return bool(self.stale)
        limit = _HOUR if split_key(key)[0] in _LIVELY else _DAY
        return since(reading.observed_at, self.now) > limit

    def came_from(self, key: str) -> str:
        """The source of a reading, and the way by which it came where there are several."""
        source = self.readings[key][1]
        way = self._origins.get(source, {}).get(key)
        return f"{source}, {way}" if way else source

    @property
    def mixed(self) -> bool:
        """Whether readings came from several sources, or by several ways."""
        return bool(self._origins) or len({source for _, source in self.readings.values()}) > 1

    def freshness(self) -> list[str]:
        """When the car spoke, when we asked, and whether the last try failed."""
        parts = []
        if self.reported_at is not None:
            parts.append(f"car reported {ago(self.reported_at, self.now)}")
        if self.asked_at is not None:
            # Where each call counts, most polls only look at what is here already.
            did = "looked" if self._metered.issuperset(self._view.sources) else "asked"
            parts.append(f"we {did} {ago(self.asked_at, self.now)}")
        if self._view.sources and all(mark.up is False for mark in self._view.sources.values()):
            parts.append("the last try failed")
        return parts

    def _lag(self, observed: datetime | None) -> str:
        if observed is None or self.reported_at is None or since(observed, self.reported_at) < _LAG:
            return ""
        return ago(observed, self.now)

    def _why_stale(self) -> str:
        marks = {name: mark for name, mark in self._view.sources.items() if name in self._limits}
        if not marks:
            return "No source asks for this car any more. This is what was last known."
        answers = [(name, mark.last_success_at) for name, mark in marks.items() if mark.last_success_at]
        if any(since(at, self.now) <= self._limits[name] for name, at in answers):
            return ""
        if not answers:
            return "No answer yet."
        age = span(since(max(at for _, at in answers), self.now))
        return f"No answer for {age}. This is what was last known."
