"""Metrics are documented, and what pages, alerts and dashboards name exists."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from poller.runtime.metrics import DELIVERY_REASONS, POLL_REASONS, Metrics
from poller.runtime.status import (
    DaemonStatus,
    JournalStatus,
    QuotaStatus,
    SinkStatus,
    SourceStatus,
    StreamStatus,
)
from poller.vehicle.signals import SIGNALS

_NOW = datetime(2026, 11, 21, tzinfo=UTC)
_AGES = ("vehicle_last_success_timestamp_seconds", "vehicle_report_timestamp_seconds")
_BESIDES = {"vehicle_info", "vehicle_up", "vehicle_signal_timestamp_seconds", *_AGES}
_DAEMON_METRIC = re.compile(r"\bpoller_[a-z_]+[a-z]\b")
_VEHICLE_METRIC = re.compile(r"\bvehicle_[a-z_]+[a-z]\b")


@pytest.fixture(scope="module")
def exposed() -> set[str]:
    """The daemon's metrics as a scrape shows them, with every optional one there."""
    source = SourceStatus(
        "bmw", "mybmw", "ok", 900, next_poll_at=_NOW, last_duration=1, login_expires_at=_NOW,
        quota=QuotaStatus(50, 9), stream=StreamStatus("connected"),
    )  # fmt: skip
    sink = SinkStatus("files", "json_files", live=False, up=True, oldest_record_at=_NOW, last_success_at=_NOW)
    journal = JournalStatus(oldest_record_at=_NOW)
    status = DaemonStatus("1", _NOW, _NOW, (source,), (sink,), journal)
    metrics = Metrics()
    metrics.expose(lambda: status)
    metrics.declare_source("bmw")
    metrics.declare_sink("files")
    names = set()
    for family in metrics.registry.collect():
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        names.add(family.name + suffix)
    return names


@pytest.fixture(scope="module")
def vehicle_metrics() -> set[str]:
    return {f"vehicle_{signal.metric}" for signal in SIGNALS if signal.metric} | _BESIDES


def test_every_metric_of_the_daemon_is_on_the_page(pages, exposed) -> None:
    documented = set(re.findall(r"^\| `(poller_\w+)`", pages["docs/operating/metrics.md"].text, re.MULTILINE))
    assert documented == exposed


@pytest.mark.parametrize(
    ("heading", "reasons"), [("failed polls", POLL_REASONS), ("failed deliveries", DELIVERY_REASONS)]
)
def test_every_reason_is_on_the_page(pages, heading, reasons) -> None:
    section = (
        pages["docs/operating/metrics.md"].text.partition(f"Reasons of {heading}")[2].partition("\n##")[0]
    )
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) - {"reason"} == set(reasons)


def test_the_metrics_beside_the_signals_are_on_the_page(pages) -> None:
    documented = set(
        re.findall(r"^\| `(vehicle_\w+)`", pages["docs/operating/metrics.md"].text, re.MULTILINE)
    )
    assert documented == _BESIDES


def _unknown(text: str, exposed: set[str], vehicle_metrics: set[str]) -> set[str]:
    wrong = set(_DAEMON_METRIC.findall(text)) - exposed
    return wrong | (set(_VEHICLE_METRIC.findall(text)) - vehicle_metrics)


@pytest.mark.parametrize(
    "path",
    [
        "deploy/prometheus/rules.yml",
        "deploy/grafana/dashboards/car.json",
        "deploy/grafana/dashboards/collector.json",
        "deploy/grafana/dashboards/fleet.json",
    ],
)
def test_alerts_and_dashboards_ask_for_metrics_that_exist(root, path, exposed, vehicle_metrics) -> None:
    text = (root / path).read_text(encoding="utf-8")
    text = re.sub(r'__name__=~\\?"[^"]*"', "", text)
    assert _unknown(text, exposed, vehicle_metrics) == set()


def test_open_things_are_found_by_a_pattern_that_names_signals(root, vehicle_metrics) -> None:
    """Rules and dashboard match `vehicle_(door|…)_open` by regular expression."""
    text = (root / "deploy/prometheus/rules.yml").read_text(encoding="utf-8")
    words = re.search(r"vehicle_\(([a-z_|]+)\)_open", text)
    assert words
    matched = {f"vehicle_{word}_open" for word in words[1].split("|")}
    assert matched == {name for name in vehicle_metrics if name.endswith("_open")}


def test_every_alert_is_on_the_page_and_has_a_test(root, pages) -> None:
    rules = (root / "deploy/prometheus/rules.yml").read_text(encoding="utf-8")
    tests = (root / "deploy/prometheus/rules_test.yml").read_text(encoding="utf-8")
    alerts = set(re.findall(r"- alert: (\w+)", rules))
    documented = set(re.findall(r"^\| `(\w+)`", pages["docs/operating/alerts.md"].text, re.MULTILINE))
    assert documented == alerts
    assert set(re.findall(r"alertname: (\w+)", tests)) == alerts
