"""What an owner sees during a fault, and whether it is what the page says."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from fault_page import Labels, Row, Sample, Span

WELL = "All is well"
#: Counters that grow only where something failed: one that grows unmentioned is a hole in the page.
_FAILURES = re.compile(
    r"poller_(poll_failures|delivery_failures|records_rejected|records_dropped|answers_quarantined"
    r"|derive_failures|task_restarts|clock_jumps)_total"
)
_SERIES = re.compile(r"^(\w+(?:\{.*\})?) (\S+)$", re.MULTILINE)

Metrics = Mapping[tuple[str, Labels], float]


@dataclass(frozen=True, slots=True)
class Sight:
    """One moment, all windows. `log`: the lines since the sight before, as JSON has them.

    `exposition` is what `metrics` was read from.
    """

    at: datetime
    log: Sequence[Mapping[str, object]]
    code: int
    reasons: Sequence[str]
    page: str
    metrics: Metrics
    exposition: str


@dataclass(slots=True)
class Story:
    """A fault from end to end.

    `before`: all is well. `during`: from the fault's first poll or delivery on. `after`: the first
    is when all is well again, and the last some polls later.
    """

    before: Sight
    during: list[Sight] = field(default_factory=list)
    after: list[Sight] = field(default_factory=list)

    def logged(self) -> list[Mapping[str, object]]:
        """The log of the fault, without what came after its cure."""
        return list(chain.from_iterable(sight.log for sight in self.during))


def readable(page: str) -> str:
    """The words of the page, without the list of last failures, which stays."""
    present = page.partition("<body>")[2].partition('<section aria-labelledby="failures">')[0]
    present = re.sub(r"</?(?:code|strong)>", "", present)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", present)).split())


def parse_metrics(text: str) -> Metrics:
    """The samples of a scrape."""
    found = (Sample.of(f"{series} {value}") for series, value in _SERIES.findall(text))
    return {(sample.name, sample.labels): sample.value or 0.0 for sample in found}


def missing(row: Row, story: Story) -> list[str]:
    """What the row says is seen and has not been seen yet; empty when all of it was."""
    logged, reasons = story.logged(), _reasons(story.during)
    found = [f"log: {line}" for line in row.log_lines() if not any(map(line.matches, logged))]
    found += [f"/readyz: {one}" for one in _codes(row) if one not in _codes_seen(row, story)]
    found += [f"/readyz: {span.text}" for span in _said(row) if not any(span.within(one) for one in reasons)]
    found += [
        f"page: {span.text}"
        for span in row.spans("page")
        if not any(span.within(sight.page) != span.absent for sight in story.during)
    ]
    return found + [f"metric: {s}" for s, absent in row.samples() if not _shown(s, story, absent=absent)]


def wrong(row: Row, story: Story) -> list[str]:
    """What of the row is not so, once the story is told to its end."""
    return [
        *(f"never seen: {one}" for one in missing(row, story)),
        *_wrong_log(row, story),
        *_wrong_readiness(row, story),
        *_wrong_page(row, story),
        *_wrong_metrics(row, story),
    ]


def _wrong_log(row: Row, story: Story) -> Iterable[str]:
    lines = row.log_lines()
    named = {line.event for line in lines}
    for entry in story.logged():
        if entry["level"] in ("warning", "error") and entry["event"] not in named:
            yield f"logged and not on the page: {dict(entry)}"
    for entry in (*story.before.log, *chain.from_iterable(sight.log for sight in story.after[1:])):
        if any(line.matches(entry) for line in lines):
            yield f"logged without the fault: {dict(entry)}"
    cured = list(chain.from_iterable(sight.log for sight in story.after))
    for line in row.log_lines("heals"):
        if not any(map(line.matches, cured)):
            yield f"not logged after the cure: {line}"


def _wrong_readiness(row: Row, story: Story) -> Iterable[str]:
    said = _codes_seen(row, story)
    changes = [code for at, code in enumerate(said) if at == 0 or code != said[at - 1]]
    if changes != _codes(row):
        yield f"/readyz said {changes} during the fault, the page says {_codes(row)}"
    for sight in (story.before, story.after[-1]):
        if sight.code != 200:
            yield f"/readyz says {sight.code} without the fault: {sight.reasons}"


def _wrong_page(row: Row, story: Story) -> Iterable[str]:
    if row.nothing("page"):
        yield from (f"the page did not stay well: {s.page[:300]}" for s in story.during if WELL not in s.page)
    for span in row.spans("page"):
        for when, sight in (("before", story.before), ("after", story.after[-1])):
            if span.within(sight.page) != span.absent:
                yield f"the page says {span.text!r} {when} the fault as well"


def _wrong_metrics(row: Row, story: Story) -> Iterable[str]:
    named = {(sample.name, sample.labels) for sample, _ in row.samples()}
    for series in _grown(story.before.metrics, story.during[-1].metrics) - named:
        if _FAILURES.fullmatch(series[0]):
            yield f"grew and is not on the page: {series}"
    idle = _grown(story.after[0].metrics, story.after[-1].metrics)
    for sample, absent in row.samples():
        series = (sample.name, sample.labels)
        if sample.value is None and not absent and series in idle:
            yield f"grows without the fault: {sample}"
        for sight in (story.before, story.after[-1]):
            if sample.value is not None and sight.metrics.get(series) == sample.value:
                yield f"shown without the fault: {sample}"
            if absent and series not in sight.metrics:
                yield f"not there without the fault either: {sample}"


def _codes(row: Row) -> list[int]:
    return [int(span.text) for span in row.spans("readyz") if span.text.isdecimal()]


def _codes_seen(row: Row, story: Story) -> list[int]:
    # "Soon" may be before the first look: how long it takes is up to the back-off's dice.
    soon = "soon" in row.cells["readyz"]
    return [sight.code for sight in ([story.before] if soon else []) + story.during]


def _said(row: Row) -> list[Span]:
    return [span for span in row.spans("readyz") if not span.text.isdecimal()]


def _reasons(sights: Iterable[Sight]) -> set[str]:
    return set(chain.from_iterable(sight.reasons for sight in sights))


def _shown(sample: Sample, story: Story, *, absent: bool) -> bool:
    series = (sample.name, sample.labels)
    if absent:
        return any(series not in sight.metrics for sight in story.during)
    if sample.value is not None:
        return any(sight.metrics.get(series) == sample.value for sight in story.during)
    return bool(story.during) and series in _grown(story.before.metrics, story.during[-1].metrics)


def _grown(earlier: Metrics, later: Metrics) -> set[tuple[str, Labels]]:
    return {series for series, value in later.items() if value > earlier.get(series, 0.0)}
