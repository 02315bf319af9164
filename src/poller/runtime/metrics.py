"""The daemon's own metrics (``poller_…``): counters counted here, gauges read from the status.

The only importer of prometheus_client besides ``sinks/prometheus.py``. Names are a contract.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from poller.runtime.status import AlertStatus, Condition, DaemonStatus, conditions

#: Reasons of `poller_poll_failures_total`, initialised to 0 so that the series exist before the first.
POLL_REASONS = (
    "unavailable", "timeout", "network", "server", "rate_limited", "quota", "blocked",
    "login_required", "scope", "not_mapped", "container", "stream", "malformed", "journal", "internal",
)  # fmt: skip
DELIVERY_REASONS = (
    "unavailable",
    "timeout",
    "network",
    "server",
    "disk",
    "rate_limited",
    "misconfigured",
    "refused",
    "internal",
)


#: What a sink of metrics hands to the web.
Registry = CollectorRegistry


@dataclass(frozen=True, slots=True)
class Exposition:
    """One scrape's answer; `failures` names what had to be left out (type of error, no values)."""

    content_type: str
    body: bytes
    failures: Sequence[str] = ()


def exposition(registries: Sequence[Registry], accept: str) -> Exposition:
    """All registries as one page, in the format that the Accept header asks for; never raises.

    A collector that fails costs its own families from there on (and those registered after it in
    the same registry), a family that cannot be written costs itself.
    """
    encode, content_type = choose_encoder(accept)
    parts: list[bytes] = []
    failures: list[str] = []
    for registry in registries:
        try:
            for family in registry.collect():
                try:
                    parts.append(encode(_Only(family)).removesuffix(b"# EOF\n"))
                except Exception as error:  # noqa: BLE001  # whatever it is, it costs this family only
                    failures.append(f"{family.name}: {type(error).__name__}")
        except Exception as error:  # noqa: BLE001  # a collector's bug must not cost the scrape
            failures.append(f"collector: {type(error).__name__}")
    if content_type.startswith("application/openmetrics-text"):
        parts.append(b"# EOF\n")
    return Exposition(content_type, b"".join(parts), tuple(failures))


class _Only(Collector):
    """One family, as the encoders want it."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family


class Metrics:
    """Counters of one daemon, in a registry of its own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped upstream
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=self.registry)

        self.polls = counter("poller_polls_total", "Polls of a vehicle, good or bad.", "source")
        self.poll_failures = counter("poller_poll_failures_total", "Polls that failed.", "source", "reason")
        self.unknown_tokens = counter(
            "poller_unknown_tokens_total", "Vendor words that were not understood.", "signal"
        )
        self.quarantined = counter(
            "poller_answers_quarantined_total", "Answers that could not be parsed and were kept."
        )
        self.derive_failures = counter(
            "poller_derive_failures_total", "Derivers that raised; the snapshot was kept alone.", "deriver"
        )
        self.deliveries = counter("poller_deliveries_total", "Delivery attempts.", "sink")
        self.delivery_failures = counter(
            "poller_delivery_failures_total", "Delivery attempts that failed.", "sink", "reason"
        )
        self.delivered = counter("poller_records_delivered_total", "Records accepted by a sink.", "sink")
        self.rejected = counter(
            "poller_records_rejected_total", "Records refused for ever: dead letters.", "sink"
        )
        self.dropped = counter(
            "poller_records_dropped_total", "Records pruned before a sink had them.", "sink"
        )
        self.task_restarts = counter("poller_task_restarts_total", "Tasks restarted after a failure.", "task")
        self.clock_jumps = counter("poller_clock_jumps_total", "Jumps of the wall clock that were seen.")

    @property
    def restarts(self) -> int:
        """Restarts of all tasks together."""
        samples = (sample for metric in self.task_restarts.collect() for sample in metric.samples)
        return int(sum(sample.value for sample in samples))

    def declare_source(self, source: str) -> None:
        """Make a source's series exist before its first poll."""
        self.polls.labels(source)
        for reason in POLL_REASONS:
            self.poll_failures.labels(source, reason)

    def declare_sink(self, sink: str) -> None:
        """Make a queued sink's series exist before its first delivery."""
        for counter in (self.deliveries, self.delivered, self.rejected, self.dropped):
            counter.labels(sink)
        for reason in DELIVERY_REASONS:
            self.delivery_failures.labels(sink, reason)

    def count_poll_failure(self, source: str, reason: str) -> None:
        """Count a failed poll; a reason outside the closed set counts as ``internal``."""
        self.poll_failures.labels(source, reason if reason in POLL_REASONS else "internal").inc()

    def count_delivery_failure(self, sink: str, reason: str) -> None:
        """Count a failed delivery; a reason outside the closed set counts as ``internal``."""
        self.delivery_failures.labels(sink, reason if reason in DELIVERY_REASONS else "internal").inc()

    def expose(self, status: Callable[[], DaemonStatus]) -> None:
        """Serve gauges read from `status` at each scrape."""
        self.registry.register(StatusCollector(status))


