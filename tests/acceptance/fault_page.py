"""docs/operating/faults.md as data: every heading of its third level is a fault that a test goes through.

Below it, after a word about what happens, stand up to six cells, as a list: log, ``/readyz``, page,
metric, what is kept, how it heals; each but the last two may be left out, which is ``—``. What stands
in backticks is taken literally, save that ``…`` stands for anything (a time, a count). They mean:

log
    ``event key=value key='two words'``: a line of the log. ``—``: nothing is logged as a warning.
readyz
    ``200`` and ``503``: the answers, in this order, the first from the first poll or delivery on;
    one alone is the answer all the time. Other spans are reasons.
page
    Sentences, wherever on the page but under *Last failures*. ``—``: the headline stays *All is well*.
metric
    ``name{label="…"} value`` is a sample; without a value it is a counter that grows. ``—``: none of
    the counters of failures grows.
kept, heals
    Statements, separated by ``;``, each of them a key of a table of checks. After a ``:`` a statement
    may name lines of the log.

``no `…` `` means: that very thing, there before and after, is absent meanwhile.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "operating" / "faults.md"
NOTHING = "—"
_SPAN = re.compile(r"(?P<no>\bno )?(?P<ticks>`+)(?P<text>.+?)(?P=ticks)(?!`)")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_SAMPLE = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>[^}]*)\})?(?: (?P<value>\S+))?")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Span:
    """What stands in backticks; `absent`: there is a "no" before it."""

    text: str
    absent: bool = False

    def within(self, text: str) -> bool:
        """Whether `text` holds it; ``…`` stands for anything on the way."""
        return re.search(".*?".join(map(re.escape, self.text.split("…"))), text, re.DOTALL) is not None


@dataclass(frozen=True, slots=True)
class LogLine:
    """An event and what it says at least."""

    event: str
    values: Mapping[str, str]

    @classmethod
    def of(cls, span: Span) -> LogLine:
        event, *pairs = shlex.split(span.text)
        return cls(event, dict(pair.split("=", 1) for pair in pairs))

    def matches(self, line: Mapping[str, object]) -> bool:
        """Whether a line of the log, as JSON has it, is this one."""
        return line.get("event") == self.event and all(
            Span(text).within(str(line.get(key, ""))) if "…" in text else str(line.get(key)) == text
            for key, text in self.values.items()
        )


Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Sample:
    """A line of /metrics; `value` None: a counter of which only the growth is told."""

    name: str
    labels: Labels
    value: float | None

    @classmethod
    def of(cls, text: str) -> Sample:
        found = _SAMPLE.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no sample of a metric")
        value = found["value"]
        return cls(
            found["name"],
            frozenset(_LABEL.findall(found["labels"] or "")),
            None if value is None else float(value),
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One fault, as the page tells it."""

    section: str
    name: str
    cells: Mapping[str, str]

    def __str__(self) -> str:
        return self.name

    def spans(self, column: str) -> list[Span]:
        """What stands in backticks in a cell; on the page itself commands have none."""
        found = ((m["text"].strip(), bool(m["no"])) for m in _SPAN.finditer(self.cells[column]))
        return [Span(text.replace("`", "") if column == "page" else text, absent) for text, absent in found]

    def nothing(self, column: str) -> bool:
        """Whether the cell says that there is nothing to see."""
        return self.cells[column] == NOTHING

    def log_lines(self, column: str = "log") -> list[LogLine]:
        """The lines of the log that a cell names."""
        return [LogLine.of(span) for span in self.spans(column) if column == "log" or _is_event(span.text)]

    def samples(self) -> list[tuple[Sample, bool]]:
        """The samples that the metric cell names, with whether they are absent meanwhile."""
        return [(Sample.of(span.text), span.absent) for span in self.spans("metric")]

    def statements(self, column: str) -> list[str]:
        """The statements of a cell, without the lines of the log that stand behind them."""
        parts = _LINK.sub(r"\1", self.cells[column]).split(";")
        return [re.sub(r": `[^`]*`$", "", part.strip()) for part in parts]


#: How the cells are called on the page.
COLUMNS = {
    "Log": "log", "`/readyz`": "readyz", "Page": "page", "Metric": "metric", "Kept": "kept", "Heals": "heals"
}  # fmt: skip
#: What there always is to say.
REQUIRED = ("kept", "heals")
_ITEM = re.compile(r"^- (.*(?:\n  .*)*)", re.MULTILINE)


def read_page(text: str | None = None) -> list[Row]:
    """Every fault of the page, in order."""
    rows: list[Row] = []
    for part in re.split(r"^## ", text or PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        section, *faults = re.split(r"^### ", part, flags=re.MULTILINE)
        rows += [_row(section.splitlines()[0].strip(), fault) for fault in faults]
    return rows


def _row(section: str, fault: str) -> Row:
    name, _, below = fault.partition("\n")
    cells = dict.fromkeys(COLUMNS.values(), NOTHING)
    for item in _ITEM.finditer(below):
        label, _, cell = " ".join(item[1].split()).partition(": ")
        column = COLUMNS.get(label)
        if column is None or cells[column] != NOTHING or not cell:
            raise ValueError(f"{name}: what is {label!r}?")
        cells[column] = cell
    missing = [column for column in REQUIRED if cells[column] == NOTHING]
    if missing:
        raise ValueError(f"{name}: says nothing of {missing}")
    return Row(section, name.strip(), cells)


def _is_event(text: str) -> bool:
    """Whether a span is an event of the log rather than a command or a setting."""
    return re.match(r"[a-z_]+\.[a-z_]+(?: |$)", text) is not None
