"""A Prometheus filled with the past by `poller export` and promtool, and what the dashboards ask of it."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from imagined_daemon import Imagined
from prometheus_house import Prometheus, finished, need, prometheus

from poller.journal.base import Entry, Policy
from poller.journal.history import History
from poller.journal.sqlite import SqliteJournal
from poller.runtime.clock import SystemClock
from poller.simulator.fleet import MINI_VIN
from poller.simulator.garage import demo_garage
from poller.simulator.past import REACH, fill
from poller.sources.base import NoMemory, SourceContext
from poller.sources.mybmw.settings import MyBmwSettings
from poller.sources.mybmw.source import MyBmwSource
from poller.vehicle.answer import Answer
from poller.vehicle.records import Record, snapshot_record
from poller.vehicle.signals import BY_KEY, CLOSED_DIMENSIONS, SIGNALS, Kind, Signal
from poller.vehicle.snapshot import SnapshotBuilder

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[2]
#: A car that tells everything there is to tell, of a source that the simulator is none of.
ALL_VIN = "WBY00000000000009"
STEP = timedelta(minutes=30)
CONFIG = f"""
data_dir = "data"
[sources.dumps]
type = "recorded"
directory = "dumps"
[vehicles.mini]
vin = "{MINI_VIN}"
[vehicles.everything]
vin = "{ALL_VIN}"
"""
LABELS = {"job": "poller", "instance": "poller:9877"}
#: What Grafana puts in.
VARIABLES = {"vehicle": "everything", "__rate_interval": "1m", "__range": "1h"}


def value(signal: Signal, number: int, at: datetime) -> Any:
    """Something that changes, and is possible."""
    match signal.kind:
        case Kind.NUMBER:
            low, high = signal.bounds or (0, 1)
            return low + (high - low) * (0.3 + number % 50 / 100)
        case Kind.BOOL:
            return number % 7 != 0
        case Kind.ENUM:
            return signal.states[number % len(signal.states)]
        case Kind.TIME:
            return at + timedelta(days=20)
    return "text"


def everything(number: int, at: datetime) -> Entry:
    builder = SnapshotBuilder("home", ALL_VIN, at, at - timedelta(seconds=30))
    for signal in SIGNALS:
        for place in CLOSED_DIMENSIONS.get(signal.dimension or "", ["oil"]) if signal.dimension else [None]:
            builder.put(signal.key, value(signal, number, at), dimension=place)
    answer = Answer("home", "cardata", ALL_VIN, at, {"state": str(number).encode()})
    return Entry(answer=answer, records=[snapshot_record(builder.build(), answer)])


async def live(path: Path, until: datetime) -> None:
    """Two weeks of two simulated cars and of the one that tells everything."""
    clock = SystemClock()
    context = SourceContext(clock, NoMemory(), path.parent, path.parent, UTC)
    account = MyBmwSettings(type="mybmw", username="owner@example.com", base_url="http://127.0.0.1:9")
    source, garage = MyBmwSource("bmw", account, context), demo_garage(3)
    journal = SqliteJournal(path, Policy(), clock)
    await journal.open([])
    for week in (until - REACH, until):
        await fill(journal, source, garage, until=week, interval=timedelta(minutes=5))
    for number in range(2 * REACH // STEP):
        await journal.append(everything(number, until - 2 * REACH + (number + 1) * STEP))
    await journal.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    need("prometheus", "promtool")
    made: Path = tmp_path_factory.mktemp("past")
    (made / "data").mkdir()
    (made / "config.toml").write_text(CONFIG)
    (made / "config.toml").chmod(0o600)
    return made


@pytest.fixture
async def filled(folder) -> AsyncIterator[Prometheus]:
    """The past as owners take it over, and a collector that is scraped from now on."""
    now = datetime.now(UTC).replace(microsecond=0)
    await live(folder / "data/journal.db", now)
    labels = [f"--label={name}={text}" for name, text in LABELS.items()]
    await finished(
        sys.executable,
        "-m",
        "poller",
        "export",
        "-c",
        str(folder / "config.toml"),
        "-o",
        str(folder / "past.om"),
        *labels,
    )
    promtool = ["promtool", "tsdb", "create-blocks-from", "--max-block-duration=744h", "openmetrics"]
    await finished(*promtool, str(folder / "past.om"), str(folder / "prom/data"))
    imagined = Imagined()
    async with imagined.served() as target:
        config = {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
            "scrape_configs": [{"job_name": "poller", "static_configs": [{"targets": [target]}]}],
        }
        async with prometheus(folder / "prom", config, "--storage.tsdb.retention.time=5y") as server:
            imagined.suffer()
            while not await server.query("increase(poller_delivery_failures_total[1h]) > 0"):
                imagined.count()
                await asyncio.sleep(0.5)
            yield server


def asked(board: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(panel's title, query) with the variables put in."""
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], re.sub(r"\$\{?(\w+)\}?", lambda m: VARIABLES[m[1]], target["expr"])


def metric(key: str) -> str:
    return f"vehicle_{BY_KEY[key].metric}"


async def test_a_filled_prometheus_knows_the_past_and_answers_every_panel(filled, folder) -> None:
    """What a snapshot said is what Prometheus says of that moment; and no panel of any dashboard is empty."""
    wrong = [text async for text in differences(filled, folder)]
    assert wrong == []
    empty = [text async for text in panels_without_data(filled)]
    assert empty == []


async def differences(server: Prometheus, folder: Path) -> AsyncIterator[str]:
    records = list(History(folder / "data/journal.db").snapshots())
    assert len({record.vin for record in records}) == 3
    names = {MINI_VIN: "mini", ALL_VIN: "everything"}
    looked_at = [record for record in records[:: len(records) // 60] if record.vin in names]
    assert len(looked_at) > 20
    for record in looked_at:
        async for key, expected in numbers(record):
            query = f'{metric(key)}{{vehicle="{names[record.vin]}",job="poller",instance="poller:9877"}}'
            found = await server.query(query, record.received_at.timestamp())
            if [float(series["value"][1]) for series in found] != [pytest.approx(expected)]:
                yield f"{record.received_at} {query}: {found}, not {expected}"


async def numbers(record: Record) -> AsyncIterator[tuple[str, float]]:
    for key in ("odometer_km", "soc_percent", "locked", "range_total_km"):
        if key in record.body["readings"]:
            yield key, float(record.body["readings"][key]) * BY_KEY[key].factor


async def panels_without_data(server: Prometheus) -> AsyncIterator[str]:
    now = time.time()
    count = 0
    for path in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json")):
        for title, query in asked(json.loads(path.read_text(encoding="utf-8"))):
            count += 1
            if not await server.query_range(query, now - 13 * 86400, now, 3600):
                yield f"{path.stem}: {title}: {query}"
    assert count > 70
