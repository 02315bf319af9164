"""What really happens to a simulated car: physics that adds up, and a life that an owner would believe."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from living_cars import CHARGED, ELECTRIC, FUELLED, YEAR, cars, life

from poller.simulator import fleet
from poller.simulator.car import Car
from poller.simulator.life import driving
from poller.simulator.life.day import delivered
from poller.simulator.life.living import Living
from poller.simulator.life.timeline import EPOCH
from poller.simulator.life.truth import Trip


@cars(*CHARGED)
def test_energy_balances(spec, seed) -> None:
    """What is in the battery is what was in it, plus what was charged, less what all else took."""
    _balance(spec, seed)


@pytest.mark.soak
def test_energy_balances_whatever_the_seed(rng) -> None:
    for _ in range(30):
        for spec in CHARGED:
            _balance(spec, rng.randrange(10**9))


def _balance(spec, seed) -> None:
    car, since, until, truth = life(spec, seed)
    charged = sum(charge.battery_kwh for charge in truth.charges)
    driven = sum(trip.kwh + trip.climate_kwh for trip in truth.trips)
    drained = sum(drain.kwh for drain in truth.drains)
    preheated = sum(preheat.battery_kwh for preheat in truth.preheats)
    expected = car.moment(since).energy_kwh + charged - driven - drained - preheated
    assert car.moment(until).energy_kwh == pytest.approx(expected, abs=1e-6)
    assert min(charged, driven, drained) > 1


@cars(*FUELLED)
def test_fuel_balances(spec, seed) -> None:
    car, since, until, truth = life(spec, seed)
    burnt = sum(trip.liters for trip in truth.trips)
    filled = sum(refuel.liters for refuel in truth.refuels)
    expected = car.moment(since).fuel_liters + filled - burnt
    assert car.moment(until).fuel_liters == pytest.approx(expected, abs=1e-6)


@cars()
def test_the_odometer_is_the_sum_of_the_trips(spec, seed) -> None:
    car, since, until, truth = life(spec, seed)
    driven = car.moment(until).odometer_km - car.moment(since).odometer_km
    assert driven == pytest.approx(sum(trip.km for trip in truth.trips), abs=1e-6)
    assert 9_000 < driven < 25_000


@cars()
def test_nothing_leaves_its_bounds_and_nothing_runs_backwards(spec, seed) -> None:
    car, since, *_ = life(spec, seed)
    moments = [car.moment(since + hours * timedelta(hours=7)) for hours in range(360)]
    assert all(0 <= moment.soc <= 100 for moment in moments)
    assert all(0 <= moment.fuel_liters <= spec.drive.tank_liters for moment in moments)
    assert all(a.odometer_km <= b.odometer_km for a, b in itertools.pairwise(moments))
    assert all(a.at < b.at for a, b in itertools.pairwise(moments))


@cars()
def test_a_life_has_no_gaps_and_no_overlaps(spec, seed) -> None:
    """Trip follows trip from where the one before ended; charges lie between trips."""
    truth = life(spec, seed).truth
    for one, after in itertools.pairwise(truth.trips):
        assert one.end < after.start
        assert one.target == after.origin
    for one, after in itertools.pairwise(truth.charges):
        assert one.end <= after.start
    stands = itertools.pairwise(truth.trips)
    stand = next(stands)
    for charge in truth.charges:
        while stand[1].start < charge.start:
            stand = next(stands)
        assert stand[0].end < charge.start < charge.end <= stand[1].start


@cars()
def test_the_answer_does_not_depend_on_what_was_asked_before(spec, seed) -> None:
    """Any time, in any order, forwards or backwards: another car of the same seed says the same."""
    asked = [EPOCH + timedelta(hours=hours) for hours in (1, 3000, 17, 2999, 900, 901)]
    first, again = Car(spec, seed), Car(spec, seed)
    forwards = {at: (first.moment(at), first.reported(at)) for at in sorted(asked)}
    for at in asked:
        assert (again.moment(at), again.reported(at)) == forwards[at]


def test_another_seed_is_another_life() -> None:
    one, other = (life(fleet.MINI, seed).truth.trips for seed in (1, 2))
    assert one[:20] != other[:20]


def test_before_the_first_day_and_after_the_last_it_answers_all_the_same() -> None:
    car = Car(fleet.GRAN_COUPE, 1)
    assert car.moment(datetime(1970, 1, 1, tzinfo=UTC)) == car.moment(EPOCH)
    assert car.reported(datetime(1970, 1, 1, tzinfo=UTC)).observed_at == EPOCH
    assert car.moment(datetime(2035, 12, 31, tzinfo=UTC)).odometer_km > 100_000


@cars(*CHARGED)
def test_charges_add_up(spec, seed) -> None:
    """Percent gained is energy gained; the wall gives more than the battery takes; times are in order."""
    for charge in life(spec, seed).truth.charges:
        assert charge.battery_kwh == 0 or charge.battery_kwh < charge.wall_kwh < 1.2 * charge.battery_kwh
        if charge.flowed_from is None or charge.flowed_until is None:
            assert charge.battery_kwh == 0
            continue
        assert charge.start <= charge.flowed_from < charge.flowed_until <= charge.end
        gained = (charge.soc_after - charge.soc_before) / 100 * spec.battery.kwh
        assert gained == pytest.approx(charge.battery_kwh, rel=0.12, abs=0.7)
        hours = (charge.flowed_until - charge.flowed_from) / timedelta(hours=1)
        assert charge.wall_kwh / hours < 1.01 * (spec.fast_kilowatts if charge.current == "dc" else 11)


def test_the_evening_is_what_the_day_left() -> None:
    """It is not charged every night, and what is missing in the evening is missing in the morning."""
    car, *_, truth = life(fleet.MINI, 1)
    nights = [charge for charge in truth.charges if charge.place == "home"]
    assert 100 < len(nights) < 250
    levels = {round(charge.soc_before) for charge in nights}
    assert max(levels) - min(levels) > 25
    uncharged = [
        drain for drain in truth.drains if drain.kwh and drain.end - drain.start > timedelta(hours=9)
        and not any(c.start < drain.end and drain.start < c.end for c in truth.charges)
    ]  # fmt: skip
    for stand in uncharged:
        lost = car.moment(stand.start).energy_kwh - car.moment(stand.end).energy_kwh
        assert stand.kwh - 1e-6 < lost < stand.kwh + 0.6  # a warm cabin may come on top
    assert len(uncharged) > 50


@cars(*ELECTRIC)
def test_who_comes_home_plugs_in_and_who_stayed_there_does_in_the_evening(spec, seed) -> None:
    """Nobody gets up at four in the morning for it."""
    truth = life(spec, seed).truth
    homecomings = [trip.end for trip in truth.trips if trip.target == "home"]
    zone, stayed = ZoneInfo(spec.habits.zone), 0
    for charge in truth.charges:
        came = any(timedelta() <= charge.start - end < timedelta(minutes=10) for end in homecomings)
        if charge.place == "home" and not came:
            stayed += 1
            assert 18 <= charge.start.astimezone(zone).hour <= 21
    assert stayed


def test_a_trip_books_what_it_took_even_where_there_was_not_enough() -> None:
    """A battery that ran empty would show, instead of a balance that is right by force."""
    state = replace(delivered(fleet.MINI, 1), energy_kwh=0.05)
    living = Living(fleet.MINI, 1, 0, state)
    driving.depart(living, 600)
    before = living.state.energy_kwh
    driving.drive(living, "shop")
    trip = next(record for record in living.records if isinstance(record, Trip))
    rolled = next(m for m in living.moments if m.at == round((trip.end - EPOCH).total_seconds()))
    assert before - rolled.energy_kwh == pytest.approx(trip.kwh + trip.climate_kwh)


def test_the_mini_charges_at_night_by_its_own_clock() -> None:
    """Summer and winter alike: the window is in the owner's time zone."""
    zone, months = ZoneInfo("Europe/London"), set()
    for charge in life(fleet.MINI, 1).truth.charges:
        if charge.place == "home" and charge.flowed_from and charge.flowed_until:
            start, end = (at.astimezone(zone) for at in (charge.flowed_from, charge.flowed_until))
            months.add(start.month)
            assert (start.hour, start.minute) >= (0, 30)
            assert (end.hour, end.minute, end.second) <= (4, 30, 0)
    assert {1, 7} <= months


