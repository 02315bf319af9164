"""Cars that are told something from afar: they obey or say why not, and lives stay honest."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from living_cars import CHARGED, cars

from poller.simulator import fleet
from poller.simulator.car import Car
from poller.simulator.life.report import OBEYED
from poller.simulator.life.spec import Charger
from poller.simulator.life.timeline import EPOCH, seconds_at
from poller.simulator.life.truth import Charge, Trip
from poller.simulator.life.wishes import Command, Plan, Wishes

SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=n) for n in (1, 60, 3600, 86_400))
HEARD = OBEYED * SECOND
START = EPOCH + 30 * DAY
AT_ONCE = Plan("immediate", by_window=False, window=None, weekly=True, timers=(), precondition=False)
AT_NIGHT = AT_ONCE._replace(mode="delayed", by_window=True, window=(60, 300))
VERBS = ("lock", "unlock", "climate_start", "climate_stop", "charge_start", "charge_stop", "set")


def set_to(**wishes: object) -> Command:
    return Command("set", Wishes(**wishes))


def a_charge(car: Car) -> Charge:
    """A long one at home."""
    charges = car.truth(START, START + 30 * DAY).charges
    return next(c for c in charges if c.place == "home" and c.flowed_until - c.flowed_from > 2 * HOUR)


def a_trip(car: Car) -> Trip:
    return next(trip for trip in car.truth(START, START + 5 * DAY).trips if trip.km > 10)


def a_stand(car: Car) -> datetime:
    """Half an hour after a drive."""
    return a_trip(car).end + 30 * MINUTE


def stands_plugged(car: Car, charge: Charge) -> datetime:
    """A good while after energy has begun to flow."""
    assert charge.flowed_from is not None
    return charge.flowed_from + HOUR


@cars()
def test_energy_adds_up_and_the_past_stays_whatever_a_car_is_told(spec, seed) -> None:
    """Told every two hours or so for two weeks: what it said and did before never changes."""
    car, chance, at = Car(spec, seed), random.Random(seed), START
    while at < START + 14 * DAY:
        at += timedelta(seconds=chance.randrange(60, 14_400))
        before = car.moment(at - SECOND), car.reported(at - SECOND)
        car.tell(at, Command(chance.choice(VERBS), a_wish(chance)))
        assert car.reported(at - SECOND) == before[1]
        assert car.moment(at - SECOND).energy_kwh == pytest.approx(before[0].energy_kwh, abs=1e-3)
    truth = car.truth(START - 3 * DAY, START + 20 * DAY)
    since, until = truth.trips[2].start, truth.trips[-2].start

    def total(records: tuple, kwh: str) -> float:
        return sum(getattr(one, kwh) for one in records if since < one.end <= until)

    gained = total(truth.charges, "battery_kwh")
    lost = total(truth.trips, "kwh") + total(truth.trips, "climate_kwh")
    lost += total(truth.drains, "kwh") + total(truth.preheats, "battery_kwh")
    expected = car.moment(since).energy_kwh + gained - lost
    assert car.moment(until).energy_kwh == pytest.approx(expected, abs=1e-6)


def a_wish(chance: random.Random) -> Wishes:
    return Wishes(
        target_percent=chance.choice([None, 20, 50, 100]),
        amperes=chance.choice([None, 6, 16]),
        plan=chance.choice([None, AT_ONCE, AT_NIGHT]),
    )


def test_cars_that_were_told_the_same_are_the_same_whatever_was_asked() -> None:
    one, other = Car(fleet.X1, 1), Car(fleet.X1, 1)
    other.moment(START + 300 * DAY)
    for car in (one, other):
        stand = a_stand(car)
        assert car.tell(stand, set_to(target_percent=60)) == ""
        if car is other:
            car.moment(START + 300 * DAY)
        assert car.tell(stand + DAY, set_to(target_percent=90)) == ""
    for days in (100, 1, 50, 0.3, 12):
        at = START + days * DAY
        assert (one.moment(at), one.reported(at)) == (other.moment(at), other.reported(at))
    assert one.moment(START + 50 * DAY).soc != Car(fleet.X1, 1).moment(START + 50 * DAY).soc


@cars(fleet.MINI, fleet.SALOON)
def test_a_car_is_unlocked_and_locked_and_says_so_at_once(spec, seed) -> None:
    car = Car(spec, seed)
    at = a_stand(car)
    for number, verb in enumerate(("unlock", "lock", "unlock")):
        told = at + number * MINUTE
        to_come = list(car.arrivals(told, told + DAY))  # kept: what will never be said is not said
        assert car.tell(told, Command(verb)) == ""
        assert car.reported(told + HEARD).observed_at == told.replace(microsecond=0)
        assert car.reported(told + HEARD).locked == car.moment(told).locked == (verb == "lock")
        assert to_come


def test_it_stays_unlocked_until_somebody_drives_and_locks_it() -> None:
    car = Car(fleet.SALOON, 1)
    at = a_stand(car)
    car.tell(at, Command("unlock"))
    following = next(trip for trip in car.truth(at, at + 5 * DAY).trips if trip.start > at)
    assert not car.moment(following.start - 2 * MINUTE).locked
    assert car.moment(following.end + 5 * MINUTE).locked


def test_what_was_forgotten_is_locked_from_afar() -> None:
    """And nobody comes to do it again."""
    car = Car(fleet.MINI, 1)
    left_open = car.truth(START, START + 200 * DAY).left_open
    locks = [left for left in left_open if left.what == "lock"]
    forgotten = next(
        left for left in locks if car.moment(left.end + HOUR).standing_since < seconds_at(left.start)
    )
    at = forgotten.start + 2 * MINUTE
    assert not car.moment(at - SECOND).locked
    car.tell(at, Command("lock"))
    car.tell(at + MINUTE, Command("unlock"))
    left = [one for one in car.truth(at, at + DAY).left_open if one.what == "lock"]
    assert (left[0].start, left[0].end) == (forgotten.start, at)
    assert not car.moment(forgotten.end + SECOND).locked


def test_nothing_can_be_done_on_the_road_or_against_an_open_door() -> None:
    car = Car(fleet.MINI, 1)
    trip = a_trip(car)
    before = car.moment(trip.end + HOUR)
    for verb in VERBS:
        assert car.tell(trip.start + MINUTE, Command(verb)) == "The vehicle is being driven."
    assert car.tell(trip.end + 5 * SECOND, Command("lock")) == "A door is open."
    assert car.tell(trip.end + 5 * SECOND, Command("charge_start")) == "The vehicle is not plugged in."
    assert car.moment(trip.end + HOUR) == before


@cars(fleet.GRAN_COUPE, fleet.SALOON)
def test_a_cabin_is_kept_for_half_an_hour_or_until_told(spec, seed) -> None:
    """Heated in winter, from the battery; without one there is only fresh air, which costs nothing."""
    car = Car(spec, seed)
    at = a_stand(car)
    before = car.moment(at).energy_kwh
    car.tell(at, Command("climate_start"))
    report = car.reported(at + HEARD)
    assert report.climate == ("heating" if spec.battery else "ventilation")
    assert report.climate_until == report.observed_at + 30 * MINUTE
    assert car.moment(at + 31 * MINUTE).climate == "inactive"
    assert car.reported(at + HOUR).climate == "inactive"
    (kept,) = [one for one in car.truth(at, at + HOUR).preheats if one.start == report.observed_at]
    assert kept.end - kept.start == 30 * MINUTE
    assert (kept.battery_kwh > 0.1) == bool(spec.battery)
    assert before - car.moment(at + 31 * MINUTE).energy_kwh == pytest.approx(kept.battery_kwh, abs=0.01)
    car.tell(at + 2 * HOUR, Command("climate_start"))
    car.tell(at + 2 * HOUR + 10 * MINUTE, Command("climate_stop"))
    assert car.reported(at + 2 * HOUR + 10 * MINUTE + HEARD).climate == "inactive"
    assert [one.end - one.start for one in car.truth(at + HOUR, at + 3 * HOUR).preheats] == [10 * MINUTE]
    again = at + 2 * HOUR + 20 * MINUTE
    car.tell(again, Command("climate_start"))
    assert car.moment(again + 29 * MINUTE).climate != "inactive"


@cars(*CHARGED)
def test_charging_stops_and_goes_on_when_told(spec, seed) -> None:
    """What does not flow is not in the battery; the charge is one, from cable to cable."""
    car = Car(spec, seed)
    charge = a_charge(car)
    at = stands_plugged(car, charge)
    untold = car.moment(at + 20 * MINUTE).energy_kwh
    assert car.tell(at, Command("charge_stop")) == ""
    report = car.reported(at + HEARD)
    assert (report.charge.status, report.charge.plugged, report.charge.left) == ("stopped", True, None)
    assert car.moment(at + 20 * MINUTE).energy_kwh <= car.moment(at).energy_kwh < untold
    assert car.tell(at + 20 * MINUTE, Command("charge_start")) == ""
    assert car.reported(at + 20 * MINUTE + HEARD).charge.status == "charging"
    assert car.moment(at + 40 * MINUTE).energy_kwh > car.moment(at + 20 * MINUTE).energy_kwh
    (now,) = [one for one in car.truth(charge.start, charge.end + DAY).charges if one.start == charge.start]
    assert (now.soc_before, now.place) == (charge.soc_before, "home")
    assert now.flowed_until > charge.flowed_until or now.soc_after < charge.soc_after


def test_what_was_stopped_stays_so_until_it_is_unplugged() -> None:
    car = Car(fleet.X1, 1)
    charge = a_charge(car)
    at = stands_plugged(car, charge)
    car.tell(at, Command("charge_stop"))
    assert car.moment(charge.end - 5 * MINUTE).plug.status == "stopped"
    assert car.moment(charge.end - 5 * MINUTE).soc == pytest.approx(car.moment(at).soc, abs=0.5)
    (now,) = car.truth(charge.end - MINUTE, charge.end + MINUTE).charges
    assert now.battery_kwh < 0.7 * charge.battery_kwh


def test_a_stop_on_the_road_does_not_hold_up_a_journey() -> None:
    """Whoever sits beside a fast charger that was stopped drives on, and stops again if need be."""
    car = Car(fleet.GRAN_COUPE, 1)
    charge = next(one for one in car.truth(EPOCH, EPOCH + 200 * DAY).charges if one.current == "dc")
    goal = next(t for t in car.truth(charge.end, charge.end + DAY).trips if t.target != "on the way")
    assert car.tell(charge.flowed_from + MINUTE, Command("charge_stop")) == ""
    later = car.truth(charge.flowed_from, goal.end + DAY)
    assert goal.target in {trip.target for trip in later.trips}
    assert min(car.moment(charge.end + n * 10 * MINUTE).energy_kwh for n in range(60)) >= 0


def test_charging_in_the_window_begins_at_once_when_told() -> None:
    car = Car(fleet.MINI, 1)
    charge = a_charge(car)
    at = charge.start + 10 * MINUTE
    assert car.moment(at).plug.status == "waiting"
    car.tell(at, Command("charge_start"))
    assert car.reported(at + HEARD).charge.status == "charging"


def test_a_new_target_counts_now_and_from_then_on() -> None:
    """The owner goes by it in the evenings to come, but fills up before a long trip as before."""
    car = Car(fleet.GRAN_COUPE, 1)
    charge = a_charge(car)
    at = stands_plugged(car, charge)
    car.tell(at, set_to(target_percent=65))
    assert car.reported(at + HEARD).charge.target_percent == 65
    charges = [one for one in car.truth(at, at + 40 * DAY).charges if one.place == "home"]
    assert all(min(abs(one.soc_after - percent) for percent in (65, 100)) < 2 for one in charges)
    assert sum(one.soc_after < 67 for one in charges) > 3
    assert car.moment(charges[-1].end).wishes.target_percent == 65


def test_a_target_below_what_is_in_it_ends_the_charge_and_a_higher_one_goes_on() -> None:
    car = Car(fleet.GRAN_COUPE, 1)
    at = stands_plugged(car, a_charge(car))
    car.tell(at, set_to(target_percent=20))
    assert car.reported(at + HEARD).charge.status == "done"
    car.tell(at + HOUR, set_to(target_percent=100))
    assert car.reported(at + HOUR + HEARD).charge.status == "charging"


def test_a_limit_slows_charging_down() -> None:
    """Six amperes on three phases, where the charger would give sixteen; the time left says so, too."""
    car = Car(fleet.GRAN_COUPE, 1)
    at = stands_plugged(car, a_charge(car))
    before = car.reported(at).charge
    car.tell(at, set_to(amperes=6))
    after = car.reported(at + HEARD).charge
    assert after.kilowatts == pytest.approx(3 * 6 * 0.23 * 0.89, abs=0.01)
    assert after.left / before.left == pytest.approx(before.kilowatts / after.kilowatts, rel=0.1)
    gained = car.moment(at + HOUR).energy_kwh - car.moment(at).energy_kwh
    assert gained == pytest.approx(after.kilowatts, rel=0.01)


@pytest.mark.parametrize(("amperes", "kilowatts"), [(None, 11), (32, 11), (10, 6.9), (6, 4.14)])
def test_a_limit_is_for_each_phase(amperes, kilowatts) -> None:
    assert Charger(11, 3).limited(amperes).kilowatts == pytest.approx(kilowatts)
    assert Charger(150, 0).limited(amperes) == Charger(150, 0)


def test_a_plan_moves_the_window_now_and_from_then_on() -> None:
    """The MINI charges at night; told not to wait, it does not, this evening and later ones."""
    car = Car(fleet.MINI, 1)
    charge = a_charge(car)
    at = charge.start + 10 * MINUTE
    car.tell(at, set_to(plan=AT_ONCE))
    report = car.reported(at + HEARD)
    assert (report.charge.status, report.wishes.plan) == ("charging", AT_ONCE)
    later = [one for one in car.truth(charge.end + HOUR, at + 30 * DAY).charges if one.place == "home"]
    assert later
    assert all(one.flowed_from == one.start for one in later)
    car.tell(at + 40 * DAY, set_to(plan=AT_NIGHT))
    nights = [one for one in car.truth(at + 41 * DAY, at + 70 * DAY).charges if one.place == "home"]
    home = ZoneInfo(car.spec.habits.zone)
    assert {one.flowed_from.astimezone(home).hour for one in nights if one.flowed_from} == {1}


def test_a_wish_leaves_what_it_does_not_name() -> None:
    wishes = Wishes(80, 16).changed(Wishes(amperes=6)).changed(Wishes(plan=AT_ONCE))
    assert wishes == Wishes(80, 6, AT_ONCE)
    assert AT_ONCE.hours is None
    assert AT_NIGHT.hours == (1, 5)
