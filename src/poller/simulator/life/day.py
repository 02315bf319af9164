"""One day of a car, from four in the morning to four: the diary carried out, and the evening."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from poller.simulator.life import charging, diary, upkeep
from poller.simulator.life.driving import depart, drive
from poller.simulator.life.energy import capacity_kwh
from poller.simulator.life.living import Living, between
from poller.simulator.life.spec import CarSpec
from poller.simulator.life.standing import stand, warn
from poller.simulator.life.state import Moment, State, Task
from poller.simulator.life.timeline import DAY
from poller.simulator.life.tires import TIRES_LOW, are_low, mounted
from poller.simulator.life.truth import Record
from poller.simulator.life.wishes import Wishes

#: No stand is so short that the report of its beginning would come after its end.
_SHORTEST_STAND = 600
_LOCKING = 60
_PLUGGING = 180
#: What is forgotten on one stand in so many: chance, and hours until somebody sees it.
_FORGOTTEN = (("lock", 0.03, 0.2, 3.0), ("trunk", 0.005, 0.1, 1.0))
_WINDOW_LEFT, _ROOF_LEFT = 0.03, 0.006
_ELSEWHERE = 0.3
#: When whoever stayed at home all day sees to the car: local seconds.
_EVENING = (18 * 3600, 21 * 3600)
_WASHING_FLUID = 0.012
_AFTERNOON = (11 * 3600, 14 * 3600)  # after the beginning of a day


class LivedDay(NamedTuple):
    """`moments[0]` is how the day began, the last how it ended, those between are events."""

    moments: tuple[Moment, ...]
    records: tuple[Record, ...]
    state: State


def delivered(spec: CarSpec, seed: int) -> State:
    """The car on its first day: at home, full, and as old as it is."""
    battery, drive_ = spec.battery, spec.drive
    capacity = capacity_kwh(battery, spec.age_years, spec.first_km) if battery else 0.0
    percent = spec.habits.target_percent / 100
    return State(
        at=0, place="home", position=spec.places["home"].position, heading=90,
        odometer_km=spec.first_km, capacity_kwh=capacity, energy_kwh=percent * capacity,
        fuel_liters=0.8 * drive_.tank_liters,
        recent_kwh_per_km=1.3 * drive_.kwh_per_km, recent_liters_per_km=1.1 * drive_.liters_per_km,
        target_percent=spec.habits.target_percent, driving=False, locked=True, open=frozenset(),
        climate="inactive", climate_until=0, climate_since=0, cabin_battery_kwh=0.0, cabin_wall_kwh=0.0,
        standing_since=0, drained_kwh=0.0, plug=None, left_open=(), tires=mounted(spec.body, seed),
        dues=upkeep.first_dues(spec, seed), warned=(), agenda=(), wishes=Wishes(),
    )  # fmt: skip


def live(spec: CarSpec, seed: int, day: int, state: State, told: Sequence[Task] = ()) -> LivedDay:
    """Lives through a day from the state in which the one before ended; `told`: from afar, in it."""
    life = Living(spec, seed, day, state)
    for task in told:
        life.intend(task)
    life.note()
    plan = _plan(life)
    begin = diary.local_midnight(spec.habits.zone, day)
    for number, stop in enumerate(plan.stops):
        if stop.place == life.state.place:
            continue
        warm = number == 0 and life.chance.random() < spec.habits.preheats
        depart(life, max(begin + round(3600 * stop.hour), life.state.at + _SHORTEST_STAND), preheat=warm)
        drive(life, stop.place)
        _settle(life, first=number == 0)
        if stop.place != "home":
            _charge_elsewhere(life)
    if life.state.place == "home":
        if not plan.stops:
            stand(life, begin + between(life.chance, *_EVENING))
        _evening(life, packs=plan.packs)
    stand(life, (day + 1) * DAY)
    life.note()
    return LivedDay(tuple(life.moments), tuple(life.records), life.state)


def _plan(life: Living) -> diary.Plan:
    state = life.state
    workshop = upkeep.appointment(state.dues, state.at, state.odometer_km, life.chance.random())
    return diary.plan(life.spec, life.seed, life.day, life.chance, workshop=workshop)


def _settle(life: Living, *, first: bool) -> None:
    """After a drive: get out, lock, and perhaps forget something; on the first of a day the car warns."""
    stand(life, life.state.at + _LOCKING)
    life.state.open = frozenset()
    life.state.locked = True
    _forget(life)
    if first:
        _warn(life)
    if life.state.place == "workshop":
        _hand_over(life)
    life.note()


def _forget(life: Living) -> None:
    body, chance = life.spec.body, life.chance
    window = body.driver if chance.random() < 0.6 else body.sides[int(chance.random() * len(body.sides))]
    candidates = [*_FORGOTTEN, (f"window.{window}", _WINDOW_LEFT, 0.3, 9.0)]
    if body.sunroof:
        candidates.append(("sunroof", _ROOF_LEFT, 0.3, 9.0))
    for what, share, soon, late in candidates:
        if chance.random() < share:
            _leave_open(life, what, life.later(soon, late))


def _leave_open(life: Living, what: str, until: int) -> None:
    state = life.state
    if what == "lock":
        state.locked = False
    else:
        state.open |= {what}
    state.left_open = (*state.left_open, (what, state.at))
    life.intend(Task(until, "close", what))


def _warn(life: Living) -> None:
    """Check-control messages, and when the owner will see to them."""
    state, chance = life.state, life.chance
    if are_low(life.spec.body, state.tires, state.at, life.celsius()) and warn(life, TIRES_LOW, "low"):
        life.intend(Task(_afternoon(life, 5), "pump"))
    if chance.random() < _WASHING_FLUID and warn(life, "washing_fluid", "low"):
        life.intend(Task(_afternoon(life, 9), "clear", "washing_fluid"))


def _hand_over(life: Living) -> None:
    """What the workshop does while the car stands there."""
    life.intend(Task(life.state.at + 3600, "raise_hood"))
    life.intend(Task(life.state.at + 9000, "serve"))
    life.intend(Task(life.state.at + 10800, "drop_hood"))


def _afternoon(life: Living, days: int) -> int:
    """Some afternoon of the next days: when an owner sees to things."""
    day = life.state.at // DAY + between(life.chance, 1, days)
    return day * DAY + between(life.chance, *_AFTERNOON)


def _charge_elsewhere(life: Living) -> None:
    state, charger = life.state, life.spec.places[life.state.place].charger
    if not charger or not life.spec.battery:
        return
    if state.place == "far" or (state.soc < 75 and life.chance.random() < _ELSEWHERE):
        stand(life, state.at + _PLUGGING)
        charging.plug_in(life, charger, 100.0 if state.place == "far" else state.target_percent)


def _evening(life: Living, *, packs: bool) -> None:
    """Home for the night: the battery's true size is known again, and it is plugged in if it must be."""
    state, spec = life.state, life.spec
    charger, battery = spec.places["home"].charger, spec.battery
    if battery is None or charger is None:
        return
    habits, wishes = spec.habits, state.wishes
    usual = habits.target_percent if wishes.target_percent is None else wishes.target_percent
    state.target_percent = 100.0 if packs else usual
    if packs:
        charging.unplug(life)  # and in again, for more
    if state.plug is None and (packs or state.soc < habits.charge_below):
        stand(life, state.at + _PLUGGING)
        state.capacity_kwh = max(state.energy_kwh, capacity_kwh(battery, life.years, state.odometer_km))
        window = habits.window if wishes.plan is None else wishes.plan.hours
        charging.plug_in(life, charger, state.target_percent, window)
