"""Disks that fill up or turn read-only while the poller runs: loudly, and nothing acknowledged is lost."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from fault_house import INTERVAL, House
from fault_sight import WELL
from soak_disk import MIB, BreakableDisk, Disk, breakable_disk, small_disk

from poller.app import App
from poller.errors import JournalError
from poller.runtime import log
from poller.settings import load
from poller.simulator.axiom import status

ROUNDS = 2
SOAK_ROUNDS = 20
SIZES = pytest.mark.parametrize(
    "rounds", [ROUNDS, pytest.param(SOAK_ROUNDS, marks=pytest.mark.soak)], ids=["plain", "soak"]
)
HOUR = 3600.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Room for the poller and little else."""
    yield from small_disk(tmp_path / "disk", 6 * MIB)


@pytest.fixture
def broken_disk(tmp_path: Path) -> Iterator[BreakableDisk]:
    yield from breakable_disk(tmp_path, 32 * MIB)


class Witness:
    """Remembers what a house said and acknowledged."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.acknowledged = set(house.files())
        self.said: set[str] = set()
        self.codes: set[int] = set()
        log.configure("debug")

    async def looks(self):
        sight = await self.house.looks()
        for line in sight.log:
            if line["event"] == "poll.completed":
                self.acknowledged.add(str(line["record"]))
            self.said.add(str(line["event"]))
        self.codes.add(sight.code)
        return sight

    async def sees_what_fails(self) -> None:
        """Five minutes: all is well only if the polls are acknowledged and the files are there."""
        before = len(self.acknowledged)
        await self.house.passes(INTERVAL)
        sight = await self.looks()
        late = self.acknowledged - set(self.house.files())
        if late or len(self.acknowledged) < before + 2:
            assert WELL not in sight.page

    async def well_within(self, seconds: float) -> None:
        """Wait until all is well; AssertionError with the status if that takes longer."""
        end = self.house.clock.monotonic() + seconds
        while not await self.house.is_well():
            assert self.house.clock.monotonic() < end, self.house.app.status()
            await self.house.passes(60)
        await self.looks()


@asynccontextmanager
async def watched(folder: Path, journal: str = "", later: float = 0.0) -> AsyncIterator[Witness]:
    """A house on this disk, `later` by so many seconds than the first one."""
    async with AsyncExitStack() as stack:
        house = House(folder, f'[journal]\nkeep_free = "0"\n{journal}')
        house.clock.jump(later)
        await house.run(stack)
        yield Witness(house)


@SIZES
@pytest.mark.parametrize("when_full", ["drop_oldest", "stop_collecting"])
async def test_a_full_disk_is_told_and_heals_without_a_restart(disk, rng: random.Random, rounds, when_full):
    """Every byte is taken, or nearly: what was acknowledged arrives or is counted, the login lives on."""
    async with watched(disk.folder, f'when_full = "{when_full}"\n') as witness:
        house = witness.house
        for _ in range(rounds):
            await house.passes(rng.uniform(1, 3) * INTERVAL)
            disk.fill(leave=rng.choice([0, 0, 4096, 16_384]))
            if rng.random() < 0.5:
                house.cloud.login.expire_access_tokens()
            for _ in range(rng.randint(6, 8)):
                await witness.sees_what_fails()
            disk.free()
            await witness.well_within(HOUR + INTERVAL)
        assert 503 in witness.codes
        assert {"source.unavailable", "source.recovered"} <= witness.said
        sight = await witness.looks()
        dropped = sum(
            value for (name, _), value in sight.metrics.items() if name == "poller_records_dropped_total"
        )
        assert dropped == 0
        assert_nothing_lost(witness)


@SIZES
async def test_a_folder_for_files_that_turns_read_only_costs_the_files_only_time(
    tmp_path, rng: random.Random, rounds
):
    """The other sink goes on; once the folder can be written to again, the files come, without a restart."""
    folder = tmp_path / "data" / "snapshots"
    for disk in small_disk(folder, 6 * MIB):
        async with watched(tmp_path) as witness:
            house = witness.house
            for _ in range(rounds):
                await house.passes(rng.uniform(1, 3) * INTERVAL)
                disk.lock()
                for _ in range(6):
                    await witness.sees_what_fails()
                    assert witness.acknowledged <= set(house.axiom.ids())
                assert "mounted read-only" in " ".join((await witness.looks()).reasons)
                disk.lock(read_only=False)
                await witness.well_within(60)
            assert {"delivery.postponed", "delivery.recovered"} <= witness.said
            assert_nothing_lost(witness)


async def test_a_data_directory_that_turns_read_only_is_told_and_nothing_is_lost(broken_disk):
    """As a worn SD card does it: for good, with the journal open. After a check of the disk it goes on."""
    async with watched(broken_disk.folder) as witness:
        axiom = witness.house.axiom
        axiom.standing = status(503)
        await witness.house.passes(3 * INTERVAL)
        await witness.looks()
        broken_disk.fail()
        for _ in range(6):
            await witness.sees_what_fails()
        assert 503 in witness.codes
        said = " ".join((await witness.looks()).reasons)
        assert "Read-only file system" in said
        assert "system's log" in said
    broken_disk.unmount()
    broken_disk.mount()
    async with watched(broken_disk.folder, later=HOUR) as again:
        await again.house.passes(2 * INTERVAL)
        assert witness.acknowledged <= set(again.house.files())
        assert witness.acknowledged <= {*axiom.ids(), *again.house.axiom.ids()}


async def test_a_read_only_data_directory_is_refused_at_start(disk):
    """Not with a trace, but with what to do."""
    config = disk.folder / "config.toml"
    config.write_text('[sources.dumps]\ntype = "recorded"\ndirectory = "dumps"\n')
    for made_before in (False, True):
        app = App(load(config, environ={"TZ": "UTC", "POLLER_DATA_DIR": str(disk.folder / "data")}))
        disk.lock()
        with pytest.raises(JournalError, match=str(disk.folder)) as caught:
            await app.open()
        assert caught.value.hint
        await app.close()
        disk.lock(read_only=False)
        if not made_before:
            await app.open()
            await app.close()


def assert_nothing_lost(witness: Witness) -> None:
    house = witness.house
    assert witness.acknowledged == set(house.files()) == set(house.axiom.ids())
    assert not house.axiom.duplicates
