"""The poller about itself: no fresh data and why, logins, calls, sinks, disk."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from poller.derive.alerts.settings import Alerts
from poller.derive.alerts.watch import watch
from poller.runtime.status import (
    DaemonStatus,
    Failure,
    JournalStatus,
    QuotaStatus,
    Silence,
    SinkStatus,
    SourceStatus,
)
from poller.vehicle.alert import Alert, alert_of
from poller.vehicle.display import Display
from poller.vehicle.records import dumps

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOUR = 60
SOURCE = SourceStatus("bmw", "mybmw", "ok", allowed_age=900, vehicles=("mini",), last_success_at=NOON)
JOURNAL = JournalStatus(path="journal.db", disk_free=50 * 10**9)


class Watched:
    """`look` at a minute after noon; gives what is told then. The state goes through JSON each time."""

    def __init__(self, **settings: Any) -> None:
        self.settings = Alerts(**settings)
        self.display = Display("metric", ZoneInfo("Europe/Berlin"))
        self.state: dict[str, Any] = {}

    def look(self, minute: float, *sources: SourceStatus, **more: Any) -> list[Alert]:
        now = NOON + timedelta(minutes=minute)
        more = {"journal": JOURNAL, **more}
        status = DaemonStatus("1.0", NOON, now, sources=sources, **more)
        state, records = watch(self.state, status, self.settings, self.display, {"mini": "MINI"})
        self.state = json.loads(dumps(state))
        return [alert_of(record) for record in records]

    def every(self, minutes: range, *sources: SourceStatus, **more: Any) -> list[str]:
        return [
            f"{minute}: {alert.state} {alert.severity} {alert.rule} {alert.subject}".rstrip()
            for minute in minutes
            for alert in self.look(minute, *sources, **more)
        ]


def well(minute: float) -> SourceStatus:
    return replace(SOURCE, last_success_at=NOON + timedelta(minutes=minute))


def failing(reason: str, state: Any = "backing_off", message: str = "it did not answer") -> SourceStatus:
    return replace(
        SOURCE,
        state=state,
        last_success_at=NOON - timedelta(minutes=2),
        failure=Failure(NOON, reason, message),
    )


@pytest.mark.parametrize(
    ("reason", "state", "after", "because"),
    [
        ("login_required", "login_required", 5, "the maker refuses us"),
        ("blocked", "blocked", 5, "the maker refuses us"),
        ("network", "backing_off", 30, "nobody can be reached"),
        ("quota", "backing_off", 30, "the day's calls are used up"),
    ],
)
def test_no_fresh_data_says_since_when_and_why(reason, state, after, because) -> None:
    watched = Watched()
    source = failing(reason, state)
    assert watched.every(range(after), source) == []
    (alert,) = watched.look(after, source)
    assert (alert.rule, alert.subject, alert.vin) == ("no_fresh_data", "bmw", "")
    assert alert.title == "MINI: no fresh data"
    assert alert.text.startswith(f"No fresh data for MINI since 12:58, because {because}: it did not answer.")
    assert watched.every(range(after + 1, after + 9), source) == []
    good = watched.every(range(after + 10, after + 40), well(after + 40))
    assert good == [f"{after + 20}: cleared {alert.severity} no_fresh_data bmw"]


@pytest.mark.parametrize(
    ("condition", "after", "severity"),
    [
        ("refused", 5, "warning"),
        ("no_network", 30, "warning"),
        ("budget_spent", 30, "info"),
        ("stream_down", 30, "warning"),
        ("car_quiet", 10 * 24 * 60, "info"),
    ],
)
def test_each_of_the_five_silences_has_its_own_words(condition, after, severity) -> None:
    watched = Watched()
    told = []
    for minute in range(0, after + 60, 5 if after < 60 else 60):
        vehicle = "mini" if condition == "car_quiet" else ""
        silence = Silence(condition, f"words of {condition}", "do this", NOON, vehicle)
        told += watched.look(minute, replace(well(minute), silences=[silence]))
    assert [(one.state, one.severity) for one in told] == [("raised", severity)]
    assert told[0].values["condition"] == condition
    assert told[0].text.endswith(f": words of {condition}. Do this.")
    # All but a silent car leave something: the last look was good.
    assert told[0].text.startswith("No" if condition == "car_quiet" else "Less")


def test_another_cause_is_told_when_it_stays() -> None:
    watched = Watched()
    assert len(watched.every(range(60), failing("network"))) == 1
    changed = watched.every(range(60, 80), failing("login_required", "login_required"))
    assert changed == ["65: reminded warning no_fresh_data bmw"]
    assert watched.every(range(80, 85), failing("network")) == [], "what was told already is no news"


def test_a_poll_that_fails_for_a_reason_of_ours_is_told_when_it_is_late() -> None:
    watched = Watched()
    told = watched.every(range(60), failing("malformed", "failing"))
    assert told == ["19: raised warning no_fresh_data bmw"]


def test_a_flapping_network_is_one_alert() -> None:
    watched = Watched(reminders=())
    told = []
    for minute in range(600):
        source = well(minute) if minute % 40 > 34 else failing("network")
        told += watched.look(minute, source)
    assert [one.state for one in told] == ["raised"]


def test_a_parked_car_hides_neither_the_beginning_nor_the_end_of_an_outage() -> None:
    """Most cars are silent most of the time; that says nothing of the network."""
    watched = Watched()
    quiet = Silence("car_quiet", "it sleeps", since=NOON - timedelta(days=2), vehicle="mini")
    cut = Silence("no_network", "nobody answers", since=NOON + timedelta(minutes=60))

    def source(minute: float, *silences: Silence) -> SourceStatus:
        return replace(well(minute), silences=[*silences, quiet])

    told = []
    for minute in range(180):
        told += watched.look(minute, source(minute, *([cut] if 60 <= minute < 120 else [])))
    assert [(one.state, one.told_at) for one in told] == [
        ("raised", NOON + timedelta(minutes=90)),
        ("cleared", NOON + timedelta(minutes=130)),
    ]


def test_behind_a_silent_car_a_failing_poll_is_named_for_what_it_is() -> None:
    watched = Watched()
    quiet = Silence("car_quiet", "it sleeps", since=NOON - timedelta(days=2), vehicle="mini")
    told = watched.every(range(60), replace(failing("server"), silences=[quiet]))
    assert told == ["30: raised warning no_fresh_data bmw"]
    assert watched.state["episodes"][0]["stage"] == "no_network"


def test_a_cause_that_follows_another_before_that_was_told_begins_anew() -> None:
    watched = Watched()
    assert watched.every(range(25), failing("network")) == []
    told = watched.every(range(25, 60), failing("quota"))
    assert told == ["55: raised info no_fresh_data bmw"]


def test_it_is_told_again_while_it_lasts() -> None:
    watched = Watched()
    told = watched.every(range(0, 60 * 60, 5), failing("login_required", "login_required"))
    hours = [round((int(one.partition(":")[0]) - 5) / 60) for one in told]
    assert hours == [0, 1, 3, 7, 15, 39]


def test_a_car_that_another_source_tells_of_has_less_and_not_none() -> None:
    watched = Watched()
    told = []
    for minute in range(40):
        told += watched.look(minute, failing("network"), replace(well(minute), name="home"))
    assert [one.text[:4] for one in told] == ["Less"]


def test_a_login_that_ends_is_told_days_before_on_the_last_and_when_it_has() -> None:
    watched = Watched(login_days=3)
    ends = NOON + timedelta(days=14)
    told = []
    for hour in range(16 * 24):
        source = replace(well(hour * HOUR), login_expires_at=ends)
        told += watched.look(hour * HOUR, source)
    assert [(one.state, one.title) for one in told] == [
        ("raised", "Source bmw: the login ends in 3 days"),
        ("reminded", "Source bmw: the login ends in 24 h"),
        ("reminded", "Source bmw: the login has ended"),
    ]
    renewed = replace(well(16 * 24 * HOUR), login_expires_at=ends + timedelta(days=14))
    assert [one.state for one in watched.look(16 * 24 * HOUR, renewed)] == ["cleared"]


def test_few_calls_left() -> None:
    watched = Watched()

    def left(number: int) -> SourceStatus:
        return replace(well(100), quota=QuotaStatus(limit=50, remaining=number))

    assert watched.every(range(20), left(4)) == ["10: raised warning quota_nearly_spent bmw"]
    assert watched.every(range(20, 40), left(6)) == []
    assert watched.every(range(40, 60), left(20)) == ["40: cleared warning quota_nearly_spent bmw"]


def sink(minute: float, waiting_since: float | None, **more: Any) -> SinkStatus:
    oldest = NOON + timedelta(minutes=waiting_since) if waiting_since is not None else None
    backlog = 0 if oldest is None else 12
    failure = Failure(NOON, "network", "it cannot be reached") if backlog else None
    return SinkStatus(
        "axiom", "axiom", live=False, backlog=backlog, waiting_since=oldest, failure=failure, **more
    )


def test_a_sink_that_takes_nothing_is_told_and_one_that_catches_up_is_not() -> None:
    watched = Watched(reminders=())
    told = [a for m in range(120) for a in watched.look(m, sinks=[sink(m, 0, up=False)])]
    assert [one.state for one in told] == ["raised"]
    assert told[0].told_at == NOON + timedelta(minutes=71)
    assert "it cannot be reached" in told[0].text
    told = [a for m in range(120, 240) for a in watched.look(m, sinks=[sink(m, 0, up=True)])]
    assert [(one.state, one.text) for one in told] == [("cleared", "Sink axiom takes records again.")]


def test_dead_letters_are_told_once_and_again_when_there_are_many_more() -> None:
    watched = Watched()

    def letters(number: int) -> list[str]:
        return watched.every(range(number, number + 2), sinks=[replace(sink(0, None), dead_letters=number)])

    assert letters(1) == ["1: raised warning dead_letters axiom"]
    assert letters(3) == []
    assert letters(12) == ["12: reminded warning dead_letters axiom"]
    assert letters(5) == []
    assert letters(0) == ["0: cleared warning dead_letters axiom"]


def test_disk_quarantine_and_a_journal_set_aside() -> None:
    watched = Watched(reminders=())
    low = replace(JOURNAL, disk_free=9 * 10**8, quarantined=2, set_aside=("journal.db.damaged",), full=True)
    assert watched.every(range(30), journal=low) == [
        "0: raised warning answers_not_understood",
        "0: raised critical journal_set_aside",
        "0: raised critical journal_full",
        "10: raised warning disk_low",
    ]
    assert watched.every(range(30, 40), journal=replace(low, disk_free=1_100_000_000)) == []
    assert watched.every(range(40, 50), journal=JournalStatus()) == [], "nothing is known of it"
    assert len(watched.every(range(50, 60), journal=JOURNAL)) == 4


def test_a_journal_that_vanished_is_told_and_cleared_when_it_is_old_news() -> None:
    watched = Watched(reminders=())
    gone = replace(JOURNAL, vanished_at=NOON)
    assert watched.every(range(3), journal=gone) == ["0: raised critical journal_vanished"]
    assert watched.every(range(3, 6), journal=JOURNAL) == ["3: cleared critical journal_vanished"]


@pytest.mark.parametrize(("number", "words"), [(1, "1 answer could"), (2, "2 answers could")])
def test_an_answer_that_was_not_understood_may_be_let_go(number: int, words: str) -> None:
    [alert] = Watched().look(0, journal=replace(JOURNAL, quarantined=number))
    assert alert.text.startswith(f"{words} not be understood, and kept: ")
    assert "`poller dead-letters drop`" in alert.text


def test_a_sink_that_left_the_configuration_is_no_trouble() -> None:
    watched = Watched()
    for minute in range(80):
        watched.look(minute, sinks=[sink(minute, 0, up=False)])
    assert watched.every(range(80, 90)) == ["80: cleared warning sink_stuck axiom"]


def test_a_quiet_week_of_a_healthy_poller_tells_nothing() -> None:
    watched = Watched()
    for minute in range(0, 7 * 24 * 60, 30):
        quiet = Silence("car_quiet", "it sleeps", since=NOON, vehicle="mini")
        source = replace(well(minute), silences=[quiet], login_expires_at=NOON + timedelta(days=14))
        assert watched.look(minute, source, sinks=[sink(minute, None, up=True)]) == []


def test_quiet_hours_hold_for_the_poller_too() -> None:
    watched = Watched(quiet="22:00-07:00", reminders=())
    ten_pm = 9 * HOUR  # in Berlin
    told = watched.every(range(ten_pm, ten_pm + 10 * HOUR), failing("login_required", "login_required"))
    assert told == [f"{ten_pm + 9 * HOUR}: raised warning no_fresh_data bmw"]


def test_causes_that_take_turns_do_not_put_off_the_alert_for_ever() -> None:
    watched = Watched()
    told: list[str] = []
    for minute in range(0, 120, 20):
        reason = "network" if minute % 40 else "quota"
        told += watched.every(range(minute, minute + 20), failing(reason))
    assert told[0] == "60: raised warning no_fresh_data bmw"


def test_a_login_that_is_gone_is_no_all_clear() -> None:
    watched = Watched()
    ends = replace(well(0), login_expires_at=NOON + timedelta(days=2))
    assert watched.every(range(1), ends) == ["0: raised warning login_ends bmw"]
    assert "login_ends" not in str(watched.every(range(1, 9), failing("login_required", "login_required")))


def test_letters_that_could_not_be_counted_are_no_all_clear() -> None:
    watched = Watched()
    sink = SinkStatus("axiom", "axiom", live=False, dead_letters=3)
    assert watched.every(range(1), sinks=[sink]) == ["0: raised warning dead_letters axiom"]
    later = {"sinks": [replace(sink, dead_letters=0)], "journal": JournalStatus()}
    assert watched.every(range(1, 5), **later) == []
    assert watched.every(range(5, 9), sinks=[sink]) == []
