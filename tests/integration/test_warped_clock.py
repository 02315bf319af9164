"""One warped clock for everybody, while what the network may take stays real time."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta

import pytest

from poller.app import App
from poller.cli.login import login_to
from poller.commands import TABLE
from poller.journal.base import Entry, Policy
from poller.journal.sqlite import SqliteJournal
from poller.runtime.clock import SystemClock
from poller.settings import load
from poller.simulator import axiom
from poller.simulator.cloud import FakeCloud
from poller.simulator.fault import Fault
from poller.simulator.garage import demo_garage
from poller.simulator.login import REFRESH_TOKEN, USER
from poller.simulator.server import serve
from poller.testing.records import record_number
from poller.vehicle.records import milliseconds
from poller.warp import rehearsal_clock

SPEED = 3600.0
CONFIG = """
data_dir = "data"
[web]
listen = ""
[sources.bmw]
type     = "mybmw"
username = "{user}"
base_url = "{cloud}"
[sources.loop]
type    = "command"
command = ["{python}", "-c", "import time; time.sleep(0.3); print(open('state.json').read())"]
[sinks.axiom]
type    = "axiom"
url     = "{axiom}"
dataset = "cars"
token   = "{token}"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    garage = demo_garage(1)
    vin, at = garage.vins[0], datetime(2026, 11, 16, 12, tzinfo=UTC)
    printed = [{"vin": vin, "fetched_at": at.isoformat(), **json.loads(garage.state(vin, at))}]
    (tmp_path / "state.json").write_text(json.dumps(printed))
    return tmp_path


async def test_slow_answers_are_waited_for_in_real_time(folder) -> None:
    """A third of a second is eighteen minutes of this clock, beyond every limit there is."""
    clock = SystemClock(SPEED)
    cloud, sink = FakeCloud(demo_garage(1), clock, token_lifetime=86_400), axiom.FakeAxiom(clock=clock)
    cloud.faults.add(Fault(path_prefix="/eadrax-vcs/v4", kind="slow", seconds=0.3, count=1))
    sink.plan(axiom.slow(0.3))
    async with serve(cloud) as cloud_url, serve(sink) as axiom_url:
        config = folder / "config.toml"
        config.write_text(
            CONFIG.format(
                user=USER, cloud=cloud_url, axiom=axiom_url, token=axiom.TOKEN, python=sys.executable
            )
        )
        config.chmod(0o600)
        loaded = load(config)
        await login_to(loaded, "bmw", refresh_token=REFRESH_TOKEN)
        app = App(loaded, clock=clock)
        try:
            await app.open()
            report = await TABLE["once"](app, {})
        finally:
            await app.close()
    assert report["exit_code"] == 0, report
    assert [source["good"] for source in report["sources"]] == [2, 1]
    # At the time of this run a car may also have something to alert of.
    assert len([event for event in sink.events if event["kind"] == "snapshot"]) == 3
    assert not sink.duplicates
    assert cloud.requests["/eadrax-vcs/v4/vehicles/state"] == 2, "none was given up and asked for again"


async def test_a_rehearsal_goes_on_where_an_earlier_one_ended_ahead_of_the_time(tmp_path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", Policy(), SystemClock())
    await journal.open(())
    future = milliseconds(SystemClock().now() + timedelta(days=3))
    await journal.append(Entry(records=[record_number(0, start=future)]))
    await journal.close()
    clock = rehearsal_clock(60.0, tmp_path)
    assert clock.rate == 60
    assert timedelta() <= clock.now() - future < timedelta(hours=1)


async def test_a_rehearsal_begins_now_otherwise(tmp_path) -> None:
    """Without a journal none is made; one that is behind does not hold the clock back."""
    early = rehearsal_clock(60.0, tmp_path)
    assert abs(early.now() - SystemClock().now()) < timedelta(hours=1)
    assert list(tmp_path.iterdir()) == []
    journal = SqliteJournal(tmp_path / "journal.db", Policy(), SystemClock())
    await journal.open(())
    await journal.append(Entry(records=[record_number(0, start=datetime(2026, 1, 1, tzinfo=UTC))]))
    await journal.close()
    late = rehearsal_clock(60.0, tmp_path)
    assert abs(late.now() - SystemClock().now()) < timedelta(hours=1)


async def test_to_look_where_a_rehearsal_ended_changes_nothing(tmp_path) -> None:
    """What is damaged, or in use, is for the daemon to say."""
    (tmp_path / "journal.db").write_bytes(b"no database " * 1000)
    clock = rehearsal_clock(60.0, tmp_path)
    assert abs(clock.now() - SystemClock().now()) < timedelta(hours=1)
    assert [path.name for path in tmp_path.iterdir()] == ["journal.db"]


async def test_a_journal_in_use_is_read_beside_its_daemon(tmp_path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", Policy(), SystemClock())
    await journal.open(())
    try:
        future = milliseconds(SystemClock().now() + timedelta(days=3))
        await journal.append(Entry(records=[record_number(0, start=future)]))
        assert rehearsal_clock(60.0, tmp_path).now() >= future
    finally:
        await journal.close()
