"""From one place to another: getting in, rolling, charging or filling up on the way, getting out."""

from __future__ import annotations

import math

from poller.simulator.life import charging, energy
from poller.simulator.life.living import Living, between
from poller.simulator.life.spec import Charger, Position
from poller.simulator.life.standing import close_everything, stand
from poller.simulator.life.timeline import time_at
from poller.simulator.life.truth import Drain, Preheat, Refuel, Trip

_GETTING_IN = 70
_GETTING_OUT = 60
_PREHEATING = 720
_WORTH_IT = 0.4  # kW
_WINDING = 1.3
_FUEL_RESERVE = 6.0
_LEAST_LEG_KM = 3.0
ON_THE_WAY = "on the way"


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
        reach = max(_reach_km(life, kmh), _LEAST_LEG_KM)
        leg = min(left, reach)
        _roll(life, leg, left, kmh, place.position, name if leg == left else ON_THE_WAY)
        left -= leg
        if left <= 0:
            return
        _get_out(life)
        _top_up(life, left, kmh)
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
    state = life.state
    state.climate = "heating" if celsius < 20 else "cooling"
    state.climate_since, state.climate_until = start, at
    state.cabin_battery_kwh = state.cabin_wall_kwh = 0.0
    life.note()


def _end_stand(life: Living) -> None:
    state, now = life.state, time_at(life.state.at)
    if state.climate != "inactive":
        since = time_at(state.climate_since)
        life.records.append(Preheat(since, now, state.cabin_battery_kwh, state.cabin_wall_kwh))
        state.climate = "inactive"
    if life.spec.battery:
        life.records.append(Drain(time_at(state.standing_since), now, state.drained_kwh))


def _roll(life: Living, km: float, left: float, kmh: float, goal: Position, name: str) -> None:
    """Moves `km` of the `left` towards a goal and stops there: on the battery first, then on fuel."""
    state, celsius = life.state, life.celsius()
    origin, start = state.place, state.at
    per_km = energy.kwh_per_km(life.spec.drive, kmh, celsius)
    cabin_per_km = energy.climate_kilowatts(celsius) / kmh
    liters_per_km = energy.liters_per_km(life.spec.drive, kmh, celsius)
    electric = _electric_km(life, km, per_km + cabin_per_km)
    state.heading = _heading(state.position, goal)
    for part, on_battery in ((electric, True), (km - electric, False)):
        if part <= 0:
            continue
        state.at += max(1, round(3600 * part / kmh))
        state.odometer_km += part
        state.position = _towards(state.position, goal, part / left)
        left -= part
        if on_battery:
            state.energy_kwh = max(0.0, state.energy_kwh - part * (per_km + cabin_per_km))
        else:
            state.fuel_liters -= part * liters_per_km
        if on_battery and part < km:
            life.note()
    _learn(life, electric, per_km + cabin_per_km, km - electric, liters_per_km)
    life.records.append(
        Trip(
            start=time_at(start),
            end=time_at(state.at),
            origin=origin,
            target=name,
            km=km,
            kwh=electric * per_km,
            climate_kwh=electric * cabin_per_km,
            liters=(km - electric) * liters_per_km,
        )
    )
    _stop(life, name)


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


def _top_up(life: Living, left: float, kmh: float) -> None:
    """Fills the tank, or charges as far as the rest of the way asks for, but not slowly."""
    state, spec = life.state, life.spec
    if spec.drive.tank_liters:
        _refuel(life)
    elif spec.battery:
        celsius = life.celsius()
        need = left * (energy.kwh_per_km(spec.drive, kmh, celsius) + energy.climate_kilowatts(celsius) / kmh)
        percent = 100 * need / state.capacity_kwh + spec.battery.reserve_percent + 6
        stand(life, state.at + 60)
        charging.plug_in(life, Charger(spec.fast_kilowatts, 0), min(80.0, max(55.0, percent)))
        while state.plug and state.plug.status != "done":
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


def _reach_km(life: Living, kmh: float) -> float:
    """How far it gets without a stop."""
    state, spec, celsius = life.state, life.spec, life.celsius()
    km = 0.0
    if spec.battery:
        per_km = energy.kwh_per_km(spec.drive, kmh, celsius) + energy.climate_kilowatts(celsius) / kmh
        km += _above_reserve(life) / per_km
    if spec.drive.tank_liters:
        fuel = max(0.0, state.fuel_liters - _FUEL_RESERVE)
        km += fuel / energy.liters_per_km(spec.drive, kmh, celsius)
    return km


def _electric_km(life: Living, km: float, per_km: float) -> float:
    if life.spec.battery is None:
        return 0.0
    return min(km, _above_reserve(life) / per_km) if life.spec.drive.tank_liters else km


def _above_reserve(life: Living) -> float:
    reserve = life.spec.battery.reserve_percent if life.spec.battery else 0.0
    return max(0.0, life.state.energy_kwh - reserve / 100 * life.state.capacity_kwh)


def _learn(life: Living, km: float, kwh_per_km: float, fuel_km: float, liters_per_km: float) -> None:
    """The car's own idea of its consumption follows the last 150 km or so."""
    state = life.state
    state.recent_kwh_per_km += min(1.0, km / 150) * (kwh_per_km - state.recent_kwh_per_km)
    state.recent_liters_per_km += min(1.0, fuel_km / 150) * (liters_per_km - state.recent_liters_per_km)


def _drivers_door(life: Living) -> str:
    return f"door.{life.spec.body.driver}"


def _towards(start: Position, goal: Position, share: float) -> Position:
    return start[0] + share * (goal[0] - start[0]), start[1] + share * (goal[1] - start[1])


def _heading(start: Position, goal: Position) -> int:
    east = (goal[1] - start[1]) * math.cos(math.radians(start[0]))
    return round(math.degrees(math.atan2(east, goal[0] - start[0]))) % 360
