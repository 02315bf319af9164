"""The newest of every vehicle, merged over its sources: what live sinks and the page show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from poller.vehicle.snapshot import Reading, Snapshot, merge


@dataclass(frozen=True, slots=True)
class SourceMark:
    """How one source stands with one vehicle.

    `up`: the last poll succeeded and the account is not refused (None: not polled since start).
    `last_success_at`: when we last had an answer. `report_at`: the car's own newest time.
    """

    up: bool | None = None
    last_success_at: datetime | None = None
    report_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class VehicleView:
    """One vehicle as it is known now. `readings`: record key → (reading, source's name)."""

    vin: str
    readings: Mapping[str, tuple[Reading, str]]
    sources: Mapping[str, SourceMark]


class Fleet:
    """Keeps the newest snapshot per vehicle and source; hands out immutable views.

    `now`: what the clock shows; a snapshot from later than that is none of a clock that is right.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.max.replace(tzinfo=UTC)) -> None:
        self._now = now
        self._snapshots: dict[tuple[str, str], Snapshot] = {}
        self._marks: dict[tuple[str, str], SourceMark] = {}
        self._views: dict[str, VehicleView] = {}

    def update(self, snapshot: Snapshot, *, up: bool | None = True) -> bool:
        """Take in a snapshot; False if a newer one of the same source is here already.

        After the clock was set back, one from before that only looks newer and gives way.
        """
        key = (snapshot.vin, snapshot.source)
        held = self._snapshots.get(key)
        if held is not None and snapshot.received_at < held.received_at <= self._now():
            return False
        self._snapshots[key] = snapshot
        self._marks[key] = SourceMark(up, snapshot.received_at, snapshot.observed_at)
        self._refresh(snapshot.vin)
        return True

    def mark_failed(self, vin: str, source: str) -> None:
        """Note that this vehicle gets no answers, from now on; its readings stay, with their age."""
        key = (vin, source)
        self._marks[key] = replace(self._marks.get(key, SourceMark()), up=False)
        self._refresh(vin)

    def retire(self, vin: str, source: str) -> None:
        """Forget a vehicle that the source no longer lists."""
        self._snapshots.pop((vin, source), None)
        self._marks.pop((vin, source), None)
        self._refresh(vin)

    def view(self, vin: str) -> VehicleView | None:
        """The vehicle, or None if nothing is known of it."""
        return self._views.get(vin)

    def views(self) -> tuple[VehicleView, ...]:
        """All vehicles, by VIN."""
        return tuple(self._views[vin] for vin in sorted(self._views))

    def vins_of(self, source: str) -> frozenset[str]:
        """The vehicles that this source has spoken of."""
        return frozenset(vin for vin, name in self._marks if name == source)

    def _refresh(self, vin: str) -> None:
        marks = {name: mark for (v, name), mark in self._marks.items() if v == vin}
        if not marks:
            self._views.pop(vin, None)
            return
        mine = [snapshot for (v, _), snapshot in self._snapshots.items() if v == vin]
        self._views[vin] = VehicleView(vin, merge(mine), marks)
