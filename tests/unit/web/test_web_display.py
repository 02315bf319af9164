"""Numbers and times in an owner's words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from poller.vehicle.display import Display, ago, since, size, span
from poller.vehicle.signals import BY_KEY, SIGNALS, Kind

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)


def display(units="metric", zone="Europe/London"):
    return Display(units, ZoneInfo(zone))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"), (0, "0 s"), (59.4, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"),
        (7500, "2 h 5 min"), (7 * 3600 + 300, "7 h"), (47 * 3600, "47 h"), (72 * 3600, "3 days"),
    ],
)  # fmt: skip
def test_a_span_is_as_precise_as_a_person_needs_it(seconds, text):
    assert span(seconds) == text


def test_a_clock_that_was_set_back_gives_no_negative_age():
    assert since(NOW + timedelta(hours=1), NOW) == 0
    assert ago(NOW + timedelta(hours=1), NOW) == "just now"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (512, "512 B"), (40960, "40 KiB"), (2**31, "2 GiB"), (2**42, "4 TiB")]
)
def test_sizes_are_binary(count, text):
    assert size(count) == text


@pytest.mark.parametrize(
    ("units", "distance", "volume", "pressure"),
    [
        ("metric", "12,345 km", "35 l", "2.4 bar"),
        ("imperial", "7,671 mi", "9.2 gal", "35 psi"),
        ("uk", "7,671 mi", "35 l", "35 psi"),
    ],
)
def test_each_set_of_units_has_its_own(units, distance, volume, pressure):
    shown = display(units)
    assert (shown.distance(12345), shown.volume(35), shown.pressure(241)) == (distance, volume, pressure)


@pytest.mark.parametrize(
    ("delta", "text"),
    [
        (timedelta(), "14:00"),
        (timedelta(hours=11), "01:00"),
        (timedelta(hours=-20), "Fri 18:00"),
        (timedelta(days=3), "Tue 14:00"),
        (timedelta(days=-30), "22 Oct 2026"),
    ],
)
def test_a_moment_is_as_short_as_is_clear(delta, text):
    assert display().moment(NOW + delta, NOW) == text


def test_times_are_the_owners():
    assert display(zone="Asia/Tokyo").clock(NOW) == "23:00:00"
    assert display(zone="Asia/Tokyo").moment(NOW, NOW) == "23:00"


def test_a_summer_moment_is_shown_in_summer_time():
    summer = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    assert display().clock(summer) == "13:00:00"


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("soc_percent", 62, "62 %"),
        ("aux_battery_volts", 12.64, "12.6 V"),
        ("charging_power_watts", 7350, "7.3 kW"),
        ("charging_remaining_seconds", 5040, "1 h 24 min"),
        ("locked", True, "yes"),
        ("charging_state", "target_reached", "target reached"),
        ("charging_end_at", NOW + timedelta(hours=1), "15:00"),
        ("service_due_at", datetime(2027, 3, 1, tzinfo=UTC), "Mar 2027"),
        ("service_due_km", 1400, "1,400 km"),
        ("model", "i4_M50", "i4_M50"),
        ("latitude_degrees", 48.177184, "48.17718°"),
        ("heading_degrees", 120, "120°"),
    ],
)
def test_a_value_is_written_by_its_kind_and_unit(key, value, text):
    assert display().value(BY_KEY[key], value, NOW) == text


@pytest.mark.parametrize("units", ["metric", "imperial", "uk"])
def test_every_signal_of_the_catalogue_can_be_written(units):
    samples = {Kind.NUMBER: 1.5, Kind.BOOL: False, Kind.ENUM: "unknown", Kind.TIME: NOW, Kind.TEXT: "x"}
    for signal in SIGNALS:
        assert display(units).value(signal, samples[signal.kind], NOW)
