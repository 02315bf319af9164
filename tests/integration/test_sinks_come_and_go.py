"""Sinks renamed, removed, added late, filtered: what the journal on disk then owes them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from poller.deliver import Delivery
from poller.errors import JournalError
from poller.journal.base import Entry, Policy
from poller.journal.sqlite import SqliteJournal
from poller.runtime.metrics import Metrics
from poller.sinks.settings import SinkSettings
from poller.testing.leaping import LeapingClock
from poller.testing.records import START, STEP, record_number
from poller.testing.sinks import RecordingSink
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import Record, record_id


class House:
    """A journal on disk and the sinks of today's configuration."""

    def __init__(self, folder) -> None:
        self.path = folder / "journal.db"
        self.clock = LeapingClock()
        self.journal: SqliteJournal

    async def start(self, **sinks: RecordingSink) -> None:
        """As the daemon with these sinks configured."""
        self.journal = SqliteJournal(self.path, Policy(), self.clock)
        await self.journal.open(list(sinks))
        self.sinks = sinks

    async def stop(self) -> None:
        await self.journal.close()

    async def append(self, *records: Record) -> None:
        for record in records:
            await self.journal.append(Entry(records=[record]))

    async def deliver(self, **settings) -> None:
        for name, sink in self.sinks.items():
            limits = SinkSettings.model_validate(settings)
            delivery = Delivery(name, sink, self.journal, self.clock, Rendering({}), limits, Metrics())
            assert await delivery.drain()


@pytest.fixture
async def house(tmp_path):
    made = House(tmp_path)
    yield made
    await made.stop()


def snapshots(*numbers: int) -> list[Record]:
    return [record_number(number) for number in numbers]


def derived(number: int, kind: str) -> Record:
    at = START + number * STEP
    return Record(record_id(kind, str(number)), kind, "WMW00000000000001", "fake", at, at, {"note": number})


def ids(records) -> list[str]:
    return [record.id for record in records]


async def test_empty_then_restarted_nothing_is_sent_again(house) -> None:
    sink = RecordingSink()
    await house.start(files=sink)
    await house.append(*snapshots(0, 1))
    await house.deliver()
    await house.stop()
    await house.start(files=sink)
    await house.deliver()
    assert len(sink.batches) == 1


async def test_a_sink_added_late_starts_at_the_end(house) -> None:
    early, late = RecordingSink(), RecordingSink()
    await house.start(early=early)
    await house.append(*snapshots(0, 1))
    await house.stop()
    await house.start(early=early, late=late)
    await house.append(*snapshots(2))
    await house.deliver()
    assert early.ids == ids(snapshots(0, 1, 2))
    assert late.ids == ids(snapshots(2))


async def test_it_can_be_given_what_was_before_it(house) -> None:
    await house.start(early=RecordingSink())
    await house.append(*snapshots(0, 1, 2))
    await house.stop()
    late = RecordingSink()
    await house.start(late=late)
    await house.journal.rewind("late", START + STEP)
    await house.deliver()
    assert late.ids == ids(snapshots(1, 2))
    assert all(record["replayed"] for record in late.records)


async def test_a_removed_sink_is_remembered_and_gets_the_gap_when_it_comes_back(house) -> None:
    sink = RecordingSink()
    await house.start(files=sink, other=RecordingSink())
    await house.append(*snapshots(0))
    await house.deliver()
    await house.stop()
    await house.start(other=RecordingSink())
    await house.append(*snapshots(1, 2))
    assert (await house.journal.stats()).orphans == {"files": 2}
    await house.stop()
    await house.start(files=sink, other=RecordingSink())
    await house.deliver()
    assert sink.ids == ids(snapshots(0, 1, 2))


async def test_a_renamed_sink_shows_as_one_new_and_one_left_behind(house) -> None:
    old, new = RecordingSink(), RecordingSink()
    await house.start(files=old)
    await house.append(*snapshots(0, 1))
    await house.stop()
    await house.start(archive=new)
    await house.append(*snapshots(2))
    await house.deliver()
    assert new.ids == ids(snapshots(2))
    assert (await house.journal.stats()).orphans == {"files": 3}
    assert await house.journal.forget("files")
    assert (await house.journal.stats()).orphans == {}


async def test_a_configured_sink_is_not_forgotten(house) -> None:
    await house.start(files=RecordingSink())
    with pytest.raises(JournalError):
        await house.journal.forget("files")


async def test_a_filter_by_kind_lets_the_others_pass_and_the_cursor_with_them(house) -> None:
    sink = RecordingSink()
    await house.start(files=sink)
    trip, alert = derived(3, "trip"), derived(5, "alert")
    await house.append(*snapshots(0, 1, 2), trip, *snapshots(4), alert, *snapshots(6, 7))
    await house.deliver(kinds=["trip", "alert"], batch_size=1)
    assert sink.ids == [trip.id, alert.id]
    assert (await house.journal.backlog("files")).records == 0


async def test_only_changes_leaves_out_what_stayed_the_same(house) -> None:
    """Unchanged: the same readings with the same times of the car; other kinds always go."""
    sink = RecordingSink()
    await house.start(files=sink)
    parked = START - timedelta(hours=1)
    same = [record_number(n, {"soc_percent": 80}, observed_at=parked) for n in range(3)]
    charged = record_number(3, {"soc_percent": 81}, observed_at=parked + STEP)
    still = record_number(4, {"soc_percent": 81}, observed_at=parked + STEP)
    trip = derived(5, "trip")
    await house.append(*same, charged, still, trip)
    await house.deliver(only="changes")
    assert sink.ids == [same[0].id, charged.id, trip.id]
    assert (await house.journal.backlog("files")).records == 0


async def test_two_sinks_do_not_wait_for_each_other(house) -> None:
    """One is down for a month of polls; the other has everything, and the first gets all of it later."""
    fine, down = RecordingSink(), RecordingSink()
    await house.start(fine=fine, down=down)
    records = snapshots(*range(300))
    await house.journal.append(Entry(records=records))
    house.sinks = {"fine": fine}
    await house.deliver()
    assert fine.ids == ids(records)
    assert (await house.journal.backlog("down")).records == 300
    await house.stop()
    await house.start(fine=fine, down=down)
    await house.deliver()
    assert down.ids == ids(records)
    assert fine.ids == ids(records)
