"""The past of CarData's cars: what a poller that had always listened would hold in its journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from poller.journal.base import Journal
from poller.simulator import past
from poller.simulator.cardata import answers
from poller.simulator.cardata.streaming import STREAMABLE
from poller.simulator.cardata.telling import Said, TellingCar
from poller.simulator.life.report import Report
from poller.sources.base import Answer, Source
from poller.sources.cardata.cars.state import CarState
from poller.sources.cardata.meaning.car import BASIC_DATA
from poller.sources.cardata.meaning.catalogue import DEFAULT_CONTAINER
from poller.sources.cardata.meaning.parse import STATE
from poller.vehicle.records import dumps, milliseconds


async def fill(
    journal: Journal, source: Source, cars: Sequence[TellingCar], *, until: datetime, interval: timedelta
) -> int:
    """As `past.fill`: the merged state at each poll before which a car has reported, and at the last.

    REST was asked at the beginning, and whenever a drive or a charge was over.
    """
    known = await past.newest(journal, source)
    found: list[Answer] = []
    for car in cars:
        found += _answers(source, car, known.get(car.vin), until, interval)
    return await past.keep(journal, source, found)


def _answers(
    source: Source, car: TellingCar, known: datetime | None, until: datetime, interval: timedelta
) -> Iterator[Answer]:
    basic = dumps(answers.basic_data(car)).encode()
    state, before = CarState(car.vin), None
    for at in _polls(car, known, until, interval):
        report = car.reported(at)
        if before is None or _has_ended(before, report):
            data = answers.telematic(car, DEFAULT_CONTAINER, at)
            state, _ = state.merge_rest(dumps({"telematicData": data}).encode(), at)
        state, _ = state.merge_stream(_message(car.vin, car.told(report)), at)
        before = report
        bodies = {STATE: dumps(state.to_json()).encode(), BASIC_DATA: basic}
        yield Answer(source.name, source.kind, car.vin, at, bodies)


def _polls(
    car: TellingCar, known: datetime | None, until: datetime, interval: timedelta
) -> Iterator[datetime]:
    """The first poll, those before which the car has reported, and the last, after the one at `known`."""
    earliest = milliseconds(until - past.REACH)
    since = max(known or earliest, earliest)
    last = (until - since - timedelta.resolution) // interval
    arrived = (arrival.report.arrived_at for arrival in car.arrivals(since, since + last * interval))
    numbers = {0, *(-((since - at) // interval) for at in arrived), last} if last >= 0 else set()
    if since == known:
        numbers.discard(0)
    return (since + number * interval for number in sorted(numbers))


def _has_ended(before: Report, report: Report) -> bool:
    """Whether a drive or a charge is over, if one between two polls."""
    drove = before.driving or before.odometer_km != report.odometer_km
    return (drove and not report.driving) or (_charges(before) and not _charges(report))


def _charges(report: Report) -> bool:
    return report.charge is not None and report.charge.status == "charging"


def _message(vin: str, told: Mapping[str, Said]) -> bytes:
    """All messages of a report in one."""
    return dumps(
        {"vin": vin, "data": {name: _entry(said) for name, said in told.items() if name in STREAMABLE}}
    ).encode()


def _entry(said: Said) -> dict[str, Any]:
    entry: dict[str, Any] = {"timestamp": said.at.isoformat(), "value": said.value}
    return entry if said.unit is None else {**entry, "unit": said.unit}
