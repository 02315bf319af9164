"""What a car tells of itself: whole numbers, when something happened, and with a delay.

It reports every event, each whole percent while charging or draining, and every five minutes on
the road. A report takes seconds to arrive; some come minutes late, and of those that only repeat
(percent, road) some never come: the next one makes up for it. A car that was told something from
afar says at once what became of it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal, NamedTuple

from poller.simulator.life import energy, upkeep
from poller.simulator.life.living import weather_of
from poller.simulator.life.spec import WHEELS, CarSpec, Position, Wheel
from poller.simulator.life.state import Climate, Moment, Plug
from poller.simulator.life.timeline import dice, time_at
from poller.simulator.life.tires import kpa
from poller.simulator.life.wishes import Wishes

_ON_THE_ROAD = 300
#: Seconds after a car has obeyed: all know of it.
OBEYED = 2
_SOONEST, _USUALLY_WITHIN = 4, 50
_EVENT_LATE_WITHIN, _ROUTINE_LATE_WITHIN = 300, 1200
_LATE, _LOST = 0.05, 0.03
_ROUNDING = 1e-6
_SERVICE_STEP_KM = 500


class Sent(NamedTuple):
    """A report on its way: the second it speaks of, and the second it arrived."""

    observed: int
    arrived: int


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """A service to come; `left_km` counts down in steps, None where distance does not matter."""

    what: str
    state: Literal["ok", "pending", "overdue"]
    due: datetime
    left_km: int | None


@dataclass(frozen=True, slots=True)
class ChargeReport:
    """The battery's side: whole percent and kilometres; `left` until the target, while charging."""

    percent: int
    target_percent: int
    range_km: int
    plugged: bool
    status: Literal["unplugged", "waiting", "charging", "done", "stopped"]
    current: Literal["ac", "dc"] | None
    kilowatts: float
    left: timedelta | None
    capacity_kwh: float
    health_percent: int


@dataclass(frozen=True, slots=True)
class FuelReport:
    """The tank's side, in whole numbers."""

    liters: int
    percent: int
    range_km: int


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Report:
    """How the car says it stood at `observed_at`.

    `open` as in the truth ("door.front_left", "trunk", …); `messages`: what → severity;
    `climate_until` only while the cabin is kept.
    """

    observed_at: datetime
    arrived_at: datetime
    odometer_km: int
    position: Position
    heading: int
    driving: bool
    locked: bool
    open: frozenset[str]
    charge: ChargeReport | None
    fuel: FuelReport | None
    climate: Climate
    climate_until: datetime | None
    tires_kpa: Mapping[Wheel, int]
    services: tuple[ServiceReport, ...]
    messages: Mapping[str, str]
    aux_volts: float
    wishes: Wishes


def sent_on(
    spec: CarSpec, seed: int, day: int, moments: Sequence[Moment], told: Collection[int] = ()
) -> tuple[Sent, ...]:
    """The reports of a day in order; all have arrived when it ends. `told`: when it obeyed, from afar."""
    events = {moment.at for moment in (moments[1:-1] if day else moments[:-1])}
    routine = {
        at
        for one, after in pairwise(moments)
        for at in (_on_the_road(one, after) if one.driving else _at_each_percent(one, after))
    }
    chance, end = dice(seed, f"reports {spec.vin}", day), moments[-1].at
    sent = []
    for at in sorted(events | routine):
        if at in told:
            sent.append(Sent(at, max(at, min(at + OBEYED, end - 1))))
            continue
        event, lost, late = at in events, chance.random() < _LOST, chance.random() < _LATE
        late_within = _EVENT_LATE_WITHIN if event else _ROUTINE_LATE_WITHIN
        delay = _SOONEST + round((late_within if late else _USUALLY_WITHIN) * chance.random())
        if event or not lost:
            sent.append(Sent(at, max(at, min(at + delay, end - 1))))
    return tuple(sent)


def report_of(spec: CarSpec, seed: int, moment: Moment, arrived: int) -> Report:
    """What the car says of a moment."""
    kept = moment.climate != "inactive"
    return Report(
        observed_at=time_at(moment.at),
        arrived_at=time_at(arrived),
        odometer_km=int(moment.odometer_km),
        position=(round(moment.position[0], 6), round(moment.position[1], 6)),
        heading=moment.heading,
        driving=moment.driving,
        locked=moment.locked,
        open=moment.open,
        charge=_charge(spec, seed, moment),
        fuel=_fuel(spec, moment),
        climate=moment.climate,
        climate_until=time_at(moment.climate_until) if kept else None,
        tires_kpa=_tires(spec, seed, moment),
        services=tuple(_service(moment, number) for number in range(len(moment.dues))),
        messages={warned.what: warned.severity for warned in moment.warned},
        aux_volts=_aux_volts(moment),
        wishes=moment.wishes,
    )


