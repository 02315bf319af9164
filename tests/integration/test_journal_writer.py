"""The writer's answers: put off while more waits, and never for longer than until the next commit."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from poller.errors import JournalError
from poller.journal.append import Appender
from poller.journal.base import Policy
from poller.journal.faults import OutOfRoom
from poller.journal.room import Room
from poller.journal.store import Store
from poller.journal.writer import Aides, Duty, Writer
from poller.testing.clock import ManualClock

#: Longer than anything here takes; who waits so long waits for nothing.
LONG = 10.0


class Hold:
    """A job that keeps the writer busy until told, so that what comes meanwhile is another group."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()

    def __call__(self, _: sqlite3.Connection) -> str:
        self.begun.set()
        assert self.may_end.wait(LONG)
        return "first"


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Writer]:
    path = tmp_path / "journal.db"
    appender = Appender()
    aides = Aides(appender.append, appender.append_new, lambda _: False, appender.forget, lambda: None)
    one = Writer(Store(path, ManualClock()), Room(path, Policy()), aides)
    await one.start()
    yield one
    await one.stop()


async def behind(
    writer: Writer, jobs: Sequence[tuple[Callable[[sqlite3.Connection], object], Duty]]
) -> tuple[asyncio.Future[str], list[asyncio.Future[object]]]:
    """A first job under way when others are handed in; then it may end."""
    hold = Hold()
    first = writer.run(hold)
    assert await asyncio.to_thread(hold.begun.wait, LONG)
    others = [writer.run(job, duty) for job, duty in jobs]
    hold.may_end.set()
    return first, others


async def test_each_is_answered_though_more_waits(writer):
    first, (second, third) = await behind(
        writer, [(lambda _: "second", Duty.KEEP), (lambda _: "third", Duty.KEEP)]
    )

    async with asyncio.timeout(LONG):
        assert [await first, await second, await third] == ["first", "second", "third"]


async def test_nobody_waits_for_a_job_that_runs_alone(writer):
    heard = threading.Event()
    first, (alone,) = await behind(writer, [(lambda _: heard.wait(LONG), Duty.ALONE)])

    assert await first == "first"
    heard.set()
    assert await alone, "the first was answered only when the one alone was done"


async def test_nobody_waits_for_what_makes_room(tmp_path):
    """A full disk may take long to mend; who is on disk already hears so before."""
    heard, in_time = threading.Event(), []

    def relieve(_: sqlite3.Connection) -> bool:
        in_time.append(heard.wait(LONG))
        return False

    def full(_: sqlite3.Connection) -> None:
        raise OutOfRoom

    path, appender = tmp_path / "journal.db", Appender()
    aides = Aides(appender.append, appender.append_new, relieve, appender.forget, lambda: None)
    writer = Writer(Store(path, ManualClock()), Room(path, Policy()), aides)
    await writer.start()
    first, (failing,) = await behind(writer, [(full, Duty.KEEP)])

    assert await first == "first"
    heard.set()
    with pytest.raises(JournalError):
        await failing
    assert in_time == [True]
    await writer.stop()


async def test_the_last_is_answered_when_the_writer_ends(writer):
    hold = Hold()
    first = writer.run(hold)
    assert await asyncio.to_thread(hold.begun.wait, LONG)
    ending = asyncio.ensure_future(writer.stop())
    await asyncio.sleep(0)
    hold.may_end.set()

    await ending
    assert first.done()
    assert await first == "first"
