"""Reports as they arrive: all of them, in that order, each with the one before it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from living_cars import cars

from poller.simulator.car import Car
from poller.simulator.life.timeline import EPOCH

START = datetime(2023, 3, 6, tzinfo=UTC)
DAYS = timedelta(days=4)


@cars()
def test_the_newest_that_arrived_is_what_the_car_reported(spec, seed) -> None:
    car = Car(spec, seed)
    newest = car.reported(START)
    for _, report in car.arrivals(START, START + DAYS):
        newest = max(newest, report, key=lambda one: one.observed_at)
        assert car.reported(report.arrived_at) is newest


@cars()
def test_each_comes_once_after_the_one_before_it(spec, seed) -> None:
    car = Car(spec, seed)
    arrivals = list(car.arrivals(START, START + DAYS))
    times = [arrival.report.arrived_at for arrival in arrivals]
    assert times == sorted(times)
    by_observation = sorted(arrivals, key=lambda arrival: arrival.report.observed_at)
    assert all(before.report is after.before for before, after in pairwise(by_observation))
    assert by_observation[0].before.observed_at < by_observation[0].report.observed_at
    middle = START + DAYS / 2
    parts = [*car.arrivals(START, middle), *car.arrivals(middle, START + DAYS)]
    assert parts == arrivals


@cars()
def test_between_two_arrivals_there_is_none(spec, seed) -> None:
    car, at = Car(spec, seed), START
    for number in range(40):
        coming = car.next_arrival(at)
        assert coming > at
        assert not list(car.arrivals(at, coming - timedelta(seconds=1)))
        assert list(car.arrivals(at, coming))
        at = coming if number % 3 else coming - timedelta(seconds=1)


@cars()
def test_the_first_report_of_a_cars_life_has_none_before_it(spec, seed) -> None:
    first, second = list(Car(spec, seed).arrivals(EPOCH - DAYS, EPOCH + DAYS))[:2]
    assert first.before is None
    assert second.before is not None
