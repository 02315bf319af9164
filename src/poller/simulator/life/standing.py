"""A parked car: what drains and charges it, and what happens to it until somebody drives it away."""

from __future__ import annotations

from datetime import timedelta

from poller.simulator.life import cabin, charging, closing, obeying
from poller.simulator.life.energy import climate_kilowatts
from poller.simulator.life.living import Living
from poller.simulator.life.state import Task, Warned
from poller.simulator.life.timeline import time_at
from poller.simulator.life.tires import TIRES_LOW, lowest_kpa, pumped
from poller.simulator.life.truth import Message, Pumped, Serviced
from poller.simulator.life.upkeep import is_near, renewed


def stand(life: Living, until: int) -> None:
    """Lets the car stand until then, event by event; nothing if that time is over."""
    state = life.state
    while state.at < until:
        change = charging.next_change(life, state.plug) if state.plug else until
        task = state.agenda[0].at if state.agenda else until
        _flow(life, max(state.at, min(until, change, task)))
        if state.at == change and state.plug:
            charging.decide(life)
            life.note()
        while state.agenda and state.agenda[0].at <= state.at:
            due, state.agenda = state.agenda[0], state.agenda[1:]
            happen(life, due)
            life.note()


def warn(life: Living, what: str, severity: str) -> bool:
    """Raises a check-control message; False if it stands already."""
    state = life.state
    if any(warned.what == what for warned in state.warned):
        return False
    state.warned = (*state.warned, Warned(what, severity, state.at))
    return True


def happen(life: Living, task: Task) -> None:
    """One thing of the agenda, now."""
    match task.verb:
        case "close":
            closing.close(life, task.what)
        case "clear":
            _clear(life, task.what)
        case "pump":
            _pump(life)
        case "raise_hood":
            life.state.open |= {"hood"}
        case "drop_hood":
            life.state.open -= {"hood"}
        case "serve":
            _serve(life)
        case "end_climate":
            cabin.stop(life)
        case "obey" if task.command is not None:
            obeying.obey(life, task.command)


def _flow(life: Living, until: int) -> None:
    state = life.state
    seconds, battery = until - state.at, life.spec.battery
    if battery is not None and seconds > 0:
        if state.climate != "inactive":
            _keep_cabin(life, seconds)
        if state.plug and state.plug.status == "charging":
            charging.flow(life, state.plug, seconds)
        else:
            kwh = min(state.energy_kwh, battery.standby_watts * seconds / 3.6e6)
            state.energy_kwh -= kwh
            state.drained_kwh += kwh
    state.at = until


def _keep_cabin(life: Living, seconds: int) -> None:
    state = life.state
    kwh = climate_kilowatts(life.celsius()) * seconds / 3600
    if state.plug:
        state.cabin_wall_kwh += kwh
    else:
        taken = min(kwh, state.energy_kwh)
        state.energy_kwh -= taken
        state.cabin_battery_kwh += taken


def _clear(life: Living, what: str) -> None:
    state = life.state
    for warned in state.warned:
        if warned.what == what:
            start, end = time_at(warned.since), time_at(state.at)
            life.records.append(Message(start, end, what, warned.severity))
    state.warned = tuple(warned for warned in state.warned if warned.what != what)


def _pump(life: Living) -> None:
    state, now = life.state, time_at(life.state.at)
    lowest = lowest_kpa(state.tires, state.at, life.celsius())
    life.records.append(Pumped(now, now, lowest))
    state.tires = pumped(life.spec.body, state.tires, state.at)
    _clear(life, TIRES_LOW)


def _serve(life: Living) -> None:
    state, now = life.state, time_at(life.state.at)
    dues = []
    for due in state.dues:
        if is_near(due, state.at, state.odometer_km):
            life.records.append(
                Serviced(now - timedelta(hours=1), now, due.what, time_at(due.at), due.km, state.odometer_km)
            )
            due = renewed(due, state.at, state.odometer_km)  # noqa: PLW2901  # renewed or as it was
        dues.append(due)
    state.dues = tuple(dues)
