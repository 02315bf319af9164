"""A record becomes a flat event from a closed list of fields."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.sinks.axiom.event import FIELDS, MAX_FIELDS, READINGS, Line, event_of
from poller.testing.records import VIN, record_number
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import Record
from poller.vehicle.signals import SIGNALS, Kind

RENDERING = Rendering({VIN: "mini"}, location="rounded")


def event(readings=None, **of):
    return event_of(RENDERING.render(record_number(0, readings, **of)))


def test_envelope_and_readings_stand_side_by_side() -> None:
    record = record_number(0, {"odometer_km": 1000, "door_open.front_left": False, "model": "MINI SE"})
    assert event_of(RENDERING.render(record)) == {
        "_time": "2026-11-21T14:00:00.000Z",
        "id": record.id,
        "kind": "snapshot",
        "schema": 1,
        "vehicle": "mini",
        "vin": VIN,
        "source": "fake",
        "observed_at": "2026-11-21T13:58:00.000Z",
        "received_at": "2026-11-21T14:00:00.000Z",
        "odometer_km": 1000.0,
        "door_open.front_left": False,
        "model": "MINI SE",
    }


def test_the_list_of_fields_leaves_room_below_the_smallest_plan() -> None:
    assert len(FIELDS) <= MAX_FIELDS == 200


def test_no_field_begins_with_an_underscore_but_the_time() -> None:
    assert [name for name in FIELDS if name.startswith("_")] == ["_time"]


def test_every_signal_without_an_open_dimension_has_its_fields() -> None:
    missing = [s.key for s in SIGNALS if s.dimension in (None, "position") and not any(
        name == s.key or name.startswith(f"{s.key}.") for name in READINGS
    )]  # fmt: skip
    assert missing == []


def test_a_whole_number_is_a_float_like_any_other_number() -> None:
    text = json.dumps(event({"odometer_km": 1000, "soc_percent": 80.5}))
    assert '"odometer_km": 1000.0' in text


def test_what_has_no_field_of_its_own_is_folded_into_one() -> None:
    made = event({"check_control.tire_pressure": "low", "check_control.warp_core": "high"})
    assert made["check_control.tire_pressure"] == "low"
    assert json.loads(made["other"]) == {"check_control.warp_core": "high"}


def test_a_reading_of_another_type_than_its_signal_s_does_not_change_the_field_s_type() -> None:
    record = Record(
        "r1", "snapshot", VIN, "fake", datetime(2026, 11, 21, tzinfo=UTC), None,
        {"readings": {"odometer_km": "many", "locked": 1}},
    )  # fmt: skip
    made = event_of(RENDERING.render(record))
    assert "odometer_km" not in made
    assert json.loads(made["other"]) == {"odometer_km": "many", "locked": 1}


def test_a_position_is_as_coarse_as_the_sink_may_have_it() -> None:
    assert event({"latitude_degrees": 48.13712})["latitude_degrees"] == 48.14


def test_amended_and_resent_records_say_so() -> None:
    record = Record(
        "r1", "trip", VIN, "fake", datetime(2026, 11, 21, tzinfo=UTC), None,
        {"started_at": "2026-11-20T08:00:00.000Z"}, revision=2, replayed=True,
    )  # fmt: skip
    made = event_of(RENDERING.render(record))
    assert (made["revision"], made["replayed"], made["kind"]) == (2, True, "trip")
    assert json.loads(made["other"]) == {"started_at": "2026-11-20T08:00:00.000Z"}


_TYPES = {Kind.NUMBER: float, Kind.BOOL: bool, Kind.ENUM: str, Kind.TIME: str, Kind.TEXT: str}
_DIMENSIONS = st.from_regex(r"[a-z0-9][a-z0-9_]{0,20}", fullmatch=True)
_VALUES = st.one_of(
    st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.text()
)


@given(
    st.dictionaries(
        st.builds(
            lambda signal, dimension: f"{signal.key}.{dimension}" if signal.dimension else signal.key,
            st.sampled_from(SIGNALS),
            _DIMENSIONS,
        )
        | _DIMENSIONS,
        _VALUES,
        max_size=40,
    )
)
def test_no_car_can_make_a_field_or_change_a_type(readings) -> None:
    """Whatever the readings: only listed fields, each with one type; nothing gets lost."""
    record = Record(
        "r1", "snapshot", VIN, "fake", datetime(2026, 11, 21, tzinfo=UTC), None, {"readings": readings}
    )
    made = event_of(Rendering({}).render(record))
    assert made.keys() <= FIELDS
    kept = json.loads(made.get("other", "{}")).keys() | made.keys()
    assert kept >= readings.keys()
    by_key = {signal.key: signal for signal in SIGNALS}
    for name, value in made.items():
        signal = by_key.get(name.partition(".")[0])
        if name in READINGS and signal is not None:
            assert type(value) is _TYPES[signal.kind]


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_field_names_are_short_and_lower_case(name) -> None:
    assert len(name) <= 60
    assert name == name.lower()


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.none()
        | st.booleans()
        | st.integers(-(2**80), 2**80)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
    )
)
def test_a_line_says_exactly_what_the_event_does(event) -> None:
    """Every number to the last digit, every type as it was, on one line."""
    event["_time"] = "2026-11-21T14:00:00.000Z"
    line = Line(event)
    read = json.loads(line.json)
    assert read == event
    assert {key: type(value) for key, value in read.items()} == {
        key: type(value) for key, value in event.items()
    }
    assert line.json.count(b"\n") == 1
    assert line.json.endswith(b"\n")
    assert line["_time"] == event["_time"]
