"""Two cars on one account for a fortnight: whatever happens, BMW never sees more calls than it allows."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta

import pytest
from cardata_house import CHARGING, DAY, ELECTRIC, HOUR, MINUTE, MOVING, ODOMETER, PETROL, House, house, tick

from poller.errors import SourceError
from poller.journal.base import Policy
from poller.journal.sqlite import SqliteJournal
from poller.simulator.cardata.login import GCID
from poller.sources.cardata.source import CarDataSource

LIMIT, RESERVE = 50, 10
STARTS = 50


class Fortnight:
    """The machine, its owner's driving, BMW's bad moments; one step is five minutes.

    `spent`: of the ledger, whether each call at its time was routine, and how many counted with it.
    `while_connected`: of each poll with the stream connected, whether it gave a snapshot.
    """

    def __init__(self, road: House, rng) -> None:
        self.road, self.rng = road, rng
        self.spent: list[tuple[bool, int]] = []
        self.while_connected: list[bool] = []
        self.starts = 0
        self.next_start = 0.0
        self.source: CarDataSource

    async def start(self) -> None:
        """Power on; after a crash the tasks are gone without a word."""
        self.starts += 1
        await self.road.memory.open([])
        self.source = await self.road.started(connected=self.rng.random() < 0.9)
        self.next_start = self.road.clock.monotonic() + self.rng.uniform(2, 6) * HOUR

    async def end(self, *, crash: bool) -> None:
        for _, task in self.road.running if crash else ():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if crash:
            self.road.running.clear()
        await self.road.stop()
        await self.road.memory.close()

    async def poll(self) -> None:
        before = self.source.channels().quota.used_24h
        connected = any(feed.running and feed.status().connected for feed in self.road.feeds)
        found = await tick(self.source)
        if connected:
            self.while_connected += [not isinstance(one, SourceError) for one in found.values()]
        calls, now = self.source._ledger.standing().calls, self.road.clock.now()
        if len(calls) != before:
            self.spent += [(call.routine, n) for n, call in enumerate(calls, 1) if now - call.at < SECOND]

    async def step(self) -> None:
        """Five minutes in which something may happen."""
        road, rng = self.road, self.rng
        with contextlib.suppress(StopIteration):
            await self._drive()
            if rng.random() < 0.01:
                road.feed.cut(rng.choice(["waiting", "no_network", "kicked"]))
            elif not road.feed.status().connected and rng.random() < 0.05:
                road.feed.connect()
        if rng.random() < 0.01:
            shape = rng.choice(["CU-500", "CU-503", "plain 503", "fault 401", "CU-127 token", "half json"])
            road.rest.order(shape, count=rng.randint(1, 6))
        if rng.random() < 0.0005:
            road.rest.shelves.clear()
        await self.poll()
        await road.clock.advance(5 * MINUTE)
        if road.clock.monotonic() > self.next_start:
            await self.end(crash=rng.random() < 0.5)
            await road.clock.advance(rng.choice([5, 60, 1800]))
            await self.start()

    async def crash_loop(self) -> None:
        for _ in range(STARTS):
            await self.poll()
            await self.end(crash=True)
            await self.road.clock.advance(self.rng.uniform(1, 40))
            await self.start()

    async def _drive(self) -> None:
        """Trips and charges end all the time: each is a reason to ask."""
        road, rng = self.road, self.rng
        if not road.feed.status().connected or rng.random() > 0.3:
            return
        vin, key = rng.choice([(ELECTRIC, MOVING), (ELECTRIC, CHARGING), (PETROL, MOVING)])
        value = rng.random() < 0.5 if key == MOVING else rng.choice(["CHARGINGACTIVE", "NOCHARGING"])
        await road.feed.say(vin, [{key: value}, {ODOMETER: rng.randint(1, 99_999)}])


SECOND = timedelta(seconds=1)


def most_within(times: list[datetime], span: timedelta) -> int:
    """The most calls in any stretch of that length."""
    return max(sum(at - span < one <= at for one in times) for at in times)


async def lived(folder, rng, days: float) -> tuple[Fortnight, list[datetime]]:
    """The life, and what BMW let in."""
    async with house(folder, per_day=10_000) as road:
        road.memory = SqliteJournal(folder / "journal.db", Policy(), road.clock)
        life = Fortnight(road, rng)
        await life.start()
        loop_at = rng.uniform(0.1, 0.9) * days * DAY
        begun = road.clock.monotonic()
        while road.clock.monotonic() - begun < days * DAY:
            if loop_at is not None and road.clock.monotonic() - begun > loop_at:
                loop_at = None
                await life.crash_loop()
            await life.step()
        await life.end(crash=False)
        return life, list(road.rest.quota.made[GCID])


async def keeps_to_the_quota(folder, rng, days: float) -> None:
    life, made = await lived(folder, rng, days)
    assert life.starts > STARTS + days * 4
    assert len(made) > days * 20, "the life was too quiet to prove anything"
    assert most_within(made, timedelta(days=1)) <= LIMIT
    per_day = {at.date(): sum(one.date() == at.date() for one in made) for at in made}
    assert max(per_day.values()) <= LIMIT
    assert max(counted for routine, counted in life.spent if routine) <= LIMIT - RESERVE
    # And whatever happens to REST, the stream's values are shown.
    assert life.while_connected.count(False) == 0
    assert len(life.while_connected) > days * 288


async def test_a_day_and_a_half_with_a_crash_loop(tmp_path, rng) -> None:
    """A tenth of it, on every run."""
    await keeps_to_the_quota(tmp_path, rng, 1.4)


@pytest.mark.soak
async def test_a_fortnight_with_a_crash_loop(tmp_path, rng) -> None:
    await keeps_to_the_quota(tmp_path, rng, 14)
