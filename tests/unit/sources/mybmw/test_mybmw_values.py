"""Converters: BMW's values in our words."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from poller.sources.mybmw.meaning import values as v

LONDON = ZoneInfo("Europe/London")
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, -(10**10), True, "1", None, [], {}])
def test_what_is_no_sensible_number_is_none(value) -> None:
    assert v.number(value) is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2023-01-04T14:57:06.383Z", datetime(2023, 1, 4, 14, 57, 6, 383_000, tzinfo=UTC)),
        ("2023-01-04T14:57:06.383999+02:00", datetime(2023, 1, 4, 12, 57, 6, 383_000, tzinfo=UTC)),
        ("2023-09-11T11:53:57Z", datetime(2023, 9, 11, 11, 53, 57, tzinfo=UTC)),
    ],
)
def test_times_are_utc_and_whole_milliseconds(text, moment) -> None:
    assert v.moment(text) == moment


@pytest.mark.parametrize(
    "value",
    ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2023-01-04T14:57:06", "2023-01-04", "", "now", 0, None],
)
def test_never_and_nonsense_are_no_time(value) -> None:
    assert v.moment(value) is None


@pytest.mark.parametrize(
    ("status", "ours"),
    [
        ("CHARGING", "charging"),
        ("charging", "charging"),
        ("WAITING_FOR_CHARGING", "waiting"),
        ("COMPLETE", "complete"),
        ("FULLY_CHARGED", "complete"),
        ("FINISHED_FULLY_CHARGED", "complete"),
        ("FINISHED_NOT_FULL", "complete"),
        ("TARGET_REACHED", "target_reached"),
        ("INVALID", "not_charging"),
        ("NOT_CHARGING", "not_charging"),
        ("PLUGGED_IN", "not_charging"),
        ("DEFAULT", "not_charging"),
        ("ERROR", "error"),
        ("UNKNOWN", "unknown"),
        ("DREAMING", "dreaming"),
        (None, None),
    ],
)
def test_charging_words(status, ours) -> None:
    assert v.charging_state(status) == ours


@pytest.mark.parametrize(("status", "charging"), [("CHARGING", True), ("INVALID", False), ("DREAMING", None)])
def test_whether_it_charges_is_absent_for_words_we_do_not_know(status, charging) -> None:
    assert v.is_charging(status) is charging


@pytest.mark.parametrize(
    ("drive_train", "fuel_range", "electric_range", "liters", "fuel", "total"),
    [
        ("COMBUSTION", 500, None, 40, 500, 500),
        ("COMBUSTION", None, None, 40, None, None),
        ("MILD_HYBRID", 435, 3, 34, 435, 435),
        ("HYBRID", 435, None, 34, 435, 435),
        ("ELECTRIC", 300, 300, None, None, 300),
        ("ELECTRIC", None, 300, None, None, 300),
        ("PLUGIN_HYBRID", 476, 40, 40, 436, 476),
        ("PLUGIN_HYBRID", 30, 40, 1, 0, 30),
        ("PLUGIN_HYBRID", 476, None, 40, None, 476),
        ("PLUGIN_HYBRID", None, 40, 40, None, None),
        ("ELECTRIC_WITH_RANGE_EXTENDER", 105, 174, 6, 105, 279),
        ("ELECTRIC_WITH_RANGE_EXTENDER", None, 174, None, None, 174),
        ("ELECTRIC_WITH_RANGE_EXTENDER", None, None, None, None, None),
        (None, 500, None, 40, 500, 500),
        (None, 300, 300, None, None, None),
        (None, None, 300, None, None, 300),
        ("STEAM", 500, None, 40, 500, 500),
        ("PLUGIN_HYBRID", "476", 40, 40, None, None),
        ("PLUGIN_HYBRID", float("inf"), 10**400, 40, None, None),
    ],
)
def test_ranges_by_drive_train(drive_train, fuel_range, electric_range, liters, fuel, total) -> None:
    """facts/mybmw.md section 9.2; a plug-in hybrid's fuel range is the sum as sent, and never below 0."""
    assert v.range_fuel(drive_train, fuel_range, electric_range, liters) == fuel
    assert v.range_total(drive_train, fuel_range, electric_range, liters) == total