@pytest.mark.parametrize(("spec", "phases"), [(fleet.MINI, 1), (fleet.X1, 1), (fleet.GRAN_COUPE, 3)])
def test_home_has_as_many_phases_as_the_car_and_the_socket_have_together(spec, phases) -> None:
    assert {c.phases for c in life(spec, 1).truth.charges if c.place == "home"} == {phases}


def test_the_mini_takes_three_phases_at_work() -> None:
    assert {c.phases for c in life(fleet.MINI, 1).truth.charges if c.place == "work"} == {3}


@cars(*ELECTRIC)
def test_long_trips_need_direct_current(spec, seed) -> None:
    """Which is fast while the battery is empty, and slower and slower as it fills."""
    car, _, _, truth = life(spec, seed)
    fast = [charge for charge in truth.charges if charge.current == "dc"]
    assert fast
    assert {charge.place for charge in fast} == {"on the way"}
    fullest = max(fast, key=lambda charge: charge.soc_after)
    early, late = (car.moment(at).plug for at in (fullest.start, fullest.end - timedelta(seconds=1)))
    assert early.kilowatts > 1.1 * late.kilowatts > 0


def test_a_plug_in_hybrid_empties_its_battery_first() -> None:
    car, *_, truth = life(fleet.X1, 1)
    burning = [trip for trip in truth.trips if trip.liters > 0]
    assert burning
    for trip in burning:
        assert 3 < car.moment(trip.end).soc < fleet.X1.battery.reserve_percent + 0.01
    assert truth.refuels
    assert sum(trip.kwh for trip in truth.trips if not trip.liters) > 1000


