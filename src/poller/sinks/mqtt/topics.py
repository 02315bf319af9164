"""A vehicle's state as topics: one a signal, each value as plain text. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from poller.vehicle.fleet import VehicleView
from poller.vehicle.privacy import PRIVATE_KEYS, Rendering
from poller.vehicle.records import dumps, rfc3339
from poller.vehicle.signals import signal_of
from poller.vehicle.snapshot import Value

LOCATION = "location"
#: What is said besides the car's own signals.
UP, REPORT_AT, SUCCESS_AT = "up", "report_at", "last_success_at"
#: Metres: what is told of a position's accuracy, exact and rounded to about a kilometre.
_ACCURACY = {"exact": 10, "rounded": 1000}


@dataclass(frozen=True, slots=True)
class Names:
    """What topics are called. `prefix`: what all begin with."""

    prefix: str
    rendering: Rendering

    @property
    def status(self) -> str:
        """Where it stands whether the poller is there."""
        return f"{self.prefix}/status"

    def of(self, vin: str, record_key: str) -> str:
        """The topic of a signal: a dimension is a level of its own."""
        return f"{self.prefix}/{self.rendering.slug(vin)}/{record_key.replace('.', '/')}"

    def of_record(self, vehicle: str, kind: str) -> str:
        """The topic of a record: the vehicle's, or the poller's own."""
        return f"{self.prefix}/{vehicle}/{kind}" if vehicle else f"{self.prefix}/{kind}"


def state(view: VehicleView, names: Names) -> Mapping[str, str]:
    """Topic → payload of everything that is known of the vehicle and that this broker may have."""
    shown = {
        names.of(view.vin, key): written(reading.value)
        for key, (reading, _) in view.readings.items()
        if key not in PRIVATE_KEYS and signal_of(key) is not None
    }
    where = _location(view, names.rendering)
    if where:
        shown[names.of(view.vin, LOCATION)] = where
    return shown | {names.of(view.vin, key): value for key, value in _marks(view)}


def written(value: Value) -> str:
    """``true``, ``80``, ``63.5``, ``charging`` or an RFC 3339 time."""
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return rfc3339(value)
        case float() if value.is_integer():
            return str(int(value))
    return str(value)


def _location(view: VehicleView, rendering: Rendering) -> str:
    """As Home Assistant's device tracker has it; "" if there is none, or none for this broker."""
    accuracy = _ACCURACY.get(rendering.location)
    found: dict[str, float] = {}
    for key, name in (
        ("latitude_degrees", "latitude"),
        ("longitude_degrees", "longitude"),
        ("heading_degrees", "heading"),
    ):
        reading = view.readings.get(key)
        if reading is not None and rendering.allows(key):
            found[name] = rendering.coarse(key, float(reading[0].value))  # type: ignore[arg-type]  # a number's signal
    if accuracy is None or not {"latitude", "longitude"} <= found.keys():
        return ""
    return dumps({**found, "gps_accuracy": accuracy})


def _marks(view: VehicleView) -> Iterator[tuple[str, str]]:
    """How we stand with the vehicle, the best of its sources."""
    marks = view.sources.values()
    ups = [mark.up for mark in marks if mark.up is not None]
    if ups:
        yield UP, written(any(ups))
    for key, moments in (
        (REPORT_AT, [mark.report_at for mark in marks if mark.report_at]),
        (SUCCESS_AT, [mark.last_success_at for mark in marks if mark.last_success_at]),
    ):
        if moments:
            yield key, rfc3339(max(moments))
