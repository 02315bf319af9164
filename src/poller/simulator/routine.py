"""What a simulated car does with its days: a pure function of time, so any moment can be asked for.

A day runs from 05:00 to 05:00 UTC. It begins charged to the target at home and ends there, so no
day needs to know what came before; the odometer is a sum in closed form. All chance comes from
hashes of seed and date.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

#: Where days are counted from; odometers are set to their first value here.
EPOCH = date(2023, 1, 2)  # a Monday
_DAY_BEGINS = timedelta(hours=5)
_WOBBLE_KM = 8.0
_DRIVING_REPORT = timedelta(minutes=5)
_UNLOCK_BEFORE = timedelta(minutes=2)
_PREHEAT_BEFORE = timedelta(minutes=10)
_LOCK_AFTER = timedelta(minutes=1)
_FORGOTTEN = timedelta(minutes=40)
_PLUG_AFTER = timedelta(minutes=4)

Place = tuple[float, float]
Climate = Literal["INACTIVE", "HEATING", "COOLING"]


@dataclass(frozen=True, slots=True)
class Habits:
    """Where a car goes and what it takes.

    `weekday`, `weekend`: (hour of departure, place to go to); the last goes home. `week_km`: the
    mean distance of each day from Monday. `charge_at`: hour after midnight at which charging
    begins, None: at once. Share: of the distance that is driven electrically.
    """

    places: Mapping[str, Place]
    weekday: Sequence[tuple[float, str]]
    weekend: Sequence[tuple[float, str]]
    week_km: tuple[float, ...]
    first_km: float
    speed_kmh: float
    battery_kwh: float
    kwh_per_km: float
    charge_kw: float
    target_percent: float
    charge_at: float | None = None
    electric_share: float = 1.0
    tank_liters: float = 0.0
    liters_per_km: float = 0.0


@dataclass(frozen=True, slots=True)
class Leg:
    """One drive."""

    start: datetime
    end: datetime
    origin: Place
    target: Place

    def share(self, at: datetime) -> float:
        """How much of the way is done at that time: 0 to 1."""
        return min(1.0, max(0.0, (at - self.start) / (self.end - self.start)))


@dataclass(frozen=True, slots=True)
class Moment:
    """How the car stands at one time. Percent, km, litres; whole numbers are the car's business."""

    at: datetime
    odometer_km: float
    soc: float
    fuel_liters: float
    position: Place
    heading: int
    driving: bool
    plugged: bool
    charging: Literal["no", "waiting", "charging", "done"]
    charged_at: datetime | None
    locked: bool
    driver_door_open: bool
    driver_window_open: bool
    climate: Climate
    cold: float


def chance(seed: int, *parts: object) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    text = "\0".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) / 2**64


def day_of(at: datetime) -> date:
    """The routine's day that a time belongs to."""
    return (at - _DAY_BEGINS).date()


