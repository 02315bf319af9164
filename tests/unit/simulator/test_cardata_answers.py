"""The simulated cars in CarData's words, by REST and by stream, and how our own parser understands them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from poller.simulator import fleet
from poller.simulator.car import Arrival, Car
from poller.simulator.cardata import answers
from poller.simulator.cardata.streaming import messages
from poller.simulator.cardata.telling import KM_PER_MILE, TellingCar
from poller.simulator.garage import all_cars_garage
from poller.simulator.life.report import Report
from poller.simulator.life.spec import WHEELS, CarSpec
from poller.sources.cardata.cars.state import CarState
from poller.sources.cardata.meaning.catalogue import CATALOGUE, DEFAULT_CONTAINER, OWN_ENDPOINT
from poller.sources.cardata.meaning.parse import parse
from poller.sources.cardata.meaning.table import needs
from poller.vehicle.answer import Answer
from poller.vehicle.snapshot import Snapshot

START = datetime(2026, 11, 19, tzinfo=UTC)
STEP = timedelta(minutes=60)
STEPS = 2 * 24
EVERYTHING = tuple(
    dict.fromkeys([*DEFAULT_CONTAINER, *(name for names in needs().values() for name in names)])
)
SERVICE = (
    "vehicle.status.conditionBasedServices",
    "vehicle.status.checkControlMessages",
    "vehicle.cabin.infotainment.displayUnit.distance",
)
ENTITY = "00000000-0000-4000-8000-000000000000"
CARS = all_cars_garage().cars
ALL = pytest.mark.parametrize("vin", CARS)
LETTERS = {"electric": "E", "plugin_hybrid": "P", "combustion": "I"}
#: A tenth of a mile.
DISTANCE = 0.1

Expected = Callable[[Report, Car], object]


def charged(of: Callable[[Report], object]) -> Expected:
    """For cars with a battery."""
    return lambda report, _: of(report) if report.charge else None


def fuelled(of: Callable[[Report], object]) -> Expected:
    return lambda report, _: of(report) if report.fuel else None


def charging(of: Callable[[Report], object]) -> Expected:
    return charged(lambda report: of(report) if report.charge.status == "charging" else None)


def last(at: datetime, days: int) -> datetime:
    """The newest Monday, or day, at four."""
    began = at.replace(hour=4, minute=0, second=0, microsecond=0)
    while began > at or (days == 7 and began.weekday()):
        began -= timedelta(days=1)
    return began


def plan(car: Car) -> dict:
    return answers.model_of(car.spec)["state"]["chargingProfile"]


def places(what: str) -> dict[str, Expected]:
    """A door or a window at each of the car's places, and none at the others."""

    def expected(place: str) -> Expected:
        def is_open(report: Report, car: Car) -> object:
            return f"{what}.{place}" in report.open if place in car.spec.body.sides else None

        return is_open

    return {f"{what}_open.{place}": expected(place) for place in WHEELS}


