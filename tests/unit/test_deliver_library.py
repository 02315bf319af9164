"""A sink that gets vehicles in the library's form: the loop brings it the answers, and nobody else pays."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest

from poller.deliver import Delivery
from poller.journal.base import Entry
from poller.library.offer import Offer
from poller.runtime.metrics import Metrics
from poller.sinks.base import LIBRARY, Rendered, Settlement
from poller.sinks.settings import JsonFilesSettings, SinkSettings
from poller.testing.journal import MemoryJournal
from poller.testing.leaping import LeapingClock
from poller.testing.records import START, VIN
from poller.testing.sinks import RecordingSink
from poller.vehicle.answer import Answer
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import Record, snapshot_record
from poller.vehicle.snapshot import SnapshotBuilder

SINK = "recording"
FORM = JsonFilesSettings(type="json_files", format="bimmerconnected", batch_size=5)
RENDERING = Rendering({VIN: "mini"})


class PreparingSink(RecordingSink):
    """It takes the vehicle's keys out ahead of time."""

    def prepare(self, record: Rendered) -> Rendered:
        return {"id": record["id"], "mileage": record[LIBRARY]["mileage"]}


class CountingJournal(MemoryJournal):
    """It counts how often answers are read back."""

    reads = 0

    async def answers_of(self, records):
        self.reads += 1
        return await super().answers_of(records)


def taken(number: int) -> Entry:
    at = START + number * timedelta(minutes=5)
    state = b'{"state": {"currentMileage": %d}}' % (1000 + number)
    answer = Answer("bmw", "mybmw", VIN, at, {"state": state})
    builder = SnapshotBuilder("bmw", VIN, at, at)
    builder.put("odometer_km", 7)
    return Entry(answer=answer, records=[snapshot_record(builder.build(), answer)])


def delivery(sink: RecordingSink, journal: MemoryJournal, settings: SinkSettings = FORM, **more) -> Delivery:
    clock = LeapingClock()
    return Delivery(SINK, sink, journal, clock, RENDERING, settings, Metrics(), **more)


@pytest.fixture
async def journal() -> CountingJournal:
    made = CountingJournal(LeapingClock())
    await made.open([SINK])
    for number in range(12):
        await made.append(taken(number))
    return made


def mileages(sink: RecordingSink) -> list[int]:
    return [record[LIBRARY]["mileage"][0] for record in sink.records]


async def test_each_snapshot_comes_with_what_its_own_answer_says(journal) -> None:
    sink = RecordingSink(SINK)
    assert await delivery(sink, journal, offer=Offer(RENDERING, zone=UTC)).drain()
    assert mileages(sink) == list(range(1000, 1012))
    assert all(record["vehicle"] == "mini" and "readings" not in record for record in sink.records)


async def test_a_sink_that_prepares_gets_the_form_to_prepare(journal) -> None:
    sink = PreparingSink(SINK)
    assert await delivery(sink, journal, offer=Offer(RENDERING)).drain()
    shown = [record.get("mileage") or record[LIBRARY]["mileage"] for record in sink.records]
    assert [value for value, _ in shown] == list(range(1000, 1012))


async def test_other_sinks_read_no_answers(journal) -> None:
    sink = RecordingSink(SINK)
    assert await delivery(sink, journal, SinkSettings()).drain()
    assert journal.reads == 0
    assert sink.records[0]["readings"] == {"odometer_km": 7}


async def test_a_refused_one_is_kept_as_a_record_and_comes_in_the_form_again(journal) -> None:
    sink = RecordingSink(SINK)
    sink.plan(Settlement(5, {1: "no"}))
    made = delivery(sink, journal, offer=Offer(RENDERING))
    assert await made.drain()
    [letter] = await journal.dead_letters(SINK)
    assert set(letter.record.body) == {"readings"}, "what is kept is nobody's form"
    sink.records.clear()
    await journal.retry([letter.id])
    assert await made.drain()
    assert mileages(sink) == [1001]


async def test_a_record_of_another_kind_comes_as_it_is(journal) -> None:
    """As from a time when the sink had another form."""
    alert = Record("a" * 32, "alert", VIN, "poller", START, START, {"title": "Lock"})
    await journal.append(Entry(records=[alert]))
    sink = RecordingSink(SINK)
    assert await delivery(sink, journal, SinkSettings(), offer=Offer(RENDERING)).drain()
    assert sink.records[-1]["title"] == "Lock"
    assert len(mileages_of_snapshots(sink)) == 12


def mileages_of_snapshots(sink: RecordingSink) -> list[int]:
    return [record[LIBRARY]["mileage"][0] for record in sink.records if record["kind"] == "snapshot"]