def test_an_electric_car_has_no_fuel_even_if_it_says_so() -> None:
    assert v.fuel("ELECTRIC", 10, None) is None
    assert v.fuel("COMBUSTION", 10, None) == 10
    assert v.fuel(None, 10, None) is None
    assert v.fuel(None, 10, 31) == 10
    assert v.electric(v.quantity)("COMBUSTION", 55) is None
    assert v.electric(v.quantity)(None, 55) == 55


def test_an_end_of_charging_stands_on_the_cars_report() -> None:
    end = datetime(2026, 3, 2, 13, 35, tzinfo=UTC)
    assert v.charging_end("CHARGING", 95, "2026-03-02T12:00:00Z") == end
    assert v.charging_remaining("CHARGING", 95) == 5700
    assert v.charging_remaining("CHARGING", 0) == 0
    assert v.charging_end("INVALID", 95, "2026-03-02T12:00:00Z") is None
    assert v.charging_end("CHARGING", 95, "0001-01-01T00:00:00Z") is None
    assert v.charging_end("CHARGING", -1, "2026-03-02T12:00:00Z") is None
    assert v.charging_end("CHARGING", 10**8, "2026-03-02T12:00:00Z") is None


@pytest.mark.parametrize(
    ("received", "hour", "minute", "start"),
    [
        # today still ahead, today this very moment, tomorrow
        ("2026-01-10T12:00:00+00:00", 13, 0, "2026-01-10T13:00:00+00:00"),
        ("2026-01-10T13:00:00+00:00", 13, 0, "2026-01-10T13:00:00+00:00"),
        ("2026-01-10T13:00:01+00:00", 13, 0, "2026-01-11T13:00:00+00:00"),
        # summer: the window is in the car's zone, and so is "today"
        ("2026-06-10T12:00:01+00:00", 13, 0, "2026-06-11T12:00:00+00:00"),
        ("2026-06-10T23:30:00+00:00", 0, 45, "2026-06-10T23:45:00+00:00"),
        # 29 March 2026, 01:00 UTC: from 01:00 to 02:00; 01:30 does not exist and falls on 02:30
        ("2026-03-28T23:00:00+00:00", 4, 30, "2026-03-29T03:30:00+00:00"),
        ("2026-03-28T23:00:00+00:00", 1, 30, "2026-03-29T01:30:00+00:00"),
        # 25 October 2026, 01:00 UTC: from 02:00 to 01:00; 01:30 is there twice
        ("2026-10-24T23:30:00+00:00", 1, 30, "2026-10-25T00:30:00+00:00"),
        ("2026-10-25T00:45:00+00:00", 1, 30, "2026-10-26T01:30:00+00:00"),
        ("2026-10-25T00:45:00+00:00", 3, 0, "2026-10-25T03:00:00+00:00"),
    ],
)
def test_the_next_start_of_the_window(received, hour, minute, start) -> None:
    at = datetime.fromisoformat(received)
    expected = datetime.fromisoformat(start)
    assert v.charging_start("WAITING_FOR_CHARGING", hour, minute, at, LONDON) == expected


@pytest.mark.parametrize(
    ("status", "hour", "minute"),
    [
        ("CHARGING", 1, 0),
        (None, 1, 0),
        ("WAITING_FOR_CHARGING", None, 0),
        ("WAITING_FOR_CHARGING", 1, None),
        ("WAITING_FOR_CHARGING", 24, 0),
        ("WAITING_FOR_CHARGING", 1, -1),
        ("WAITING_FOR_CHARGING", "1", 0),
    ],
)
def test_no_start_of_charging(status, hour, minute) -> None:
    assert v.charging_start(status, hour, minute, NOON, LONDON) is None


