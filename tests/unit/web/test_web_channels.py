"""Quota, stream and silences in an owner's words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from poller.runtime.status import Condition, Failure, QuotaStatus, Silence, StreamStatus
from poller.web.channels import condition_words, quota_lines, silence_words, stream_lines

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)


def clock(moment: datetime) -> str:
    return f"{moment:%H:%M}"


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("quota", "said"),
    [
        (
            QuotaStatus(50, 38, 10, next_free_at=ago(-20), purposes={"set-up": 2, "polling": 6}),
            {
                "calls left": "38 of 50 (10 kept in reserve)",
                "next poll's call": "14:20",
                "spent in 24 h": "instead of the stream 6, first values 2",
            },
        ),
        (QuotaStatus(50, 4, 10, next_free_at=ago(1)), {"calls left": "4 of 50 (4 kept in reserve)"}),
        (QuotaStatus(50, 0), {"calls left": "0 of 50"}),
    ],
)
def test_calls(quota, said):
    assert dict(quota_lines(quota, NOW, clock)) == said


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (
            StreamStatus("connected", ago(58), ago(12)),
            {"stream": "connected since 13:02", "last message": "12 min ago"},
        ),
        (
            StreamStatus("connected", ago(1), own_broker=True),
            {"stream": "connected since 13:59, your own broker", "last message": "none yet"},
        ),
        (
            StreamStatus("kicked", ago(3), ago(3), ago(-5), Failure(ago(3), "kicked", "taken")),
            {
                "stream": "another client keeps taking the connection since 13:57",
                "last message": "3 min ago",
                "why": "taken",
                "next try": "14:05",
            },
        ),
        (
            StreamStatus("waiting", ago(3), retry_at=ago(1)),
            {"stream": "not connected since 13:57", "last message": "none yet"},
        ),
    ],
)
def test_the_stream(stream, said):
    assert dict(stream_lines(stream, NOW, clock)) == said


def test_the_five_silences_are_told_apart():
    words = [condition_words(condition) for condition in get_args(Condition)]
    assert words == ["refused", "no network", "calls spent", "stream down", "car quiet"]


@pytest.mark.parametrize(
    ("silence", "said"),
    [
        (Silence("refused", "no login is stored"), "refused: no login is stored"),
        (Silence("car_quiet", "all works", vehicle="0000001"), "car quiet (0000001): all works"),
        (
            Silence("car_quiet", "all works", since=ago(7 * 60), vehicle="0000001"),
            "car quiet (0000001), for 7 h: all works",
        ),
    ],
)
def test_a_silence_is_named_with_whose_it_is_and_for_how_long(silence, said):
    """A time of day would want a time zone, which /readyz does not have."""
    assert silence_words(silence, NOW) == said
