"""A car in the middle of its life: where standing and driving read what is, and write what became."""

from __future__ import annotations

import copy
import functools
import random

from poller.simulator.life.spec import CarSpec
from poller.simulator.life.state import Moment, State, Task, moment_of
from poller.simulator.life.timeline import DAY, dice
from poller.simulator.life.truth import Record
from poller.simulator.life.weather import Weather


class Living:
    """One day under way. `moments` are its events in order, `records` what ended in it.

    The state given is left as it is.
    """

    def __init__(self, spec: CarSpec, seed: int, day: int, state: State) -> None:
        self.spec = spec
        self.seed = seed
        self.day = day
        self.state = copy.copy(state)
        self.chance = dice(seed, spec.vin, day)
        self.moments: list[Moment] = []
        self.records: list[Record] = []
        self._weather = weather_of(spec, seed)

    def note(self) -> None:
        """Keeps the state as it is from now on."""
        self.moments.append(moment_of(self.state))

    def celsius(self) -> float:
        """Outside, now."""
        return self._weather.celsius(self.state.at)

    def later(self, low_hours: float, high_hours: float) -> int:
        """A second by chance between so many hours from now."""
        return self.state.at + between(self.chance, low_hours * 3600, high_hours * 3600)

    def intend(self, task: Task) -> None:
        """Puts something on the agenda of stands."""
        self.state.agenda = tuple(sorted((*self.state.agenda, task), key=lambda task: task[:3]))

    @property
    def years(self) -> float:
        """The age of the car."""
        return self.spec.age_years + self.state.at / (365.25 * DAY)


def between(chance: random.Random, low: float, high: float) -> int:
    """A whole number by chance."""
    return round(low + (high - low) * chance.random())


@functools.lru_cache(maxsize=64)
def weather_of(spec: CarSpec, seed: int) -> Weather:
    """The weather where a car lives."""
    return Weather(seed, spec.mean_celsius)