@pytest.mark.parametrize(
    ("north", "east", "pair"),
    [
        (54.7, 2.2, (54.7, 2.2)),
        (0, 2.2, (0, 2.2)),
        (-54, 0, (-54, 0)),
        (0, 0, None),
        (0.0, 0, None),
        (91, 0, None),
        (54, 181, None),
        (54, None, None),
        ("54.7", 2.2, None),
        (float("nan"), 2.2, None),
        (True, 2.2, None),
    ],
)
def test_a_position_is_a_pair_on_this_planet(north, east, pair) -> None:
    assert (v.latitude(north, east), v.longitude(north, east)) == (pair or (None, None))


@pytest.mark.parametrize(("value", "degrees"), [(0, 0), (360, 360), (-1, None), (361, None), ("N", None)])
def test_a_heading(value, degrees) -> None:
    assert v.heading(value) == degrees


@pytest.mark.parametrize(
    ("state", "kind", "sunroof", "top"),
    [
        ("CLOSED", "SUN_ROOF", False, None),
        ("OPEN_TILT", "SUN_ROOF", True, None),
        ("INTERMEDIATE", None, True, None),
        ("OPEN", "PANORAMA", True, None),
        ("INVALID", "SUN_ROOF", None, None),
        ("OPEN", "RETRACTABLE_SOFT_TOP", None, True),
        ("CLOSED", "CONVERTIBLE", None, False),
    ],
)
def test_a_convertibles_top_is_no_sunroof(state, kind, sunroof, top) -> None:
    assert (v.sunroof(state, kind), v.convertible_top(state, kind)) == (sunroof, top)


@pytest.mark.parametrize(
    ("word", "is_open"),
    [
        ("CLOSED", False),
        ("OPEN", True),
        ("OPEN_TILT", True),
        ("TILTED", True),
        ("INTERMEDIATE", True),
        ("INTERMEDIATE_TILT", True),
        ("INVALID", None),
    ],
)
def test_openings(word, is_open) -> None:
    assert v.opening(word) is is_open


def test_an_opening_that_we_do_not_know_is_given_back_to_be_counted() -> None:
    """The library says "open" for it."""
    assert v.opening("AJAR") == "ajar"
    assert v.opening("UNKNOWN") is None


def test_a_software_version_as_the_car_shows_it() -> None:
    assert v.software_version(7, 21, 550, 2020) == "07/2021.50"
    assert v.software_version(11, 99, 470, 1999) == "11/1999.70"
    assert v.software_version(0, 0, 0, 2020) is None
    assert v.software_version(7, 21, None, 2020) is None
    assert v.software_version(7, 21, 550.5, 2020) is None


@pytest.mark.parametrize(
    ("raw", "brand"),
    [("BMW", "bmw"), ("BMW_I", "bmw"), ("MINI", "mini"), ("DRITTKUNDE", "toyota"), ("_", None), (None, None)],
)
def test_brands(raw, brand) -> None:
    assert v.brand(raw) == brand


def test_of_two_messages_of_one_type_the_worse_counts() -> None:
    types = ["ENGINE_OIL", "ENGINE_OIL", "ENGINE_OIL", "TIRE_PRESSURE", None]
    severities = ["LOW", "CRITICAL", "MEDIUM", "OK", "HIGH"]
    assert v.check_controls(types, severities) == {"engine_oil": "critical"}


def test_a_service_distance_of_zero_is_none() -> None:
    assert v.service_distances(["OIL", "BRAKE_FLUID"], [0, -20]) == {"brake_fluid": -20}


@pytest.mark.parametrize(
    ("raw", "name"),
    [("TIRE_PRESSURE", "tire_pressure"), ("Flux capacitor!", "flux_capacitor"), ("!!", None), (7, None)],
)
def test_dimensions_are_short_tokens(raw, name) -> None:
    assert v.dimension(raw) == name


def test_texts_lose_what_cannot_be_written() -> None:
    assert v.label("  i4\x00\ud800 M50\n") == "i4 M50"
    assert v.label("\ud800") is None
    assert v.label(True) is None
