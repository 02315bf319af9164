"""One scrape of 1,000 vehicles beside the client library's own cost for the same series. CPU.

Ours is what /metrics does: the sink's collector builds families from the newest states, `exposition`
writes them. Beside it prometheus_client alone: plain gauges with the same names, label sets and values,
made and set beforehand, written by the encoder that a Prometheus server asks for. Same process, in turns;
the number of lines is the same.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from bench.result import Result, milliseconds, turns
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import choose_encoder

from poller.runtime.clock import SystemClock
from poller.runtime.metrics import Registry, exposition
from poller.simulator.garage import demo_garage
from poller.sinks.base import SinkContext
from poller.sinks.prometheus import PrometheusSink
from poller.sinks.settings import PrometheusSettings
from poller.sources.base import Answer
from poller.sources.mybmw.meaning.parse import parse
from poller.vehicle.fleet import Fleet
from poller.vehicle.privacy import Rendering

#: What a Prometheus server asks for.
ACCEPT = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"


def measure(*, rounds: int = 5, vehicles: int = 1000) -> list[Result]:
    """CPU of a scrape, of the client library's own."""
    ours = asyncio.run(_sink(vehicles)).registry
    theirs, series = _gauges(ours)
    encode, _ = choose_encoder(ACCEPT)

    def our_scrape() -> float:
        before = time.process_time()
        body = exposition([ours], ACCEPT).body
        taken = time.process_time() - before
        if _series(body) != series:
            raise AssertionError("the scrapes differ in what they show")
        return taken

    def their_scrape() -> float:
        before = time.process_time()
        encode(theirs)
        return time.process_time() - before

    result = turns(rounds, our_scrape, their_scrape)
    return [
        Result(
            f"scrape of {vehicles:,} vehicles",
            milliseconds(result.ours),
            f"prometheus_client, {series:,} series {milliseconds(result.theirs)}",
            result.ratio,
            3,
        )
    ]


async def _sink(vehicles: int) -> PrometheusSink:
    """The sink, showing so many of the simulated electric car."""
    now = datetime.now(UTC)
    garage = demo_garage()
    vin = garage.vins[0]
    bodies = {"state": garage.state(vin, now) or b"", "profile": garage.profile(vin) or b""}
    clock, names = SystemClock(), Rendering({}, location="none", vin="short")
    sink = PrometheusSink(
        "prometheus", PrometheusSettings(type="prometheus"), SinkContext(clock, Path(), names)
    )
    fleet = Fleet()
    for number in range(vehicles):
        fleet.update(parse(Answer("bmw", "mybmw", f"WMW{number:014}", now, bodies), ZoneInfo("UTC")))
    for view in fleet.views():
        await sink.publish(view)
    return sink


def _gauges(shown: Registry) -> tuple[CollectorRegistry, int]:
    """The same series as plain gauges, and how many there are."""
    registry = CollectorRegistry()
    series = 0
    for family in shown.collect():
        first = family.samples[0]
        gauge = Gauge(first.name, family.documentation, tuple(first.labels), registry=registry)
        for sample in family.samples:
            gauge.labels(*sample.labels.values()).set(sample.value)
            series += 1
    return registry, series


def _series(body: bytes) -> int:
    return sum(not line.startswith(b"#") for line in body.splitlines())
