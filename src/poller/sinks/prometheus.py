"""The car's signals as gauges: built fresh at each scrape from immutable views, without timestamps.

No timestamps, because series with their own never go stale; the ages are series of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric, StateSetMetricFamily
from prometheus_client.registry import Collector

from poller.runtime import log
from poller.runtime.clock import Clock
from poller.sinks.base import SinkContext
from poller.sinks.settings import PrometheusSettings
from poller.vehicle.fleet import VehicleView
from poller.vehicle.privacy import Rendering
from poller.vehicle.signals import SIGNALS, Kind, Signal, signal_of, split_key
from poller.vehicle.snapshot import Value

Family = GaugeMetricFamily | StateSetMetricFamily | InfoMetricFamily

_UP = "vehicle_up"
_LAST_SUCCESS = "vehicle_last_success_timestamp_seconds"
_REPORT = "vehicle_report_timestamp_seconds"
_SIGNAL_TIME = "vehicle_signal_timestamp_seconds"
_INFO = "vehicle"
#: What is said about each source of a vehicle.
_MARKS = {
    _UP: "1 if the last poll of this vehicle succeeded.",
    _LAST_SUCCESS: "When the source last gave an answer about this vehicle.",
    _REPORT: "The newest time that the car itself gave to the source.",
}


@dataclass(frozen=True, slots=True)
class _Row:
    """One sample, or the states of one enumeration, or the labels of one info."""

    family: str
    labels: tuple[str, ...]
    value: float | Mapping[str, bool] | Mapping[str, str]


class PrometheusSink:
    """Implements `sinks.base.LiveSink`; the web serves `registry` beside the daemon's own."""

    def __init__(self, name: str, settings: PrometheusSettings, context: SinkContext) -> None:
        self.name = name
        self._rendering = context.rendering
        self._collector = VehicleCollector(name, context.rendering, context.clock, settings)
        self.registry = CollectorRegistry()
        self.registry.register(self._collector)

    async def open(self) -> None:
        """Nothing to make ready."""

    async def publish(self, view: VehicleView) -> None:
        """Show this state from the next scrape on."""
        self._collector.show({**self._collector.views, view.vin: view})

    async def retire(self, vin: str) -> None:
        """The vehicle's series vanish with the next scrape."""
        self._collector.show({key: view for key, view in self._collector.views.items() if key != vin})

    async def close(self) -> None:
        """Nothing to let go of."""


