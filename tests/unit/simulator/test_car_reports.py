"""What a simulated car tells of itself: in whole numbers, late, only when something happened, and true."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from datetime import timedelta

import pytest
from living_cars import CHARGED, cars, reports

from poller.simulator import fleet
from poller.simulator.car import Car
from poller.simulator.life.timeline import EPOCH

DAYS = timedelta(days=60)
MINUTE = timedelta(minutes=1)


@cars()
def test_whole_numbers_agree_with_the_truth_at_the_time_they_speak_of(spec, seed) -> None:
    car = Car(spec, seed)
    for report in reports(spec, seed)[::5]:
        moment = car.moment(report.observed_at)
        assert 0 <= moment.odometer_km - report.odometer_km < 1
        assert report.locked == moment.locked
        assert report.open == moment.open
        assert report.driving == moment.driving
        if report.charge:
            assert abs(report.charge.percent - moment.soc) <= 0.5 + 1e-6
            assert report.charge.range_km >= 0
        if report.fuel:
            assert -1e-6 <= moment.fuel_liters - report.fuel.liters < 1


@cars(*CHARGED)
def test_between_reports_a_parked_battery_is_never_more_than_a_percent_off(spec, seed) -> None:
    """Unless a report was lost on the way, the percentage shown an hour after parking is today's."""
    car, told = Car(spec, seed), reports(spec, seed)
    off = 0
    for hours in range(1000):
        at = EPOCH + timedelta(hours=hours, minutes=31)
        shown, real = car.reported(at).charge.percent, car.moment(at)
        off += not real.driving and real.at - real.standing_since > 3600 and abs(shown - real.soc) > 1.5
    assert off < 10
    assert len(told) > 400


