"""What `poller status` prints of a source with quota, stream and login."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from poller.cli.status import lines
from poller.cli.wording import wrapped
from poller.runtime.status import (
    AlertStatus,
    Condition,
    DaemonStatus,
    Failure,
    JournalStatus,
    OrderStatus,
    QuotaStatus,
    Silence,
    SinkStatus,
    SourceStatus,
    StreamStatus,
)
from poller.testing.daemon import StillDaemon
from poller.vehicle.fleet import Fleet
from poller.vehicle.snapshot import SnapshotBuilder
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


def test_two_sources_that_fail_in_the_same_words_are_both_named():
    """One is a reason already, the other's failure is young."""
    failure = Failure(NOW, "network", "nobody answers", "look at the network")
    young = replace(SOURCE, state="failing", failure=failure)
    old = replace(young, name="old", last_success_at=NOW - timedelta(hours=2))
    text = list(
        lines({"running": True, **status_json(StillDaemon(DaemonStatus("1", NOW, NOW, [old, young])))})
    )
    wrong = [line for line in text if line.startswith("! ")]
    assert wrong[0].startswith("! source old: no success for 2 h (allowed 15 min): nobody answers")
    assert wrong[1:] == ["! source home: nobody answers; look at the network"]


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
    words = f"{condition_words(condition)} (0000001): in its own words"
    if condition == "car_quiet":  # no fault: it stands at its source
        assert text[0] == "All is well."
        assert text[text.index(f"  {words}") + 1] == "    → do this"
    else:
        assert text[:2] == ["Ready, but not everything works:", f"! source home: {words}; do this"]
    assert "\n".join(text).count("in its own words") == 1


def test_what_is_wrong_comes_first_then_cars_sinks_and_sources():
    failing = SinkStatus(
        "axiom", "axiom", False, up=False, failure=Failure(NOW, "network", "no route", "plug")
    )
    fleet = Fleet()
    fleet.update(SnapshotBuilder("home", "WMW00000000000001", NOW, NOW).build())
    order = OrderStatus("0000001", "bmw", "lock", "executed", NOW - timedelta(minutes=5), NOW)
    status = DaemonStatus("1", NOW, NOW, [SOURCE], [failing], orders=[order])
    text = list(lines({"running": True, **status_json(StillDaemon(status, fleet=fleet))}))
    assert text[:2] == ["Ready, but not everything works:", "! sink axiom: no route; plug"]
    assert text[2:4] == [
        "vehicle 0000001: car reported just now",
        "  last order: lock the doors: done, 5 min ago",
    ]
    assert [line.split()[0] for line in text[4:] if not line.startswith(" ")] == [
        "sink",
        "source",
        "journal:",
    ]
    assert "\n".join(text).count("no route") == 1


def test_without_a_daemon_nothing_starts_and_a_wrong_clock_is_said_first():
    status = DaemonStatus("1", NOW, NOW, [replace(SOURCE, state="starting")], clock_set=False)
    text = list(lines({"running": False, **status_json(StillDaemon(status))}))
    assert text[1].startswith("! clock: clock not set")
    [source] = [line for line in text if line.startswith("source")]
    assert source == "source home (cardata): last look 2 min ago"


def test_nothing_is_wider_than_a_terminal():
    told = ["  calls left: 38 of 50 (10 kept in reserve); spent in 24 h: instead of the stream 6, first 2"]
    assert list(wrapped(told)) == [
        "  calls left: 38 of 50 (10 kept in reserve); spent in 24 h: instead of the",
        "      stream 6, first 2",
    ]
    command = f"`poller salvage /data/{'x' * 60}`"
    assert list(wrapped([f"a damaged one was set aside: {command}, then delete it"])) == [
        "a damaged one was set aside:",
        f"    {command},",
        "    then delete it",
    ]


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


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "ok, last look 2 min ago"),
        ({"stream": None}, "ok, last answer 2 min ago"),
        ({"silences": [Silence("no_network", "BMW is not reached")]}, "no network, last look 2 min ago"),
        ({"silences": [Silence("car_quiet", "-", vehicle="1")]}, "car quiet (1), last look 2 min ago"),
        ({"state": "backing_off", "silences": [Silence("refused", "-")]}, "backing off, last look 2 min ago"),
    ],
)
def test_a_sources_own_line_says_the_condition_as_the_page_does(changes, said):
    [line] = [line for line in told(replace(SOURCE, **changes)) if line.startswith("source")]
    assert line == f"source home (cardata): {said}"


@pytest.mark.parametrize(("number", "answers"), [(1, "1 answer"), (2, "2 answers")])
def test_what_was_not_understood_has_its_mend_below(number, answers):
    text = told(SOURCE, JournalStatus(quarantined=number, orphans=[("old", number)]))
    place = text.index(f"  {answers} could not be understood: `poller dead-letters list`")
    assert "`poller dead-letters retry`" in text[place + 1]
    assert "`poller dead-letters drop`" in text[place + 1]
    assert f"with {number} record{'s' * (number != 1)}: `poller sinks forget old`" in text[place + 2]
