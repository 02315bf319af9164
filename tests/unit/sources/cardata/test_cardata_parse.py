"""A merged state in, a snapshot out; the table behind it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from poller.errors import MalformedAnswer
from poller.sources.cardata.cars.state import LATITUDE, LONGITUDE, ODOMETER, CarState
from poller.sources.cardata.meaning.parse import origins, parse
from poller.vehicle.answer import Answer

NOW = datetime(2026, 7, 27, 12, 40, tzinfo=UTC)
THEN = datetime(2026, 7, 27, 12, 30, tzinfo=UTC)
VIN = "WBATEST0000000001"
CHARGING = "vehicle.drivetrain.electricEngine.charging"
BATTERY = "vehicle.powertrain.electric.battery"
HEADER = "vehicle.drivetrain.batteryManagement.header"
KOMBI = "vehicle.drivetrain.electricEngine.kombiRemainingElectricRange"
LAST = "vehicle.drivetrain.lastRemainingRange"
LITERS = "vehicle.drivetrain.fuelSystem.remainingFuel"
DRIVER = "vehicle.cabin.door.row1.driver.isOpen"


def answer(values, basic=None, at="2026-07-27T12:30:00Z", **bodies) -> Answer:
    """Values by descriptor; a pair is a value and its own time, a third is its unit."""
    data = {
        name: dict(zip(("value", "timestamp", "unit"), value, strict=False))
        if isinstance(value, tuple)
        else {"value": value, "timestamp": at}
        for name, value in values.items()
    }
    state, _ = CarState(VIN).merge_stream(json.dumps({"data": data}).encode(), NOW)
    if basic is not None:
        bodies["basicData"] = json.dumps(basic).encode()
    return Answer("home", "cardata", VIN, NOW, {"state": json.dumps(state.to_json()).encode(), **bodies})


def read(values, basic=None, steering=None):
    return parse(answer(values, basic), steering)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"\xff", b"null", b"[]", b"{}", b'{"vin": "x"}', b"[" * 200_000]
)
def test_without_a_state_an_answer_is_malformed(body) -> None:
    with pytest.raises(MalformedAnswer) as error:
        parse(Answer("home", "cardata", VIN, NOW, {"state": body}))
    assert VIN not in str(error.value)


def test_without_a_state_body_an_answer_is_malformed() -> None:
    with pytest.raises(MalformedAnswer):
        parse(Answer("home", "cardata", VIN, NOW, {"basicData": b"{}"}))


def test_another_vehicles_state_is_malformed() -> None:
    body = json.dumps(CarState("WBATEST0000000002").to_json()).encode()
    with pytest.raises(MalformedAnswer) as error:
        parse(Answer("home", "cardata", VIN, NOW, {"state": body}))
    assert "WBATEST" not in str(error.value)


def test_an_empty_state_is_a_snapshot_that_says_nothing() -> None:
    snapshot = read({})
    assert (dict(snapshot.readings), snapshot.observed_at, snapshot.unknown_tokens) == ({}, None, ())


@pytest.mark.parametrize("basic", [b"", b"<html>", b"[1]", b"null", b"\xff", b"[" * 200_000])
def test_basic_data_that_cannot_be_read_costs_only_its_own_signals(basic) -> None:
    assert parse(answer({ODOMETER: 12}, basicData=basic)).value("odometer_km") == 12


def test_each_reading_has_its_own_time_and_the_snapshot_the_newest() -> None:
    snapshot = read({ODOMETER: (12, "2026-07-20T08:00:00Z"), HEADER: 40, DRIVER: ("OPEN", None)})
    assert snapshot.readings["odometer_km"].observed_at == datetime(2026, 7, 20, 8, tzinfo=UTC)
    assert snapshot.readings["door_open.front_left"].observed_at is None
    assert snapshot.observed_at == THEN


def test_a_time_at_which_we_asked_is_no_time_of_the_car() -> None:
    """BMW stamps serviceDemand with the request; every poll would look like news."""
    demand = "vehicle.electricalSystem.battery.serviceDemand.replace"
    assert read({demand: ("200", "2026-07-27T12:40:00Z"), HEADER: 40}).observed_at == THEN


@pytest.mark.parametrize(
    ("header", "displayed", "level", "soc"),
    [
        (40, 50, 60, 40),
        (None, 50, 60, 50),
        ("INVALID", 50, 60, 50),
        (254, "-NA-", 60, 60),
        ("full", None, 60, 60),
        (None, None, None, None),
    ],
)
def test_a_chain_ends_at_the_first_that_says_something(header, displayed, level, soc) -> None:
    """A sentinel, a value out of range and a word that nobody knows do not."""
    values = {
        HEADER: header,
        f"{BATTERY}.stateOfCharge.displayed": displayed,
        f"{CHARGING}.level": level,
    }
    assert read(values, {"driveTrain": "BEV"}).value("soc_percent") == soc


def test_a_word_that_nobody_knows_is_counted_and_the_chain_goes_on() -> None:
    snapshot = read({f"{CHARGING}.status": "DREAMING", f"{CHARGING}.hvStatus": "CHARGING", HEADER: 40})
    assert (snapshot.value("charging_state"), snapshot.value("charging")) == ("charging", True)
    assert ("charging_state", "DREAMING") in snapshot.unknown_tokens


def test_an_unknown_state_is_unknown_and_not_no_charging() -> None:
    snapshot = read({f"{CHARGING}.status": "DREAMING", HEADER: 40})
    assert (snapshot.value("charging_state"), snapshot.value("charging")) == ("unknown", None)


@pytest.mark.parametrize(
    ("basic", "steering", "position"),
    [
        ({"steering": "LL"}, None, "front_left"),
        ({"steering": "RL"}, None, "front_right"),
        ({"steering": "LL"}, "right", "front_left"),
        (None, "right", "front_right"),
        ({}, "left", "front_left"),
        (None, None, "front_left"),
    ],
)
def test_the_drivers_side_is_the_cars_else_the_owners_word_else_left(basic, steering, position) -> None:
    assert read({DRIVER: "OPEN"}, basic, steering).value(f"door_open.{position}") is True


def test_wheels_are_left_and_right_whatever_the_steering() -> None:
    left = "vehicle.chassis.axle.row1.wheel.left.tire.pressure"
    assert read({left: "250"}, {"steering": "RL"}).value("tire_pressure_kpa.front_left") == 250


@pytest.mark.parametrize(
    ("drive", "total", "fuel", "electric", "liters"),
    [
        ("BEV", 188, None, 188, None),
        ("PHEV", 500, 312, 188, 30),
        ("CONV", 500, 500, None, 30),
        ("MHEV", 500, 500, None, 30),
        (None, 500, 312, 188, 30),
    ],
)
def test_ranges_and_fuel_by_what_the_car_is(drive, total, fuel, electric, liters) -> None:
    """Electric cars send stray fuel; a plug-in hybrid's last range is the sum of both."""
    snapshot = read({LAST: 500, KOMBI: 188, LITERS: 30}, drive and {"driveTrain": drive})
    found = tuple(
        snapshot.value(key) for key in ("range_total_km", "range_fuel_km", "range_electric_km", "fuel_liters")
    )
    assert found == (total, fuel, electric, liters)


