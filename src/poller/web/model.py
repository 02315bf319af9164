"""The read model: daemon and vehicles as JSON, the shapes of docs/api.md.

Of a vehicle, what is absent has no key, as in records; the daemon's status has every key of
`DaemonStatus`, null where nothing is known. Times are RFC 3339 in UTC. Positions are left out
altogether, whatever the sinks may see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

from poller.runtime.status import DaemonStatus
from poller.vehicle.display import since
from poller.vehicle.fleet import VehicleView
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import Json, json_value, rfc3339
from poller.vehicle.signals import signal_of
from poller.vehicle.snapshot import Reading
from poller.web.base import Daemon
from poller.web.readiness import notes


def status_json(daemon: Daemon) -> Json:
    """Everything of `/api/v1/status`: the whole `DaemonStatus`, `ready`, `notes`, a line per vehicle."""
    status = daemon.status()
    return {
        "ready": status.ready,
        **_plain(status),
        "notes": [str(note) for note in notes(status)],
        "vehicles": vehicles_json(daemon, status),
    }


def alerts_json(status: DaemonStatus) -> list[Json]:
    """What is raised and not over: the poller's own alerts, then the cars'."""
    return [_plain(alert) for alert in status.alerts]


def vehicles_json(daemon: Daemon, status: DaemonStatus | None = None) -> list[Json]:
    """A line per vehicle: who it is and how fresh."""
    now = (status or daemon.status()).now
    return [_summary(view, daemon.rendering, now) for view in daemon.fleet.views()]


def vehicle_json(daemon: Daemon, slug: str) -> Json | None:
    """One vehicle with all its readings, or None if no vehicle has that name.

    `readings` is what a record has; `details` adds to each the source, the way by which it came, the
    car's own time and the age in seconds.
    """
    for view in daemon.fleet.views():
        if daemon.rendering.slug(view.vin) == slug:
            now = daemon.status().now
            origins = daemon.origins(view.vin)
            return {**_summary(view, daemon.rendering, now), **_readings(view, origins, now)}
    return None


def shown(view: VehicleView) -> dict[str, tuple[Reading, str]]:
    """The readings that pages may show: known signals, no positions."""
    return {
        key: entry
        for key, entry in view.readings.items()
        if (signal := signal_of(key)) is not None and not signal.private
    }


def reported_at(view: VehicleView) -> datetime | None:
    """The car's newest own time, over all sources."""
    return max((mark.report_at for mark in view.sources.values() if mark.report_at), default=None)


def asked_at(view: VehicleView) -> datetime | None:
    """When any source last had an answer about this car."""
    return max((mark.last_success_at for mark in view.sources.values() if mark.last_success_at), default=None)


def _summary(view: VehicleView, rendering: Rendering, now: datetime) -> Json:
    out: Json = {"vehicle": rendering.slug(view.vin), "vin": rendering.shown_vin(view.vin)}
    for key in ("model", "brand", "year"):
        if key in view.readings:
            out[key] = view.readings[key][0].value
    for key, moment in (("observed_at", reported_at(view)), ("received_at", asked_at(view))):
        if moment is not None:
            out[key] = rfc3339(moment)
            out[key.removesuffix("_at") + "_age_seconds"] = round(since(moment, now), 1)
    out["sources"] = {name: _known(_plain(mark)) for name, mark in sorted(view.sources.items())}
    return out


def _readings(view: VehicleView, origins: Mapping[str, Mapping[str, str]], now: datetime) -> Json:
    readings: Json = {}
    details: Json = {}
    for key, (reading, source) in sorted(shown(view).items()):
        readings[key] = json_value(reading.value)
        details[key] = {"source": source}
        if (way := origins.get(source, {}).get(key)) is not None:
            details[key]["via"] = way
        if reading.observed_at is not None:
            details[key]["observed_at"] = rfc3339(reading.observed_at)
            details[key]["age_seconds"] = round(since(reading.observed_at, now), 1)
    return {"readings": readings, "details": details}


def _known(fields: Json) -> Json:
    return {key: value for key, value in fields.items() if value is not None}


def _plain(value: Any) -> Any:
    """Dataclasses, sequences and times as JSON."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