class StatusCollector(Collector):
    """Turns a `DaemonStatus` into gauges; never raises, so one fault cannot cost the scrape."""

    def __init__(self, status: Callable[[], DaemonStatus]) -> None:
        self._status = status

    def describe(self) -> Sequence[GaugeMetricFamily]:
        """Nothing in advance: the registry then asks nobody at start."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily | InfoMetricFamily]:
        """All gauges of this moment."""
        status = self._status()
        yield InfoMetricFamily("poller_build", "Version of the poller.", {"version": status.version})
        yield _gauge("poller_ready", "1 if /readyz says 200.", float(status.ready))
        yield from _sources(status)
        yield from _sinks(status)
        yield from _journal(status)
        yield _alerts(status.alerts)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _family(
    name: str, text: str, label: str, values: Sequence[tuple[str, float | datetime | None]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values:
        if value is not None:
            family.add_metric([key], value.timestamp() if isinstance(value, datetime) else value)
    return family


def _sources(status: DaemonStatus) -> Iterator[GaugeMetricFamily]:
    sources = status.sources

    def family(name: str, text: str, attribute: str) -> GaugeMetricFamily:
        return _family(name, text, "source", [(s.name, getattr(s, attribute)) for s in sources])

    yield family("poller_poll_last_duration_seconds", "Duration of the last poll.", "last_duration")
    yield family(
        "poller_source_next_poll_timestamp_seconds", "When the source is asked next.", "next_poll_at"
    )
    quotas = [(s.name, s.quota) for s in sources if s.quota is not None]
    yield _family(
        "poller_quota_limit_calls", "Calls allowed a day.", "source", [(name, q.limit) for name, q in quotas]
    )
    yield _family(
        "poller_quota_remaining_calls", "Calls left.", "source", [(name, q.remaining) for name, q in quotas]
    )
    yield family(
        "poller_source_allowed_age_seconds", "Without an answer for longer, it is not ready.", "allowed_age"
    )
    yield family("poller_login_expiry_timestamp_seconds", "When the login ends.", "login_expires_at")
    streams = [(s.name, s.stream.connected) for s in sources if s.stream is not None]
    yield _family("poller_stream_connected", "1 while the stream is connected.", "source", streams)
    silent = GaugeMetricFamily(
        "poller_source_silent",
        "1 for each reason why a source brings nothing new, or less than it could.",
        labels=["source", "condition"],
    )
    for source in sources:
        true = conditions(source)
        for condition in get_args(Condition):
            silent.add_metric([source.name, condition], float(condition in true))
    yield silent


def _sinks(status: DaemonStatus) -> Iterator[GaugeMetricFamily]:
    sinks = status.sinks
    queued = [sink for sink in sinks if not sink.live]
    yield _family(
        "poller_sink_up", "1 if the last delivery succeeded.", "sink", [(s.name, s.up) for s in sinks]
    )
    for name, text, attribute in (
        ("poller_sink_backlog_records", "Records waiting for the sink.", "backlog"),
        (
            "poller_sink_oldest_record_timestamp_seconds",
            "When the oldest waiting record was received.",
            "oldest_record_at",
        ),
        ("poller_sink_last_success_timestamp_seconds", "Last good delivery.", "last_success_at"),
    ):
        yield _family(name, text, "sink", [(s.name, getattr(s, attribute)) for s in queued])
    letters: list[tuple[str, float | datetime | None]] = [(s.name, s.dead_letters) for s in queued]
    letters.append(("(quarantine)", status.journal.quarantined))
    yield _family("poller_dead_letters", "Records and answers set aside.", "sink", letters)


def _journal(status: DaemonStatus) -> Iterator[GaugeMetricFamily]:
    journal = status.journal
    yield _gauge("poller_journal_size_bytes", "Size of the journal's files.", journal.size)
    yield _gauge("poller_journal_limit_bytes", "Size limit of the journal; 0: none.", journal.limit)
    if journal.oldest_record_at is not None:
        yield _gauge(
            "poller_journal_oldest_record_timestamp_seconds",
            "When the oldest record was received.",
            journal.oldest_record_at.timestamp(),
        )
    yield _gauge("poller_disk_free_bytes", "Free space beside the journal.", journal.disk_free)


def _alerts(alerts: Sequence[AlertStatus]) -> GaugeMetricFamily:
    """Only what is active, as with Prometheus' own ALERTS; rules and severities are closed sets."""
    family = GaugeMetricFamily(
        "poller_alerts_active",
        "Alerts that are raised and not over, by their number; vehicle is empty for the poller's own.",
        labels=["vehicle", "rule", "severity"],
    )
    for labels, number in Counts((a.vehicle, a.rule, a.severity) for a in alerts).items():
        family.add_metric(labels, number)
    return family
