"""Names, units and durations in the queries that the tools write: from the catalogue, so that none drifts."""

from __future__ import annotations

from dataclasses import dataclass

from poller.runtime.quantities import written_duration
from poller.vehicle.signals import BY_KEY, SIGNALS, Kind


@dataclass(frozen=True)
class Pace:
    """How durations are written; `faster` divides them all, for a rehearsal in real time."""

    faster: float = 1

    def span(self, seconds: float) -> str:
        """A duration as PromQL and `for` have it."""
        return written_duration(seconds / self.faster)

    def number(self, seconds: float) -> str:
        """A duration to compare or divide with: PromQL's numbers are seconds."""
        return f"{seconds / self.faster:g}"


def metric(key: str) -> str:
    """The metric of a signal. KeyError: there is no such signal; ValueError: it has no metric."""
    name = BY_KEY[key].metric
    if name is None:
        raise ValueError(f"{key} has no metric")
    return f"vehicle_{name}"


def based(key: str, value: float) -> str:
    """A value in the unit of the record as the metric has it."""
    return f"{value * BY_KEY[key].factor:g}"


def openings() -> str:
    """What matches the metrics of all that can be open."""
    parts = "|".join(
        signal.key.removesuffix("_open")
        for signal in SIGNALS
        if signal.kind is Kind.BOOL and signal.key.endswith("_open")
    )
    return f'__name__=~"vehicle_({parts})_open"'
