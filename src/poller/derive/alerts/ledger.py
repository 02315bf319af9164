"""The ledger: from what rules find to what is told, once. Pure; used for cars and for the poller itself.

An episode begins when a finding holds (pending), is raised when it has held for long enough, and ends
when it has been well for long enough. It is told when it is raised, unless the hours are quiet: then it
waits, and what is over before it was told is never told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from typing import Any

from poller.derive.alerts.finding import Finding
from poller.derive.alerts.quiet import Quiet
from poller.derive.alerts.rulebook import RULES, RuleName, key_of
from poller.derive.alerts.settings import Alerts
from poller.derive.alerts.words import filled
from poller.vehicle.alert import Alert, AlertState, Severity
from poller.vehicle.records import Json, parse_time, rfc3339
from poller.vehicle.thresholds import TELLING

#: Of the states that are kept; one of another form is begun anew.
FORM = 1
#: Events that wait for the end of quiet hours, at most.
_MAX_WAITING = 20
#: Seconds of trouble of whatever stage, each too short to be told: then it is told nevertheless.
_TAKING_TURNS = 3600.0
_TIMES = ("since", "raised_at", "told_at", "stage_since", "well_since", "cleared_at")


@dataclass(frozen=True, slots=True)
class Habits:
    """How it is told: `gaps` between reminders in seconds, when it is `quiet`, and what is `off`."""

    gaps: Sequence[float]
    quiet: Quiet
    off: Sequence[RuleName] = ()

    @classmethod
    def of(cls, settings: Alerts, zone: tzinfo) -> Habits:
        """As configured; quiet hours are told in `zone`."""
        return cls(settings.reminders, Quiet.of(settings.quiet, zone), settings.off)


@dataclass(frozen=True, slots=True)
class Episode:
    """One trouble from its beginning to its end.

    `since`: when it began; `raised_at` None: pending; `told_at`: when it was told last, None: not yet.
    `told`: the words of the stages that were told. `stage_since`: since when `stage` is as it is.
    `well_since`: it looks as if it were over; `cleared_at`: it is, and that is still to be told.
    """

    rule: RuleName
    since: datetime
    subject: str = ""
    severity: Severity = "warning"
    title: str = ""
    text: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    stage: str = ""
    stage_since: datetime | None = None
    told: tuple[str, ...] = ()
    reminders: int = 0
    raised_at: datetime | None = None
    told_at: datetime | None = None
    well_since: datetime | None = None
    cleared_at: datetime | None = None

    @property
    def active(self) -> bool:
        """Raised, and not over."""
        return self.raised_at is not None and self.cleared_at is None

    def to_json(self) -> Json:
        """For the state in the journal."""
        every = {name: getattr(self, name) for name in self.__slots__}
        plain = {name: value for name, value in every.items() if value not in (None, "", (), {}, 0)}
        return {name: rfc3339(value) if name in _TIMES else value for name, value in plain.items()}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Episode:
        """The inverse of `to_json`."""
        plain: dict[str, Any] = {n: parse_time(v) if n in _TIMES else v for n, v in raw.items()}
        return cls(**{**plain, "told": tuple(plain.get("told", ()))})


@dataclass(frozen=True, slots=True)
class Ledger:
    """All episodes of one vehicle, or of the poller; `waiting`: events that quiet hours hold back."""

    episodes: Mapping[str, Episode] = field(default_factory=dict)
    waiting: Sequence[Episode] = ()

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Ledger:
        """From the state in the journal; nothing yet: empty. Rules that we no longer know are left out."""
        if raw.get("form") != FORM:
            return cls()
        known = [one for one in raw.get("episodes", ()) if one["rule"] in RULES]
        episodes = [Episode.from_json(one) for one in known]
        waiting = tuple(Episode.from_json(one) for one in raw.get("waiting", ()) if one["rule"] in RULES)
        return cls({key_of(one.rule, one.subject): one for one in episodes}, waiting)

    def to_json(self) -> Json:
        """For the state in the journal."""
        return {
            "form": FORM,
            "episodes": [one.to_json() for one in self.episodes.values()],
            "waiting": [one.to_json() for one in self.waiting],
        }

    def active(self) -> Iterator[Episode]:
        """What is raised and not over, told or not."""
        return (one for one in self.episodes.values() if one.active)

    def not_after(self, now: datetime) -> Ledger:
        """After the clock was set back: nothing has happened later than `now`."""
        return Ledger(
            {key: _not_after(one, now) for key, one in self.episodes.items()},
            [_not_after(one, now) for one in self.waiting],
        )


def step(
    ledger: Ledger, findings: Sequence[Finding], now: datetime, habits: Habits
) -> tuple[Ledger, list[Alert]]:
    """What is true at `now`, and what is told: each raise, reminder and all-clear once."""
    episodes = dict(ledger.episodes)
    waiting = list(ledger.waiting)
    for finding in [*findings, *_switched_off(episodes, habits)]:
        if RULES[finding.rule].event:
            if finding.rule not in habits.off:
                waiting.append(_begun(finding, now))
            continue
        key = key_of(finding.rule, finding.subject)
        episode = _moved(episodes.get(key), finding, now, off=finding.rule in habits.off)
        if episode is None:
            episodes.pop(key, None)
        else:
            episodes[key] = episode
    told: list[Alert] = []
    for key, episode in list(episodes.items()):
        finding_now = next((f for f in findings if key_of(f.rule, f.subject) == key), None)
        after, alert = _told(episode, finding_now, now, habits)
        told += [alert] if alert else []
        if after is None:
            del episodes[key]
        else:
            episodes[key] = after
    kept = [one for one in waiting if not _may_tell(one, now, habits)]
    told += [_alert(one, "raised", now, event=True) for one in waiting if one not in kept]
    return Ledger(episodes, tuple(kept[-_MAX_WAITING:])), told


def _switched_off(episodes: Mapping[str, Episode], habits: Habits) -> list[Finding]:
    words = "This is not watched any more, by the settings."
    return [
        Finding(one.rule, one.subject, holds=False, title=one.title, text=words)
        for one in episodes.values()
        if one.rule in habits.off
    ]


def _moved(episode: Episode | None, finding: Finding, now: datetime, *, off: bool) -> Episode | None:
    """The episode after a finding; None: there is none, or it was over before anybody was told."""
    if finding.holds and not off:
        return _holding(episode, finding, now)
    if episode is None or episode.raised_at is None:
        return None
    if finding.holds is None:
        return replace(episode, well_since=None)
    if episode.cleared_at is not None:
        return episode
    well_since = episode.well_since or now
    if (now - well_since).total_seconds() < finding.clear_after:
        return replace(episode, well_since=well_since)
    if episode.told_at is None:
        return None
    return replace(
        episode, cleared_at=now, title=finding.title, text=finding.text, values=dict(finding.values)
    )


def _holding(episode: Episode | None, finding: Finding, now: datetime) -> Episode | None:
    if episode is None:
        if not finding.fresh:
            return None
        episode = _begun(finding, now)
    if episode.raised_at is None:
        described = _described(episode, finding, now)
        since = min(now, finding.since or episode.since)
        # Another trouble under the same name has not lasted as long; but two that take turns must not
        # put each other off for ever.
        begun = min(now, finding.since or described.stage_since or now)
        lasting, in_all = (now - begun).total_seconds(), (now - since).total_seconds()
        raised = lasting >= finding.hold or in_all >= max(finding.hold, _TAKING_TURNS)
        return replace(described, since=since, raised_at=now if raised else None)
    if episode.cleared_at is not None:
        # It is over, only nobody was told yet: this is another one, which must last as long to be told.
        since = min(now, finding.since or now)
        if (now - since).total_seconds() < finding.hold:
            return episode
        episode = replace(episode, since=since, stage_since=now)
    return replace(_described(episode, finding, now), well_since=None, cleared_at=None)


def _begun(finding: Finding, now: datetime) -> Episode:
    begun = Episode(finding.rule, min(now, finding.since or now), finding.subject)
    return replace(_described(begun, finding, now), raised_at=now if RULES[finding.rule].event else None)


def _described(episode: Episode, finding: Finding, now: datetime) -> Episode:
    same = finding.stage == episode.stage and episode.stage_since is not None
    return replace(
        episode,
        severity=finding.severity,
        title=finding.title,
        text=finding.text,
        values=dict(finding.values),
        stage=finding.stage,
        stage_since=episode.stage_since if same else now,
    )


def _told(
    episode: Episode, finding: Finding | None, now: datetime, habits: Habits
) -> tuple[Episode | None, Alert | None]:
    """The episode after telling what is to be told now, and that."""
    if episode.raised_at is None or not _may_tell(episode, now, habits):
        return episode, None
    if episode.cleared_at is not None:
        return None, _alert(episode, "cleared", now)
    if episode.told_at is None:
        first = replace(episode, told_at=now, told=_stages(episode))
        return first, _alert(first, "raised", now)
    if finding is None or not finding.holds:
        return episode, None
    if _has_news(episode, finding, now) or _is_due(episode, finding, now, habits):
        told = tuple(dict.fromkeys((*episode.told, *_stages(episode))))
        again = replace(episode, told_at=now, told=told, reminders=episode.reminders + 1)
        return again, _alert(again, "reminded", now)
    return episode, None


def _stages(episode: Episode) -> tuple[str, ...]:
    return tuple(episode.stage.split("+")) if episode.stage else ()


def _has_news(episode: Episode, finding: Finding, now: datetime) -> bool:
    """Whether it has been at a stage that nobody was told of, for long enough."""
    lasting = (now - (episode.stage_since or now)).total_seconds() >= finding.hold
    return lasting and finding.fresh and not set(_stages(episode)) <= set(episode.told)


def _is_due(episode: Episode, finding: Finding, now: datetime, habits: Habits) -> bool:
    reminds = RULES[episode.rule].reminds and episode.severity != "info"
    if not (reminds and finding.fresh and habits.gaps) or episode.told_at is None:
        return False
    gaps = habits.gaps
    gap = gaps[episode.reminders] if episode.reminders < len(gaps) else TELLING.reminder_at_last
    return now >= episode.told_at + timedelta(seconds=gap)


def _may_tell(episode: Episode, now: datetime, habits: Habits) -> bool:
    return episode.severity == "critical" or not habits.quiet.at(now)


def _alert(episode: Episode, state: AlertState, now: datetime, *, event: bool = False) -> Alert:
    return Alert(
        rule=episode.rule,
        state=state,
        severity=episode.severity,
        subject=episode.subject,
        raised_at=episode.raised_at or now,
        told_at=now,
        title=episode.title,
        text=filled(episode.text, episode.since, episode.cleared_at or now),
        cleared_at=episode.cleared_at,
        reminder=episode.reminders if state == "reminded" else 0,
        event=event,
        values=episode.values,
    )


def _not_after(episode: Episode, now: datetime) -> Episode:
    times = {name: min(now, at) for name in _TIMES if (at := getattr(episode, name)) is not None}
    return replace(episode, **times)
