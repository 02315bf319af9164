"""A simulated car that lives through time, and what it tells of itself. No maker's words here.

What is true (`moment`, `truth`) and what the car tells (`reported`) are two things. Both depend on
the car's spec, the seed, the time and what the car was told from afar by then, and on nothing else,
whatever was asked before and in whatever order.
"""

from __future__ import annotations

import functools
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple
from weakref import WeakValueDictionary

from poller.simulator.life.day import delivered, live
from poller.simulator.life.obeying import objection
from poller.simulator.life.report import Report, Sent, report_of, sent_on
from poller.simulator.life.spec import CarSpec
from poller.simulator.life.state import Moment, State, Task
from poller.simulator.life.timeline import DAY, seconds_at, time_at
from poller.simulator.life.truth import Truth, by_kind
from poller.simulator.life.wishes import Command

# What is asked for is simulated again from the last of these on.
_DAYS_PER_CHECKPOINT = 8
_DAYS_KEPT = 24
_REPORTS_KEPT = 32


class Arrival(NamedTuple):
    """A report that arrives, and the one before it by the car's own time; None: it is the first."""

    before: Report | None
    report: Report


class Car:
    """One car. Before the epoch it stands at home, as it was delivered."""

    def __init__(self, spec: CarSpec, seed: int) -> None:
        self.spec = spec
        self._seed = seed
        self._days: dict[int, _Day] = {}
        #: By day, and how each day begins after the first of them: this life is no other car's.
        self._told: dict[int, tuple[Task, ...]] = {}
        self._beginnings: dict[int, State] = {}
        self._reports: WeakValueDictionary[tuple[int, int], Report] = WeakValueDictionary()
        self._made: deque[Report] = deque(maxlen=_REPORTS_KEPT)

    def tell(self, at: datetime, command: Command) -> str:
        """Have it told from afar at that time: why it does not obey, "" if it does.

        What was before stays as it was; what comes after is another life, in which energy adds up all
        the same. `report.OBEYED` seconds later its report of that has arrived.
        """
        second = max(0, int(seconds_at(at)))
        day = self._day_at(second)
        why = objection(day.moment(second), command)
        if not why:
            self._told[day.number] = (*self._told.get(day.number, ()), Task(second, "obey", "", command))
            self._forget(day.number)
        return why

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
        return self._report(day, index or 0)

    def arrivals(self, since: datetime, until: datetime) -> Iterator[Arrival]:
        """All reports that arrive in (since, until], in that order, those overtaken on the way too."""
        low, high = (max(0, int(seconds_at(at))) for at in (since, until))
        for number in range(self._day_at(low).number, self._day_at(high).number + 1):
            day = self._day(number)
            for index in day.arriving(low, high):
                yield Arrival(self._before(day, index), self._report(day, index))

    def next_arrival(self, after: datetime) -> datetime:
        """When the next report arrives."""
        second = max(0, int(seconds_at(after)))
        day = self._day_at(second)
        while not (coming := day.arriving(second, None)):
            day = self._day(day.number + 1)
        return time_at(day.arrived(coming[0]))

    def truth(self, since: datetime, until: datetime) -> Truth:
        """All that ended in [since, until). Ground truth for tests: exact, and complete."""
        first, last = (self._day_at(max(0, int(seconds_at(at)))).number for at in (since, until))
        records = (record for number in range(first, last + 1) for record in self._day(number).records)
        return by_kind(record for record in records if since <= record.end < until)

    def _forget(self, number: int) -> None:
        """Let everything from that day on be lived again."""
        self._days = {day: lived for day, lived in self._days.items() if day < number}
        self._beginnings = {day: state for day, state in self._beginnings.items() if day <= number}
        self._reports.clear()

    def _day_at(self, second: int) -> _Day:
        day = self._day(second // DAY)
        return day if day.begin <= second or not day.number else self._day(day.number - 1)

    def _before(self, day: _Day, index: int) -> Report | None:
        while index == 0 and day.number:
            day = self._day(day.number - 1)
            index = day.count
        return self._report(day, index - 1) if index else None

    def _report(self, day: _Day, index: int) -> Report:
        # One object as long as anybody holds it: a day's reports take ten times what its moments do.
        key = day.number, index
        report = self._reports.get(key)
        if report is None:
            report = self._reports[key] = day.report(index)
            self._made.append(report)
        return report

    def _day(self, number: int) -> _Day:
        day = self._days.get(number)
        if day is None:
            while len(self._days) >= _DAYS_KEPT:
                del self._days[next(iter(self._days))]
            before = self._days.get(number - 1)
            start = before.end_state if before else self._beginning(number)
            day = self._days[number] = _Day(self.spec, self._seed, number, start, self._told.get(number, ()))
        return day

    def _beginning(self, number: int) -> State:
        first = min(self._told, default=number)
        if number <= first:
            return _state_on(self.spec, self._seed, number)
        day = max((known for known in self._beginnings if known <= number), default=first)
        state = self._beginnings.get(day) or _state_on(self.spec, self._seed, first)
        for lived in range(day, number):
            state = live(self.spec, self._seed, lived, state, self._told.get(lived, ())).state
            self._beginnings[lived + 1] = state
        return state


class _Day:
    """A day with all its moments, to be asked for any of its seconds."""

    def __init__(self, spec: CarSpec, seed: int, number: int, start: State, told: Sequence[Task]) -> None:
        self.number = number
        self._told = frozenset(task.at for task in told)
        self._spec = spec
        self._seed = seed
        self._moments, self.records, self.end_state = live(spec, seed, number, start, told)
        self._times = [moment.at for moment in self._moments]
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

    def arriving(self, after: int, by: int | None) -> Sequence[int]:
        """The reports that arrive after one second and by another, by number, in that order."""
        found = [
            index
            for index, sent in enumerate(self._sent)
            if after < sent.arrived and (by is None or sent.arrived <= by)
        ]
        return sorted(found, key=self.arrived)

    def arrived(self, index: int) -> int:
        """The second at which a report arrives."""
        return self._sent[index].arrived

    @property
    def count(self) -> int:
        """How many reports there are."""
        return len(self._sent)

    def report(self, index: int) -> Report:
        sent = self._sent[index]
        return report_of(self._spec, self._seed, self.moment(sent.observed), sent.arrived)

    @functools.cached_property
    def _sent(self) -> tuple[Sent, ...]:
        return sent_on(self._spec, self._seed, self.number, self._moments, self._told)


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
