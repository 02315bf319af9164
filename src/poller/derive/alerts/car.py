"""The deriver of alerts about cars: what a snapshot changes in what is known, found and told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from typing import Any

from poller.derive.alerts import body, charging, upkeep
from poller.derive.alerts.body import Scene
from poller.derive.alerts.charging import Plug
from poller.derive.alerts.finding import Finding
from poller.derive.alerts.known import Known
from poller.derive.alerts.ledger import FORM, Habits, Ledger, step
from poller.derive.alerts.rulebook import key_of
from poller.derive.alerts.settings import Alerts, CarAlerts, OwnAlerts
from poller.derive.alerts.words import car_name
from poller.vehicle.alert import alert_record
from poller.vehicle.display import Display
from poller.vehicle.records import Json, Record
from poller.vehicle.snapshot import Snapshot
from poller.vehicle.thresholds import TELLING

_RULES: Sequence[Callable[[Scene], Iterator[Finding]]] = (
    body.openings,
    body.unlocked,
    body.tires,
    charging.charge_low,
    upkeep.services,
    upkeep.messages,
    upkeep.aux_battery,
)
_LATE = timedelta(seconds=TELLING.late)


class AlertDeriver:
    """Tells of one car at a time, from snapshots alone; the same for all its sources together.

    `own`: VIN → the settings of its own; `names`: VIN → what the owner calls it; `live`: the sources that
    tell of now. What others bring (captured answers) is of the past, and alerts nobody.
    """

    name = "alerts"

    def __init__(
        self,
        settings: Alerts,
        display: Display,
        *,
        own: Mapping[str, OwnAlerts],
        names: Mapping[str, str],
        live: Collection[str],
    ) -> None:
        self._settings = settings
        self._habits = Habits.of(settings, display.timezone)
        self._display = display
        self._own = own
        self._names = names
        self._live = frozenset(live)
        #: By VIN, the last state given out and what it says: as a rule the very same comes back.
        self._given: dict[str, tuple[Mapping[str, Any], Known, Ledger]] = {}

    def derive(
        self, state: Mapping[str, Any], snapshot: Snapshot
    ) -> tuple[Mapping[str, Any], Sequence[Record]]:
        """What follows from this snapshot; one that comes late changes nothing."""
        if snapshot.source not in self._live:
            return state, ()
        now = snapshot.received_at
        state = state if state.get("form") == FORM else {}
        known, ledger = self._read(snapshot.vin, state) if state else (Known(now), Ledger())
        if now < known.now:
            if known.now - now <= _LATE:
                return state, ()
            known, ledger = known.not_after(now), ledger.not_after(now)
        limits = self._settings.of(self._own.get(snapshot.vin))
        plug = Plug.from_json(state.get("plug", {}))
        software = dict(state.get("software", {}))
        if software.get("source", snapshot.source) not in self._live:
            software = {}
        known = known.inherited(self._live, snapshot.source)
        known = known.taken_in(snapshot, limits.home_degrees(), limits.home_radius_m)
        after = plug.after(known)
        scene = self._scene(snapshot.vin, known, limits, ledger)
        findings = list(
            chain(
                charging.charging(scene, plug, after),
                upkeep.software(scene, snapshot.source, software),
                *(rule(scene) for rule in _RULES),
            )
        )
        ledger, alerts = step(ledger, findings, now, replace(self._habits, off=limits.off))
        told = [replace(alert, vin=snapshot.vin, source=snapshot.source) for alert in alerts]
        new: Json = {
            "known": known.to_json(),
            "plug": after.to_json(),
            "software": software,
            **ledger.to_json(),
        }
        self._given[snapshot.vin] = new, known, ledger
        return new, [alert_record(alert) for alert in told]

    def _read(self, vin: str, state: Mapping[str, Any]) -> tuple[Known, Ledger]:
        given = self._given.get(vin)
        if given is not None and given[0] is state:
            return given[1:]
        return Known.from_json(state["known"]), Ledger.from_json(state)

    def _scene(self, vin: str, known: Known, limits: CarAlerts, ledger: Ledger) -> Scene:
        name = car_name(self._names.get(vin), known.text("brand"), known.text("model"))
        raised = {key_of(one.rule, one.subject): one.raised_at for one in ledger.active() if one.raised_at}
        return Scene(known, limits, self._display, name, raised)