STATES = {
    "unplugged": "not_charging", "waiting": "waiting", "charging": "charging", "done": "complete",
}  # fmt: skip
#: Record key → what a snapshot says, of the report that the car made; None: nothing.
TABLE: dict[str, Expected] = {
    "odometer_km": lambda report, _: report.odometer_km,
    "soc_percent": charged(lambda report: report.charge.percent),
    "soc_target_percent": charged(lambda report: report.charge.target_percent),
    "range_electric_km": charged(lambda report: report.charge.range_km),
    "range_fuel_km": fuelled(lambda report: report.fuel.range_km),
    "range_total_km": lambda report, _: (
        (report.charge.range_km if report.charge else 0) + (report.fuel.range_km if report.fuel else 0)
    ),
    "fuel_percent": fuelled(lambda report: report.fuel.percent),
    "fuel_liters": lambda report, car: (
        car.reported(last(report.observed_at, 1)).fuel.liters if report.fuel else None
    ),
    "plugged": charged(lambda report: report.charge.plugged),
    "charging": charged(lambda report: report.charge.status == "charging"),
    "charging_state": charged(lambda report: STATES[report.charge.status]),
    "charging_power_watts": charged(lambda report: report.charge.kilowatts * 1000),
    "charging_remaining_seconds": charging(lambda report: report.charge.left.total_seconds()),
    "charging_end_at": charging(lambda report: report.observed_at + report.charge.left),
    "charging_mode": lambda report, car: plan(car)["chargingMode"].lower() if report.charge else None,
    "charging_preference": lambda report, car: (
        plan(car)["chargingPreference"].lower() if report.charge else None
    ),
    "charging_ac_limit_amperes": lambda _, car: (
        plan(car)["chargingSettings"].get("acCurrentLimit") if car.spec.battery else None
    ),
    "battery_capacity_kwh": charged(lambda report: report.charge.capacity_kwh),
    "battery_health_percent": charged(lambda report: report.charge.health_percent),
    "locked": lambda report, _: report.locked,
    "lock_state": lambda report, _: (
        "unlocked" if not report.locked else "locked" if report.driving else "secured"
    ),
    **places("door"),
    **places("window"),
    "hood_open": lambda report, _: "hood" in report.open,
    "trunk_open": lambda report, _: "trunk" in report.open,
    "sunroof_open": lambda report, car: "sunroof" in report.open if car.spec.body.sunroof else None,
    "latitude_degrees": lambda report, _: report.position[0],
    "longitude_degrees": lambda report, _: report.position[1],
    "heading_degrees": lambda report, _: report.heading,
    "moving": lambda report, _: report.driving,
    **{
        f"tire_pressure_kpa.{wheel}": lambda report, _, wheel=wheel: report.tires_kpa[wheel]
        for wheel in WHEELS
    },
    **{
        f"tire_pressure_target_kpa.{wheel}": lambda _, car, wheel=wheel: car.spec.body.target_kpa[wheel]
        for wheel in WHEELS
    },
    "climate_state": lambda report, _: report.climate,
    "aux_battery_volts": lambda report, car: car.reported(last(report.observed_at, 7)).aux_volts,
    "brand": lambda _, car: car.spec.brand,
    "year": lambda _, car: answers.model_of(car.spec)["basicData"]["constructionDate"][:4],
    "drive_train": lambda _, car: car.spec.kind,
    "steering": lambda _, car: car.spec.body.steering,
}  # fmt: skip


def _body(car: TellingCar, at: datetime, names=EVERYTHING) -> bytes:
    return json.dumps({"telematicData": answers.telematic(car, names, at)}).encode()


def merged_by_rest(car: TellingCar, at: datetime, names=EVERYTHING) -> CarState:
    return CarState(car.vin).merge_rest(_body(car, at, names), at)[0]


def snapshot_of(car: TellingCar, state: CarState, at: datetime) -> Snapshot:
    bodies = {"state": state.to_json(), "basicData": answers.basic_data(car)}
    raw = {name: json.dumps(body).encode() for name, body in bodies.items()}
    return parse(Answer("home", "cardata", car.vin, at, raw))


@functools.cache
def by_rest(vin: str, start: datetime = START) -> list[tuple[Report, Snapshot]]:
    """Reports, and the snapshots that a poll of REST alone makes of them."""
    car, found = TellingCar(CARS[vin]), []
    for number in range(STEPS):
        at = start + number * STEP
        found.append((car.reported(at), snapshot_of(car, merged_by_rest(car, at), at)))
    return found


class Heard(NamedTuple):
    """A report that came by stream, the state after it, and whether none before it is missing."""

    report: Report
    state: CarState
    complete: bool


@functools.cache
def streamed(vin: str) -> list[Heard]:
    """From one REST answer on by stream alone, for some days."""
    car = TellingCar(CARS[vin])
    state, found = merged_by_rest(car, START), []
    arrivals = list(car.arrivals(START, START + STEPS * STEP))
    for number, arrival in enumerate(arrivals):
        report = arrival.report
        for message in messages(car, arrival, seed=1, entity=ENTITY):
            state, _ = state.merge_stream(message.body, message.at)
        overtook = any(later.report.observed_at < report.observed_at for later in arrivals[number:])
        newest = car.reported(report.arrived_at) is report
        found.append(Heard(report, state, newest and not overtook))
    return found


