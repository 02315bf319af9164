"""What `poller status` prints of a source with quota, stream and login."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from poller.cli.status import lines
from poller.runtime.status import (
    AlertStatus,
    Condition,
    DaemonStatus,
    Failure,
    JournalStatus,
    QuotaStatus,
    Silence,
    SourceStatus,
    StreamStatus,
)
from poller.testing.daemon import StillDaemon
from poller.web.channels import condition_words
from poller.web.model import status_json

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
SOURCE = SourceStatus(
    "home",
    "cardata",
    "ok",
    900,
    last_success_at=NOW - timedelta(minutes=2),
    login_expires_at=NOW + timedelta(days=14, seconds=-20),
    quota=QuotaStatus(50, 38, 10, 12, 8, NOW + timedelta(minutes=20), {"polling": 6, "set-up": 2}),
    stream=StreamStatus("connected", NOW - timedelta(hours=1), NOW - timedelta(minutes=12)),
)


def told(source: SourceStatus, journal: JournalStatus | None = None) -> list[str]:
    status = DaemonStatus("1", NOW, NOW, [source], journal=journal or JournalStatus())
    # As it travels: through the control socket.
    report = json.loads(json.dumps({"running": True, **status_json(StillDaemon(status))}))
    return list(lines(report))


def test_quota_stream_and_login_have_a_line_each():
    text = told(SOURCE)
    assert text[0] == "All is well."
    at, since = ((NOW + timedelta(minutes=m)).astimezone().strftime("%H:%M") for m in (20, -60))
    assert "  login: good for 14 days" in text
    calls = ("calls left: 38 of 50 (10 kept in reserve)", f"next poll's call: {at}")
    assert "  " + "; ".join([*calls, "spent in 24 h: instead of the stream 6, first values 2"]) in text
    assert f"  stream: connected since {since}; last message: 12 min ago" in text


def test_a_login_is_to_be_renewed_from_four_days_on():
    short = replace(SOURCE, login_expires_at=NOW + timedelta(days=3))
    assert "  login: good for 3 days: renew it with `poller login home`" in told(short)


@pytest.mark.parametrize(
    "dead", [{"state": "login_required"}, {"silences": [Silence("refused", "not taken", "log in")]}]
)
def test_a_login_that_is_refused_is_not_called_good(dead):
    text = told(replace(SOURCE, **dead))
    assert "  login: refused" in text
    assert not any("good for" in line for line in text)


def test_what_one_car_is_refused_leaves_the_login_good():
    text = told(replace(SOURCE, silences=[Silence("refused", "not yours", vehicle="0000001")]))
    assert "  login: good for 14 days" in text


def test_raised_alerts_are_listed_and_the_verdict_counts_them():
    raised = AlertStatus("mini", "tyre", "", "warning", NOW - timedelta(hours=3), "Tyre low", "2.0 bar")
    status = DaemonStatus("1", NOW, NOW, [SOURCE], alerts=[raised])
    text = list(lines({"running": True, **status_json(StillDaemon(status))}))
    assert text[:2] == [
        "All is well with the poller; 1 alert is raised.",
        "alert warning: Tyre low (3 h ago)",
    ]


def test_without_a_daemon_what_keeps_it_from_being_ready_stands_at_its_source():
    source = replace(SOURCE, state="login_required", silences=[Silence("refused", "no scope", "tick it")])
    report = {"running": True, **status_json(StillDaemon(DaemonStatus("1", NOW, NOW, [source])))}
    report["reasons"] = ["source home: login required: no scope"]
    assert "  refused: no scope" not in list(lines(report))
    assert "  refused: no scope" in list(lines(report | {"running": False}))


@pytest.mark.parametrize("condition", get_args(Condition))
def test_each_silence_is_told_with_its_mend(condition):
    text = told(
        replace(SOURCE, silences=[Silence(condition, "in its own words", "do this", None, "0000001")])
    )
    assert f"  {condition_words(condition)} (0000001): in its own words" in text
    assert "    → do this" in text
    assert text[0] == ("All is well." if condition == "car_quiet" else "Ready, but not everything works:")


def test_what_the_verdict_says_is_not_said_again():
    source = replace(
        SOURCE,
        state="login_required",
        failure=Failure(NOW, "scope", "no scope", "tick it"),
        silences=[Silence("refused", "no scope", "tick it")],
    )
    text = told(source)
    assert [line for line in text if "no scope" in line] == [
        "! source home: login required: no scope; tick it"
    ]


def test_why_the_stream_is_not_connected():
    failure = Failure(NOW, "dns", "the name cannot be resolved")
    stream = StreamStatus("no_network", NOW, None, NOW + timedelta(minutes=1), failure)
    [line] = [line for line in told(replace(SOURCE, stream=stream)) if line.startswith("  stream")]
    assert "no network since" in line
    assert "; why: the name cannot be resolved; next try: " in line


def test_a_journal_that_was_set_aside():
    text = told(SOURCE, JournalStatus("/data/journal.db", set_aside=["journal.db.corrupt-1"]))
    assert (
        "  a damaged one was set aside: `poller salvage /data/journal.db.corrupt-1`, then delete it" in text
    )


def test_keys_of_a_newer_daemon_are_passed_over():
    status = DaemonStatus("1", NOW, NOW, [SOURCE])
    report = {"running": True, **status_json(StillDaemon(status))}
    report["sources"][0]["quota"]["unheard_of"] = 1
    assert any("38 of 50" in line for line in lines(report))