class Day:
    """One day of a car's life. `moment` answers for any time in it; `reports` are the times of change."""

    def __init__(self, habits: Habits, seed: int, day: date) -> None:
        self._habits = habits
        self._seed = seed
        self._day = day
        self.begin = datetime.combine(day, datetime.min.time(), UTC) + _DAY_BEGINS
        # 0 in high summer, 1 in deep winter (northern): more energy per kilometre, a warm cabin.
        self._cold = 0.5 + 0.5 * math.cos(2 * math.pi * (day.timetuple().tm_yday - 15) / 365.25)
        self._first_km = odometer_at(habits, seed, day)
        self._km = odometer_at(habits, seed, day + timedelta(days=1)) - self._first_km
        self.legs = tuple(self._drives())
        self._plug_in = self.legs[-1].end + _PLUG_AFTER
        self._charge_from, self._charge_until = self._charge_times()
        self.reports = tuple(sorted({at for at in self._changes() if at >= self.begin}))

    def moment(self, at: datetime) -> Moment:
        """How the car stands at `at`, a time of this day."""
        leg = next((leg for leg in reversed(self.legs) if leg.start <= at), None)
        done = sum(leg.share(at) for leg in self.legs) / len(self.legs)
        driving = leg is not None and at < leg.end
        odometer = self._first_km + done * self._km
        plugged, charging = self._charging(at)
        return Moment(
            at=at,
            odometer_km=odometer,
            soc=self._soc(done, at),
            fuel_liters=self._fuel(odometer),
            position=_between(leg, at) if leg else self._habits.places["home"],
            heading=_heading(leg) if leg else 90,
            driving=driving,
            plugged=plugged,
            charging=charging,
            charged_at=self._charge_until if charging == "charging" else None,
            locked=driving or not self._unlocked(at),
            driver_door_open=self._door_open(at),
            driver_window_open=self._window_open(at),
            climate=self._climate(at),
            cold=self._cold,
        )

    def _drives(self) -> Iterator[Leg]:
        plan = self._habits.weekend if self._day.weekday() >= 5 else self._habits.weekday
        minutes = max(3, round(self._km / len(plan) / self._habits.speed_kmh * 60))
        origin = self._habits.places["home"]
        for number, (hour, place) in enumerate(plan):
            late = round(chance(self._seed, "late", self._day, number) * 15)
            start = self.begin - _DAY_BEGINS + timedelta(hours=hour, minutes=late)
            target = self._habits.places[place]
            yield Leg(start, start + timedelta(minutes=minutes), origin, target)
            origin = target

    def _charge_times(self) -> tuple[datetime, datetime]:
        start = self._plug_in + timedelta(minutes=1)
        if self._habits.charge_at is not None:
            start = self.begin - _DAY_BEGINS + timedelta(days=1, hours=self._habits.charge_at)
        missing = self._habits.target_percent - self._soc_after(1.0)
        return start, start + timedelta(hours=missing / self._percent_per_hour())

    def _percent_per_hour(self) -> float:
        return 100 * self._habits.charge_kw / self._habits.battery_kwh

    def _soc_after(self, done: float) -> float:
        """Percent left when that share of the day's distance is driven."""
        per_km = self._habits.kwh_per_km * (0.9 + 0.3 * self._cold)
        used = done * self._km * self._habits.electric_share * per_km
        return max(3.0, self._habits.target_percent - 100 * used / self._habits.battery_kwh)

    def _soc(self, done: float, at: datetime) -> float:
        if at >= self._charge_until:
            return self._habits.target_percent
        hours = max(0.0, (at - self._charge_from) / timedelta(hours=1))
        return self._soc_after(done) + hours * self._percent_per_hour()

    def _fuel(self, odometer: float) -> float:
        # The tank is filled when three quarters are gone, on the way: a saw-tooth over the distance.
        if not self._habits.tank_liters:
            return 0.0
        used = odometer * (1 - self._habits.electric_share) * self._habits.liters_per_km
        return self._habits.tank_liters - used % (0.75 * self._habits.tank_liters)

    def _charging(self, at: datetime) -> tuple[bool, Literal["no", "waiting", "charging", "done"]]:
        if self._unplug() <= at < self._plug_in:
            return False, "no"
        if at < self._plug_in or at >= self._charge_until:
            return True, "done"
        return True, "charging" if at >= self._charge_from else "waiting"

    def _unplug(self) -> datetime:
        return self.legs[0].start - _UNLOCK_BEFORE

    def _locked_again(self, number: int) -> datetime:
        forgotten = chance(self._seed, "unlocked", self._day, number) < 0.08
        return self.legs[number].end + (_FORGOTTEN if forgotten else _LOCK_AFTER)

    def _unlocked(self, at: datetime) -> bool:
        return any(
            leg.start - _UNLOCK_BEFORE <= at < self._locked_again(number)
            for number, leg in enumerate(self.legs)
        )

    def _door_open(self, at: datetime) -> bool:
        return any(
            leg.start - _UNLOCK_BEFORE <= at < leg.start or leg.end <= at < leg.end + _LOCK_AFTER
            for leg in self.legs
        )

    def _window(self) -> tuple[datetime, datetime] | None:
        """On some days the driver's window stays open for a while after the first drive."""
        if chance(self._seed, "window", self._day) >= 0.25:
            return None
        return self.legs[0].end, self.legs[0].end + timedelta(minutes=25)

    def _window_open(self, at: datetime) -> bool:
        window = self._window()
        return window is not None and window[0] <= at < window[1]

    def _climate(self, at: datetime) -> Climate:
        start = self.legs[0].start
        if not start - _PREHEAT_BEFORE <= at < start:
            return "INACTIVE"
        return "HEATING" if self._cold > 0.5 else "COOLING"

    def _changes(self) -> Iterator[datetime]:
        """Every time at which the car has something new to say."""
        yield self.legs[0].start - _PREHEAT_BEFORE
        for number, leg in enumerate(self.legs):
            yield leg.start - _UNLOCK_BEFORE
            at = leg.start
            while at < leg.end:
                yield at
                at += _DRIVING_REPORT
            yield leg.end
            yield leg.end + _LOCK_AFTER
            yield self._locked_again(number)
        yield from self._window() or ()
        yield self._plug_in
        yield self._charge_from
        hours_per_percent = timedelta(hours=1) / self._percent_per_hour()
        first = self._soc_after(1.0)
        for percent in range(math.floor(first) + 1, math.ceil(self._habits.target_percent)):
            # A second later than the crossing, so that rounding cannot miss it.
            yield self._charge_from + (percent - first) * hours_per_percent + timedelta(seconds=1)
        yield self._charge_until


def odometer_at(habits: Habits, seed: int, day: date) -> float:
    """Kilometres at the beginning of a day: whole weeks, the days since Monday, and a wobble."""
    weeks, weekday = divmod((day - EPOCH).days, 7)
    whole = weeks * sum(habits.week_km) + sum(habits.week_km[:weekday])
    return habits.first_km + whole + _WOBBLE_KM * chance(seed, "km", day)


def _between(leg: Leg, at: datetime) -> Place:
    share = leg.share(at)
    (lat, lon), (to_lat, to_lon) = leg.origin, leg.target
    return lat + share * (to_lat - lat), lon + share * (to_lon - lon)


def _heading(leg: Leg) -> int:
    (lat, lon), (to_lat, to_lon) = leg.origin, leg.target
    east = (to_lon - lon) * math.cos(math.radians(lat))
    return round(math.degrees(math.atan2(east, to_lat - lat))) % 360
