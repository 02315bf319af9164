"""A journal that runs out of room: by its own limit, or because the disk is full. And how it heals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from poller.errors import JournalError, JournalFull
from poller.journal import place
from poller.journal.base import Entry, Policy, Rejected
from poller.journal.sqlite import SqliteJournal
from poller.testing.clock import ManualClock
from poller.testing.records import START, record_number, snapshot_number

MIB = 2**20
DAY = 288
SINKS = ("files", "axiom")


def entry(number: int, size: int = 1200) -> Entry:
    """An answer that does not compress, so that little fills much."""
    answer, record = snapshot_number(number)
    body = random.Random(number).randbytes(size)
    return Entry(answer=replace(answer, bodies={"state": body}), records=[record])


class Rooms:
    """Opens journals on one path, one after another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal: SqliteJournal | None = None

    async def open(self, policy: Policy) -> SqliteJournal:
        await self.close()
        self.journal = SqliteJournal(self.path, policy, ManualClock())
        await self.journal.open(SINKS)
        return self.journal

    async def close(self) -> None:
        if self.journal is not None:
            await self.journal.close()


@pytest.fixture
async def rooms(tmp_path: Path) -> AsyncIterator[Rooms]:
    rooms = Rooms(tmp_path / "journal.db")
    yield rooms
    await rooms.close()


async def fill_up(journal: SqliteJournal) -> int:
    """Append by the hundred until there is no room; gives the number that was refused first."""
    for start in range(0, 10_000, 100):
        appends = (journal.append(entry(number)) for number in range(start, start + 100))
        outcomes = await asyncio.gather(*appends, return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, JournalFull)]
        if refused:
            assert "max_size" in str(refused[0].hint)
            assert [type(outcome) for outcome in outcomes] == [list] * (100 - len(refused)) + [
                JournalFull
            ] * len(refused)
            return start + 100 - len(refused)
    raise AssertionError("it never became full")


async def take_all(journal: SqliteJournal, sink: str) -> list[str]:
    taken: list[str] = []
    while (batch := await journal.peek(sink, limit=500)).through != batch.since:
        taken += [queued.record.id for queued in batch.records]
        assert await journal.settle(sink, since=batch.since, through=batch.through)
    return taken


