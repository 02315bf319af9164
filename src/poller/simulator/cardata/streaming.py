"""The stream as a car fills it: what changed, one descriptor a message, in bursts; then silence.

Which messages a report makes depends on car, seed and report alone. They go out when their time has
come, and whoever does not listen then has missed them.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from poller.runtime.clock import Clock, wait
from poller.simulator.car import Arrival
from poller.simulator.cardata.telling import LATITUDE, LONGITUDE, SELDOM_STREAMED, Said, TellingCar
from poller.simulator.life.timeline import dice, seconds_at
from poller.sources.cardata.meaning.catalogue import CATALOGUE
from poller.vehicle.records import rfc3339

#: How messages may be spoiled on order.
Mood = Literal["silent_car", "late_messages", "repeated_messages"]

#: All that can be ticked in the portal.
STREAMABLE: Final = frozenset(name for name, known in CATALOGUE.items() if known.streamable)

#: Of unchanged values, of messages that come twice, that are overtaken, that write a number as text.
_UNCHANGED, _TWICE, _OVERTAKEN, _QUOTED = 0.05, 0.4, 0.03, 0.05
#: Seconds: between two messages, until the second copy, and of delay.
_APART, _AGAIN, _DELAY = (0.05, 0.4), (0.2, 30.0), (20.0, 240.0)
_LATE: Final = (120.0, 1200.0)
_COPIES: Final = 3
#: A position's halves come a second apart.
_HALVES: Final = timedelta(seconds=1)


class Message(NamedTuple):
    """A message that goes out at a time; sorted by it."""

    at: datetime
    vin: str
    descriptor: str
    body: bytes


def messages(
    car: TellingCar,
    arrival: Arrival,
    *,
    seed: int,
    entity: str,
    ticked: Collection[str] = STREAMABLE,
    moods: Collection[Mood] = (),
    everything: bool = False,
) -> list[Message]:
    """What a report that arrives makes the stream say, in order of time.

    `entity`: the account's number. `everything`: also what has not changed, as a car sends it that
    was looked at in the app.
    """
    told = {name: said for name, said in car.told(arrival.report).items() if _can_be_streamed(name, said)}
    before = {} if arrival.before is None else car.told(arrival.before)
    arrived = arrival.report.arrived_at
    chance = dice(seed, f"stream {car.vin}", int(seconds_at(arrived)))
    everything = everything or _was_locked_or_unlocked(arrival)
    chosen = [
        name
        for name, said in told.items()
        # Drawn in any case, or one tick more would change all that follows.
        if (chance.random() < _UNCHANGED or everything or _changed(said, before.get(name)))
    ]
    if len({LATITUDE, LONGITUDE} & set(chosen)) == 1:
        chosen += {LATITUDE, LONGITUDE} - set(chosen)
    chance.shuffle(chosen)
    found = []
    for name, at in _spread(chosen, arrived, chance):
        said = told[name]._replace(at=told[name].at + _HALVES) if name == LONGITUDE else told[name]
        quoted = chance.random() < _QUOTED
        copies = list(_copies(at, chance, moods))
        if name in ticked:
            bodies = (_body(car.vin, entity, copy, name, said, quoted) for copy in copies)
            found += [Message(copy, car.vin, name, body) for copy, body in zip(copies, bodies, strict=True)]
    return sorted(found)


def _can_be_streamed(name: str, said: Said) -> bool:
    return name in STREAMABLE and name != SELDOM_STREAMED and said.value is not None


def _changed(said: Said, before: Said | None) -> bool:
    return before is None or (said.value, said.unit) != (before.value, before.unit)


def _was_locked_or_unlocked(arrival: Arrival) -> bool:
    """Then a car sends all it has."""
    return arrival.before is not None and arrival.before.locked != arrival.report.locked


def _spread(names: Sequence[str], at: datetime, chance: random.Random) -> Iterator[tuple[str, datetime]]:
    """When each goes out: one after the other, the second half of a position a second after the first."""
    north = None
    for name in (name for name in names if name != LONGITUDE):
        at += timedelta(seconds=chance.uniform(*_APART))
        north = at if name == LATITUDE else north
        yield name, at
    if LONGITUDE in names:
        yield LONGITUDE, (north or at) + _HALVES


def _copies(at: datetime, chance: random.Random, moods: Collection[Mood]) -> Iterator[datetime]:
    """When the copies of a message go out; the first is not always in time."""
    overtaken, twice = chance.random() < _OVERTAKEN, chance.random() < _TWICE
    delay, again, late = chance.uniform(*_DELAY), chance.uniform(*_AGAIN), chance.uniform(*_LATE)
    if "late_messages" in moods:
        at += timedelta(seconds=late)
    elif overtaken:
        at += timedelta(seconds=delay)
    copies = _COPIES if "repeated_messages" in moods else 2 if twice else 1
    return (at + number * timedelta(seconds=again) for number in range(copies))


def _body(vin: str, entity: str, at: datetime, name: str, said: Said, quoted: bool) -> bytes:  # noqa: FBT001  # private
    number = isinstance(said.value, int | float) and not isinstance(said.value, bool)
    value: dict[str, Any] = {
        "timestamp": f"{said.at:%Y-%m-%dT%H:%M:%SZ}",
        "value": str(said.value) if quoted and number else said.value,
    }
    if said.unit is not None:
        value["unit"] = said.unit
    envelope = {"vin": vin, "entityId": entity, "topic": vin, "timestamp": rfc3339(at)}
    return json.dumps({**envelope, "data": {name: value}}).encode()


class Streaming:
    """Lets cars send: `publish` gets topic and body of each message when its time has come.

    `ticked`: VIN → what the owner has ticked in the portal for it; all, for a vehicle that is not there.
    `moods`: VIN → what is wrong with its messages now.
    """

    def __init__(
        self,
        cars: Sequence[TellingCar],
        clock: Clock,
        publish: Callable[[str, bytes], object],
        *,
        seed: int,
        entity: str,
        moods: Callable[[str], Collection[Mood]] = lambda _vin: (),
    ) -> None:
        self.ticked: dict[str, Collection[str]] = {}
        self.sent = 0
        self._cars: Mapping[str, TellingCar] = {car.vin: car for car in cars}
        self._clock = clock
        self._publish = publish
        self._seed = seed
        self._entity = entity
        self._moods = moods
        self._queue: list[Message] = []
        self._more = asyncio.Event()

    async def run(self, since: datetime | None = None) -> None:
        """Send from now on, until cancelled; what went out from `since` until now was heard by nobody."""
        begun = self._clock.now()
        missed = begun if since else None
        since = since or begun
        while True:
            self._more.clear()
            now = self._clock.now()
            for car in self._cars.values():
                for arrival in car.arrivals(since, now):
                    self._plan(car, arrival)
            since = max(since, now)
            while self._queue and self._queue[0].at <= now:
                self._send(heapq.heappop(self._queue), missed)
            await wait(self._more, self._clock, (self._next(since) - now).total_seconds())

    def hurry(self) -> None:
        """A car may report sooner than it would have: look again when."""
        self._more.set()

    def burst(self, vin: str | None = None) -> None:
        """Let a car (None: every one) send all it has, now."""
        now = self._clock.now()
        for car in self._cars.values():
            if vin in (None, car.vin):
                report = replace(car.reported(now), arrived_at=now)
                self._plan(car, Arrival(report, report), everything=True)
        self._more.set()

    def _plan(self, car: TellingCar, arrival: Arrival, *, everything: bool = False) -> None:
        made = messages(
            car,
            arrival,
            seed=self._seed,
            entity=self._entity,
            ticked=self.ticked.get(car.vin, STREAMABLE),
            moods=self._moods(car.vin),
            everything=everything,
        )
        for message in made:
            heapq.heappush(self._queue, message)

    def _send(self, message: Message, missed: datetime | None) -> None:
        if "silent_car" not in self._moods(message.vin):
            if missed is None or message.at > missed:
                self._publish(f"{self._entity}/{message.vin}", message.body)
            self.sent += 1

    def _next(self, after: datetime) -> datetime:
        """When there is something to do again."""
        due = [car.car.next_arrival(after) for car in self._cars.values()]
        return min([*due, *(message.at for message in self._queue[:1])], default=after + timedelta(days=1))