def test_a_range_that_no_car_has_is_none() -> None:
    """65535 is what a bus sends for nothing; it must not become the total either."""
    predicted = "vehicle.drivetrain.electricEngine.remainingElectricRange"
    snapshot = read({KOMBI: 65535, predicted: 188, LAST: 0}, {"driveTrain": "BEV"})
    assert (snapshot.value("range_electric_km"), snapshot.value("range_total_km")) == (188, 188)


def test_a_range_on_fuel_is_never_below_nothing_and_as_old_as_its_older_part() -> None:
    snapshot = read({LAST: 40, KOMBI: (41, "2026-07-27T10:00:00Z")}, {"driveTrain": "PHEV"})
    assert snapshot.value("range_fuel_km") == 0
    assert snapshot.readings["range_fuel_km"].observed_at == datetime(2026, 7, 27, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "hint",
    [
        {"vehicle.cabin.infotainment.displayUnit.distance": "miles"},
        {"vehicle.cabin.infotainment.hmi.distanceUnit": "MILES"},
    ],
)
def test_a_distance_without_a_unit_is_in_the_one_that_the_car_shows(hint) -> None:
    assert read({ODOMETER: 100, **hint}).value("odometer_km") == 160.934
    assert read({LAST: 100, **hint}).value("range_total_km") == 100  # always km, says the catalogue


