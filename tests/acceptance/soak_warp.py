"""A poller whose time is wound by hand, in a process of its own: its memory is its own.

``python soak_warp.py FOLDER`` opens the road that FOLDER/config.toml describes: the real collector,
journal, deliveries and sinks. Not as in life: the source gets its answers from the garage itself,
without HTTP or login (parsing them is the real thing), the clock moves from tick to tick, and who
ticks is this program instead of APScheduler. Each line on stdin is an order as JSON; each is
answered by a `Report` as JSON:

``{"polls": n}``
    n polls of each vehicle, five minutes apart, and pruning every hour.
``{"drain": n}``
    Polls go on until no sink is behind; n of them at most.
``{"policy": {…}}``
    Other limits for the journal, as `journal.base.Policy`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from poller.app import App
from poller.journal.base import Policy
from poller.runtime import log
from poller.runtime.heap import keep_small
from poller.settings import load
from poller.simulator.garage import CarGarage, demo_garage
from poller.sources import BUILDERS as SOURCES
from poller.sources.base import Answer, SourceContext, Target
from poller.sources.mybmw.settings import MyBmwSettings
from poller.sources.mybmw.source import KIND, MyBmwSource, charging_capabilities
from poller.testing.clock import ManualClock
from poller.vehicle.records import milliseconds

INTERVAL = 300.0
POLLS_AN_HOUR = 12
PAGE = 4096


def _nobody() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Report:
    """How it stands after an order. Sizes in bytes; `took`: seconds of the poller's clock."""

    polls: int
    took: float
    resident: int
    journal: int
    records: int
    dropped: int
    backlog: dict[str, int]
    reasons: list[str]


class BriskClock(ManualClock):
    """Gives others fewer turns: what waits for I/O gets them while the next poll is made.

    While somebody is `busy` it stands still: what a catch-up takes is made of the poller's own pauses
    then, and does not depend on the machine.
    """

    def __init__(self) -> None:
        super().__init__()
        self.busy = _nobody

    async def settle(self, turns: int = 3) -> None:
        await super().settle(min(turns, 3))
        while self.busy():
            await asyncio.sleep(0.001)
            await super().settle(3)


class GarageSource(MyBmwSource):
    """Stands in the garage and looks; understands what it sees as always."""

    def __init__(self, garage: CarGarage, name: str, settings: MyBmwSettings, context: SourceContext) -> None:
        super().__init__(name, settings, context)
        self._cars = garage
        self._vins = settings.vins or garage.vins
        self._time = context.clock

    async def targets(self) -> Sequence[Target]:
        return [Target(vin) for vin in self._vins]

    async def fetch(self, target: Target) -> Answer:
        at, vin = milliseconds(self._time.now()), target.vin
        state = self._cars.state(vin, at) or b""
        bodies = {"state": state, "profile": self._cars.profile(vin) or b""}
        if any(charging_capabilities(state)):
            bodies["charging_settings"] = self._cars.charging(vin, at) or b""
        return Answer(self.name, KIND, vin, at, bodies)


class Warp:
    """The road of one folder, driven poll by poll."""

    def __init__(self, folder: Path) -> None:
        self._clock = BriskClock()
        source = partial(GarageSource, demo_garage())
        loaded = load(folder / "config.toml", environ={"TZ": "UTC"})
        self._app = App(loaded, clock=self._clock, source_builders=SOURCES | {KIND: source})
        self._policy: Policy | None = None
        self._polls = 0
        self._dropped = 0

    async def run(self) -> None:
        """Obey until stdin ends."""
        stop = asyncio.Event()
        await self._app.open()
        tasks = [asyncio.create_task(d.run(stop)) for d in self._app.road.deliveries.values()]
        try:
            while line := await asyncio.to_thread(sys.stdin.readline):
                report = await self._obey(json.loads(line))
                print(json.dumps(asdict(report)), flush=True)  # noqa: T201 - the answer
        finally:
            stop.set()
            await self._clock.advance(60)
            await asyncio.gather(*tasks)
            await self._app.close()

    async def _obey(self, order: dict[str, Any]) -> Report:
        begun = self._clock.monotonic()
        self._clock.busy = self._delivering if "drain" in order else _nobody
        if "policy" in order:
            self._policy = Policy(**order["policy"])
        for _ in range(order.get("polls", 0)):
            await self._poll()
        for _ in range(order.get("drain", 0)):
            if not any((await self._backlogs()).values()):
                break
            await self._poll()
        return await self._report(self._clock.monotonic() - begun)

    async def _poll(self) -> None:
        """The next place on the grid, and all that the sinks that are well make of it."""
        await self._clock.advance(INTERVAL - self._clock.monotonic() % INTERVAL)
        for rounds in self._app.road.rounds.values():
            outcome = await rounds.round()
            assert (outcome.error, outcome.bad) == (None, 0), outcome
            self._polls += outcome.good
        while await self._working():
            await self._clock.advance(0.1)
        if self._polls % POLLS_AN_HOUR == 0:
            await self._prune()

    async def _working(self) -> bool:
        """Whether a sink that is well has something left."""
        well = [name for name, delivery in self._app.road.deliveries.items() if delivery.status().up]
        return any([(await self._app.journal.backlog(name)).records for name in well])

    def _delivering(self) -> bool:
        """Whether a sink has been handed something and not answered yet."""
        return any(delivery._busy.locked() for delivery in self._app.road.deliveries.values())

    async def _prune(self) -> None:
        if self._policy is None:
            await self._app.prune()
        else:
            pruned = await self._app.journal.prune(self._policy, self._clock.now())
            self._dropped += sum(pruned.dropped.values())

    async def _backlogs(self) -> dict[str, int]:
        return {name: (await self._app.journal.backlog(name)).records for name in self._app.road.deliveries}

    async def _report(self, took: float) -> Report:
        # The daemon reads the journal once a real second at most; here that is a day.
        self._app._refreshed_at = None
        await self._app.refresh()
        stats = await self._app.journal.stats()
        return Report(
            self._polls, took, resident(), stats.size, stats.records, self._dropped, await self._backlogs(),
            list(self._app.status().reasons),
        )  # fmt: skip


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


if __name__ == "__main__":
    keep_small()
    log.configure("error", "json")
    asyncio.run(Warp(Path(sys.argv[1])).run())
