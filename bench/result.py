"""The seam of a bench module: ``measure()`` gives results; `python -m bench` runs, prints and writes them.

A module of this folder has a docstring that says exactly what is compared, and

    def measure(*, rounds: int = 5, …sizes with the official values as defaults) -> list[Result]

It is synchronous, takes only keywords, leaves nothing behind (folders, processes), prints nothing and
asserts nothing about speed. It measures ours and what it is compared with in the same run, turn by turn
(`turns`), and gives the median of the rounds. Its name goes into `MODULES` of ``bench/__main__.py``, its
tiny sizes into ``tests/integration/test_bench_runs.py``.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table.

    `value` is what is held against `limit`: a ratio (`unit` "×"), a share ("%") or a plain figure
    ("s", "MiB"). It must be at most `limit`, or at least, if `at_least`. `ours` and `beside` are
    texts for the table: "7.1 ms", "bare httpx 3.0 ms".
    """

    figure: str
    ours: str
    beside: str
    value: float
    limit: float
    unit: str = "×"
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def target(self) -> str:
        """The target in words: "≤ 3 ×"."""
        return f"{'≥' if self.at_least else '≤'} {self.limit:g} {self.unit}"

    @property
    def shown(self) -> str:
        """The value in the target's unit."""
        return f"{self.value:.3g} {self.unit}"


@dataclass(frozen=True, slots=True)
class Turns:
    """Medians of what was measured turn by turn; `ratio` is the median of each round's own ours / theirs."""

    ours: float
    theirs: float
    ratio: float


def turns(rounds: int, ours: Callable[[], float], theirs: Callable[[], float]) -> Turns:
    """Measure both in each of `rounds`, one after the other, so that a busy machine slows both."""
    return medians([(ours(), theirs()) for _ in range(rounds)])


def medians(pairs: Sequence[tuple[float, float]]) -> Turns:
    """The medians of pairs (ours, theirs), one a round."""
    return Turns(
        statistics.median(ours for ours, _ in pairs),
        statistics.median(theirs for _, theirs in pairs),
        statistics.median(ours / theirs for ours, theirs in pairs),
    )


def milliseconds(seconds: float) -> str:
    """For the table: "7.1 ms"; from a second on "1.04 s"."""
    return f"{seconds * 1000:.3g} ms" if seconds < 0.9995 else f"{seconds:.2f} s"
