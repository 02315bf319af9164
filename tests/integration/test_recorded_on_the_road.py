"""Captured answers on their way: what was taken in stays on show, bad files are no vehicles."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from poller.collect import Collector
from poller.errors import MalformedAnswer
from poller.runtime.metrics import Metrics
from poller.simulator.fleet import MINI_VIN
from poller.simulator.garage import demo_garage
from poller.sources.base import SourceContext
from poller.sources.recorded import RecordedSource
from poller.sources.settings import RecordedSettings
from poller.testing.clock import ManualClock
from poller.testing.journal import MemoryJournal
from poller.testing.memory import DictMemory
from poller.vehicle.fleet import Fleet

AT = datetime(2026, 11, 19, 14, tzinfo=UTC)


@pytest.fixture
async def fleet(tmp_path) -> Fleet:
    """The fleet after two looks at a folder with a good and a bad dump."""
    state = json.loads(demo_garage().state(MINI_VIN, AT))
    (tmp_path / "1.json").write_text(json.dumps({"vin": MINI_VIN, "data": state}))
    (tmp_path / "2.json").write_bytes(b"")
    clock, fleet = ManualClock(), Fleet()
    journal = MemoryJournal(clock)
    await journal.open(())
    collector = Collector(
        journal, derivers=[], fleet=fleet, live=[], metrics=Metrics(), committed=lambda: None
    )
    context = SourceContext(clock, DictMemory(), tmp_path, tmp_path, ZoneInfo("UTC"))
    source = RecordedSource("dumps", RecordedSettings(type="recorded", directory="."), context)
    await clock.advance(10)
    for _ in range(2):
        targets = await source.targets()
        await collector.retire(source, frozenset(target.vin for target in targets))
        for target in targets:
            if target.vin:
                await collector.poll(source, target)
            else:
                with pytest.raises(MalformedAnswer):
                    await collector.poll(source, target)
    return fleet


async def test_a_look_without_news_retires_no_vehicle(fleet) -> None:
    assert [view.vin for view in fleet.views() if view.vin] == [MINI_VIN]


async def test_a_bad_file_is_no_vehicle(fleet) -> None:
    assert fleet.view("") is None