def differences(snapshot: Snapshot, report: Report, car: Car, keys) -> dict[str, tuple]:
    found = {key: (snapshot.value(key), TABLE[key](report, car)) for key in keys}
    return {key: pair for key, pair in found.items() if not _same(*pair)}


def _same(value: object, expected: object) -> bool:
    if isinstance(value, float) and isinstance(expected, int | float):
        return value == pytest.approx(expected, abs=DISTANCE)
    return value == expected


@ALL
@pytest.mark.parametrize("start", [START, datetime(2024, 2, 24, tzinfo=UTC)])
def test_what_rest_says_parses_back_to_the_report(vin, start) -> None:
    """Every signal that is in the report, over two days."""
    seen = set()
    for report, snapshot in by_rest(vin, start):
        assert differences(snapshot, report, CARS[vin], TABLE) == {}
        assert snapshot.unknown_tokens == ()
        assert snapshot.observed_at == report.observed_at
        seen |= {key for key in TABLE if snapshot.value(key) is not None}
    assert set(TABLE) - seen <= _never_there(CARS[vin].spec), "each is looked at when it is there"


def _never_there(spec: CarSpec) -> set[str]:
    """What such a car does not have; and a short charge may fall between two looks."""
    keys = {"charging_remaining_seconds", "charging_end_at"}
    if spec.battery is None:
        keys |= {key for key in TABLE if "charg" in key or key.startswith(("soc_", "battery_"))}
        keys |= {"range_electric_km", "plugged"}
    if not spec.drive.tank_liters:
        keys |= {key for key in TABLE if "fuel" in key}
    if spec.body.doors == 2:
        keys |= {key for key in TABLE if "_open.rear" in key}
    return keys | {"sunroof_open", "charging_ac_limit_amperes"}


@ALL
def test_services_and_messages_come_back_out_of_their_strings(vin) -> None:
    looked, car = set(), TellingCar(CARS[vin])
    for at in (START + number * timedelta(days=12) for number in range(-25, 25)):
        report, snapshot = car.reported(at), snapshot_of(car, merged_by_rest(car, at, SERVICE), at)
        for service in report.services:
            assert snapshot.value(f"service_state.{service.what}") == service.state
            assert snapshot.value(f"service_due_at.{service.what}") == service.due
            left = snapshot.value(f"service_due_km.{service.what}")
            assert left == (pytest.approx(service.left_km, abs=1) if service.left_km else None)
            looked.add(service.state)
        warned = [key for key in snapshot.readings if key.startswith("check_control.")]
        assert len(warned) == len(report.messages)
        looked |= set(report.messages)
    assert len(looked) > 1


@ALL
def test_stream_and_rest_agree(vin) -> None:
    """On every value that was measured at one time and came by both ways, however it is spelled."""
    car, compared = TellingCar(CARS[vin]), 0
    for report, state, complete in streamed(vin):
        if complete:
            again, _ = state.merge_rest(_body(car, report.arrived_at), report.arrived_at)
            for name, held in state.held.items():
                if held.via == "stream" and again.held[name].timestamp == held.timestamp:
                    assert again.held[name] is held, name
                    compared += 1
    assert compared > 300


@ALL
def test_what_the_stream_says_parses_back_to_the_report(vin) -> None:
    """Without the descriptors that only REST has, which are as old as the one answer."""
    rest_only = {"locked", "lock_state", "battery_health_percent"}
    times = {"charging_end_at", "charging_remaining_seconds"}  # of an estimate that may not have changed
    car, seen = TellingCar(CARS[vin]), 0
    for report, state, complete in streamed(vin):
        if complete:
            snapshot = snapshot_of(car, state, report.arrived_at)
            assert differences(snapshot, report, CARS[vin], TABLE.keys() - rest_only - times) == {}
            assert snapshot.unknown_tokens == ()
            seen += 1
    assert seen > 0.7 * len(streamed(vin))


