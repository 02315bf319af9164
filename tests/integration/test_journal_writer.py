"""The writer's answers: put off while only appends wait, and never for longer than until their commit."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from poller.errors import JournalError
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


def stored(db: sqlite3.Connection, entries: Sequence[Any]) -> Sequence[Any]:
    """Stands for `append_new`: an entry of these tests is what is done with it."""
    return [entry(db) for entry in entries]


@asynccontextmanager
async def writing(path: Path, relieve: Callable[[sqlite3.Connection], bool]) -> AsyncIterator[Writer]:
    aides = Aides(lambda db, entry: stored(db, [entry])[0], stored, relieve, lambda: None, lambda: None)
    writer = Writer(Store(path, ManualClock()), Room(path, Policy()), aides)
    await writer.start()
    yield writer
    await writer.stop()


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Writer]:
    async with writing(tmp_path / "journal.db", lambda _: False) as one:
        yield one


async def behind(writer: Writer, *others: Any, duty: Duty = Duty.APPEND) -> list[asyncio.Future[Any]]:
    """An append under way when others are handed in; then it may end. All, the first one first."""
    hold = Hold()
    first = writer.append(hold)
    assert await asyncio.to_thread(hold.begun.wait, LONG)
    handed_in = [writer.append(other) if duty is Duty.APPEND else writer.run(other, duty) for other in others]
    hold.may_end.set()
    return [first, *handed_in]


async def test_each_is_answered_though_more_waits(writer):
    answers = await behind(writer, lambda _: "second", lambda _: "third")

    async with asyncio.timeout(LONG):
        assert [await answer for answer in answers] == ["first", "second", "third"]


async def test_the_loop_hears_of_an_append_when_the_next_ones_are_written(writer):
    """Not while they are: each of the two would keep the interpreter from the other."""
    heard, seen = threading.Event(), []
    first, second = await behind(writer, lambda _: seen.append(heard.wait(0.2)))
    first.add_done_callback(lambda _: heard.set())

    await second
    assert first.done()
    assert seen == [False]


@pytest.mark.parametrize("duty", [Duty.KEEP, Duty.ALONE])
async def test_nobody_waits_for_a_job_that_may_take_long(writer, duty):
    heard = threading.Event()
    first, other = await behind(writer, lambda _: heard.wait(LONG), duty=duty)

    assert await first == "first"
    heard.set()
    assert await other, "the first was answered only when the other was done"


async def test_nobody_waits_for_what_makes_room(tmp_path):
    """A full disk may take long to mend; who is on disk already hears so before."""
    heard, in_time = threading.Event(), []

    def relieve(_: sqlite3.Connection) -> bool:
        in_time.append(heard.wait(LONG))
        return False

    def full(_: sqlite3.Connection) -> None:
        raise OutOfRoom

    async with writing(tmp_path / "journal.db", relieve) as writer:
        first, failing = await behind(writer, full)
        assert await first == "first"
        heard.set()
        with pytest.raises(JournalError):
            await failing
    assert in_time == [True]


async def test_the_last_is_answered_when_the_writer_ends(writer):
    hold = Hold()
    first = writer.append(hold)
    assert await asyncio.to_thread(hold.begun.wait, LONG)
    ending = asyncio.ensure_future(writer.stop())
    await asyncio.sleep(0)
    hold.may_end.set()

    await ending
    assert first.done()
    assert await first == "first"
