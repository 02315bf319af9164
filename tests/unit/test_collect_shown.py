"""What is shown is what is on disk, also after a restart; what could not be kept is not built upon."""

from __future__ import annotations

import pytest

from poller.collect import Collector
from poller.errors import SourceUnavailable
from poller.runtime.metrics import Metrics
from poller.sources.base import Target
from poller.testing.clock import ManualClock
from poller.testing.journal import MemoryJournal
from poller.testing.sinks import RecordingLiveSink
from poller.testing.sources import VIN, FakeSource
from poller.vehicle.fleet import Fleet


class CountingDeriver:
    """Its state is how many snapshots it has seen."""

    name = "counter"

    def derive(self, state, _snapshot):
        return {"count": state.get("count", 0) + 1}, []


class World:
    def __init__(self):
        self.clock = ManualClock()
        self.journal = MemoryJournal(self.clock)
        self.source = FakeSource(self.clock)
        self.metrics = Metrics()
        self.wakes = 0
        self.restart()

    def restart(self):
        """Only the journal remembers."""
        self.live = RecordingLiveSink()
        self.collector = Collector(
            self.journal,
            derivers=[CountingDeriver()],
            fleet=Fleet(),
            live=[self.live],
            metrics=self.metrics,
            committed=self.wake,
        )

    def wake(self):
        self.wakes += 1

    async def poll(self, soc):
        await self.clock.advance(300)
        self.source.script = [{"soc_percent": soc}]
        return await self.collector.poll(self.source, Target(VIN))

    @property
    def shown(self):
        """State of charge and whether the last poll succeeded, as live sinks show it."""
        view = self.live.views[VIN]
        return view.readings["soc_percent"][0].value, view.sources["fake"].up


@pytest.fixture
async def world():
    made = World()
    await made.journal.open(["files"])
    await made.poll(soc=80)
    made.journal.full = True
    return made


async def test_the_poll_has_failed_and_is_counted(world):
    with pytest.raises(SourceUnavailable) as raised:
        await world.poll(soc=50)
    assert (raised.value.reason, raised.value.hint) == ("journal", "the test said so")
    failures = world.metrics.registry.get_sample_value(
        "poller_poll_failures_total", {"source": "fake", "reason": "journal"}
    )
    assert failures == 1


async def test_what_is_not_on_disk_is_not_shown(world):
    with pytest.raises(SourceUnavailable):
        await world.poll(soc=50)
    assert world.shown == (80, False)
    assert len(world.source.kept) == 1
    assert world.wakes == 1
    world.journal.full = False
    await world.poll(soc=40)
    assert world.shown == (40, True)


async def test_what_is_not_on_disk_is_not_built_upon(world):
    with pytest.raises(SourceUnavailable):
        await world.poll(soc=50)
    world.journal.full = False
    await world.poll(soc=40)
    assert await world.journal.recall(f"derive:counter:{VIN}") == {"count": 2}


async def test_after_a_restart_the_newest_is_shown_before_the_first_poll(world):
    world.restart()
    await world.collector.restore({"fake"})
    assert world.shown == (80, None)


async def test_a_source_that_left_the_configuration_is_not_shown_again(world):
    world.restart()
    await world.collector.restore({"another"})
    assert world.live.views == {}
