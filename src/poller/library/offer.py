"""What leaves under ``format = "bimmerconnected"``: one vehicle's keys, from whatever source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from typing import Final

from poller.errors import MalformedAnswer
from poller.library.answers import heard
from poller.library.keys import vehicle_json
from poller.library.privacy import shown
from poller.library.readings import from_readings
from poller.library.understand import vehicle_of
from poller.library.vehicle import Vehicle
from poller.sinks.base import LIBRARY
from poller.vehicle.answer import Answer
from poller.vehicle.display import Units
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import Json, Record, snapshot_of

#: Kinds of source whose answers are not those of BMW's app.
_OTHERS: Final = frozenset({"cardata"})


@dataclass(frozen=True, slots=True)
class Offer:
    """How one reader gets vehicles in the library's form.

    `data`: with BMW's own answers, where the source has them. `regions`: source → row, na or cn.
    """

    rendering: Rendering
    units: Units = "metric"
    zone: tzinfo = UTC
    data: bool = True
    regions: Mapping[str, str] = field(default_factory=dict)

    def render(self, record: Record, answer: Answer | None) -> Json:
        """A snapshot's envelope, with the library's keys under `LIBRARY` in place of readings.

        `answer`: what the snapshot was made of; where that is gone, the readings serve.
        """
        envelope = self.rendering.render(replace(record, body={}))
        return {**envelope, LIBRARY: self.keys_of(record, answer)}

    def keys_of(self, record: Record, answer: Answer | None) -> Json:
        """The library's keys of a snapshot, as this reader may see them."""
        keys = vehicle_json(self._vehicle(record, answer))
        if not self.data:
            keys.pop("data", None)
        return shown(keys, record.vin, self.rendering)

    def _vehicle(self, record: Record, answer: Answer | None) -> Vehicle:
        if answer is not None and answer.kind not in _OTHERS:
            region = self.regions.get(record.source, "row")
            try:
                return vehicle_of(heard(answer, zone=self.zone, region=region, units=self.units))
            except MalformedAnswer:
                pass  # the record was made by somebody who understood it
        return from_readings(snapshot_of(record), zone=self.zone, units=self.units)
