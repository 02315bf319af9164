"""The wait that a server asks for by a header."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from poller.runtime.retry_after import retry_after

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("Sat, 21 Nov 2026 14:00:30 GMT", 30),
        ("Sat, 21 Nov 2026 14:00:30 -0000", 30),
        ("Sat, 21 Nov 2026 13:59:30 GMT", -30),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds) -> None:
    assert retry_after(value, NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize("value", [None, "", "soon", "-5", "1.5", "9" * 40, "Sat, 99 Nov 2026 14:00:30 GMT"])
def test_a_retry_after_that_cannot_be_read_is_none(value) -> None:
    assert retry_after(value, NOW) is None
