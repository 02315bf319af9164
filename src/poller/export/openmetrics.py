"""The cars' past as OpenMetrics text with timestamps, under the names and units of /metrics.

What a scrape would have shown: a value from the poll that brought it until the next poll, so a sample
stands at each change and, between changes, at least every `step`. Metrics are not interleaved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Final, Protocol

from poller.export.held import Held, Series
from poller.vehicle.fleet import Fleet, VehicleView
from poller.vehicle.records import Record, snapshot_of

#: A poll is believed for so long (seconds): where none comes for longer, there is a gap.
HOLD: Final = 86_400.0
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Sample(Protocol):
    """One line of an exposition."""

    @property
    def name(self) -> str:
        """With the suffix of its family's type."""
        ...

    @property
    def labels(self) -> Mapping[str, str]:
        """By their names."""
        ...

    @property
    def value(self) -> float:
        """In the base unit."""
        ...


class Family(Protocol):
    """A metric with its type; without samples it is a description."""

    name: str
    type: str
    documentation: str

    @property
    def samples(self) -> Iterable[Sample]:
        """In the order in which they are exposed."""
        ...


class Collector(Protocol):
    """What `sinks.prometheus.VehicleCollector` is: the one place where views become samples."""

    def describe(self) -> Iterable[Family]:
        """Every family that there can be."""
        ...

    def show(self, views: Mapping[str, VehicleView]) -> None:
        """These are the vehicles now."""
        ...

    def collect(self) -> Iterable[Family]:
        """What a scrape shows."""
        ...


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the times are of the first and the last snapshot, None if there was none."""

    snapshots: int
    vehicles: int
    samples: int
    first: datetime | None
    last: datetime | None


def export(
    snapshots: Iterable[Record],
    collector: Collector,
    to: IO[str],
    *,
    step: float,
    labels: Mapping[str, str],
    hold: float = HOLD,
) -> Exported:
    """Write all `snapshots`, which come in the order of time; `labels` are added to every series.

    `step` and `hold` in seconds. Memory does not grow with time. Raises OSError.
    """
    fleet, vins = Fleet(), set[str]()
    count, first, last = 0, None, None
    with Held(round(hold * 1000)) as held:
        for record in snapshots:
            # `up` is not known: the journal holds what came, not what failed.
            if not fleet.update(snapshot_of(record), up=None):
                continue
            vins.add(record.vin)
            count, first, last = count + 1, first or record.received_at, record.received_at
            view = fleet.view(record.vin)
            collector.show({record.vin: view} if view else {})
            held.show(record.vin, _milliseconds(record.received_at), dict(_samples(collector, labels)))
        held.finish()
        samples = _write(held, collector.describe(), to, round(step * 1000))
    return Exported(count, len(vins), samples, first, last)


def _samples(collector: Collector, labels: Mapping[str, str]) -> Iterator[tuple[Series, float]]:
    for family in collector.collect():
        for sample in family.samples:
            named = tuple(sorted({**sample.labels, **labels}.items()))
            yield Series(sample.name, named), float(sample.value)


def _write(held: Held, families: Iterable[Family], to: IO[str], step: int) -> int:
    """Family by family, series by series; gives the number of samples."""
    count, by_name = 0, held.by_name()
    for family in families:
        shown = by_name.get(f"{family.name}_info" if family.type == "info" else family.name, [])
        if not shown:
            continue
        to.write(f"# TYPE {family.name} {family.type}\n")
        to.write(f"# HELP {family.name} {family.documentation.translate(_ESCAPES)}\n")
        for series in shown:
            text = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in series.labels)
            for run in held.runs(series):
                for at in range(run.start, run.end, step):
                    to.write(f"{series.name}{{{text}}} {run.value!r} {at // 1000}.{at % 1000:03}\n")
                    count += 1
    to.write("# EOF\n")
    return count


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
