"""From one place to another: getting in, rolling, charging or filling up on the way, getting out."""

from __future__ import annotations

import math
from typing import NamedTuple

from poller.simulator.life import cabin, charging, energy
from poller.simulator.life.closing import close_everything
from poller.simulator.life.living import Living, between
from poller.simulator.life.spec import Charger, Position
from poller.simulator.life.standing import stand
from poller.simulator.life.timeline import time_at
from poller.simulator.life.truth import Drain, Refuel, Trip

_GETTING_IN = 70
_GETTING_OUT = 60
_PREHEATING = 720
_WORTH_IT = 0.4  # kW
_WINDING = 1.3
_FUEL_RESERVE = 6.0
_LEAST_LEG_KM = 3.0
ON_THE_WAY = "on the way"


class _Need(NamedTuple):
    """What a kilometre takes at that speed in this weather: traction and cabin in kWh, fuel in litres."""

    kmh: float
    kwh: float
    cabin_kwh: float
    liters: float

    @property
    def electric(self) -> float:
        """All that the battery gives for it."""
        return self.kwh + self.cabin_kwh


def depart(life: Living, at: int, *, preheat: bool = False) -> None:
    """Stands until somebody comes, gets in and drives off at that second."""
    if preheat:
        _preheat(life, at)
    stand(life, at - _GETTING_IN)
    charging.unplug(life)
    close_everything(life)
    life.state.open |= {_drivers_door(life)}
    life.state.locked = False
    life.note()
    stand(life, at)
    _end_stand(life)
    life.state.open = frozenset()
    life.state.locked = life.state.driving = True
    life.note()


def drive(life: Living, name: str) -> None:
    """Drives to a place from where it stands, after `depart`; stops on the way as often as it must."""
    place = life.spec.places[name]
    left = road_km(life.state.position, place.position) * (0.98 + 0.06 * life.chance.random())
    kmh = min(105.0, 18 + 9 * math.sqrt(left)) * (0.87 + 0.26 * life.chance.random())
    while True:
        need = _need(life, kmh)
        leg = min(left, max(_reach_km(life, need), _LEAST_LEG_KM))
        _roll(life, leg, left, need, place.position, name if leg == left else ON_THE_WAY)
        left -= leg
        if left <= 0:
            return
        _get_out(life)
        _top_up(life, left, need)
        depart(life, life.state.at + 150)


def road_km(start: Position, end: Position) -> float:
    """Kilometres by road between two positions."""
    north = end[0] - start[0]
    east = (end[1] - start[1]) * math.cos(math.radians(start[0]))
    return _WINDING * 111.2 * math.hypot(north, east)


def _preheat(life: Living, at: int) -> None:
    start, celsius = at - _PREHEATING, life.celsius()
    if start <= life.state.at or energy.climate_kilowatts(celsius) < _WORTH_IT:
        return
    stand(life, start)
    cabin.keep(life, at)
    life.note()


def _end_stand(life: Living) -> None:
    cabin.stop(life)
    state = life.state
    if life.spec.battery:
        life.records.append(Drain(time_at(state.standing_since), time_at(state.at), state.drained_kwh))


def _need(life: Living, kmh: float) -> _Need:
    drive_, celsius = life.spec.drive, life.celsius()
    return _Need(
        kmh,
        energy.kwh_per_km(drive_, kmh, celsius),
        energy.climate_kilowatts(celsius) / kmh,
        energy.liters_per_km(drive_, kmh, celsius),
    )


