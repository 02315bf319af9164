"""The status page: what is known at this moment, as HTML that needs no script."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from poller.runtime.status import (
    AlertStatus,
    Condition,
    DaemonStatus,
    Failure,
    JournalStatus,
    Silence,
    SinkStatus,
    SourceStatus,
)
from poller.vehicle.display import Display, ago, since, size, span
from poller.web.assets import links
from poller.web.base import Daemon
from poller.web.card import card_of
from poller.web.channels import login_refused, quota_lines, silence_title, stream_lines
from poller.web.counter import counter_of, wants_login
from poller.web.known import Known, Tone
from poller.web.logins import Login
from poller.web.readiness import Problem, all_well, is_said, notes, problems, stumbling, unexplained

if TYPE_CHECKING:
    from jinja2 import Template

#: Seconds between two looks of an open page.
_EVERY, _WHILE_LOGGING_IN = 10, 3
#: Failures listed at most, newest first.
_MAX_FAILURES = 10
#: In place of what the headline says.
_ABOVE = "said at the top"

_SOURCE_STATES: dict[str, tuple[str, Tone]] = {
    "starting": ("starting", ""),
    "ok": ("fine", "good"),
    "backing_off": ("waiting to try again", "warn"),
    "login_required": ("login required", "bad"),
    "blocked": ("refused by the maker", "bad"),
    "failing": ("failing", "warn"),
}
_ALERT_TONES: Mapping[str, Tone] = {"critical": "bad", "warning": "warn", "info": ""}
_SILENCE_TONES: dict[Condition, Tone] = {
    "refused": "bad",
    "no_network": "bad",
    "budget_spent": "warn",
    "stream_down": "warn",
    "car_quiet": "",
}


@dataclass(frozen=True, slots=True)
class Quiet:
    """Why a source brings nothing new: `label` in bold, with a sign of its `tone`."""

    condition: Condition
    label: str
    tone: Tone
    text: str
    since: str
    hint: str


@dataclass(frozen=True, slots=True)
class Told:
    """An alert that is raised and not over; `vehicle`: whose card it stands on, "" for none."""

    vehicle: str
    tone: Tone
    title: str
    text: str
    raised: str


@dataclass(frozen=True, slots=True)
class Station:
    """A source, a sink or the journal as a block of lines."""

    name: str
    kind: str
    state: str
    tone: Tone
    lines: Sequence[tuple[str, str]]
    failure: str = ""
    failed: str = ""
    hint: str = ""
    silences: Sequence[Quiet] = ()


@dataclass(frozen=True, slots=True)
class Headline:
    """The one sentence at the top, and what stands below it."""

    tone: Tone
    text: str
    more: str
    problems: Sequence[Problem]

    def says(self, subject: str, message: str) -> bool:
        """Whether it is read here already of this subject: then a word will do elsewhere."""
        return is_said(subject, message, self.problems)

    def beside(self, hint: str | None) -> str:
        """A mend as it is given elsewhere: "" if it stands here already."""
        return "" if any(hint == problem.mend for problem in self.problems) else hint or ""


@functools.cache
def _template() -> Template:
    """The page's template, compiled once a process, when the page is first asked for."""
    # Imported only here: many a daemon shows nobody its page, and each start would be longer by a twentieth.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("poller.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["commands"] = commands
    return environment.get_template("page.html")


