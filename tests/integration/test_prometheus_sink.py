"""The page that Prometheus reads, judged by Prometheus' own tools."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import timedelta

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from poller.runtime.metrics import Metrics, exposition
from poller.sinks.base import SinkContext
from poller.sinks.prometheus import PrometheusSink
from poller.sinks.settings import PrometheusSettings
from poller.testing.clock import ManualClock
from poller.testing.records import START, VIN
from poller.vehicle.fleet import Fleet
from poller.vehicle.privacy import Rendering
from poller.vehicle.signals import CLOSED_DIMENSIONS, SIGNALS, Kind, Signal
from poller.vehicle.snapshot import Snapshot, SnapshotBuilder, Value

OTHER = "WBA00000000000002"


def example(signal: Signal) -> Value:
    """A value that the signal can have, not a round one."""
    if signal.kind is Kind.NUMBER:
        low, high = signal.bounds
        return low + (high - low) * 0.123
    return {
        Kind.BOOL: True,
        Kind.ENUM: next(iter(signal.states), ""),
        Kind.TIME: START + timedelta(hours=3),
        Kind.TEXT: 'quote " back \\ slash \n line',
    }[signal.kind]


def everything(vin: str) -> Snapshot:
    """A car that has every signal there is, in every place."""
    builder = SnapshotBuilder("bmw", vin, START, START - timedelta(minutes=1))
    for signal in SIGNALS:
        if signal.dimension is None:
            builder.put(signal.key, example(signal))
        for place in (
            CLOSED_DIMENSIONS.get(signal.dimension, {"oil", "brake_fluid"}) if signal.dimension else ()
        ):
            builder.put(signal.key, example(signal), dimension=place)
    return builder.build()


@pytest.fixture
async def sink(tmp_path) -> PrometheusSink:
    """All signals of two vehicles, one of which could not be polled any more."""
    settings = PrometheusSettings.model_validate({"type": "prometheus", "location": "exact", "vin": "full"})
    rendering = Rendering({VIN: "mini"}, settings.location, settings.vin)
    made = PrometheusSink("prometheus", settings, SinkContext(ManualClock(), tmp_path, rendering))
    fleet = Fleet()
    fleet.update(everything(VIN))
    fleet.update(everything(OTHER))
    fleet.mark_failed(OTHER, "bmw")
    for view in fleet.views():
        await made.publish(view)
    return made


def test_promtool_has_nothing_to_find(sink) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on this machine")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=generate_latest(sink.registry), capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_both_formats_say_the_same(sink) -> None:
    def read(families) -> dict[tuple, float]:
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }

    classic = read(parse_text(generate_latest(sink.registry).decode()))
    openmetrics = read(parse_openmetrics(generate_openmetrics(sink.registry).decode()))
    assert classic == openmetrics
    assert len(classic) > 2 * len(SIGNALS)


def test_every_signal_with_a_metric_is_there_for_every_vehicle(sink) -> None:
    shown = {
        (sample.name, sample.labels["vehicle"])
        for family in sink.registry.collect()
        for sample in family.samples
    }
    wanted = {f"vehicle_{signal.metric}" for signal in SIGNALS if signal.metric is not None}
    wanted |= {"vehicle_info", "vehicle_up", "vehicle_last_success_timestamp_seconds"}
    assert {(name, slug) for name in wanted for slug in ("mini", "0000002")} <= shown


def test_no_series_comes_twice(sink) -> None:
    rows = [
        row.rpartition(" ")[0]
        for row in generate_latest(sink.registry).decode().splitlines()
        if row[0] != "#"
    ]
    assert len(rows) == len(set(rows))


def test_names_meet_no_target_label_and_have_help(sink) -> None:
    for family in sink.registry.collect():
        assert family.documentation
        for sample in family.samples:
            assert not {"job", "instance", "type", "region", "env"} & sample.labels.keys()


def test_it_is_served_beside_the_daemon_s_own(sink) -> None:
    """One page of both registries, without a name in both."""
    page = exposition([Metrics().registry, sink.registry], "text/plain")
    assert page.failures == ()
    names = re.findall(r"^# TYPE (\S+)", page.body.decode(), re.MULTILINE)
    assert len(names) == len(set(names))
    assert {"poller_deliveries_total", "vehicle_odometer_meters"} <= set(names)