def _roll(life: Living, km: float, left: float, need: _Need, goal: Position, name: str) -> None:
    """Moves `km` of the `left` towards a goal and stops there: on the battery first, then on fuel."""
    state = life.state
    origin, start = state.place, state.at
    electric = _electric_km(life, km, need)
    fuelled = km - electric
    state.heading = _heading(state.position, goal)
    if electric > 0:
        _advance(life, electric, left, need, goal)
        state.energy_kwh -= electric * need.electric
        if fuelled > 0:
            life.note()
    if fuelled > 0:
        _advance(life, fuelled, left - electric, need, goal)
        state.fuel_liters -= fuelled * need.liters
    _learn(life, electric, fuelled, need)
    life.records.append(
        Trip(
            start=time_at(start),
            end=time_at(state.at),
            origin=origin,
            target=name,
            km=km,
            kwh=electric * need.kwh,
            climate_kwh=electric * need.cabin_kwh,
            liters=fuelled * need.liters,
        )
    )
    _stop(life, name)


def _advance(life: Living, km: float, left: float, need: _Need, goal: Position) -> None:
    """Some of the way that is left: time, distance, position."""
    state = life.state
    state.at += max(1, round(3600 * km / need.kmh))
    state.odometer_km += km
    (north, east), share = state.position, km / left
    state.position = (north + share * (goal[0] - north), east + share * (goal[1] - east))


def _stop(life: Living, name: str) -> None:
    state = life.state
    state.place = name
    state.driving = state.locked = False
    state.open = frozenset({_drivers_door(life)})
    state.standing_since, state.drained_kwh = state.at, 0.0
    life.note()


def _get_out(life: Living) -> None:
    stand(life, life.state.at + _GETTING_OUT)
    life.state.open = frozenset()
    life.state.locked = True
    life.note()


def _top_up(life: Living, left: float, need: _Need) -> None:
    """Fills the tank, or charges as far as the rest of the way asks for, and not for next to nothing."""
    state, spec = life.state, life.spec
    if spec.drive.tank_liters:
        _refuel(life)
    elif spec.battery:
        percent = 100 * left * need.electric / state.capacity_kwh + spec.battery.reserve_percent + 6
        stand(life, state.at + 60)
        charging.plug_in(life, Charger(spec.fast_kilowatts, 0), min(80.0, max(55.0, percent)))
        while state.plug and state.plug.status in ("waiting", "charging"):
            stand(life, charging.next_change(life, state.plug))
        charging.unplug(life)
        life.note()


def _refuel(life: Living) -> None:
    state, start = life.state, life.state.at
    stand(life, start + between(life.chance, 150, 300))
    liters = life.spec.drive.tank_liters - state.fuel_liters
    state.fuel_liters += liters
    life.records.append(Refuel(time_at(start), time_at(state.at), liters))
    life.note()


def _reach_km(life: Living, need: _Need) -> float:
    """How far it gets without a stop."""
    km = 0.0
    if life.spec.battery:
        km += _above_reserve(life) / need.electric
    if life.spec.drive.tank_liters:
        km += max(0.0, life.state.fuel_liters - _FUEL_RESERVE) / need.liters
    return km


def _electric_km(life: Living, km: float, need: _Need) -> float:
    if life.spec.battery is None:
        return 0.0
    return min(km, _above_reserve(life) / need.electric) if life.spec.drive.tank_liters else km


def _above_reserve(life: Living) -> float:
    reserve = life.spec.battery.reserve_percent if life.spec.battery else 0.0
    return max(0.0, life.state.energy_kwh - reserve / 100 * life.state.capacity_kwh)


def _learn(life: Living, km: float, fuel_km: float, need: _Need) -> None:
    """The car's own idea of its consumption follows the last 150 km or so."""
    state = life.state
    state.recent_kwh_per_km += min(1.0, km / 150) * (need.electric - state.recent_kwh_per_km)
    state.recent_liters_per_km += min(1.0, fuel_km / 150) * (need.liters - state.recent_liters_per_km)


def _drivers_door(life: Living) -> str:
    return f"door.{life.spec.body.driver}"


def _heading(start: Position, goal: Position) -> int:
    east = (goal[1] - start[1]) * math.cos(math.radians(start[0]))
    return round(math.degrees(math.atan2(east, goal[0] - start[0]))) % 360
