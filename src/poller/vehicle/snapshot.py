"""What one answer says about one vehicle: readings, each with its own time."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType

from poller.vehicle.signals import BY_KEY, Kind, Signal, valid_dimension

Value = bool | int | float | str | datetime

#: No car has more; a maker's broken list must not become a thousand series.
MAX_DIMENSIONS = 40
_MAX_TEXT = 120


@dataclass(frozen=True, slots=True)
class Reading:
    """A signal's value and the time at which the car measured it (None: the car did not say)."""

    value: Value
    observed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All readings of one answer.

    `received_at` is when we had the answer, `observed_at` the newest time the car itself gave;
    both aware UTC. `unknown_tokens` are vendor words we do not know, as (signal, word), for the
    counter. Absent is absent: `readings` holds no None.
    """

    source: str
    vin: str
    received_at: datetime
    observed_at: datetime | None
    readings: Mapping[str, Reading]
    unknown_tokens: tuple[tuple[str, str], ...] = ()

    def value(self, record_key: str) -> Value | None:
        """The value of a record key, or None where the car says nothing."""
        reading = self.readings.get(record_key)
        return None if reading is None else reading.value

    def fingerprint(self) -> str:
        """Equal for two snapshots in which nothing changed: same readings, same observed times."""
        # Most readings share the car's own time: written once.
        times = {moment: str(moment) for moment in {one.observed_at for one in self.readings.values()}}
        lines = (
            f"{key}\0{reading.value!r}\0{times[reading.observed_at]}\n"
            for key, reading in sorted(self.readings.items())
        )
        return hashlib.blake2b("".join(lines).encode(), digest_size=16).hexdigest()


@dataclass(slots=True)
class SnapshotBuilder:
    """Collects readings and lets through only what the catalogue allows.

    Parsers call `put` with whatever the vendor sent; a value of the wrong type, outside its
    bounds or with an impossible dimension is left out, an unknown word of an enumeration becomes
    ``unknown``; both are noted in `unknown_tokens`. Nothing here raises on vendor data.
    """

    source: str
    vin: str
    received_at: datetime
    observed_at: datetime | None = None
    _readings: dict[str, Reading] = field(default_factory=dict)
    _unknown: dict[tuple[str, str], None] = field(default_factory=dict)
    _dimensions: dict[str, int] = field(default_factory=dict)

    def put(
        self,
        key: str,
        value: object,
        *,
        dimension: str | None = None,
        observed_at: datetime | None = None,
    ) -> None:
        """Add a reading; `observed_at` defaults to the builder's. None as value: absent."""
        if value is None:
            return
        signal = BY_KEY[key]
        accepted = _accept(signal, value)
        if accepted is None or not valid_dimension(signal, dimension):
            self.note_unknown(key, value)
            return
        if accepted == "unknown" and value != "unknown":
            self.note_unknown(key, value)
        if dimension is not None and not self._room_for(key, dimension):
            return
        record_key = key if dimension is None else f"{key}.{dimension}"
        self._readings[record_key] = Reading(accepted, observed_at or self.observed_at)

    def note_unknown(self, key: str, value: object) -> None:
        """Count a vendor word that was not understood: shortened, or left out if it may be a position."""
        self._unknown[(key, "" if BY_KEY[key].private else str(value)[:40])] = None

    def get(self, record_key: str) -> Value | None:
        """A value that was put before."""
        reading = self._readings.get(record_key)
        return None if reading is None else reading.value

    def build(self) -> Snapshot:
        """The finished, frozen snapshot."""
        return Snapshot(
            source=self.source,
            vin=self.vin,
            received_at=self.received_at,
            observed_at=self.observed_at,
            readings=MappingProxyType(dict(self._readings)),
            unknown_tokens=tuple(self._unknown),
        )

    def _room_for(self, key: str, dimension: str) -> bool:
        if f"{key}.{dimension}" in self._readings:
            return True
        self._dimensions[key] = self._dimensions.get(key, 0) + 1
        return self._dimensions[key] <= MAX_DIMENSIONS


def merge(snapshots: Iterable[Snapshot]) -> Mapping[str, tuple[Reading, str]]:
    """One vehicle from several sources: per signal the newest reading and its source's name.

    A reading without a time of its own counts as old as its snapshot's arrival, but yields to one
    whose time the car gave. Shape: record key → (reading, source).
    """
    merged: dict[str, tuple[tuple[bool, datetime], Reading, str]] = {}
    for snapshot in snapshots:
        for key, reading in snapshot.readings.items():
            rank = (reading.observed_at is not None, reading.observed_at or snapshot.received_at)
            if key not in merged or rank > merged[key][0]:
                merged[key] = (rank, reading, snapshot.source)
    return {key: (reading, source) for key, (_, reading, source) in merged.items()}


def _accept(signal: Signal, value: object) -> Value | None:
    """`value` as the catalogue wants it, or None if it cannot be that."""
    match signal.kind:
        case Kind.BOOL:
            return value if isinstance(value, bool) else None
        case Kind.NUMBER:
            return _number(signal, value)
        case Kind.ENUM:
            if not isinstance(value, str):
                return None
            word = value.lower()
            return word if word in signal.states else "unknown"
        case Kind.TIME:
            if isinstance(value, datetime) and value.tzinfo is not None:
                return value.astimezone(UTC)
            return None
        case Kind.TEXT:
            text = str(value).strip()[:_MAX_TEXT] if isinstance(value, str | int) else ""
            return text or None


def _number(signal: Signal, value: object) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Compared, not tested for being finite: that raises on integers beyond any float.
    low, high = signal.bounds or (-sys.float_info.max, sys.float_info.max)
    return value if low <= value <= high else None
