"""Our own made-up CarData cars: a folder in tests/cases/cardata is a test."""

from __future__ import annotations

import pytest
from cardata_cases import cases

from poller.sources.cardata.cars.state import CarState
from poller.sources.cardata.meaning.parse import origins, parse
from poller.vehicle.records import json_value, rfc3339


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_case_reads_as_expected(case) -> None:
    """Readings, each one's time of measurement, and unknown words: no more and no less."""
    snapshot = parse(case.answer(), case.expected.get("steering"))
    read = {key: json_value(reading.value) for key, reading in snapshot.readings.items()}
    assert read == case.expected["readings"]
    observed = snapshot.observed_at and rfc3339(snapshot.observed_at)
    assert observed == case.expected["observed_at"]
    times = {
        key: reading.observed_at and rfc3339(reading.observed_at)
        for key, reading in snapshot.readings.items()
        if reading.observed_at != snapshot.observed_at
    }
    assert times == case.expected["reading_times"]
    descriptors = [["descriptor", name] for name in case.expected["unknown_descriptors"]]
    assert [list(token) for token in snapshot.unknown_tokens] == case.expected["unknown"] + descriptors
    assert list(case.state().unknown) == case.expected["unknown_descriptors"]


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_case_can_be_stored_and_sent_again(case) -> None:
    """The state's JSON gives it back; what is sent once more, in whatever order, is not newer."""
    state = case.state()
    assert CarState.from_json(state.to_json()) == state
    for one in (*case.sent, *reversed(case.sent)):
        again, _ = one.merged_into(state)
        assert {name: held.timestamp for name, held in again.held.items()} == {
            name: held.timestamp for name, held in state.held.items()
        }
        assert again.position == state.position


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_every_reading_has_an_origin(case) -> None:
    found = origins(case.answer(), case.expected.get("steering"))
    assert found.keys() == case.expected["readings"].keys()
    assert {one.via for one in found.values()} <= {"stream", "rest", "basicData"}