@ALL
def test_every_descriptor_is_one_that_such_a_car_has(vin) -> None:
    """But for the tank of the electric car, which real ones tell of as well."""
    strays = set()
    for report, _ in by_rest(vin):
        for name in TellingCar(CARS[vin]).told(report):
            cars = CATALOGUE[name].cars
            if cars and LETTERS[CARS[vin].spec.kind] not in cars:
                strays.add(name)
    assert len(strays) == (2 if vin == fleet.BEV_VIN else 0)


@ALL
def test_of_the_default_container_nothing_is_left_out_that_fits_the_car(vin) -> None:
    car, spec = TellingCar(CARS[vin]), CARS[vin].spec
    entries = answers.telematic(car, DEFAULT_CONTAINER, START)
    fitting = {name for name in DEFAULT_CONTAINER if LETTERS[spec.kind] in (CATALOGUE[name].cars or "EPMI")}
    missing = {name for name in fitting if name not in entries or entries[name]["value"] in (None, "-NA-")}
    other_soc = {
        "vehicle.drivetrain.batteryManagement.header",
        "vehicle.powertrain.electric.battery.stateOfCharge.displayed",
        "vehicle.drivetrain.electricEngine.charging.level",
        "vehicle.body.chargingPort.combinedStatus",
    }
    rear = (
        {name for name in fitting if ".row2." in name and "tire" not in name}
        if spec.body.doors == 2
        else set()
    )
    assert missing <= other_soc | rear | {"vehicle.status.checkControlMessages"}


def test_the_four_ways_to_say_nothing_and_the_units_are_all_there() -> None:
    entries = [
        (name, entry)
        for vin in CARS
        for name, entry in answers.telematic(TellingCar(CARS[vin]), tuple(CATALOGUE), START).items()
    ]
    values = {entry["value"] for _, entry in entries}
    assert {None, "-NA-", "INVALID"} <= values
    assert all(isinstance(value, str | None) for _, entry in entries for value in entry.values())
    assert {"%", "km", "miles", "Â°C", "kPa", "degrees", None} <= {entry["unit"] for _, entry in entries}
    asked = dict(entries)["vehicle.electricalSystem.battery.serviceDemand.replace"]
    assert asked["timestamp"] == "2026-11-19T00:00:00.000Z"
    assert len(entries) < len(CARS) * len(CATALOGUE), "some are not there at all"
    assert not {name for name, _ in entries} & OWN_ENDPOINT


def test_an_odometer_has_no_unit_but_where_miles_are_meant() -> None:
    name = "vehicle.vehicle.travelledDistance"
    entries = {vin: answers.telematic(TellingCar(car), [name], START)[name] for vin, car in CARS.items()}
    assert {vin: entry["unit"] for vin, entry in entries.items()} == {
        fleet.MINI_VIN: "miles", fleet.BMW_VIN: None, fleet.ICE_VIN: None, fleet.BEV_VIN: None,
    }  # fmt: skip
    km = CARS[fleet.MINI_VIN].reported(START).odometer_km
    assert float(entries[fleet.MINI_VIN]["value"]) == pytest.approx(km / KM_PER_MILE, abs=0.1)


@ALL
def test_the_same_question_gets_the_same_answer(vin) -> None:
    car, again = TellingCar(CARS[vin]), TellingCar(all_cars_garage().cars[vin])
    for at in (START + 31 * STEP, START + 2 * STEP):
        assert answers.telematic(car, EVERYTHING, at) == answers.telematic(again, EVERYTHING, at)