class TestStopCollecting:
    POLICY = Policy(max_size=2 * MIB, when_full="stop_collecting")

    async def test_full_is_full_and_nothing_is_dropped(self, rooms):
        journal = await rooms.open(self.POLICY)
        with structlog.testing.capture_logs() as logs:
            refused = await fill_up(journal)
            with pytest.raises(JournalFull):
                await journal.append(entry(refused))
        assert [log["event"] for log in logs] == ["journal.filled"]
        stats = await journal.stats()
        assert (stats.full, stats.records, stats.limit) == (True, refused, 2 * MIB)
        assert 1.5 * MIB < stats.size <= 2 * MIB
        assert (await journal.prune(self.POLICY, START + timedelta(days=50))).records == 0

    async def test_sinks_go_on_settling_and_sources_remembering(self, rooms):
        journal = await rooms.open(self.POLICY)
        await fill_up(journal)
        await journal.remember("quota", {"spent": list(range(2000))})
        batch = await journal.peek("files", limit=50)
        rejected = [Rejected(queued.record, "no " * 300) for queued in batch.records]
        assert await journal.settle("files", since=0, through=batch.through, rejected=rejected)
        assert len(await take_all(journal, "axiom")) > 400
        assert (await journal.stats()).full

    async def test_goes_on_when_the_limit_is_raised(self, rooms):
        journal = await rooms.open(self.POLICY)
        refused = await fill_up(journal)
        await journal.prune(replace(self.POLICY, max_size=3 * MIB), START)
        assert not (await journal.stats()).full
        with structlog.testing.capture_logs() as logs:
            await journal.append(entry(refused))
        assert [log["event"] for log in logs] == ["journal.relieved"]

    async def test_goes_on_after_pruning_by_age(self, rooms):
        journal = await rooms.open(self.POLICY)
        refused = await fill_up(journal)
        await journal.prune(replace(self.POLICY, max_age=3600), START + timedelta(days=1))
        assert not (await journal.stats()).full
        assert await journal.append(entry(refused))

    async def test_one_too_big_does_not_cost_its_neighbours(self, rooms):
        journal = await rooms.open(self.POLICY)
        entries = [entry(0), entry(1, size=3 * MIB), entry(2)]
        outcomes = await asyncio.gather(*map(journal.append, entries), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [list, JournalFull, list]

    async def test_too_little_free_disk(self, rooms, tmp_path):
        keep = place.free_beside(tmp_path / "x") + 100 * MIB
        journal = await rooms.open(Policy(keep_free=keep, when_full="stop_collecting"))
        assert (await journal.stats()).full
        with pytest.raises(JournalFull):
            await journal.append(entry(1))
        await journal.prune(Policy(keep_free=MIB), START)
        assert await journal.append(entry(1))


class TestDropOldest:
    POLICY = Policy(max_size=2 * MIB)

    async def test_appends_go_on_within_the_limit_and_drops_are_counted(self, rooms):
        journal = await rooms.open(self.POLICY)
        delivered: set[str] = set()
        last, biggest = 4 * DAY, 0
        for start in range(0, last, 24):
            await asyncio.gather(*(journal.append(entry(number)) for number in range(start, start + 24)))
            delivered |= set(await take_all(journal, "files"))
            biggest = max(biggest, place.size_of(rooms.path))
        assert biggest <= self.POLICY.max_size
        assert len(delivered) == last
        pruned = await journal.prune(self.POLICY, START + timedelta(days=3))
        waiting = len(await take_all(journal, "axiom"))
        assert pruned.dropped == {"axiom": last - waiting}
        assert waiting == (await journal.stats()).records > DAY
        assert not (await journal.stats()).full

    async def test_pruning_takes_what_all_have_before_there_is_need(self, tmp_path):
        """The limit sinks step by step: what is delivered goes while there is still room."""
        begun = {}
        for delivered in (True, False):
            rooms = Rooms(tmp_path / f"{delivered}" / "journal.db")
            journal = await rooms.open(Policy())
            await asyncio.gather(*(journal.append(entry(number)) for number in range(2 * DAY)))
            for sink in SINKS if delivered else ():
                await take_all(journal, sink)
            for limit in range(2 * MIB, MIB // 2, -32 * 1024):
                pruned = await journal.prune(Policy(max_size=limit), START + timedelta(days=5))
                if pruned.records:
                    begun[delivered] = limit
                    break
            assert pruned.dropped == ({} if delivered else {"files": 120, "axiom": 120})
            await rooms.close()
        assert begun[True] > begun[False]

    async def test_the_present_day_goes_only_if_there_is_no_other(self, rooms):
        journal = await rooms.open(Policy(max_size=MIB))
        for number in range(60, 110):
            await journal.append(entry(number, size=8000))
        await journal.append(entry(0, size=600 * 1000))
        pruned = await journal.prune(Policy(max_size=MIB), START)
        assert pruned.dropped == {"files": 50, "axiom": 50}

    async def test_more_than_ever_fits_is_refused(self, rooms):
        journal = await rooms.open(self.POLICY)
        await asyncio.gather(*(journal.append(entry(number)) for number in range(DAY)))
        with pytest.raises(JournalFull):
            await journal.append(entry(1000, size=3 * MIB))
        assert await journal.append(entry(1001))
        assert len(await take_all(journal, "files")) > DAY // 2, "what does not fit in cost what was there"

    async def test_too_little_free_disk_reuses_the_room_of_the_oldest(self, rooms, tmp_path):
        journal = await rooms.open(Policy())
        await asyncio.gather(*(journal.append(entry(number)) for number in range(3 * DAY)))
        await rooms.close()
        before = rooms.path.stat().st_size
        keep = place.free_beside(tmp_path / "x") + 100 * MIB
        journal = await rooms.open(Policy(keep_free=keep))
        for number in range(3 * DAY, 4 * DAY):
            await journal.append(entry(number))
        kept = await take_all(journal, "files")
        assert kept[-1] == record_number(4 * DAY - 1).id
        assert record_number(2 * DAY).id in kept, "no more went than was needed"
        await rooms.close()
        assert rooms.path.stat().st_size <= before + 2 * MIB


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, as full as a test wants it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("mounting a small disk takes root")
    size = ["-t", "tmpfs", "-o", "size=3m,mode=0700"]
    if subprocess.run(
        [mount, *size, "journal-test", str(folder)], capture_output=True, check=False
    ).returncode:
        pytest.skip("this machine does not let root mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


class TestDisk:
    @pytest.mark.parametrize("when_full", ["stop_collecting", "drop_oldest"])
    async def test_really_full_and_free_again(self, small_disk, when_full):
        """No limit of ours, and nothing left: what is acknowledged stays or is counted, and it heals."""
        policy = Policy(when_full=when_full)
        journal = SqliteJournal(small_disk / "journal.db", policy, ManualClock())
        await journal.open(SINKS)
        acknowledged = 0
        for number in range(400):
            if number == 50:
                fill_disk(small_disk / "ballast")
            with contextlib.suppress(JournalFull):
                acknowledged += len(await journal.append(entry(number)))
        if when_full == "stop_collecting":
            assert 50 <= acknowledged < 400
            assert (await journal.stats()).full
        (small_disk / "ballast").unlink()
        assert not (await journal.stats()).full
        await journal.append(entry(5000))
        taken = await take_all(journal, "files")
        dropped = (await journal.prune(policy, START)).dropped
        assert len(taken) + dropped.get("files", 0) == acknowledged + 1
        assert taken[-1] == record_number(5000).id
        await journal.close()
        check(small_disk / "journal.db")

    async def test_within_its_limit_it_never_fills_the_disk(self, small_disk):
        """The limit holds for file and log together, in every transaction."""
        journal = SqliteJournal(small_disk / "journal.db", Policy(max_size=2 * MIB), ManualClock())
        await journal.open(SINKS)
        for number in range(0, 1200, 10):
            await asyncio.gather(*(journal.append(entry(n)) for n in range(number, number + 10)))
        assert not (await journal.stats()).full
        await journal.close()
        check(small_disk / "journal.db")

    async def test_a_disk_that_fails_and_plays_again(self, tmp_path):
        """Writes beyond a file size that the system forbids fail as on a broken disk."""
        journal = SqliteJournal(tmp_path / "journal.db", Policy(), ManualClock())
        await journal.open(SINKS)
        await journal.append(entry(1))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, hard))
        try:
            outcomes = [await failure_of(journal.append(entry(n, size=100_000))) for n in (2, 3)]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        for error in outcomes:
            assert isinstance(error, JournalError)
            assert error.hint
        assert await journal.append(entry(4))
        assert await take_all(journal, "files") == [record_number(1).id, record_number(4).id]
        await journal.close()
        check(tmp_path / "journal.db")


def fill_disk(ballast: Path) -> None:
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def check(path: Path) -> None:
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


async def failure_of(append: Coroutine[Any, Any, Any]) -> BaseException:
    with pytest.raises(JournalError) as caught:
        await append
    return caught.value
