"""What the owner means to do on a day: work, an errand, an outing, a long trip, the workshop, nothing."""

from __future__ import annotations

import functools
import random
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from poller.simulator.life.spec import CarSpec, Habits, Stop
from poller.simulator.life.timeline import DAY, EPOCH, date_of, dice

_HOLIDAYS = frozenset({(1, 1), (5, 1), (12, 24), (12, 25), (12, 26), (12, 31)})
_WORKSHOP = (Stop(7.8, "workshop"), Stop(15.2, "home"))


class Plan(NamedTuple):
    """Where to go on a day, and whether a long trip begins on the next."""

    stops: tuple[Stop, ...]
    packs: bool


class Journey(NamedTuple):
    """A long trip: out on the first day, back on the last."""

    first: date
    last: date


def plan(spec: CarSpec, seed: int, day: int, chance: random.Random, *, workshop: bool) -> Plan:
    """The plan of a day; `workshop`: an appointment there comes first, unless the car is away."""
    today = date_of(day)
    journey = journey_of(spec, seed, today)
    packs = journey_of(spec, seed, today + timedelta(days=1)) is not None and journey is None
    if journey is not None:
        return Plan(_on_a_journey(spec.habits, journey, today, chance), packs)
    if workshop and today.weekday() < 5 and not packs:
        return Plan(_WORKSHOP, packs)
    return Plan(_at_home(spec.habits, today, chance), packs)


def local_midnight(zone: str, day: int) -> int:
    """Midnight of a day's date at the owner's, on the time line."""
    return day * DAY - EPOCH.hour * 3600 - utc_offset(zone, day)


@functools.lru_cache(maxsize=4096)
def utc_offset(zone: str, day: int) -> int:
    """Seconds by which the owner's clocks are ahead of UTC at noon of a day."""
    noon = datetime.combine(date_of(day), datetime.min.time(), ZoneInfo(zone)) + timedelta(hours=12)
    offset = noon.utcoffset() or timedelta()
    return int(offset.total_seconds())


def journey_of(spec: CarSpec, seed: int, today: date) -> Journey | None:
    """The long trip that a date belongs to."""
    return next((j for j in _journeys(spec, seed, today.year) if j.first <= today <= j.last), None)


@functools.lru_cache(maxsize=256)
def _journeys(spec: CarSpec, seed: int, year: int) -> tuple[Journey, ...]:
    """Spread over the year: weekends from Friday to Sunday, and nine days in the middle of it."""
    chance = dice(seed, "journeys", year)
    count = spec.habits.journeys
    journeys = []
    for number in range(count):
        share = (number + 0.3 + 0.4 * chance.random()) / count
        around = date(year, 1, 1) + timedelta(days=round(350 * share))
        friday = around + timedelta(days=(4 - around.weekday()) % 7)
        days = 9 if number == count // 2 else 2
        journeys.append(Journey(friday, friday + timedelta(days=days)))
    return tuple(journeys)


def _on_a_journey(habits: Habits, journey: Journey, today: date, chance: random.Random) -> tuple[Stop, ...]:
    if today == journey.first:
        return (Stop(14.3 + chance.random(), "far"),)
    if today == journey.last:
        return (Stop(9.5 + 2 * chance.random(), "home"),)
    return habits.far if chance.random() < 0.6 else ()


def _at_home(habits: Habits, today: date, chance: random.Random) -> tuple[Stop, ...]:
    if today.weekday() >= 5 or (today.month, today.day) in _HOLIDAYS:
        if not habits.outings or chance.random() >= habits.goes_out:
            return ()
        return _with_delays(habits.outings[int(chance.random() * len(habits.outings))], chance)
    works, runs_an_errand = chance.random() < habits.works, chance.random() < habits.errand_chance
    stops = (habits.workday if works else ()) + (habits.errand if runs_an_errand else ())
    return _with_delays(stops, chance)


def _with_delays(stops: tuple[Stop, ...], chance: random.Random) -> tuple[Stop, ...]:
    return tuple(Stop(hour + chance.random() / 4, place) for hour, place in stops)
