"""A poll that is given up while the journal commits."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace

import pytest

from poller.collect import Collector
from poller.derive.base import Deriver
from poller.runtime.metrics import Metrics
from poller.testing.clock import ManualClock
from poller.testing.journal import MemoryJournal
from poller.vehicle.answer import Answer
from poller.vehicle.fleet import Fleet
from poller.vehicle.snapshot import SnapshotBuilder


class Counting:
    name = "counting"

    def derive(self, state, _snapshot):
        return {"seen": state.get("seen", 0) + 1}, ()


class Slow(MemoryJournal):
    slow = True

    async def append(self, entry):
        await super().append(entry)
        if self.slow:
            await asyncio.sleep(10)


async def test_what_was_committed_all_the_same_is_built_upon() -> None:
    clock = ManualClock()
    journal, deriver = Slow(clock), Counting()
    await journal.open([])
    checked: Deriver = deriver
    collector = Collector(journal, derivers=[checked], fleet=Fleet(clock.now), live=[],
                          metrics=Metrics(), committed=lambda: None)  # fmt: skip

    async def keep(minute: int) -> None:
        at = clock.now() + timedelta(minutes=minute)
        snapshot = SnapshotBuilder("bmw", "WMW00000000000001", at, at).build()
        source = SimpleNamespace(name="bmw", parse=lambda _: snapshot, stored=lambda _: None)
        await collector.keep(source, Answer("bmw", "mybmw", snapshot.vin, at, {}))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await keep(0)
    journal.slow = False
    await keep(1)
    assert await journal.recall("derive:counting:WMW00000000000001") == {"seen": 2}
