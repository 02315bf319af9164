"""A small weather: season, time of day, and fronts that come and go."""

from __future__ import annotations

import math

from poller.simulator.life.timeline import DAY, dice

_YEAR = 365.25 * DAY
_COLDEST_DAY = 18 * DAY  # after New Year's
_SEASON = 7.5
_WARMEST_HOUR = 11 * 3600  # after the beginning of a day at 04:00
_DAILY = 3.5
#: Days from one front to the next, and degrees that it brings. Nothing divides another: no two weeks alike.
_FRONTS = ((5.3, 1.9), (8.9, 1.6), (17.7, 1.8))


class Weather:
    """The temperature at a place, as a function of time."""

    def __init__(self, seed: int, mean_celsius: float) -> None:
        chance = dice(seed, "weather", 0)
        self._mean = mean_celsius
        self._fronts = [
            (math.tau / (days * DAY), degrees, math.tau * chance.random()) for days, degrees in _FRONTS
        ]

    def celsius(self, at: float) -> float:
        """Outside temperature at a second of the time line."""
        season = -_SEASON * math.cos(math.tau * (at - _COLDEST_DAY) / _YEAR)
        daily = _DAILY * math.cos(math.tau * (at - _WARMEST_HOUR) / DAY)
        celsius = self._mean + season + daily
        for speed, degrees, phase in self._fronts:
            celsius += degrees * math.sin(speed * at + phase)
        return celsius
