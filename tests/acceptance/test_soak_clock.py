"""Clocks that are set by hand, by NTP or by a suspend, while the poller runs: polls go on, politely.

The whole daemon on a clock of ours, and its timer on the machine's own, where nothing is ours but
what APScheduler reads as the time.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from fault_house import INTERVAL, House
from fault_street import MINI, Yard

from poller.schedule.timer import WATCH_EVERY, Timer
from poller.simulator.axiom import FakeAxiom
from poller.simulator.cloud import FakeCloud
from poller.simulator.faults import Fault
from poller.testing.clock import ManualClock

HOUR, DAY = 3600.0, 86_400.0
#: Every way of setting a clock wrong and right again, in random order: so often.
ROUNDS = 1
SOAK_ROUNDS = 10
ODOMETER = "vehicle_odometer_meters"


class TrueTime:
    """The time as the rest of the world has it: as a poller's clock, less what that clock is `wrong`."""

    rate = 1.0

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.wrong = 0.0

    def now(self) -> datetime:
        return self._clock.now() - timedelta(seconds=self.wrong)

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        return self._clock.timeout(seconds)


class Quay(Yard):
    """Counts how often it told how a car stands: what the poller should hold."""

    told = 0

    def state(self, vin: str, at: datetime) -> bytes | None:
        self.told += 1
        return super().state(vin, at)


class Boat(House):
    """A house whose clock can be wrong while the world's is right."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        # A clock from before this release is not believed: a day back must still be after it.
        self.clock.jump(90 * DAY)
        self.yard: Quay = Quay(self.clock.now())
        self.world = TrueTime(self.clock)
        self.cloud = FakeCloud(self.yard, self.world)
        self.axiom = FakeAxiom(clock=self.world)
        self.cloud_door._app, self.axiom_door._app = self.cloud, self.axiom

    def set_clock(self, seconds: float) -> None:
        """Set the machine's clock by hand."""
        self.world.wrong += seconds
        self.clock.jump(seconds)

    def sleep_well(self, seconds: float) -> None:
        """Suspend the machine: the world goes on, and steady time stands still."""
        self.clock.jump(seconds)

    async def odometer(self) -> float:
        """What Prometheus would see of the MINI, in km."""
        sight = await self.looks()
        labels = frozenset({("vehicle", "mini")})
        return sight.metrics[ODOMETER, labels] / 1000


@asynccontextmanager
async def afloat(folder: Path, wrong: float = 0.0, later: float = 0.0) -> AsyncIterator[Boat]:
    """A boat whose clock is `wrong` by so many seconds from the start, `later` than the first one."""
    async with AsyncExitStack() as stack:
        boat = Boat(folder)
        boat.clock.jump(later)
        boat.set_clock(wrong)
        await boat.run(stack)
        yield boat


class Wall(datetime):
    """The machine's wall clock, which a test cannot set: `shift` is what it was set by since."""

    shift = timedelta(0)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a plain one will do
        return datetime.now(tz) + cls.shift


class HastyClock:
    """The machine's clocks, real ones; only who sleeps is woken early: half a minute takes 50 ms."""

    rate = 1.0

    def now(self) -> datetime:
        return Wall.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 600)

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        return asyncio.timeout(None if seconds is None else seconds / 600)


WAYS = [
    *((f"set {seconds / HOUR:+.0f} h", Boat.set_clock, seconds) for seconds in (HOUR, -HOUR, DAY, -DAY)),
    *((f"asleep {seconds / HOUR:.0f} h", Boat.sleep_well, seconds) for seconds in (HOUR, DAY)),
]


@pytest.mark.parametrize(
    "rounds", [ROUNDS, pytest.param(SOAK_ROUNDS, marks=pytest.mark.soak)], ids=["plain", "soak"]
)
async def test_polls_go_on_within_half_a_minute_and_without_a_burst(tmp_path, rng, rounds):
    """None is lost, sinks and metrics follow, and the access token is renewed when the cloud wants it."""
    async with afloat(tmp_path) as boat:
        moves = rng.sample(WAYS * rounds, len(WAYS) * rounds)
        for jumps, (name, move, seconds) in enumerate(moves, start=1):
            await boat.passes(rng.uniform(1, 2 * INTERVAL))
            if rng.random() < 0.5:
                boat.cloud.login.expire_access_tokens()
            before = boat.yard.told
            move(boat, seconds)
            await boat.passes(WATCH_EVERY + 5, stride=5)
            assert before + 2 <= boat.yard.told <= before + 4, f"{name}: polls {before}, {boat.yard.told}"
            await boat.passes(INTERVAL)
            assert before + 4 <= boat.yard.told <= before + 6, name
            sight = await boat.looks()
            assert (sight.code, sight.reasons) == (200, []), name
            assert sight.metrics["poller_clock_jumps_total", frozenset()] == jumps
            assert set(boat.files()) == set(boat.axiom.ids())
            assert len(boat.files()) == boat.yard.told, name
            newest = max(
                int(record["readings"]["odometer_km"])
                for record in boat.files().values()
                if record["vin"] == MINI
            )
            assert await boat.odometer() == newest, f"{name}: /metrics stand still"
        assert not boat.axiom.duplicates


