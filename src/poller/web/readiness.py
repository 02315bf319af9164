"""What keeps the poller from being ready, and what is worth knowing besides; in plain words.

Pure: a `DaemonStatus` goes in, sentences come out. `app` fills `DaemonStatus.reasons` with `reasons`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from poller.runtime.status import DaemonStatus, Failure, JournalStatus, SinkStatus, SourceStatus
from poller.vehicle.display import ago, since, span
from poller.vehicle.thresholds import DAEMON, DAY
from poller.web.channels import silence_words

#: What becomes of an answer that was not understood.
QUARANTINED: Final = "after an update `poller dead-letters retry`, or let it go: `poller dead-letters drop`"

#: What becomes of a journal that was moved away under a running poller.
VANISHED: Final = "stop the poller, take it back with `poller salvage FILE`, and start it again"


@dataclass(frozen=True, slots=True)
class Problem:
    """`subject` (``source bmw``) has trouble (`text`); `mend` is what a person can do about it.

    `fault`: False where nothing is wrong, and it is only good to know.
    """

    subject: str
    text: str
    mend: str | None = None
    fault: bool = True

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}" + (f"; {self.mend}" if self.mend else "")


def reasons(status: DaemonStatus) -> list[str]:
    """Why /readyz says 503; empty when the poller is ready."""
    return [str(problem) for problem in problems(status)]


def problems(status: DaemonStatus) -> list[Problem]:
    """What `reasons` says, in parts."""
    found = list(_daemon(status))
    for source in status.sources:
        found.extend(_source(source, status))
    for sink in status.sinks:
        found.extend(_sink(sink, status))
    found.extend(_journal(status.journal))
    return found


def notes(status: DaemonStatus) -> list[Problem]:
    """What does not make the poller unready, yet should not go unseen."""
    found: list[Problem] = list(_configuration(status))
    sinks = {f"sink {sink.name}" for sink in status.sinks}
    found.extend(problem for problem in stumbling(status) if problem.subject in sinks)
    for sink in status.sinks:
        if sink.dead_letters:
            text = f"{_count(sink.dead_letters, 'record')} refused and set aside"
            found.append(Problem(f"sink {sink.name}", text, "see `poller dead-letters list`"))
    if status.journal.quarantined:
        text = f"{_count(status.journal.quarantined, 'answer')} not understood, kept for a fix"
        found.append(Problem("quarantine", text, f"see `poller dead-letters list`; {QUARANTINED}"))
    for name, backlog in status.journal.orphans:
        text = f"not in the configuration any more, {_count(backlog, 'record')} behind"
        found.append(
            Problem(f"sink {name}", text, f"name it again, or let it go: `poller sinks forget {name}`")
        )
    found.extend(_set_aside(status.journal))
    found.extend(_vanished(status))
    for source in status.sources:
        found.extend(_login_notice(source, status))
    return [*found, *unexplained(status)]


def unexplained(status: DaemonStatus) -> list[Problem]:
    """Why sources bring nothing new, or less, as far as no problem and no failure says it already."""
    told = [*problems(status), *stumbling(status)]
    return [
        Problem(
            f"source {source.name}",
            silence_words(silence, status.now),
            silence.hint,
            silence.condition != "car_quiet",
        )
        for source in status.sources
        for silence in source.silences
        if not is_said(f"source {source.name}", silence.message, told)
    ]


def is_said(subject: str, message: str, by: Iterable[Problem | str]) -> bool:
    """Whether one of these, or of their sentences, says this of this subject: of another it is other news."""
    return any(text.startswith(f"{subject}: ") and message in text for text in map(str, by))


def all_well(alerts: int) -> str:
    """The verdict where the poller has no trouble; an alert is raised about a car, say."""
    if not alerts:
        return "All is well"
    return f"All is well with the poller; {_count(alerts, 'alert')} {'is' if alerts == 1 else 'are'} raised"


def ends_soon(ends: datetime | None, now: datetime) -> bool:
    """Whether a login that ends then is worth a note."""
    return ends is not None and since(now, ends) < DAEMON.login_days * DAY


def stumbling(status: DaemonStatus) -> Iterator[Problem]:
    """Parts whose last attempt failed, and which may still come right by themselves: ready, but."""
    wrong = {problem.subject for problem in problems(status)}
    for source in status.sources:
        if source.failure is not None and f"source {source.name}" not in wrong:
            yield Problem(f"source {source.name}", source.failure.message, source.failure.hint)
    for sink in status.sinks:
        if sink.up is False and sink.failure is not None and f"sink {sink.name}" not in wrong:
            yield Problem(f"sink {sink.name}", sink.failure.message, sink.failure.hint)


def _daemon(status: DaemonStatus) -> Iterator[Problem]:
    if not status.progressing:
        yield Problem("poller", "makes no progress: a part of it has stopped", "restart it and keep its log")
    if not status.clock_set:
        text = "clock not set: it is older than the newest record or than this release; nothing is polled"
        mend = (
            "set the time of this machine; if it is right, it is believed after a day; "
            "or this data directory was used with --speed: take another data_dir"
        )
        yield Problem("clock", text, mend)


def _configuration(status: DaemonStatus) -> Iterator[Problem]:
    if status.reload_failure is not None:
        text = f"not loaded anew, the former one is in force: {status.reload_failure.message}"
        yield Problem("configuration", text, status.reload_failure.hint)
    for setting in status.needs_restart:
        yield Problem("configuration", f"{setting} has changed", "restart the poller to make it so")


def _source(source: SourceStatus, status: DaemonStatus) -> Iterator[Problem]:
    subject = f"source {source.name}"
    if source.last_success_at is None:
        silence = f"no answer yet (started {span(since(status.started_at, status.now))} ago)"
    elif (age := since(source.last_success_at, status.now)) > source.allowed_age:
        silence = f"no success for {span(age)} (allowed {span(source.allowed_age)})"
    elif source.state in ("login_required", "blocked"):
        silence = ""
    else:
        return
    yield Problem(subject, ": ".join(filter(None, (silence, _cause(source)))), _mend(source))


def _cause(source: SourceStatus) -> str:
    failure = _present(source)
    if source.state == "login_required":
        return f"login required: {failure.message}" if failure else "login required"
    if source.state == "blocked":
        return failure.message if failure else "the maker refuses third-party clients"
    return failure.message if failure else ""


def _mend(source: SourceStatus) -> str | None:
    failure = _present(source)
    if failure and failure.hint:
        return failure.hint
    return f"run `poller login {source.name}`" if source.state == "login_required" else None


def _present(source: SourceStatus) -> Failure | None:
    """The failure, unless a success came after it: then it explains nothing any more."""
    failure, success = source.failure, source.last_success_at
    return failure if failure and (success is None or failure.at >= success) else None


def _sink(sink: SinkStatus, status: DaemonStatus) -> Iterator[Problem]:
    subject = f"sink {sink.name}"
    failure = sink.failure
    mend = failure.hint if failure else None
    cause = f": {failure.message}" if failure else ""
    waiting = f" ({_count(sink.backlog, 'record')} waiting)" if sink.backlog else ""
    if sink.held:
        yield Problem(subject, f"held: {sink.held}{waiting}", mend)
        return
    if sink.isolated:
        # Whether this record or the destination is to blame, nobody can tell from here.
        text = f"fails even with a single record, {sink.isolated}{waiting}{cause}"
        yield Problem(subject, text, mend)
        return
    if sink.live or not sink.backlog or not sink.backlog_limit or sink.waiting_since is None:
        return
    age = since(sink.waiting_since, status.now)
    if age > sink.backlog_limit:
        text = f"{_count(sink.backlog, 'record')} waiting, the oldest for {span(age)}"
        yield Problem(subject, f"{text} (allowed {span(sink.backlog_limit)}){cause}", mend)


def _journal(journal: JournalStatus) -> Iterator[Problem]:
    if journal.full:
        mend = "make room on the disk, or raise [journal] max_size"
        yield Problem("journal", "full: new answers find no room", mend)
    if journal.failure:
        yield Problem("journal", journal.failure.message, journal.failure.hint)


def _login_notice(source: SourceStatus, status: DaemonStatus) -> Iterator[Problem]:
    ends = source.login_expires_at
    if ends is None or source.state == "login_required" or not ends_soon(ends, status.now):
        return
    left = since(status.now, ends)
    text = f"the login ends in {span(left)}" if left else "the login has ended"
    yield Problem(f"source {source.name}", text, f"renew it: `poller login {source.name}`")


def _set_aside(journal: JournalStatus) -> Iterator[Problem]:
    for name in journal.set_aside:
        file = shlex.quote(str(Path(journal.path).with_name(name)))
        text = f"a damaged one was set aside as {name}"
        yield Problem("journal", text, f"take back what is readable: `poller salvage {file}`; then delete it")


def _vanished(status: DaemonStatus) -> Iterator[Problem]:
    at = status.journal.vanished_at
    if at is not None:
        text = f"the one before was moved or deleted under the running poller {ago(at, status.now)}"
        yield Problem("journal", f"{text}; a new one was begun", f"if you have it: {VANISHED}")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