class Page:
    """Renders the page in the owner's units and time zone; `base_path` goes before every link."""

    def __init__(self, display: Display, base_path: str = "") -> None:
        self._display = display
        self._links = links(base_path)

    @property
    def base_path(self) -> str:
        """What goes before every address of ours."""
        return self._links["base"]

    def render(self, daemon: Daemon, login: Login | None = None) -> str:
        """The whole document; `login` is the one that was begun on it."""
        status = daemon.status()
        verdict = headline(status)
        rendering = daemon.rendering
        cards = [
            card_of(
                Known(view, status, daemon.origins(view.vin)),
                self._display,
                slug=rendering.slug(view.vin),
                named=view.vin in rendering.names,
                orders=[order for order in status.orders if order.vehicle == rendering.slug(view.vin)],
            )
            for view in daemon.fleet.views()
        ]
        return _template().render(
            links=self._links,
            status=status,
            as_of=self._display.clock(status.now),
            zone=str(status.now.astimezone(self._display.timezone).tzname()),
            headline=verdict,
            every=_WHILE_LOGGING_IN if login is not None and login.under_way else _EVERY,
            counters=[
                counter_of(source, login, status.now)
                for source in status.sources
                if daemon.to_log_in(source.name) is not None and wants_login(source, login, status.now)
            ],
            # What is no fault stands at its source alone.
            notes=[note for note in notes(status) if note.fault and note not in verdict.problems],
            alerts=[self._alert(alert, status, verdict) for alert in status.alerts],
            cards=sorted(cards, key=lambda card: (card.title, card.slug)),
            sources=[self._source(source, status.now, verdict) for source in status.sources],
            sinks=[self._sink(sink, status.now, verdict) for sink in status.sinks],
            journal=self._journal(status.journal, status.now, verdict),
            failures=list(self._failures(status, verdict)),
            running=span(since(status.started_at, status.now)),
        )

    def _alert(self, alert: AlertStatus, status: DaemonStatus, verdict: Headline) -> Told:
        raised = f"since {self._display.moment(alert.raised_at, status.now)}"
        known = any(
            source.failure.message in alert.text
            and verdict.says(f"source {source.name}", source.failure.message)
            for source in status.sources
            if source.failure and source.name == alert.subject
        )
        return Told(
            alert.vehicle, _ALERT_TONES[alert.severity], alert.title, "" if known else alert.text, raised
        )

    def _source(self, source: SourceStatus, now: datetime, verdict: Headline) -> Station:
        state, tone = _SOURCE_STATES[source.state]
        subject = f"source {source.name}"
        silences = [self._quiet(subject, silence, now, verdict) for silence in source.silences]
        if source.state == "ok" and silences:
            state, tone = silences[0].label, silences[0].tone
        # A stream answers nobody: the last poll has looked at what had come.
        last = "last answer" if source.stream is None else "last look"
        lines = [(last, ago(source.last_success_at, now) if source.last_success_at else "none yet")]
        if source.next_poll_at is not None:
            wait = (source.next_poll_at - now).total_seconds()
            lines.append(("next poll", f"in {span(wait)}" if wait > 0 else "now"))
        if source.consecutive_failures > 1:
            lines.append(("failed in a row", str(source.consecutive_failures)))
        when = functools.partial(self._display.moment, now=now)
        if source.quota is not None:
            lines += quota_lines(source.quota, now, when)
        if source.stream is not None:
            lines += stream_lines(source.stream, now, when)
        if source.login_expires_at is not None:
            refused = login_refused(source.state, source.silences)
            left = span(since(now, source.login_expires_at))
            lines.append(("login", "refused") if refused else ("login good for", left))
        told = self._told(subject, source.failure, now, verdict)
        if source.failure and any(silence.message == source.failure.message for silence in source.silences):
            told = ("", "", "")
        return Station(source.name, source.kind, state, tone, lines, *told, silences)

    def _quiet(self, subject: str, silence: Silence, now: datetime, verdict: Headline) -> Quiet:
        known = verdict.says(subject, silence.message)
        return Quiet(
            silence.condition,
            silence_title(silence),
            _SILENCE_TONES[silence.condition],
            _ABOVE if known else silence.message,
            f"since {self._when(silence.since, now)}" if silence.since else "",
            verdict.beside(silence.hint) if known else silence.hint or "",
        )

    def _sink(self, sink: SinkStatus, now: datetime, verdict: Headline) -> Station:
        lines: list[tuple[str, str]] = []
        if not sink.live:
            waiting = f"{sink.backlog:,}"
            if sink.backlog and sink.oldest_record_at is not None:
                waiting += f", oldest {ago(sink.oldest_record_at, now)}"
            lines.append(("records waiting", waiting))
        if sink.last_success_at is not None or not sink.live:
            lines.append(
                ("last delivery", ago(sink.last_success_at, now) if sink.last_success_at else "none yet")
            )
        if sink.retry_at is not None and sink.retry_at > now:
            lines.append(("tries again", f"in {span(since(now, sink.retry_at))}"))
        if sink.dead_letters:
            lines.append(("dead letters", f"{sink.dead_letters:,}"))
        if sink.isolated:
            lines.append(("fails alone", sink.isolated))
        state, tone = _sink_state(sink)
        subject = f"sink {sink.name}"
        failure = self._told(subject, sink.failure, now, verdict)
        if sink.held and not verdict.says(subject, sink.held):
            failure = (sink.held, *failure[1:])
        return Station(sink.name, sink.kind, state, tone, lines, *failure)

    def _journal(self, journal: JournalStatus, now: datetime, verdict: Headline) -> Station:
        of = f" of {size(journal.limit)}" if journal.limit else ", no limit"
        lines = [("size", size(journal.size) + of), ("disk free", size(journal.disk_free))]
        if journal.oldest_record_at is not None:
            lines.append(("reaches back to", self._display.moment(journal.oldest_record_at, now)))
        if journal.newest_record_at is not None:
            lines.append(("newest record", ago(journal.newest_record_at, now)))
        state: tuple[str, Tone] = ("full", "bad") if journal.full else ("fine", "good")
        if journal.failure:
            state = ("failing", "bad")
        return Station("journal", "", *state, lines, *self._told("journal", journal.failure, now, verdict))

    def _told(
        self, subject: str, failure: Failure | None, now: datetime, verdict: Headline
    ) -> tuple[str, str, str]:
        """What, when, and the mend."""
        if failure is None:
            return "", "", ""
        when = f"last failure {self._when(failure.at, now)}"
        if verdict.says(subject, failure.message):
            return _ABOVE, when, verdict.beside(failure.hint)
        return failure.message, when, failure.hint or ""

    def _failures(
        self, status: DaemonStatus, verdict: Headline
    ) -> Iterator[tuple[str, str, tuple[str, str, str]]]:
        newest = sorted(status.recent_failures, key=lambda entry: entry[1].at, reverse=True)
        for subject, failure in newest[:_MAX_FAILURES]:
            yield (
                subject,
                self._when(failure.at, status.now),
                self._told(subject, failure, status.now, verdict),
            )

    def _when(self, moment: datetime, now: datetime) -> str:
        return f"{self._display.moment(moment, now)} ({ago(moment, now)})"