async def test_a_back_off_does_not_grow_by_what_the_clock_goes_back(tmp_path):
    """However long an outage, the cloud is asked again within the hour."""
    async with afloat(tmp_path) as boat:
        boat.cloud.faults.add(Fault(kind="maintenance", path_prefix="/", lasts=DAY))
        await boat.passes(2 * HOUR, stride=INTERVAL)
        assert boat.app.status().sources[0].state == "backing_off"
        boat.set_clock(-DAY + HOUR)
        await boat.passes(60, stride=30)
        boat.cloud.faults.clear()
        before = boat.yard.told
        await boat.passes(HOUR + INTERVAL, stride=INTERVAL)
        assert boat.yard.told > before
        assert (await boat.looks()).code == 200


@pytest.mark.parametrize("path", ["/eadrax-vcs/v4/vehicles/state", "/eadrax-crccs/"])
async def test_what_a_server_told_us_to_wait_does_not_grow_either(tmp_path, path):
    """Not asked before its time, whichever request met the limit, and soon after it."""
    async with afloat(tmp_path) as boat:
        boat.cloud.faults.add(Fault(kind="rate_limit", path_prefix=path, lasts=1800, retry_after=1800))
        await boat.passes(INTERVAL + 10)
        asked = len(boat.requests)
        boat.set_clock(-DAY)
        await boat.passes(1200, stride=INTERVAL)
        assert len(boat.requests) == asked, "asked before its time"
        await boat.passes(1800, stride=INTERVAL)
        assert len(boat.requests) > asked
        assert (await boat.looks()).code == 200


async def test_years_ahead_once_cost_a_day_and_then_nothing(tmp_path):
    """The records from the future stay; sinks, metrics and the page follow what is polled after them."""
    async with afloat(tmp_path, wrong=10 * 365 * DAY) as boat:
        await boat.passes(INTERVAL)
    async with afloat(tmp_path) as boat:
        assert (await boat.looks()).code == 503
        await boat.passes(DAY, stride=HOUR)
        await boat.passes(2 * INTERVAL)
        before = boat.yard.told
        assert before
        await boat.passes(2 * INTERVAL)
        assert boat.yard.told == before + 4
        sight = await boat.looks()
        assert (sight.code, sight.reasons) == (200, [])
        newest = max(int(record["readings"]["odometer_km"]) for record in boat.files().values())
        assert await boat.odometer() == newest
    async with afloat(tmp_path, later=DAY + HOUR) as boat:
        await boat.passes(INTERVAL)
        assert boat.yard.told, "another start costs another day"


@pytest.mark.parametrize(
    "rounds", [ROUNDS, pytest.param(SOAK_ROUNDS, marks=pytest.mark.soak)], ids=["plain", "soak"]
)
async def test_the_timer_itself_neither_stands_still_nor_hurries(monkeypatch, rng: random.Random, rounds):
    """APScheduler reads the machine's clock by itself and would wait until it has caught up."""
    monkeypatch.setattr("apscheduler.schedulers.base.datetime", Wall)
    monkeypatch.setattr(Wall, "shift", timedelta(0))
    interval, stop = 0.1, asyncio.Event()
    marks: asyncio.Queue[None] = asyncio.Queue()
    clock = HastyClock()
    timer = Timer(clock, lambda _: None, machine=clock.now)
    timer.add("car", lambda: marks.put_nowait(None), interval=interval, jitter=0, last_attempt=None)
    timer.start()
    watch = asyncio.create_task(timer.watch(stop))
    try:
        for seconds in [0.0, *rng.sample([HOUR, -HOUR, DAY, -DAY] * rounds, 4 * rounds)]:
            Wall.shift += timedelta(seconds=seconds)
            begun, count = time.monotonic(), marks.qsize()
            async with asyncio.timeout(10):
                for _ in range(count + 3):
                    await marks.get()
            due = 3 + marks.qsize()
            assert due <= (time.monotonic() - begun) / interval + 2, f"a burst after {seconds:+.0f} s"
    finally:
        stop.set()
        await watch
        timer.stop()
