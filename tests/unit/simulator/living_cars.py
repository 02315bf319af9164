"""Cars of several seeds and the first year of their lives, lived once for all tests."""

from __future__ import annotations

import functools
from datetime import datetime, timedelta
from typing import NamedTuple

import pytest

from poller.simulator import fleet
from poller.simulator.car import Car
from poller.simulator.life.report import Report
from poller.simulator.life.spec import CarSpec
from poller.simulator.life.timeline import EPOCH
from poller.simulator.life.truth import Truth

SEEDS = (1, 2)
YEAR = timedelta(days=365)
ELECTRIC = (fleet.MINI, fleet.GRAN_COUPE)
CHARGED = (*ELECTRIC, fleet.X1)
FUELLED = (fleet.X1, fleet.SALOON)


class Life(NamedTuple):
    """A car and what happened to it between the start of two of its trips, about a year apart."""

    car: Car
    since: datetime
    until: datetime
    truth: Truth


@functools.cache
def life(spec: CarSpec, seed: int) -> Life:
    """At the start of a trip nothing is under way: no charge, no stand, no cabin."""
    car = Car(spec, seed)
    trips = car.truth(EPOCH + timedelta(days=5), EPOCH + YEAR).trips
    since, until = trips[0].start, trips[-1].start
    return Life(car, since, until, car.truth(since + timedelta(seconds=1), until + timedelta(seconds=1)))


@functools.cache
def reports(spec: CarSpec, seed: int, days: int = 60) -> tuple[Report, ...]:
    """All reports that somebody sees who asks every two minutes from the first day on."""
    car, seen = Car(spec, seed), []
    for minutes in range(0, days * 1440, 2):
        report = car.reported(EPOCH + timedelta(minutes=minutes))
        if not seen or report is not seen[-1]:
            seen.append(report)
    return tuple(seen)


def cars(*specs: CarSpec) -> pytest.MarkDecorator:
    """Each of these cars (default: all there are) with each seed."""
    return pytest.mark.parametrize(
        ("spec", "seed"),
        [
            pytest.param(spec, seed, id=f"{spec.model}-{seed}")
            for spec in specs or fleet.ALL
            for seed in SEEDS
        ],
    )
