"""What a bad answer means, and until when it makes us wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from poller.errors import LoginRequired, RateLimited, SourceBlocked, SourceUnavailable
from poller.sources.mybmw.refusals import refusal

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)


def answer(status: int, body: str = "", **headers: str):
    lower = {name.replace("_", "-"): value for name, value in headers.items()}
    return refusal(status, lower, body.encode(), NOW, login_hint="log in")


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ('{"message": "Rate limit is exceeded. Try again in 2 seconds."}', 2),
        ('{"message": "Rate limit is exceeded. Try again in 12 seconds."}', 12),
        ("try again in 90 sec", 90),
        ("try again in 5s", 5),
        ('{"message": "Quota will be replenished in 00:20:05."}', 1205),
        ('{"message": "Out of call volume quota. Quota will be replenished in 02:12:20."}', 7940),
        ('{"message": "Quota will be replenished in 30:00:00."}', 86400),
        ('{"message": "Try again in 0 seconds."}', 1),
        ('{"message": "Try again in 999999999 seconds."}', 86400),
        ('{"message": "Rate limit is exceeded."}', 300),
        ("quota", 3600),
        ("\udcff", 300),
        ("", 300),
    ],
)
def test_the_wait_of_a_429_is_read_from_its_text(body, seconds) -> None:
    """The library takes the first digit it sees: 0 s for "02:12:20"."""
    error = refusal(429, {}, body.encode("utf-8", "surrogateescape"), NOW, login_hint="")
    assert isinstance(error, RateLimited)
    assert error.until - NOW == timedelta(seconds=seconds)


def test_the_header_counts_more_than_the_text() -> None:
    error = answer(429, "Try again in 12 seconds.", retry_after="60")
    assert isinstance(error, RateLimited)
    assert error.until - NOW == timedelta(seconds=60)


@pytest.mark.parametrize("header", ["Sat, 21 Nov 2026 13:00:00 GMT", "999999999"])
def test_a_senseless_header_is_capped(header) -> None:
    error = answer(429, retry_after=header)
    assert isinstance(error, RateLimited)
    assert timedelta(seconds=1) <= error.until - NOW <= timedelta(days=1)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (429, "slow down", "rate_limited"),
        (429, "Out of call volume QUOTA", "quota"),
        (403, '{"title": "Quota Exceeded"}', "quota"),
    ],
)
def test_a_spent_quota_has_its_own_reason(status, body, reason) -> None:
    error = answer(status, body)
    assert isinstance(error, RateLimited)
    assert error.reason == reason


def test_489_waits_a_day_and_points_to_cardata() -> None:
    error = answer(489, "Blocked")
    assert isinstance(error, SourceBlocked)
    assert error.until - NOW == timedelta(days=1)
    assert "489" in error.message
    assert 'type = "cardata"' in (error.hint or "")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_login_tells_the_human(status) -> None:
    error = answer(status, "forbidden")
    assert isinstance(error, LoginRequired)
    assert error.hint == "log in"


@pytest.mark.parametrize("status", [204, 301, 302, 400, 404, 408, 422])
def test_anything_else_is_asked_again_later(status) -> None:
    error = answer(status, "secret body")
    assert type(error) is SourceUnavailable
    assert error.message == f"BMW answered {status}"
