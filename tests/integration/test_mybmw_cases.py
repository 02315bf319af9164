"""Our own made-up cars: a folder in tests/cases/mybmw is a test."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from mybmw_cloud import synthetic_cases

from poller.sources.mybmw.meaning.parse import parse
from poller.vehicle.records import json_value, rfc3339


@pytest.mark.parametrize("case", synthetic_cases(), ids=lambda case: case.name)
def test_a_case_reads_as_expected(case) -> None:
    """Readings, times and unknown words, no more and no less."""
    snapshot = parse(case.answer(), ZoneInfo(case.expected["timezone"]))
    assert {key: json_value(reading.value) for key, reading in snapshot.readings.items()} == case.expected[
        "readings"
    ]
    assert [list(token) for token in snapshot.unknown_tokens] == case.expected["unknown"]
    observed = snapshot.observed_at and rfc3339(snapshot.observed_at)
    assert observed == case.expected["observed_at"]
