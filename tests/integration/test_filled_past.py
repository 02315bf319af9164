"""A filled-in past: the records that a poller would have made, had it been there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from poller.collect import Collector
from poller.errors import JournalError
from poller.journal.base import Entry
from poller.runtime.metrics import Metrics
from poller.simulator.cloud import FakeCloud
from poller.simulator.garage import demo_garage
from poller.simulator.login import REFRESH_TOKEN, USER
from poller.simulator.past import REACH, fill
from poller.simulator.server import serve
from poller.sources.base import NoMemory, SourceContext
from poller.sources.mybmw.settings import MyBmwSettings
from poller.sources.mybmw.source import MyBmwSource
from poller.testing.clock import ManualClock
from poller.testing.journal import MemoryJournal
from poller.vehicle.fleet import Fleet

#: A working day, polled every quarter of an hour.
START = datetime(2026, 11, 16, 4, 0, tzinfo=UTC)
STEP = timedelta(minutes=15)
POLLS = 96
GARAGE = demo_garage(1)


def account(folder: Path, base_url: str = "http://127.0.0.1:9", clock: ManualClock | None = None):
    settings = MyBmwSettings(type="mybmw", username=USER, base_url=base_url)
    context = SourceContext(clock or ManualClock(), NoMemory(), folder, folder, UTC)
    return MyBmwSource("demo", settings, context)


async def new_journal() -> MemoryJournal:
    journal = MemoryJournal(ManualClock(START))
    await journal.open(["changes", "all"])
    return journal


async def records(journal: MemoryJournal, sink: str = "all"):
    batch = await journal.peek(sink, limit=10_000, only_changes=sink == "changes")
    return [queued.record for queued in batch.records]


@pytest.fixture
async def polled(tmp_path) -> MemoryJournal:
    """What a poller has that asked over HTTP every quarter of an hour, from `START` on."""
    clock, journal = ManualClock(START), await new_journal()
    async with serve(FakeCloud(GARAGE, clock)) as url:
        source = account(tmp_path, url, clock)
        await source.open()
        await source.login(refresh_token=REFRESH_TOKEN)
        collector = Collector(
            journal, derivers=(), fleet=Fleet(), live=(), metrics=Metrics(), committed=lambda: None
        )
        for _ in range(POLLS):
            for target in await source.targets():
                await collector.poll(source, target)
            clock.jump(STEP.total_seconds())
        await source.close()
    return journal


async def begun_like(polled: MemoryJournal) -> MemoryJournal:
    """A journal that holds the first poll and nothing else."""
    journal = await new_journal()
    first = await records(polled)
    for answer, record in zip(polled.answers[:2], first[:2], strict=True):
        await journal.append(Entry(answer=answer, records=(record,)))
    return journal


async def test_the_past_is_what_polling_would_have_brought(polled, tmp_path) -> None:
    """The same envelopes, bodies, ids and times, and the same answers byte for byte."""
    filled = await begun_like(polled)
    count = await fill(filled, account(tmp_path), GARAGE, until=START + POLLS * STEP, interval=STEP)
    made, changes, everything = (
        await records(filled),
        await records(polled, "changes"),
        await records(polled),
    )
    expected = {record.id: record for record in (*changes, *everything[-2:])}
    assert {record.id: record for record in made} == expected
    assert len(made) == len(expected) == count + 2
    assert {r.vin for r in made} == set(GARAGE.vins)
    assert 20 < len(made) < 2 * POLLS, "drives, and quiet times in between"
    kept = {(answer.vin, answer.received_at): answer for answer in polled.answers}
    assert all(kept[answer.vin, answer.received_at] == answer for answer in filled.answers)
    assert len(filled.answers) == len(made)


async def test_a_new_journal_reaches_back_a_week_and_no_further(tmp_path) -> None:
    journal = await new_journal()
    await fill(journal, account(tmp_path), GARAGE, until=START, interval=timedelta(hours=1))
    made = await records(journal)
    for vin in GARAGE.vins:
        received = [record.received_at for record in made if record.vin == vin]
        assert received[0] == START - REACH
        assert received[-1] < START
        assert received == sorted(received)
    days = [record.received_at.date() for record in made]
    assert days == sorted(days), "so that a sink that cuts its batches by time gets long ones"
    assert set(days) == {(START - timedelta(days=back)).date() for back in range(8)}


async def test_what_is_there_is_not_filled_in_again(tmp_path) -> None:
    journal, until = await new_journal(), START
    for hours in (0, 0, 9):
        until += timedelta(hours=hours)
        await fill(journal, account(tmp_path), GARAGE, until=until, interval=timedelta(hours=1))
    grown = [(record.vin, record.received_at) for record in await records(journal)]
    assert len(set(grown)) == len(grown)
    whole = await new_journal()
    await fill(whole, account(tmp_path), GARAGE, until=until, interval=timedelta(hours=1))
    at_once = {(r.vin, r.received_at) for r in await records(whole) if r.received_at > until - REACH}
    step_by_step = {place for place in grown if place[1] > until - REACH}
    assert at_once <= step_by_step
    assert len(step_by_step - at_once) <= len(GARAGE.vins), "but for the last poll of the first step"


class Breaking(MemoryJournal):
    """Fails for good when it holds that many answers, until it is mended."""

    room: int | None = 77

    async def append(self, entry):
        if len(self.answers) == self.room:
            raise JournalError("pulled out")
        return await super().append(entry)


async def test_a_fill_that_broke_off_is_finished_by_the_next(tmp_path) -> None:
    whole, broken = await new_journal(), Breaking(ManualClock(START))
    await broken.open(["all"])
    with pytest.raises(JournalError):
        await fill(broken, account(tmp_path), GARAGE, until=START, interval=timedelta(hours=1))
    broken.room = None
    for journal in (broken, whole):
        await fill(journal, account(tmp_path), GARAGE, until=START, interval=timedelta(hours=1))
    assert {r.id for r in await records(broken)} == {r.id for r in await records(whole)}


async def test_a_pause_of_more_than_a_week_leaves_a_gap(tmp_path) -> None:
    journal, later = await new_journal(), START + timedelta(days=20)
    for until in (START, later):
        await fill(journal, account(tmp_path), GARAGE, until=until, interval=timedelta(hours=3))
    received = [record.received_at for record in await records(journal)]
    assert not [at for at in received if START <= at < later - REACH]
    assert received.count(later - REACH) == 2


async def test_a_journal_from_the_future_is_left_alone(tmp_path) -> None:
    journal = await new_journal()
    await fill(journal, account(tmp_path), GARAGE, until=START, interval=timedelta(hours=3))
    before = await records(journal)
    earlier = START - timedelta(days=2)
    assert await fill(journal, account(tmp_path), GARAGE, until=earlier, interval=timedelta(hours=3)) == 0
    assert await records(journal) == before