@cars()
def test_reports_lag_by_seconds_and_sometimes_by_minutes(spec, seed) -> None:
    lags = [(report.arrived_at - report.observed_at).total_seconds() for report in reports(spec, seed)[1:]]
    assert min(lags) >= 0
    assert 10 < sorted(lags)[len(lags) // 2] < 60
    assert 0.003 < sum(lag > 120 for lag in lags) / len(lags) < 0.06


@cars()
def test_observed_times_never_go_backwards_for_one_who_asks_forwards(spec, seed) -> None:
    """Late reports included: one that was overtaken is not shown any more."""
    told = reports(spec, seed)
    assert all(a.observed_at < b.observed_at for a, b in itertools.pairwise(told))
    assert all(report.observed_at <= report.arrived_at for report in told)


@cars()
def test_nothing_is_told_before_it_arrived(spec, seed) -> None:
    car = Car(spec, seed)
    for report in reports(spec, seed)[1:200]:
        assert car.reported(report.arrived_at) == report
        assert car.reported(report.arrived_at - timedelta(seconds=1)).observed_at < report.observed_at


@cars()
def test_a_parked_car_is_quiet(spec, seed) -> None:
    """On a stand it speaks when something happens to it, and at a percent lost every few days; else never."""
    car, told = Car(spec, seed), reports(spec, seed)
    times = [report.observed_at for report in told]
    truth = car.truth(EPOCH, EPOCH + DAYS)
    events = sorted(
        at
        for record in (*truth.left_open, *truth.messages, *truth.preheats, *truth.pumped, *truth.refuels)
        for at in (record.start, record.end)
    )
    quiet = 0
    for one, after in itertools.pairwise(truth.trips):
        charged = [
            c.flowed_until for c in truth.charges if one.end < c.start < after.start and c.flowed_until
        ]
        begin, end = max([one.end, *charged]) + 5 * MINUTE, after.start - 2 * MINUTE
        if end - begin < timedelta(hours=2) or one.target == "workshop":
            continue
        if bisect_left(events, begin) != bisect_right(events, end):
            continue
        quiet += 1
        spoken = told[bisect_left(times, begin) : bisect_right(times, end)]
        assert len(spoken) <= 1 + (end - begin) / timedelta(days=2)
        assert all(a.charge.percent != b.charge.percent for a, b in itertools.pairwise(spoken))
    assert quiet > 20


@cars()
def test_tires_are_measured_on_the_road(spec, seed) -> None:
    """Their sensors sleep on a stand: until the next drive, or until somebody pumps them, nothing changes."""
    told = reports(spec, seed)
    parked = [
        (a, b)
        for a, b in itertools.pairwise(told)
        if not (a.driving or b.driving) and a.odometer_km == b.odometer_km and a.messages == b.messages
    ]
    assert all(a.tires_kpa == b.tires_kpa for a, b in parked)
    assert len({tuple(report.tires_kpa.values()) for report in told if report.driving}) > 50


@cars()
def test_the_same_report_says_the_same_and_another_says_something_new(spec, seed) -> None:
    told = reports(spec, seed)
    same = sum(
        (a.odometer_km, a.position, a.charge, a.fuel, a.locked, a.open, a.climate, a.messages, a.services)
        == (b.odometer_km, b.position, b.charge, b.fuel, b.locked, b.open, b.climate, b.messages, b.services)
        and (a.driving, a.tires_kpa) == (b.driving, b.tires_kpa)
        for a, b in itertools.pairwise(told)
    )
    assert same < 0.02 * len(told)


@cars()
def test_everything_forgotten_shows(spec, seed) -> None:
    """Each lock, window or lid left open is told while it is open, and gone once it is closed."""
    car, told = Car(spec, seed), reports(spec, seed)
    times = [report.observed_at for report in told]
    forgotten = car.truth(EPOCH, EPOCH + DAYS - timedelta(days=1)).left_open
    assert len(forgotten) > 2
    for left in forgotten:
        shown = told[bisect_left(times, left.start)]
        assert left.start <= shown.observed_at < left.end
        assert not shown.locked if left.what == "lock" else left.what in shown.open
        closed = told[bisect_left(times, left.end)]
        assert left.what not in closed.open


@cars(*CHARGED)
def test_while_charging_every_percent_is_told_and_the_minutes_count_down(spec, seed) -> None:
    pairs = [
        (a, b) for a, b in itertools.pairwise(reports(spec, seed))
        if a.charge.status == b.charge.status == "charging" and a.charge.current == "ac"
    ]  # fmt: skip
    assert len(pairs) > 120
    steps = [b.charge.percent - a.charge.percent for a, b in pairs]
    assert sum(step == 1 for step in steps) > 0.8 * len(steps)
    assert all(0 <= step <= 6 for step in steps)
    for a, b in pairs:
        if a.charge.target_percent == b.charge.target_percent and a.charge.kilowatts == b.charge.kilowatts:
            assert a.charge.left - b.charge.left == pytest.approx(
                b.observed_at - a.observed_at, abs=timedelta(minutes=3)
            )


def test_a_service_counts_down_to_its_day_and_starts_again() -> None:
    car, seen = Car(fleet.MINI, 1), []
    for days in range(0, 700, 7):
        report = car.reported(EPOCH + timedelta(days=days))
        (service,) = (service for service in report.services if service.what == "brake_fluid")
        if not seen or seen[-1] != service.state:
            seen.append(service.state)
    assert seen[:3] in (["ok", "pending", "ok"], ["ok", "pending", "overdue"])


def test_the_small_battery_sinks_on_a_long_stand_and_is_lifted_by_driving() -> None:
    told = reports(fleet.X1, 1)
    assert {report.aux_volts for report in told if report.driving} == {14.3}
    assert all(12.0 < report.aux_volts < 14.4 for report in told)


def test_of_the_reports_from_the_road_some_never_arrive() -> None:
    car = Car(fleet.MINI, 1)
    observed = {report.observed_at for report in reports(fleet.MINI, 1)}
    trips = car.truth(EPOCH, EPOCH + DAYS).trips
    steps = [trip.start + n * 5 * MINUTE for trip in trips for n in range(1, 4)]
    lost = sum(at not in observed for at in steps if any(t.start < at < t.end for t in trips)) / len(steps)
    assert 0.01 < lost < 0.15
