"""What is let into a snapshot, and that a record gives it back."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.vehicle.answer import Answer
from poller.vehicle.records import dumps, parse_time, rfc3339, snapshot_of, snapshot_record
from poller.vehicle.signals import SIGNALS
from poller.vehicle.snapshot import MAX_DIMENSIONS, Reading, Snapshot, SnapshotBuilder, merge

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
VIN = "WMW00000000000001"
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.datetimes(timezones=st.just(UTC)),
    st.lists(st.integers()),
)


def builder():
    return SnapshotBuilder("bmw", VIN, NOON, NOON - timedelta(minutes=3))


def answer(body=b"{}"):
    return Answer("bmw", "mybmw", VIN, NOON, {"state": body})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("soc_percent", 101),
        ("soc_percent", math.nan),
        ("soc_percent", "80"),
        ("soc_percent", True),
        ("odometer_km", 0),
        ("latitude_degrees", 90.01),
        ("plugged", 1),
        ("charging_end_at", datetime(2026, 11, 21, 12, 0)),
        ("lock_state", 7),
        ("model", "   "),
        ("model", ["i3"]),
    ],
)
def test_what_a_signal_cannot_be_is_absent(key, value):
    made = builder()
    made.put(key, value)
    assert key not in made.build().readings
    assert made.build().unknown_tokens[0][0] == key


def test_an_unknown_word_becomes_unknown_and_is_counted():
    made = builder()
    made.put("charging_state", "WARP_DRIVE")
    assert made.build().value("charging_state") == "unknown"
    assert made.build().unknown_tokens == (("charging_state", "WARP_DRIVE"),)


def test_a_broken_list_does_not_become_a_thousand_series():
    made = builder()
    for number in range(1000):
        made.put("check_control", "low", dimension=f"message_{number}")
    assert len(made.build().readings) == MAX_DIMENSIONS


@given(key=st.sampled_from([signal.key for signal in SIGNALS]), value=VALUES, dimension=st.none() | st.text())
def test_nothing_a_vendor_sends_raises_and_what_is_kept_survives_the_journal(key, value, dimension):
    made = builder()
    made.put(key, value, dimension=dimension)
    snapshot = made.build()
    record = snapshot_record(snapshot, answer())
    dumps(dict(record.body))
    back = snapshot_of(record)
    assert set(back.readings) == set(snapshot.readings)
    for name, reading in snapshot.readings.items():
        if not isinstance(reading.value, datetime):
            assert back.readings[name] == reading


def test_unchanged_means_same_readings_and_times_not_same_bytes():
    one, two, later = builder(), builder(), builder()
    for made in (one, two, later):
        made.put("soc_percent", 80)
    two.received_at = NOON + timedelta(minutes=5)
    later.observed_at = NOON
    later.put("soc_percent", 80)
    assert one.build().fingerprint() == two.build().fingerprint()
    assert one.build().fingerprint() != later.build().fingerprint()


def test_the_same_dump_taken_in_twice_is_one_record():
    made = builder()
    made.put("soc_percent", 80)
    snapshot = made.build()
    assert snapshot_record(snapshot, answer()).id == snapshot_record(snapshot, answer()).id
    assert snapshot_record(snapshot, answer()).id != snapshot_record(snapshot, answer(b"{ }")).id


def test_a_reading_keeps_a_time_of_its_own_or_none_at_all():
    snapshot = Snapshot(
        "bmw",
        VIN,
        NOON,
        NOON,
        {
            "soc_percent": Reading(80, NOON - timedelta(hours=1)),
            "plugged": Reading(value=True, observed_at=None),
            "charging": Reading(value=False, observed_at=NOON),
        },
    )
    record = snapshot_record(snapshot, answer())
    assert record.body["reading_times"] == {"soc_percent": "2026-11-21T11:00:00.000Z", "plugged": None}
    assert snapshot_of(record) == snapshot


def test_two_sources_are_merged_per_signal_by_the_newest_time():
    def snapshot(source, minutes, **readings):
        at = NOON - timedelta(minutes=minutes)
        return Snapshot(source, VIN, NOON, at, {key: Reading(value, at) for key, value in readings.items()})

    merged = merge(
        [snapshot("stream", 1, soc_percent=79), snapshot("rest", 30, soc_percent=85, odometer_km=1000)]
    )
    assert merged["soc_percent"] == (Reading(79, NOON - timedelta(minutes=1)), "stream")
    assert merged["odometer_km"][1] == "rest"


def test_a_value_without_a_time_yields_to_one_that_has_one():
    timeless = Snapshot("dumps", VIN, NOON, None, {"soc_percent": Reading(10)})
    timed = Snapshot("bmw", VIN, NOON, NOON, {"soc_percent": Reading(80, NOON - timedelta(days=9))})
    for order in ([timeless, timed], [timed, timeless]):
        assert merge(order)["soc_percent"][1] == "bmw"


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)))
def test_times_are_written_one_way_and_read_back(moment):
    text = rfc3339(moment)
    assert text.endswith("Z")
    assert abs(parse_time(text) - moment) < timedelta(milliseconds=1)


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="no time zone"):
        parse_time("2026-11-21T12:00:00")


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_utc_does_not_have_is_a_value_error(text):
    with pytest.raises(ValueError, match="out of range"):
        parse_time(text)
