"""The past of a garage: what a poller that had always run would hold in its journal.

Answers come from the garage itself instead of over HTTP; from there on all is as in any poll.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from poller.collect import Collector
from poller.journal.base import Journal
from poller.runtime.metrics import Metrics
from poller.simulator.garage import Garage
from poller.sources.base import Answer, Source
from poller.sources.mybmw.regions import BRANDS
from poller.sources.mybmw.source import charging_capabilities
from poller.vehicle.fleet import Fleet
from poller.vehicle.records import milliseconds

#: A journal is filled from this long ago at the earliest.
REACH = timedelta(days=7)
#: When the cloud looked stands in every state, and is no news.
_LOOKED = re.compile(rb'"lastFetched":\s*"[^"]*"')


@dataclass(frozen=True, slots=True)
class _Poll:
    """One answer of the cloud in the past."""

    at: datetime
    vin: str
    state: bytes


async def fill(
    journal: Journal, source: Source, garage: Garage, *, until: datetime, interval: timedelta
) -> int:
    """Append what polling `source` every `interval` would have brought before `until`; how many snapshots.

    It goes on after the newest snapshot of each vehicle. Polls that would have brought nothing new
    are left out, as a sink with ``only = "changes"`` leaves them out: six sevenths of a week. The
    last is there in any case, or the cars would seem not to have been asked lately.
    Raises JournalError, SourceError.
    """
    known = await newest(journal, source)
    vins = [entry["vin"] for brand in BRANDS for entry in garage.mappings(brand)]
    polls = [poll for vin in vins for poll in _polls(garage, vin, known.get(vin), until, interval)]
    return await keep(journal, source, [_answer(source, garage, poll) for poll in polls])


async def newest(journal: Journal, source: Source) -> dict[str, datetime]:
    """VIN → when this source last got an answer. Raises JournalError."""
    return {r.vin: r.received_at for r in await journal.newest() if r.source == source.name}


async def keep(journal: Journal, source: Source, answers: Sequence[Answer]) -> int:
    """Append what `answers` say, in order of time; how many those are. Raises JournalError, SourceError."""
    collector = Collector(
        journal, derivers=(), fleet=Fleet(), live=(), metrics=Metrics(), committed=lambda: None
    )

    async def keep_of(car: str, day: Sequence[Answer]) -> None:
        for answer in day:
            if answer.vin == car:
                await collector.keep(source, answer)

    vins = {answer.vin for answer in answers}
    in_order = sorted(answers, key=lambda answer: answer.received_at)
    for _, group in itertools.groupby(in_order, lambda answer: answer.received_at.date()):
        day = list(group)
        # While one car's answer is being written, another's is understood.
        await asyncio.gather(*(keep_of(vin, day) for vin in vins))
    return len(answers)


def _polls(
    garage: Garage, vin: str, known: datetime | None, until: datetime, interval: timedelta
) -> list[_Poll]:
    """The polls of one car that bring something new, and the last, after the one at `known`."""
    earliest = milliseconds(until - REACH)
    since = max(known or earliest, earliest)
    last = (until - since - timedelta.resolution) // interval

    @functools.cache
    def poll(number: int) -> _Poll:
        at = since + number * interval
        return _Poll(at, vin, garage.state(vin, at) or b"")

    def news(low: int, high: int) -> Iterator[int]:
        # A state holds the time of the car's report: where two are equal, nothing lies between them.
        if low >= high or _said(poll(low)) == _said(poll(high)):
            return
        if high - low == 1:
            yield high
            return
        middle = (low + high) // 2
        yield from news(low, middle)
        yield from news(middle, high)

    numbers = {0, *news(0, last), last} if last >= 0 else set()
    if since == known:
        numbers.discard(0)
    return [poll(number) for number in numbers]


def _said(poll: _Poll) -> bytes:
    return _LOOKED.sub(b"", poll.state)


def _answer(source: Source, garage: Garage, poll: _Poll) -> Answer:
    """What the source would have fetched then."""
    bodies = {"state": poll.state, "profile": garage.profile(poll.vin)}
    if any(charging_capabilities(poll.state)):
        bodies["charging_settings"] = garage.charging(poll.vin, poll.at)
    kept = {name: body for name, body in bodies.items() if body is not None}
    return Answer(source.name, source.kind, poll.vin, poll.at, kept)