def test_the_charging_history_is_what_was_charged() -> None:
    now = START + timedelta(days=20)
    car = TellingCar(CARS[fleet.BMW_VIN])
    truth = car.car.truth(START, now).charges
    told = answers.sessions(car, START, now, now)
    began = [charge for charge in truth if charge.start >= START]
    assert [session["startTime"] for session in told] == [int(charge.start.timestamp()) for charge in began]
    assert [session["energyConsumedFromPowerGridKwh"] for session in told] == [
        round(charge.wall_kwh, 2) for charge in began
    ]
    assert {session["mileageUnits"] for session in told} == {"KM"}
    assert all(session["endTime"] <= now.timestamp() for session in told), (
        "one that is under way is not there"
    )
    assert answers.sessions(TellingCar(CARS[fleet.ICE_VIN]), START, now, now) == []


def test_a_history_does_not_know_the_future() -> None:
    car = TellingCar(CARS[fleet.BMW_VIN])
    first = answers.sessions(car, START, START + timedelta(days=20), START + timedelta(days=20))[0]
    during = datetime.fromtimestamp(first["endTime"] - 60, UTC)
    assert answers.sessions(car, START, START + timedelta(days=20), during) == []


def test_places_tyres_and_papers_have_their_shapes() -> None:
    cars = {vin: TellingCar(car) for vin, car in CARS.items()}
    assert {vin: len(answers.charging_settings(car)) for vin, car in cars.items()} == {
        fleet.MINI_VIN: 3, fleet.BMW_VIN: 2, fleet.ICE_VIN: 0, fleet.BEV_VIN: 3,
    }  # fmt: skip
    assert answers.charging_settings(cars[fleet.MINI_VIN])[0]["stopChargingTimePeriodMinute"] == 30
    mounted = answers.tyre_diagnosis(cars[fleet.BEV_VIN])["passengerCar"]["mountedTyres"]
    assert mounted["rearLeft"]["dimension"] == {
        "sectionWidth": 245, "aspectRatio": 45, "constructionType": "R", "rimDiameter": 18, "loadIndex": 100,
        "speedRating": "Y",
    }  # fmt: skip
    padding = answers.tyre_diagnosis(cars[fleet.MINI_VIN])["passengerCar"]["mountedTyres"]["frontLeft"]
    assert padding["tyreWear"] == {"dueMileage": 0}
    papers = {vin: answers.basic_data(car) for vin, car in cars.items()}
    assert {vin: paper["driveTrain"] for vin, paper in papers.items()} == {
        fleet.MINI_VIN: "BEV", fleet.BMW_VIN: "PHEV", fleet.ICE_VIN: "CONV", fleet.BEV_VIN: "BEV",
    }  # fmt: skip
    assert {paper["steering"] for paper in papers.values()} == {"LL", "RL"}


def dozing() -> Iterator[tuple[TellingCar, datetime, datetime]]:
    """A car that dozes off, and the middle and the end of a charge of its."""
    car = TellingCar(CARS[fleet.BMW_VIN], dozes=True)
    for charge in car.car.truth(START, START + timedelta(days=7)).charges:
        if charge.flowed_from and charge.flowed_until:
            yield car, charge.flowed_from + (charge.flowed_until - charge.flowed_from) / 2, charge.end


def test_a_car_that_dozes_off_says_no_more_until_it_is_unplugged() -> None:
    """By either way; but BMW goes on guessing the state of charge."""
    header, guess = (
        "vehicle.drivetrain.batteryManagement.header",
        "vehicle.drivetrain.electricEngine.charging.level",
    )
    seen = 0
    for car, middle, end in dozing():
        stuck, awake = car.reported(middle), car.car.reported(middle)
        said = answers.telematic(car, [header, guess], middle)
        assert said[header]["value"] == str(stuck.charge.percent)
        assert said[guess]["value"] == str(awake.charge.percent)
        assert not list(car.arrivals(middle, end - timedelta(seconds=1)))
        seen += awake.charge.percent > stuck.charge.percent + 5
        woken = min(car.arrivals(end, end + timedelta(hours=1)), key=lambda one: one.report.observed_at)
        assert isinstance(woken, Arrival)
        assert not woken.report.charge.plugged
        assert woken.before.charge.percent == stuck.charge.percent, "all that changed since is news"
    assert seen > 3
