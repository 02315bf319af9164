"""The poller about itself: pure, from its status; what it tells is told like what a car does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, get_args

from poller.derive.alerts.finding import Finding
from poller.derive.alerts.ledger import FORM, Habits, Ledger, step
from poller.derive.alerts.rulebook import key_of
from poller.derive.alerts.settings import Alerts
from poller.derive.alerts.words import count, listed
from poller.runtime.status import (
    Condition,
    DaemonStatus,
    Silence,
    SourceStatus,
    conditions,
)
from poller.vehicle.alert import alert_record
from poller.vehicle.display import Display, size, span
from poller.vehicle.records import Json, Record, parse_time, rfc3339
from poller.vehicle.thresholds import DAEMON, DAY, TELLING

#: Condition → why, how long it must last, and what to do.
_BECAUSE: Final[Mapping[str, tuple[str, float, str]]] = {
    "refused": ("the maker refuses us", DAEMON.refused_for, "Log in again: `poller login {source}`."),
    "no_network": (
        "nobody can be reached",
        DAEMON.no_network_for,
        "Look at this machine's network; if it is well, the maker's servers are down: just wait.",
    ),
    "budget_spent": ("the day's calls are used up", DAEMON.budget_spent_for, "It goes on by itself."),
    "stream_down": (
        "the stream is down",
        DAEMON.stream_down_for,
        "If another program uses the account's one connection, stop one of them.",
    ),
    "failing": ("the polls fail", DAEMON.not_answering_for, "`poller status` names the reason."),
    "car_quiet": (
        "the car itself is silent",
        0.0,
        "Nothing needs doing: drive it, and it speaks.",
    ),
}
_NO_FAULT = ("budget_spent", "car_quiet")
_LATE = timedelta(seconds=TELLING.late)


def watch(
    state: Mapping[str, Any],
    status: DaemonStatus,
    settings: Alerts,
    display: Display,
    names: Mapping[str, str],
) -> tuple[Json, list[Record]]:
    """What is to be told of the poller at `status.now`; `names`: slug → what the owner calls the car."""
    now = status.now
    state = state if state.get("form") == FORM else {}
    ledger = Ledger.from_json(state)
    if state and now < parse_time(state["at"]) - _LATE:
        ledger = ledger.not_after(now)
    counts: dict[str, Any] = dict(state.get("counts", {}))
    findings = [
        *_sources(status, settings, display, names),
        *_sinks(status, settings, counts),
        *_journal(status, settings, counts),
    ]
    findings += _left(ledger, findings, status)
    ledger, alerts = step(ledger, findings, now, Habits.of(settings, display.timezone))
    return {"at": rfc3339(now), "counts": counts, **ledger.to_json()}, [alert_record(one) for one in alerts]


def _left(ledger: Ledger, findings: Sequence[Finding], status: DaemonStatus) -> Iterator[Finding]:
    """What is not there any more, a source or sink that left the configuration, is no trouble."""
    found = {key_of(one.rule, one.subject) for one in findings}
    # A login that is not there, or calls that were not counted yet, are no good news from a source that
    # does not work; and letters that could not be counted may be there.
    unknown = {("login_ends", one.name) for one in status.sources if one.state != "ok"}
    unknown |= {("quota_nearly_spent", one.name) for one in status.sources if one.state != "ok"}
    unknown |= {("dead_letters", one.name) for one in status.sinks if not status.journal.path}
    for key, episode in ledger.episodes.items():
        # Those of the journal have no subject; while it does not answer, nothing is known of it.
        if key not in found and episode.subject and (episode.rule, episode.subject) not in unknown:
            yield Finding(episode.rule, episode.subject, holds=False, title=episode.title, text="It is over.")


def _sources(
    status: DaemonStatus, settings: Alerts, display: Display, names: Mapping[str, str]
) -> Iterator[Finding]:
    for source in status.sources:
        yield _freshness(source, status, display, names)
        if source.login_expires_at is not None:
            yield _login(source, source.login_expires_at, status.now, settings)
        if source.quota is not None and source.quota.limit:
            yield _quota(source, settings)


def _freshness(
    source: SourceStatus, status: DaemonStatus, display: Display, names: Mapping[str, str]
) -> Finding:
    now = status.now
    # Most cars are parked: that one is silent explains nothing, and is worth a word only after long.
    source = replace(source, silences=[one for one in source.silences if _is_worth_a_word(one, now)])
    condition = _condition(source, now)
    silences = [one for one in source.silences if one.condition == condition]
    quiet = [one.vehicle for one in silences if one.vehicle]
    cars = listed([names.get(slug, "your car") for slug in quiet or source.vehicles]) or source.name
    if not condition:
        return Finding(
            "no_fresh_data",
            source.name,
            holds=False,
            title=f"{cars}: fresh data again",
            text=f"Source {source.name} brings fresh data again.",
            clear_after=TELLING.fresh_again_for,
        )
    silence = silences[0] if silences else None
    because, hold, mend = _BECAUSE[condition]
    since = (silence.since if silence else None) or source.last_success_at or status.started_at
    less = "Less" if condition != "car_quiet" and _still_told_of(source, status.sources) else "No"
    said, hint = (silence.message, silence.hint) if silence else _failure(source)
    return Finding(
        "no_fresh_data",
        source.name,
        holds=True,
        title=f"{cars}: {less.lower()} fresh data",
        text=(
            f"{less} fresh data for {cars} since {display.moment(since, now)}, because {because}"
            f"{f': {said}' if said else ''}. {_sentence(hint) or mend.format(source=source.name)}"
        ),
        severity="info" if condition in _NO_FAULT else "warning",
        hold=hold,
        stage=condition,
        values={"condition": condition, "since": rfc3339(since)},
    )


def _still_told_of(source: SourceStatus, sources: Sequence[SourceStatus]) -> bool:
    """Whether something of its cars comes nevertheless: by this source, or by others."""
    others = {
        slug for other in sources if other is not source and other.state == "ok" for slug in other.vehicles
    }
    return source.state == "ok" or (bool(source.vehicles) and others.issuperset(source.vehicles))


def _failure(source: SourceStatus) -> tuple[str, str | None]:
    return (source.failure.message, source.failure.hint) if source.failure else ("", None)


def _condition(source: SourceStatus, now: datetime) -> Condition | str:
    """The first of the five that is true; ``failing`` for what none of them explains, "" if all is well."""
    true = conditions(source)
    for condition in get_args(Condition):
        if condition in true:
            return str(condition)
    heard = source.last_success_at
    late = heard is not None and (now - heard).total_seconds() > source.allowed_age
    return "failing" if late or (heard is None and source.failure is not None) else ""


def _is_worth_a_word(silence: Silence, now: datetime) -> bool:
    if silence.condition != "car_quiet":
        return True
    return silence.since is not None and (now - silence.since).total_seconds() >= TELLING.car_quiet_for


def _sentence(text: str | None) -> str:
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}." if text else ""


def _login(source: SourceStatus, ends: datetime, now: datetime, settings: Alerts) -> Finding:
    left = (ends - now).total_seconds()
    mend = f"Renew it: `poller login {source.name}`."
    if left > settings.login_days * DAY:
        title, text = f"Source {source.name}: the login is good", "The login was renewed."
        return Finding("login_ends", source.name, holds=False, title=title, text=text)
    when = f"ends in {span(left)}" if left > 0 else "has ended"
    return Finding(
        "login_ends",
        source.name,
        holds=True,
        title=f"Source {source.name}: the login {when}",
        text=f"The login of source {source.name} {when}; without it nothing new comes. {mend}",
        stage="ending" if left > DAY else ("last_day" if left > 0 else "ended"),
        values={"login_expires_at": rfc3339(ends)},
    )


def _quota(source: SourceStatus, settings: Alerts) -> Finding:
    quota = source.quota
    left = 100 * quota.remaining / quota.limit if quota else 100.0
    limit = settings.quota_percent
    title = f"Source {source.name}: {'few calls left' if left < limit else 'calls again'}"
    number = quota.remaining if quota else 0
    return Finding(
        "quota_nearly_spent",
        source.name,
        holds=True if left < limit else (False if left >= limit + TELLING.quota_clear_percent else None),
        title=title,
        text=(
            f"{count(number, 'call')} of {quota.limit if quota else 0} are left for now."
            + (" Another program may use the same account." if left < limit else "")
        ),
        hold=DAEMON.quota_for,
        values={"remaining_calls": number},
    )


def _sinks(status: DaemonStatus, settings: Alerts, counts: dict[str, Any]) -> Iterator[Finding]:
    now = status.now
    for sink in status.sinks:
        if sink.live:
            continue
        oldest = sink.waiting_since if sink.backlog else None
        age = (now - oldest).total_seconds() if oldest else 0.0
        why = sink.held or (sink.failure.message if sink.failure else "")
        hint = _sentence(sink.failure.hint if sink.failure else None)
        stuck = sink.up is not True and age > settings.sink_backlog_age
        yield Finding(
            "sink_stuck",
            sink.name,
            holds=stuck,
            title=f"Sink {sink.name} {'is stuck' if stuck else 'works again'}",
            text=(
                f"{count(sink.backlog, 'record')} wait for sink {sink.name}, the oldest for {span(age)}"
                f"{f': {why}' if why else ''}. {hint or 'Nothing is lost while the journal has room.'}"
                if stuck
                else f"Sink {sink.name} takes records again."
            ),
            hold=DAEMON.sink_backlog_for,
            values={"backlog_records": sink.backlog},
        )
        if not status.journal.path:
            continue  # nobody could count them yet
        text = (
            f"Sink {sink.name} refused {{number}}; what is refused is set aside. "
            "`poller dead-letters list` says why."
        )
        yield _counted("dead_letters", sink.name, sink.dead_letters, text, counts)


def _counted(rule: Any, subject: str, number: int, text: str, counts: dict[str, Any]) -> Finding:
    """Trouble while the number is not 0; each time that it grows is news. `counts`: the most, by alert."""
    key = key_of(rule, subject)
    most = counts[key] = max(number, counts.get(key, 0)) if number else 0
    noun = "record" if rule == "dead_letters" else "answer"
    return Finding(
        rule,
        subject,
        holds=number > 0,
        title=f"{count(number, noun)} set aside" if number else f"No {noun} is set aside any more",
        text=text.replace("{number}", count(number, noun)) if number else "They were sent again, or dropped.",
        hold=0,
        stage=_grade(most),
        values={f"{noun}s": number},
    )


def _grade(number: int) -> str:
    """Ten times as many are news; a few more are not."""
    return f"{10 ** (len(str(number)) - 1)}" if number else ""


def _journal(status: DaemonStatus, settings: Alerts, counts: dict[str, Any]) -> Iterator[Finding]:
    journal = status.journal
    if not journal.path:
        return
    text = (
        "{number} could not be understood, and kept: see `poller dead-letters list`. After an update try "
        "`poller dead-letters retry`; `poller dead-letters drop` lets go of what stays."
    )
    yield _counted("answers_not_understood", "", journal.quarantined, text, counts)
    low = journal.disk_free < settings.disk_free
    well = journal.disk_free >= TELLING.disk_clear * settings.disk_free
    yield Finding(
        "disk_low",
        "",
        holds=True if low else (False if well else None),
        title="The poller's disk is nearly full" if low else "The poller's disk has room again",
        text=f"{size(journal.disk_free)} are left beside the journal." + (" Make room." if low else ""),
        hold=DAEMON.disk_for,
        values={"disk_free_bytes": journal.disk_free},
    )
    aside = journal.set_aside
    yield Finding(
        "journal_set_aside",
        "",
        holds=bool(aside),
        title="A damaged journal was set aside" if aside else "The damaged journal is gone",
        text=(
            f"{listed(list(aside))}: a new one was begun. `poller salvage` takes back what is readable; then "
            "delete it."
            if aside
            else "It was salvaged, or deleted."
        ),
        severity="critical",
        stage=f"{len(aside)}" if aside else "",
    )
    gone = journal.vanished_at is not None
    yield Finding(
        "journal_vanished",
        "",
        holds=gone,
        title="The journal vanished" if gone else "The new journal has been in its place for a week",
        text=(
            "It was moved or deleted while the poller ran; a new one was begun. If you have it, stop the "
            "poller, take it back with `poller salvage`, and start it again."
            if gone
            else "What the one before held is gone, unless it was taken back."
        ),
        severity="critical",
        stage=f"{journal.vanished_at:%Y%m%dT%H%M%S}" if journal.vanished_at else "",
    )
    yield Finding(
        "journal_full",
        "",
        holds=journal.full,
        title="The poller's journal is full" if journal.full else "The poller's journal has room again",
        text=(
            "New answers find no room. Make room on the disk, or raise [journal] max_size."
            if journal.full
            else "New answers are kept again."
        ),
        severity="critical",
    )
