"""A simulated car that lives through time, and what it tells of itself. No maker's words here.

What is true (`moment`, `truth`) and what the car tells (`reported`) are two things. Both depend on
the car's spec, the seed and the time alone, whatever was asked before and in whatever order.
"""

from __future__ import annotations

import functools
from bisect import bisect_right
from datetime import datetime

from poller.simulator.life.day import delivered, live
from poller.simulator.life.report import Report, Sent, report_of, sent_on
from poller.simulator.life.spec import CarSpec
from poller.simulator.life.state import Moment, State
from poller.simulator.life.timeline import DAY, seconds_at
from poller.simulator.life.truth import Truth, by_kind

# What is asked for is simulated again from the last of these on.
_DAYS_PER_CHECKPOINT = 8
_DAYS_KEPT = 24


class Car:
    """One car. Before the epoch it stands at home, as it was delivered."""

    def __init__(self, spec: CarSpec, seed: int) -> None:
        self.spec = spec
        self._seed = seed
        self._days: dict[int, _Day] = {}

    def moment(self, at: datetime) -> Moment:
        """How the car really stands at that time, exactly."""
        second = max(0, int(seconds_at(at)))
        return self._day_at(second).moment(second)

    def reported(self, at: datetime) -> Report:
        """The newest report that has arrived by then; the same one while nothing happens."""
        second = max(0, int(seconds_at(at)))
        day = self._day_at(second)
        index = day.arrived_by(second)
        while index is None and day.number:
            day = self._day(day.number - 1)
            index = day.arrived_by(second)
        return day.report(index or 0)

    def truth(self, since: datetime, until: datetime) -> Truth:
        """All that ended in [since, until). Ground truth for tests: exact, and complete."""
        first, last = (self._day_at(max(0, int(seconds_at(at)))).number for at in (since, until))
        records = (record for number in range(first, last + 1) for record in self._day(number).records)
        return by_kind(record for record in records if since <= record.end < until)

    def _day_at(self, second: int) -> _Day:
        day = self._day(second // DAY)
        return day if day.begin <= second or not day.number else self._day(day.number - 1)

    def _day(self, number: int) -> _Day:
        day = self._days.get(number)
        if day is None:
            while len(self._days) >= _DAYS_KEPT:
                del self._days[next(iter(self._days))]
            before = self._days.get(number - 1)
            start = before.end_state if before else _state_on(self.spec, self._seed, number)
            day = self._days[number] = _Day(self.spec, self._seed, number, start)
        return day


class _Day:
    """A day with all its moments, to be asked for any of its seconds."""

    def __init__(self, spec: CarSpec, seed: int, number: int, start: State) -> None:
        self.number = number
        self._spec = spec
        self._seed = seed
        self._moments, self.records, self.end_state = live(spec, seed, number, start)
        self._times = [moment.at for moment in self._moments]
        self._reports: dict[int, Report] = {}
        self.begin = self._times[0]

    def moment(self, second: int) -> Moment:
        index = bisect_right(self._times, second) - 1
        following = self._moments[min(index + 1, len(self._moments) - 1)]
        return self._moments[index].towards(following, second)

    def arrived_by(self, second: int) -> int | None:
        """The newest of this day's reports that has arrived, by number."""
        index = bisect_right(self._sent, (second, DAY + second)) - 1
        while index >= 0 and self._sent[index].arrived > second:
            index -= 1
        return index if index >= 0 else None

    def report(self, index: int) -> Report:
        if index not in self._reports:
            sent = self._sent[index]
            self._reports[index] = report_of(self._spec, self._seed, self.moment(sent.observed), sent.arrived)
        return self._reports[index]

    @functools.cached_property
    def _sent(self) -> tuple[Sent, ...]:
        return sent_on(self._spec, self._seed, self.number, self._moments)


def _state_on(spec: CarSpec, seed: int, number: int) -> State:
    """How a day begins."""
    checkpoint, days = divmod(number, _DAYS_PER_CHECKPOINT)
    for earlier in range(checkpoint):  # one by one, or the far future would be too deep a recursion
        _checkpoint(spec, seed, earlier)
    state = _checkpoint(spec, seed, checkpoint)
    for day in range(number - days, number):
        state = live(spec, seed, day, state).state
    return state


@functools.lru_cache(maxsize=8192)
def _checkpoint(spec: CarSpec, seed: int, number: int) -> State:
    """The same for all who ask: no `live` changes the state it is given."""
    if number == 0:
        return delivered(spec, seed)
    state = _checkpoint(spec, seed, number - 1)
    for day in range((number - 1) * _DAYS_PER_CHECKPOINT, number * _DAYS_PER_CHECKPOINT):
        state = live(spec, seed, day, state).state
    return state
