"""How long an account is left alone."""

from datetime import UTC, datetime, timedelta

import pytest

from poller.errors import LoginRequired, RateLimited, SourceBlocked, SourceUnavailable
from poller.schedule.backoff import LONGEST, BackOff

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def after(error, *times):
    backoff = BackOff()
    for each in (error, *times):
        backoff = backoff.after(each, now=NOW, interval=300, login_version="1")
    return backoff


def test_the_first_failure_waits_for_the_next_tick_only():
    assert after(SourceUnavailable()).allows(NOW, "1")


def test_an_outage_is_met_with_growing_pauses_that_end_at_an_hour():
    pauses = []
    for failures in range(2, 40):
        until = after(*[SourceUnavailable()] * failures).until
        pauses.append((until - NOW).total_seconds())
    assert all(0 <= pause <= LONGEST for pause in pauses)
    assert max(pauses) > 600


@pytest.mark.parametrize("error", [RateLimited, SourceBlocked])
def test_what_the_server_says_is_kept_to_the_second(error):
    until = NOW + timedelta(hours=2, minutes=12, seconds=20)
    backoff = after(error(until))
    assert not backoff.allows(until - timedelta(seconds=1), "1")
    assert backoff.allows(until, "1")


def test_a_missing_login_is_asked_again_only_when_another_login_is_stored():
    backoff = after(LoginRequired())
    assert not backoff.allows(NOW + timedelta(days=30), "1")
    assert backoff.allows(NOW, "2")


@pytest.mark.parametrize(
    "backoff", [BackOff(), after(LoginRequired()), after(RateLimited(NOW)), after(SourceUnavailable())]
)
def test_a_restart_changes_nothing(backoff):
    assert BackOff.from_json(backoff.to_json()) == backoff


def test_a_wait_noted_by_a_clock_that_was_ahead_is_not_kept_for_years():
    backoff = after(RateLimited(NOW + timedelta(days=1)))
    assert not backoff.allows(NOW, "1")
    assert backoff.allows(NOW - timedelta(days=400), "1")
