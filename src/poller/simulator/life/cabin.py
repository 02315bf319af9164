"""A cabin kept warm or cool on a stand: from when to when, and what it took."""

from __future__ import annotations

from poller.simulator.life.living import Living
from poller.simulator.life.timeline import time_at
from poller.simulator.life.truth import Preheat

_COMFORTABLE = 20.0


def keep(life: Living, until: int) -> None:
    """Heats or cools from now on; without a traction battery there is only fresh air."""
    stop(life)
    state = life.state
    if life.spec.battery is None:
        state.climate = "ventilation"
    else:
        state.climate = "heating" if life.celsius() < _COMFORTABLE else "cooling"
    state.climate_since, state.climate_until = state.at, until
    state.cabin_battery_kwh = state.cabin_wall_kwh = 0.0


def stop(life: Living) -> None:
    """Leaves the cabin alone and writes down what it took; nothing if it was left alone."""
    state = life.state
    if state.climate == "inactive":
        return
    since, now = time_at(state.climate_since), time_at(state.at)
    life.records.append(Preheat(since, now, state.cabin_battery_kwh, state.cabin_wall_kwh))
    state.climate = "inactive"
    state.agenda = tuple(task for task in state.agenda if task.verb != "end_climate")
