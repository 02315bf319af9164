"""Why /readyz says 503: each cause in plain words, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from poller.runtime.status import Condition, JournalStatus, Silence
from poller.web.channels import condition_words
from poller.web.readiness import notes, reasons


def test_all_well_has_no_reasons(stage):
    assert reasons(stage.status()) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"last_success_at": None, "state": "starting"}, "source bmw: no answer yet (started 10 h ago)"),
        (
            {"last_success_at": 17, "state": "login_required"},
            "source bmw: no success for 17 min (allowed 15 min): login required; run `poller login bmw`",
        ),
        ({"state": "login_required"}, "source bmw: login required; run `poller login bmw`"),
        ({"state": "blocked"}, "source bmw: the maker refuses third-party clients"),
        (
            {"last_success_at": 40, "state": "backing_off", "failure": "the server said 503"},
            "source bmw: no success for 40 min (allowed 15 min): the server said 503",
        ),
    ],
)
def test_a_source_that_needs_somebody_is_named(stage, changes, said):
    if isinstance(changes.get("last_success_at"), int):
        changes["last_success_at"] = stage.ago(changes["last_success_at"])
    if "failure" in changes:
        changes["failure"] = stage.failure(message=changes["failure"])
    assert reasons(stage.status(sources=[stage.source(**changes)])) == [said]


def test_a_failing_source_is_ready_within_its_allowed_age(stage):
    source = stage.source(state="backing_off", failure=stage.failure(), last_success_at=stage.ago(14))
    assert reasons(stage.status(sources=[source])) == []


def test_a_failure_from_before_the_last_success_explains_nothing(stage):
    source = stage.source(last_success_at=stage.ago(20), failure=stage.failure(30, "old story"))
    assert reasons(stage.status(sources=[source])) == ["source bmw: no success for 20 min (allowed 15 min)"]


def test_the_failures_own_hint_is_the_mend(stage):
    failure = stage.failure(message="refused", hint="move to CarData")
    source = stage.source(state="blocked", failure=failure)
    assert reasons(stage.status(sources=[source])) == ["source bmw: refused; move to CarData"]


def test_one_bad_source_does_not_hide_the_other(stage):
    sources = [stage.source(state="blocked"), stage.source(name="home", state="login_required")]
    assert len(reasons(stage.status(sources=sources))) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"held": "403: no right", "backlog": 3}, "held: 403: no right (3 records waiting)"),
        (
            {"isolated": "snapshot 9f", "backlog": 1},
            "fails even with a single record, snapshot 9f (1 record waiting)",
        ),
        (
            {"backlog": 1200, "waiting_since": 90},
            "1,200 records waiting, the oldest for 1 h 30 min (allowed 1 h)",
        ),
    ],
)  # fmt: skip
def test_a_sink_that_does_not_get_on_is_named(stage, changes, said):
    if "waiting_since" in changes:
        changes["waiting_since"] = stage.ago(changes["waiting_since"])
    assert reasons(stage.status(sinks=[stage.sink(**changes)])) == [f"sink files: {said}"]


@pytest.mark.parametrize(
    "changes",
    [
        {"backlog": 9, "waiting_since": 50},
        {"backlog": 0, "waiting_since": None},
        {"backlog": 9, "waiting_since": 5000, "backlog_limit": 0},
        {"up": False, "live": True},
        {"dead_letters": 7},
    ],
)
def test_a_sink_within_its_limits_is_ready(stage, changes):
    if changes.get("waiting_since"):
        changes["waiting_since"] = stage.ago(changes["waiting_since"])
    assert reasons(stage.status(sinks=[stage.sink(**changes)])) == []


def test_history_that_has_just_come_is_not_late(stage):
    """A dump of years ago, taken in while the sink is down, has waited for a minute."""
    sink = stage.sink(backlog=9, oldest_record_at=stage.ago(60 * 24 * 1820), waiting_since=stage.ago(1))
    assert reasons(stage.status(sinks=[sink])) == []


def test_a_full_or_failing_journal_is_not_ready(stage):
    assert reasons(stage.status(journal=JournalStatus(full=True))) == [
        "journal: full: new answers find no room; make room on the disk, or raise [journal] max_size"
    ]
    failing = JournalStatus(failure=stage.failure(message="the disk is read-only", hint="remount it"))
    assert reasons(stage.status(journal=failing)) == ["journal: the disk is read-only; remount it"]


def test_a_clock_that_was_never_set_is_not_ready(stage):
    [said] = reasons(stage.status(clock_set=False))
    assert said.startswith("clock: clock not set")
    assert said.endswith("or this data directory was used with --speed: take another data_dir")


def test_no_progress_is_not_ready(stage):
    [said] = reasons(stage.status(progressing=False))
    assert said.startswith("poller: makes no progress")


def test_what_is_only_worth_knowing_does_not_turn_it_red(stage):
    status = stage.status(
        sinks=[stage.sink(dead_letters=1)],
        sources=[stage.source(login_expires_at=stage.ago(-60 * 24 * 2))],
        journal=JournalStatus(quarantined=2, orphans=[("old-files", 1234)]),
    )
    assert reasons(status) == []
    assert [str(note) for note in notes(status)] == [
        "sink files: 1 record refused and set aside; see `poller dead-letters list`",
        (
            "quarantine: 2 answers not understood, kept for a fix; see `poller dead-letters list`; "
            "after an update `poller dead-letters retry`, or let it go: `poller dead-letters drop`"
        ),
        (
            "sink old-files: not in the configuration any more, 1,234 records behind; "
            "name it again, or let it go: `poller sinks forget old-files`"
        ),
        "source bmw: the login ends in 2 days; renew it: `poller login bmw`",
    ]


def test_a_sink_that_fails_and_is_ready_yet_is_a_note(stage):
    sink = stage.sink(up=False, failure=stage.failure(1, "no route", "plug it in"))
    status = stage.status(sinks=[sink])
    assert reasons(status) == []
    assert [str(note) for note in notes(status)] == ["sink files: no route; plug it in"]


def test_a_sink_that_is_held_is_said_once_among_the_reasons(stage):
    failure = stage.failure(1, "403: no right", "give it one")
    status = stage.status(sinks=[stage.sink(up=False, held="403: no right", backlog=3, failure=failure)])
    assert len(reasons(status)) == 1
    assert notes(status) == []


@pytest.mark.parametrize(("days", "noted"), [(9, 0), (4.01, 0), (3.99, 1), (0, 1)])
def test_a_login_is_a_note_from_four_days_on(stage, days, noted):
    source = stage.source(login_expires_at=stage.ago(-60 * 24 * days))
    assert len(notes(stage.status(sources=[source]))) == noted
    assert reasons(stage.status(sources=[source])) == []


@pytest.mark.parametrize("condition", get_args(Condition))
def test_a_silence_of_a_source_that_works_is_a_note(stage, condition):
    silence = Silence(condition, "in its own words", "do this")
    status = stage.status(sources=[stage.source(silences=[silence])])
    assert reasons(status) == []
    [note] = notes(status)
    assert str(note).endswith(": in its own words; do this")
    assert str(note).startswith(f"source bmw: {condition_words(condition)}: ")
    assert note.fault == (condition != "car_quiet")


@pytest.mark.parametrize(
    ("condition", "state"),
    [("refused", "login_required"), ("no_network", "backing_off"), ("budget_spent", "backing_off")],
)
def test_a_silence_that_leaves_nothing_is_a_reason_and_is_said_once(stage, condition, state):
    failure = stage.failure(1, "in its own words", "do this")
    source = stage.source(
        state=state,
        last_success_at=stage.ago(20),
        failure=failure,
        silences=[Silence(condition, "in its own words", "do this")],
    )
    status = stage.status(sources=[source])
    [reason] = reasons(status)
    assert "in its own words; do this" in reason
    assert notes(status) == []


def test_a_silence_in_the_words_of_another_source_is_said_of_both(stage):
    failing = stage.source(state="failing", failure=stage.failure(message="no way out"))
    silent = stage.source(name="home", silences=[Silence("no_network", "no way out", "plug it in")])
    (note,) = notes(stage.status(sources=[failing, silent]))
    assert (note.subject, note.mend) == ("source home", "plug it in")


def test_a_journal_that_was_set_aside_is_a_note_while_it_is_there(stage):
    name = "journal.db.corrupt-20261121T101010Z"
    status = stage.status(journal=JournalStatus(path="/my data/journal.db", set_aside=[name]))
    assert reasons(status) == []
    [note] = notes(status)
    assert str(note) == (
        f"journal: a damaged one was set aside as {name}; "
        f"take back what is readable: `poller salvage '/my data/{name}'`; then delete it"
    )


def test_a_journal_that_vanished_is_a_note(stage):
    status = stage.status(journal=JournalStatus(path="/data/journal.db", vanished_at=stage.ago(5)))
    assert reasons(status) == []
    [note] = notes(status)
    assert str(note).startswith(
        "journal: the one before was moved or deleted under the running poller 5 min ago"
    )


def test_the_status_does_not_change(stage):
    """Pure: the same status gives the same words."""
    status = stage.status(clock_set=False)
    assert reasons(status) == reasons(replace(status))