def headline(status: DaemonStatus) -> Headline:
    """All well, or how many things are wrong; the same verdict as /readyz."""
    found = problems(status)
    known = {str(problem) for problem in found}
    found += [Problem("poller", reason) for reason in status.reasons if reason not in known]
    less = [problem for problem in unexplained(status) if problem.fault]
    if not found and (trouble := [*stumbling(status), *less]):
        return Headline(
            "warn", "Working, but not everything", "What fails is tried again by itself.", trouble
        )
    if not found:
        asked = max((s.last_success_at for s in status.sources if s.last_success_at), default=None)
        more = f"Last answer {ago(asked, status.now)}." if asked else ""
        return Headline("good", all_well(len(status.alerts)), more, ())
    if all(_only_starting(problem, status) for problem in found):
        return Headline("", "Starting", "Waiting for the first answers.", ())
    text = "One thing is wrong" if len(found) == 1 else f"{len(found)} things are wrong"
    return Headline("bad", text, "", found)


def _only_starting(problem: Problem, status: DaemonStatus) -> bool:
    return any(
        source.state == "starting" and problem.subject == f"source {source.name}" for source in status.sources
    )


def _sink_state(sink: SinkStatus) -> tuple[str, Tone]:
    if sink.held:
        return "held", "bad"
    if sink.isolated:
        return "failing", "bad"
    if sink.up is False:
        return "waiting to try again" if sink.retry_at else "failing", "warn"
    if sink.live:
        return "live", "good"
    return ("nothing tried yet", "") if sink.up is None else ("fine", "good")


def commands(text: str) -> Markup:
    """Escaped text in which `words in backticks` are set as commands."""
    parts: Any = re.split(r"`([^`]+)`", text)
    out = Markup()
    for place, part in enumerate(parts):
        out += Markup("<code>%s</code>") % part if place % 2 else escape(part)  # % escapes
    return out