class VehicleCollector(Collector):
    """Views in, families out. `collect` never raises: a view that cannot be shown is left out.

    `views` is replaced as a whole, so a scrape sees one state. With a `max_age`, values are withheld
    when the last answer of their source is older.
    """

    def __init__(self, sink: str, rendering: Rendering, clock: Clock, settings: PrometheusSettings) -> None:
        self.views: Mapping[str, VehicleView] = {}
        self._rendering = rendering
        self._clock = clock
        self._max_age = timedelta(seconds=settings.max_age)
        self._signal_times = settings.signal_times
        self._log = log.get("sinks", sink=sink)
        self._shown: Sequence[VehicleView] = ()
        self._complained: set[tuple[str, str]] = set()

    def show(self, views: Mapping[str, VehicleView]) -> None:
        """Replace the views. Of two vehicles with one name only the first is shown, and it is said."""
        names: dict[str, VehicleView] = {}
        for view in views.values():
            slug = self._rendering.slug(view.vin)
            if slug not in names:
                names[slug] = view
            elif self._first_time("name", view.vin):
                hint = "give one of them a name of its own: [vehicles.NAME] with its vin"
                self._log.error("vehicle.name_taken", vehicle=slug, hint=hint)
        self.views = views
        self._shown = tuple(names.values())

    def describe(self) -> Iterator[Metric]:
        """Names in advance, so that a clash is found at start and ``?name[]=`` works."""
        yield from _families().values()

    def collect(self) -> Iterator[Metric]:
        """All series of this moment."""
        families = _families()
        for view in self._shown:
            for row in self._rows_of(view):
                # The families' add_metric differ in the type of the value; _rows fits them.
                families[row.family].add_metric(row.labels, row.value)  # type: ignore[arg-type]  # see above
        yield from (family for family in families.values() if family.samples)

    def _rows_of(self, view: VehicleView) -> list[_Row]:
        """All rows of a vehicle, or none."""
        try:
            return list(self._rows(view))
        except Exception as error:  # noqa: BLE001  # one view must not cost the scrape
            if self._first_time("view", view.vin):
                self._log.error("view.unusable", vin=view.vin, error=type(error).__name__)
            return []

    def _rows(self, view: VehicleView) -> Iterator[_Row]:
        vehicle = self._rendering.slug(view.vin)
        yield from _mark_rows(vehicle, view)
        yield _Row(_INFO, (vehicle,), self._info(view))
        oldest = self._clock.now() - self._max_age if self._max_age else None
        for record_key, (reading, source) in view.readings.items():
            key, dimension = split_key(record_key)
            signal = signal_of(key)
            if signal is None or signal.metric is None or not self._rendering.allows(key):
                continue
            mark = view.sources.get(source)
            if oldest and (mark is None or mark.last_success_at is None or mark.last_success_at < oldest):
                continue
            labels = (vehicle,) if dimension is None else (vehicle, dimension)
            yield _Row(_name(signal), labels, self._value(signal, reading.value))
            if self._signal_times and reading.observed_at is not None:
                yield _Row(_SIGNAL_TIME, (vehicle, record_key), reading.observed_at.timestamp())

    def _value(self, signal: Signal, value: Value) -> float | dict[str, bool]:
        if signal.kind is Kind.ENUM:
            state = value if value in signal.states else "unknown"
            return {known: known == state for known in signal.states}
        number = value.timestamp() if isinstance(value, datetime) else float(value)
        # Rounded, because 57 percent times 0.01 is not 0.57.
        return round(self._rendering.coarse(signal.key, number) * signal.factor, 9)

    def _info(self, view: VehicleView) -> dict[str, str]:
        labels = {
            key: str(reading.value)
            for key, (reading, _) in sorted(view.readings.items())
            if (signal := signal_of(key)) is not None and signal.kind is Kind.TEXT
        }
        if self._rendering.vin == "full":
            labels["vin"] = self._rendering.shown_vin(view.vin)
        return labels

    def _first_time(self, what: str, vin: str) -> bool:
        fresh = (what, vin) not in self._complained
        self._complained.add((what, vin))
        return fresh


def _mark_rows(vehicle: str, view: VehicleView) -> Iterator[_Row]:
    """What is known of each source; what is not known has no series."""
    for source, mark in view.sources.items():
        labels = (vehicle, source)
        if mark.up is not None:
            yield _Row(_UP, labels, float(mark.up))
        if mark.last_success_at is not None:
            yield _Row(_LAST_SUCCESS, labels, mark.last_success_at.timestamp())
        if mark.report_at is not None:
            yield _Row(_REPORT, labels, mark.report_at.timestamp())


def _families() -> dict[str, Family]:
    """Empty families by name, in the catalogue's order."""
    families: dict[str, Family] = {
        name: GaugeMetricFamily(name, text, labels=["vehicle", "source"]) for name, text in _MARKS.items()
    }
    text = "When the car measured the signal; only with signal_times."
    families[_SIGNAL_TIME] = GaugeMetricFamily(_SIGNAL_TIME, text, labels=["vehicle", "signal"])
    families[_INFO] = InfoMetricFamily(_INFO, "What the vehicle is.", labels=["vehicle"])
    for signal in SIGNALS:
        if signal.metric is None:
            continue
        kind = StateSetMetricFamily if signal.kind is Kind.ENUM else GaugeMetricFamily
        labels = ["vehicle"] if signal.dimension is None else ["vehicle", signal.dimension]
        text = f"{signal.label}, as the car last reported it."
        families[_name(signal)] = kind(_name(signal), text, labels=labels)
    return families


def _name(signal: Signal) -> str:
    return f"vehicle_{signal.metric}"