def whole_percent(moment: Moment) -> int:
    """The state of charge as the car shows it: the nearest."""
    return math.floor(moment.soc + 0.5)


def _on_the_road(one: Moment, after: Moment) -> Iterator[int]:
    yield from range(one.at + _ON_THE_ROAD, after.at, _ON_THE_ROAD)


def _at_each_percent(one: Moment, after: Moment) -> Iterator[int]:
    """The seconds just after which a parked battery shows another percent, more or less."""
    if not one.capacity_kwh or one.energy_kwh == after.energy_kwh:
        return
    first, last = one.soc, 100 * after.energy_kwh / one.capacity_kwh
    low, high = sorted((first, last))
    speed = _percent_per_second(one, after)
    for percent in range(math.floor(low + 0.5), math.floor(high + 0.5)):
        at = one.at + math.ceil((percent + 0.5 - first) / speed) + 1
        if at < after.at:
            yield at


def _percent_per_second(one: Moment, after: Moment) -> float:
    """As it is at first, whatever comes after; the last second of a charge is not a whole one."""
    if one.plug is not None and one.plug.status == "charging":
        kilowatts = one.plug.kilowatts
    else:
        kilowatts = 3600 * (after.energy_kwh - one.energy_kwh) / (after.at - one.at)
    return 100 * kilowatts / 3600 / one.capacity_kwh


def _charge(spec: CarSpec, seed: int, moment: Moment) -> ChargeReport | None:
    if spec.battery is None:
        return None
    percent, plug = whole_percent(moment), moment.plug
    charging = plug is not None and plug.status == "charging"
    return ChargeReport(
        percent=percent,
        target_percent=round(moment.target_percent),
        range_km=int(percent / 100 * moment.capacity_kwh / moment.recent_kwh_per_km),
        plugged=plug is not None,
        status=plug.status if plug else "unplugged",
        current=plug.charger.current if plug else None,
        kilowatts=round(plug.kilowatts, 2) if plug else 0.0,
        left=_left(spec, seed, moment, plug) if plug and charging else None,
        capacity_kwh=round(moment.capacity_kwh, 1),
        health_percent=round(100 * moment.capacity_kwh / spec.battery.kwh),
    )


def _left(spec: CarSpec, seed: int, moment: Moment, plug: Plug) -> timedelta:
    """The car's estimate, in whole minutes: on to where it stops, at the power of each band."""
    celsius, hours, soc = weather_of(spec, seed).celsius(moment.at), 0.0, moment.soc
    charger = plug.charger.limited(moment.wishes.amperes)
    while spec.battery and soc < plug.until_percent - _ROUNDING:
        step = min(energy.band_end(charger, soc), plug.until_percent)
        power = energy.charging_kilowatts(spec.battery, charger, soc, celsius)
        hours += (step - soc) / 100 * moment.capacity_kwh / power
        soc = step
    return timedelta(minutes=max(1, math.ceil(60 * hours)))


def _fuel(spec: CarSpec, moment: Moment) -> FuelReport | None:
    tank = spec.drive.tank_liters
    if not tank:
        return None
    liters = int(moment.fuel_liters + _ROUNDING)
    return FuelReport(
        liters=liters,
        percent=int(100 * moment.fuel_liters / tank + _ROUNDING),
        range_km=int(liters / moment.recent_liters_per_km),
    )


def _tires(spec: CarSpec, seed: int, moment: Moment) -> dict[Wheel, int]:
    """Sensors sleep on a stand: the pressure at its beginning, or when the tire was pumped since."""
    weather, pressures = weather_of(spec, seed), {}
    for wheel, tire in zip(WHEELS, moment.tires, strict=True):
        at = moment.at if moment.driving else max(moment.standing_since, tire.pumped_at)
        pressures[wheel] = round(kpa(tire, at, weather.celsius(at)))
    return pressures


def _service(moment: Moment, number: int) -> ServiceReport:
    due, at, km = moment.dues[number], moment.at, moment.odometer_km
    if upkeep.is_overdue(due, at, km):
        state: Literal["ok", "pending", "overdue"] = "overdue"
    else:
        state = "pending" if upkeep.is_pending(due, at, km) else "ok"
    left = None if due.km is None else max(0, int(due.km - km) // _SERVICE_STEP_KM * _SERVICE_STEP_KM)
    return ServiceReport(due.what, state, time_at(due.at), left)


def _aux_volts(moment: Moment) -> float:
    """Lifted while driving and charging; sinks slowly on a long stand."""
    if moment.driving or (moment.plug and moment.plug.status == "charging"):
        return 14.3
    days = (moment.at - moment.standing_since) / 86_400
    return round(max(12.1, 12.7 - 0.02 * days), 1)
