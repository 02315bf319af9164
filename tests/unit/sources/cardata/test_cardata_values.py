"""One reader for REST's strings and the stream's types."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poller.sources.cardata.meaning import meanings as m
from poller.sources.cardata.meaning import values as v
from poller.sources.cardata.meaning.values import Presence, Strange

CONVERTERS = [
    m.flag, m.opening, m.plugged, m.charging, m.charging_state, m.charging_mode, m.charging_preference,
    m.charging_control_type, m.charging_connection, m.ac_limited, m.lock_state, m.locked, m.armed,
    m.climate_state, m.service_state, m.severity, m.distance, m.positive_distance, m.volume, m.energy,
    m.power, m.pressure, m.current, m.voltage, m.seconds, m.percent, m.health, m.heading, m.due,
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "presence"),
    [
        (None, Presence.NULL),
        ("", Presence.NULL),
        ("null", Presence.NULL),
        ("-", Presence.NULL),
        ("-NA-", Presence.NOT_AVAILABLE),
        ("-na-", Presence.NOT_AVAILABLE),
        ("INVALID", Presence.SENTINEL),
        ("SIGNAL_INVALID", Presence.SENTINEL),
        ("unknown", Presence.SENTINEL),
        ("ASN_isUnknown", Presence.SENTINEL),
        ("ASN_unknown", Presence.SENTINEL),
        (0, Presence.VALUE),
        (False, Presence.VALUE),
        ("0", Presence.VALUE),
        ("CLOSED", Presence.VALUE),
        ("открыто", Presence.VALUE),
    ],
)
def test_the_ways_to_say_nothing_are_kept_apart(value, presence) -> None:
    assert v.presence(value) is presence


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("81623", 81623),
        (81623, 81623),
        (81623.0, 81623),
        ("0.0", 0),
        (" 13.92 ", 13.92),
        ("-3", -3),
        ("1e3", 1000),
        ("12 345", None),
        ("12,5", None),
        ("1_000", None),
        ("0x10", None),
        ("٣", None),
        ("nan", None),
        ("inf", None),
        ("1e400", None),
        (float("nan"), None),
        (10**400, None),
        (True, None),
        (None, None),
        ("", None),
    ],
)
def test_a_number_is_the_same_as_text_and_as_number(value, number) -> None:
    read = v.number(value)
    assert (read, type(read)) == (number, type(number))


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("km", "km"), ("KM", "km"), ("KILOMETERS", "km"), ("mi", "mi"), ("miles", "mi"), ("MILES", "mi"),
        ("%", "%"), ("percent", "%"), ("Celsius", "°C"), ("celsius", "°C"), ("°C", "°C"), ("Â°C", "°C"),
        ("kPa", "kPa"), ("kpa", "kPa"), ("gal", "gal"), ("W", "W"), ("kW", "kW"), ("degrees", "°"),
        ("null", None), (None, None), ("", None), ("-", None), (7, None), ("Furlong", "furlong"),
    ],
)  # fmt: skip
def test_units_have_one_spelling(text, unit) -> None:
    assert v.unit(text) == unit


@pytest.mark.parametrize(
    ("convert", "value", "unit", "read"),
    [
        (m.distance, "100", "km", 100),
        (m.distance, 100, "mi", 160.934),
        (m.distance, "100", None, 100),
        (m.distance, "0", "km", 0),
        (m.positive_distance, "0", "km", None),
        (m.distance, "100", "%", Strange("%")),
        (m.volume, "10", "gal", 37.854),
        (m.volume, "24", None, 24),
        (m.power, 7.4, "kW", 7400),
        (m.power, "80", "W", 80),
        (m.pressure, "2.5", "bar", 250),
        (m.pressure, "-NA-", "kPa", None),
        (m.energy, "0.00", "kWh", None),
        (m.energy, "INVALID", "kWh", None),
        (m.seconds, "95", "min", 5700),
        (m.percent, "62", "percent", 62),
        (m.percent, 254, "%", None),
        (m.percent, "-1", "%", None),
        (m.percent, "many", "%", Strange("many")),
        (m.health, "102", None, 102),
        (m.heading, "-1", "°", None),
        (m.heading, "south", "°", None),
        (m.flag, True, None, True),
        (m.flag, "False", None, False),
        (m.flag, "ASN_isTrue", None, True),
        (m.flag, "asn_isfalse", None, False),
        (m.flag, "ASN_isUnknown", None, None),
        (m.opening, "Closed", None, False),
        (m.opening, "OPEN_TILT", None, True),
        (m.opening, "INTERMEDIATE", None, True),
        (m.opening, False, None, False),
        (m.opening, "AJAR", None, Strange("AJAR")),
        (m.plugged, "CONNECTED", None, True),
        (m.plugged, "true", None, True),
        (m.plugged, "ERROR", None, None),
        (m.charging_state, "CHARGINGACTIVE", None, "charging"),
        (m.charging_state, "ChargingEnded", None, "complete"),
        (m.charging_state, "WAITING_FOR_CHARGING", None, "waiting"),
        (m.charging, "CHARGINGPAUSED", None, False),
        (m.lock_state, "SELECTIVELOCKED", None, "selective_locked"),
        (m.lock_state, "ASN_selective-Locked", None, "selective_locked"),
        (m.locked, "SECURED", None, True),
        (m.locked, "SELECTIVE-LOCKED", None, False),
        (m.armed, "unarmed", None, False),
        (m.armed, "doorsOnly", None, True),
        (m.ac_limited, "AC_LIMIT_ACTIVE", None, True),
        (m.climate_state, "DEFROST", None, "heating"),
        (m.climate_state, "standby", None, "standby"),
        (m.charging_mode, "<xml/>", None, None),
        (m.charging_mode, "IMMEDIATE_CHARGING", None, "immediate_charging"),
        (m.due, "2027-07", None, datetime(2027, 7, 1, tzinfo=UTC)),
        (m.due, "2027-07-15", None, datetime(2027, 7, 15, tzinfo=UTC)),
        (m.due, "17.01.2027 00:00:00 UTC", None, datetime(2027, 1, 17, tzinfo=UTC)),
        (m.due, "01/17/2027 00:00 UTC", None, datetime(2027, 1, 17, tzinfo=UTC)),
        (m.due, "2027-07-01T00:00:00Z", None, datetime(2027, 7, 1, tzinfo=UTC)),
        (m.due, "31.02.2027 00:00:00 UTC", None, Strange("31.02.2027 00:00:00 UTC")),
        (m.due, "-", None, None),
    ],
)
def test_a_value_means(convert, value, unit, read) -> None:
    assert convert(value, unit) == read


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ('[{"id": 1}, 7, null]', [{"id": 1}]),
        ('{"id": 1}', [{"id": 1}]),
        ("[]", []),
        ("null", None),
        ("no JSON", None),
        ("[" * 100_000, None),
        (None, None),
        (7, None),
    ],
)
def test_json_inside_a_string(text, items) -> None:
    assert v.listed(text) == items


@pytest.mark.parametrize(("said", "side"), [("LL", "left"), ("RL", "right"), ("right", "right"), (7, None)])
def test_the_side_of_the_steering_wheel(said, side) -> None:
    assert m.steering(said) == side


def test_the_same_drive_train_has_the_same_word_from_either_cloud() -> None:
    assert [m.drive_train(word) for word in ("BEV", "PHEV", "CONV", "mhev", "FCEV", None)] == [
        "electric", "plugin_hybrid", "combustion", "mild_hybrid", "fcev", None,
    ]  # fmt: skip


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)


def test_a_number_that_python_refuses_to_write_is_refused_quietly() -> None:
    assert [convert(10**5000, None) for convert in (m.flag, m.due)] == [Strange("a huge number")] * 2
    assert v.number(10**5000) is None


@settings(max_examples=50)
@given(scalars, st.none() | st.text(max_size=8) | st.sampled_from(["km", "%", "W"]))
def test_nothing_makes_a_converter_raise(value, unit) -> None:
    for convert in CONVERTERS:
        read = convert(value, v.unit(unit))
        assert read is None or isinstance(read, bool | int | float | str | datetime | Strange)