def test_a_service_is_in_the_odometers_unit_until_the_car_says_which_it_shows() -> None:
    """Services come by REST alone and bear no unit, what the car shows may come by stream alone."""
    oil = [{"id": 1, "title": "Engine oil", "status": "OK", "unitOfLengthRemaining": "4350"}]
    services = {"vehicle.status.conditionBasedServices": json.dumps(oil)}
    miles = {ODOMETER: (39268, "2026-07-27T10:00:00Z", "mi")}
    assert read({**services, **miles}).value("service_due_km.oil") == 7000.646
    shown = {"vehicle.cabin.infotainment.displayUnit.distance": "km"}
    assert read({**services, **miles, **shown}).value("service_due_km.oil") == 4350
    assert read(services).value("service_due_km.oil") == 4350


def test_what_is_left_of_charging_counts_only_while_charging() -> None:
    """And its end by the car's own time: it does not creep forward with every poll."""
    minutes = {f"{CHARGING}.timeRemaining": 90, HEADER: 40}
    charging = read({**minutes, f"{CHARGING}.status": "CHARGINGACTIVE"})
    assert charging.value("charging_remaining_seconds") == 5400
    assert charging.value("charging_end_at") == THEN + timedelta(minutes=90)
    full = f"{CHARGING}.timeToFullyCharged"
    endless = {
        **minutes,
        f"{CHARGING}.timeRemaining": 65535,
        full: 60,
        f"{CHARGING}.status": "CHARGINGACTIVE",
    }
    assert read(endless).value("charging_remaining_seconds") == 3600
    assert read(endless).value("charging_end_at") == THEN + timedelta(hours=1)
    ended = read({**minutes, f"{CHARGING}.status": "CHARGINGENDED"})
    assert (ended.value("charging_remaining_seconds"), ended.value("charging_end_at")) == (None, None)


@pytest.mark.parametrize(
    ("status", "overall", "tilt", "is_open"),
    [
        ("CLOSED", "OPEN_TILT", None, True),
        ("CLOSED", "INTERMEDIATE_TILT", "INTERMEDIATE", True),
        ("CLOSED", "CLOSED", "OPEN", True),
        ("OPEN", "CLOSED", "CLOSED", True),
        ("CLOSED", "CLOSED", "CLOSED", False),
        (None, None, "CLOSED", False),
        ("INVALID", "-NA-", None, None),
    ],
)
def test_a_roof_is_open_if_any_of_its_three_words_says_so(status, overall, tilt, is_open) -> None:
    """A forgotten roof is most often a tilted one, and `status` calls that closed."""
    roof = "vehicle.cabin.sunroof"
    said = {f"{roof}.status": status, f"{roof}.overallStatus": overall, f"{roof}.tiltStatus": tilt}
    assert read(said).value("sunroof_open") is is_open


def test_a_tilt_does_not_outlive_what_the_car_said_later() -> None:
    """The stream was away when it was closed, and REST asks for `status` alone."""
    roof = "vehicle.cabin.sunroof"
    tilted = {f"{roof}.tiltStatus": ("OPEN", "2026-07-27T10:00:00Z")}
    before, after = ("CLOSED", "2026-07-27T09:00:00Z"), ("CLOSED", "2026-07-27T12:00:00Z")
    assert read({**tilted, f"{roof}.status": before}).value("sunroof_open") is True
    assert read({**tilted, f"{roof}.status": after}).value("sunroof_open") is False


