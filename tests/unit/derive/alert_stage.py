"""A car on a stage: snapshots in, what is told out; each time its state goes through JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from poller.derive.alerts.active import active
from poller.derive.alerts.car import AlertDeriver
from poller.derive.alerts.settings import Alerts, OwnAlerts
from poller.vehicle.alert import alert_of
from poller.vehicle.display import Display
from poller.vehicle.records import Record, dumps
from poller.vehicle.snapshot import Snapshot, SnapshotBuilder

VIN = "WMW00000000000001"
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
#: A car at rest, of which there is nothing to tell.
WELL: dict[str, Any] = {
    "odometer_km": 45123,
    "locked": True,
    "door_open.front_left": False,
    "window_open.front_left": False,
    "window_open.rear_right": False,
    "sunroof_open": False,
    "trunk_open": False,
    "hood_open": False,
    "soc_percent": 62,
    "soc_target_percent": 80,
    "plugged": False,
    "charging": False,
    "charging_state": "not_charging",
    "brand": "MINI",
    "model": "MINI Cooper SE",
}


def snapshot(at: datetime, readings: dict[str, Any], *, observed=..., source: str = "bmw") -> Snapshot:
    builder = SnapshotBuilder(source, VIN, at, at if observed is ... else observed)
    for key, value in readings.items():
        name, _, dimension = key.partition(".")
        builder.put(name, value, dimension=dimension or None)
    return builder.build()


class Stage:
    """`say` what the car tells at a minute after noon; it gives the lines that are told then.

    What it said before is said again; None takes a reading away. `records`: everything that was told.
    """

    def __init__(
        self,
        *,
        own: OwnAlerts | None = None,
        zone: tzinfo = UTC,
        units="metric",
        named: bool = True,
        **settings: Any,
    ) -> None:
        self.settings = Alerts(**settings)
        self.own = {VIN: own} if own else {}
        self.zone, self.units = zone, units
        self.names = {VIN: "mini"} if named else {}
        self.readings = dict(WELL)
        self.state: dict[str, Any] = {}
        self.records: list[Record] = []
        self._living, self._made_of, self._given = self.deriver, None, self.state

    @property
    def deriver(self) -> AlertDeriver:
        display = Display(self.units, self.zone)
        return AlertDeriver(self.settings, display, own=self.own, names=self.names, live=["bmw", "home"])

    def say(self, minute: float, changes: dict[str, Any] | None = None, **more: Any) -> list[str]:
        self.readings |= changes or {}
        told = {key: value for key, value in self.readings.items() if value is not None}
        return self.take(snapshot(NOON + timedelta(minutes=minute), told, **more))

    def take(self, shown: Snapshot) -> list[str]:
        """By a deriver that was started anew just now; and by one that lives on, which must say the same."""
        before, made_of = dumps(self.state), (self.settings, dict(self.own), dict(self.names))
        if before != dumps(self._given) or made_of != self._made_of:
            self._living, self._made_of, self._given = self.deriver, made_of, self.state
        state, records = self.deriver.derive(self.state, shown)
        assert dumps(self.state) == before, "a deriver changes nothing that it was given"
        self._given, same = self._living.derive(self._given, shown)
        assert (dumps(self._given), same) == (dumps(state), records), "it remembers what its state says"
        self.state = json.loads(dumps(state))
        self.records += records
        return [line(record) for record in records]

    def every(self, minutes: range, changes: dict[str, Any] | None = None, **more: Any) -> list[str]:
        """The same, each of these minutes, with the minute before each line."""
        self.readings |= changes or {}
        return [f"{minute}: {told}" for minute in minutes for told in self.say(minute, **more)]

    @property
    def raised(self) -> list[str]:
        return [one.rule for one in active(self.state, "mini", NOON)]


def line(record: Record) -> str:
    """``raised warning window_open``, with the subject if there is one."""
    alert = alert_of(record)
    return " ".join(filter(None, (alert.state, alert.severity, alert.rule, alert.subject)))