def test_combustion_has_neither_battery_nor_cable() -> None:
    car, since, _, truth = life(fleet.SALOON, 1)
    assert (truth.charges, truth.drains, truth.preheats) == ((), (), ())
    assert car.moment(since).soc == 0
    assert len(truth.refuels) > 10


@cars(*CHARGED)
def test_winter_takes_more_than_summer(spec, seed) -> None:
    def per_km(months: set[int]) -> float:
        trips = [t for t in life(spec, seed).truth.trips if t.start.month in months and not t.liters]
        return 100 * sum(t.kwh + t.climate_kwh for t in trips) / sum(t.km for t in trips)

    winter, summer = per_km({12, 1, 2}), per_km({6, 7, 8})
    assert 12 < summer < 19
    assert 1.02 * summer < winter < 24


def test_a_battery_fades_over_the_years() -> None:
    car = Car(fleet.GRAN_COUPE, 1)
    sizes = [car.moment(datetime(year, 6, 1, tzinfo=UTC)).capacity_kwh for year in range(2023, 2031)]
    assert all(a > b for a, b in itertools.pairwise(sizes))
    assert 0.8 < sizes[-1] / fleet.GRAN_COUPE.battery.kwh < 0.95


@pytest.mark.parametrize("spec", fleet.DEMO, ids=lambda spec: spec.model)
def test_services_are_done_about_when_they_are_due(spec) -> None:
    done = Car(spec, 1).truth(EPOCH, EPOCH + 2.3 * YEAR).services
    for service in done:
        early = service.due - service.end
        by_distance = service.due_km is not None and service.due_km - service.odometer_km < 3_000
        assert by_distance or early < timedelta(days=76)
        assert early > -timedelta(days=45)
    kinds = {"brake_fluid", "vehicle_tuv", "vehicle_check"} | ({"oil"} if spec in FUELLED else set())
    assert {service.what for service in done} == kinds


@cars()
def test_things_are_forgotten_and_noticed(spec, seed) -> None:
    """Never for longer than the stand: whoever drives away closes everything."""
    truth = life(spec, seed).truth
    for left in truth.left_open:
        assert not any(trip.start < left.end and left.start < trip.end for trip in truth.trips)
    kinds = {left.what.partition(".")[0] for left in truth.left_open}
    assert {"lock", "window"} <= kinds
    assert 15 < len(truth.left_open) < 250


@cars()
def test_soft_tires_raise_a_message_until_somebody_pumps_them(spec, seed) -> None:
    car, *_, truth = life(spec, seed)
    warnings = [message for message in truth.messages if message.what == "tire_pressure"]
    assert 1 <= len(warnings) <= 4
    assert [warning.end for warning in warnings] == [pumped.end for pumped in truth.pumped]
    for warning in warnings:
        before, after = (car.reported(warning.end + h * timedelta(hours=1)) for h in (-1, 1))
        assert min(after.tires_kpa.values()) > min(before.tires_kpa.values())


def test_it_stays_on_the_open_sea_and_steers_from_its_side() -> None:
    """Positions are made up, far from any road."""
    for spec in fleet.ALL:
        assert all(40 < place.position[0] < 58 for place in spec.places.values())
    assert {spec.body.steering for spec in fleet.ALL} == {"left", "right"}
    assert {spec.kind for spec in fleet.ALL} == {"electric", "plugin_hybrid", "combustion"}