def test_a_word_of_the_roof_that_nobody_knows_is_counted_and_hides_nothing() -> None:
    roof = "vehicle.cabin.sunroof"
    snapshot = read({f"{roof}.status": "CLOSED", f"{roof}.tiltStatus": "AJAR"})
    assert snapshot.value("sunroof_open") is False
    assert ("sunroof_open", "AJAR") in snapshot.unknown_tokens


@pytest.mark.parametrize(
    ("built", "year"),
    [
        ("2021-03-01", "2021"),
        ("2021-03-01T00:00:00Z", "2021"),
        ("2021", "2021"),
        (2021, "2021"),
        ("20210301", None),
        ("0000-00-00", None),
        ("March", None),
        (True, None),
        (None, None),
    ],
)
def test_the_year_is_the_one_in_which_the_car_was_built(built, year) -> None:
    assert read({}, {"constructionDate": built}).value("year") == year


def test_a_battery_that_is_not_sent_is_basic_datas() -> None:
    basic = {"driveTrain": "BEV", "hvsMaxEnergyAbsolute": "80.7"}
    assert read({}, basic).value("battery_capacity_kwh") == 80.7
    sent = {"vehicle.drivetrain.batteryManagement.batterySizeMax": "75.5"}
    assert read(sent, basic).value("battery_capacity_kwh") == 75.5


def test_half_a_position_is_none_and_is_not_counted_as_an_unknown_word() -> None:
    snapshot = read({LATITUDE: 48.1, LONGITUDE: "-NA-"})
    assert (dict(snapshot.readings), snapshot.unknown_tokens) == ({}, ())


def test_no_messages_are_no_readings() -> None:
    messages = "vehicle.status.checkControlMessages"
    for nothing in (None, "[]", "-", '[{"id": 1, "status": "OK"}]'):
        assert dict(read({messages: nothing}).readings) == {}
    assert read({messages: '[{"id": 907, "status": "NULL"}]'}).value("check_control.ccm_907") == "unknown"


def test_a_hundred_messages_do_not_become_a_hundred_series() -> None:
    text = json.dumps([{"id": n} for n in range(100)])
    assert len(read({"vehicle.status.checkControlMessages": text}).readings) == 40


def test_an_origin_names_descriptor_and_way() -> None:
    found = origins(answer({f"{CHARGING}.level": 40}, {"modelName": "Test", "driveTrain": "BEV"}))
    assert (found["soc_percent"].origin, found["soc_percent"].via) == (f"{CHARGING}.level", "stream")
    assert found["model"].via == "basicData"


def test_what_was_not_understood_is_no_origin() -> None:
    odd = {"vehicle.drivetrain.batteryManagement.maxEnergy": "much"}
    found = origins(answer(odd, {"driveTrain": "BEV", "hvsMaxEnergyAbsolute": "80.7"}))
    assert (found["battery_capacity_kwh"].via, found["battery_capacity_kwh"].value) == ("basicData", 80.7)


def test_nothing_unchanged_looks_like_news() -> None:
    """REST's later word of the same measurement leaves the fingerprint as it was."""
    before = answer({ODOMETER: 81623.0, DRIVER: "closed"})
    state = CarState.from_json(json.loads(before.bodies["state"]))
    body = {
        "telematicData": {ODOMETER: {"value": "81623", "unit": None, "timestamp": "2026-07-27T12:30:00.000Z"}}
    }
    after, changed = state.merge_rest(json.dumps(body).encode(), NOW + timedelta(hours=1))
    again = Answer("home", "cardata", VIN, NOW, {"state": json.dumps(after.to_json()).encode()})
    assert not changed
    assert parse(before).fingerprint() == parse(again).fingerprint()
