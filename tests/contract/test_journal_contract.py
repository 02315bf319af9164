"""The promises of the journal, on the one on disk and on its double."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from poller.errors import JournalError
from poller.journal.base import Entry, Journal, Policy, Rejected
from poller.journal.sqlite import SqliteJournal
from poller.sources.base import Answer, Memory
from poller.testing.clock import ManualClock
from poller.testing.journal import MemoryJournal
from poller.testing.records import START, STEP, VIN, record_number, snapshot_number
from poller.vehicle.records import Record, record_id

SINKS = ("files", "axiom")
DAY = timedelta(days=1)


class House:
    """A journal that can be closed and opened again, as by a restart."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.clock = ManualClock()
        self._kind = kind
        self._path = folder / "journal.db"
        self._memory = MemoryJournal(self.clock)
        self.journal: Journal = self._build()

    async def restart(self, *sinks: str) -> Journal:
        await self.journal.close()
        self.journal = self._build()
        await self.journal.open(sinks)
        return self.journal

    def _build(self) -> Journal:
        if self._kind == "memory":
            return self._memory
        return SqliteJournal(self._path, Policy(), self.clock)


@pytest.fixture(params=["sqlite", "memory"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    house = House(request.param, tmp_path)
    await house.journal.open(SINKS)
    yield house
    await house.journal.close()


@pytest.fixture
def journal(house: House) -> Journal:
    return house.journal


def derived(kind: str, number: int, **changes) -> Record:
    """A record of another kind than snapshot."""
    at = START + number * STEP
    record = Record(record_id(kind, str(number)), kind, VIN, "fake", at, at, {"note": f"{kind} {number}"})
    return replace(record, **changes)


async def fill(journal: Journal, count: int, start: int = 0) -> list[Record]:
    records = [record_number(number) for number in range(start, start + count)]
    await journal.append(Entry(records=records))
    return records


async def ids_for(journal: Journal, sink: str = "files", limit: int = 100, **of) -> list[str]:
    return [queued.record.id for queued in (await journal.peek(sink, limit=limit, **of)).records]


async def take(journal: Journal, sink: str = "files", limit: int = 100) -> None:
    batch = await journal.peek(sink, limit=limit)
    assert await journal.settle(sink, since=batch.since, through=batch.through)


async def refuse(journal: Journal, records: list[Record], reason: str = "no", sink: str = "files") -> None:
    batch = await journal.peek(sink, limit=100)
    rejected = [Rejected(record, reason) for record in records]
    assert await journal.settle(sink, since=batch.since, through=batch.through, rejected=rejected)


def test_implements_the_protocols(journal):
    assert isinstance(journal, Journal)
    memory: Memory = journal
    assert memory is journal


class TestAppend:
    async def test_what_went_in_comes_out_equal(self, journal):
        answer, record = snapshot_number(1, {"odometer_km": 12, "locked": True, "climate_end_at": START})
        seqs = await journal.append(Entry(answer=answer, records=(record,)))
        batch = await journal.peek("files", limit=10)
        assert [(queued.seq, queued.record) for queued in batch.records] == [(seqs[0], record)]

    async def test_a_record_without_a_time_of_the_car_and_with_odd_text(self, journal):
        record = derived("alert", 1, observed_at=None, body={"text": 'ü "\n\u2028 🚗', "n": [1, None, {}]})
        await journal.append(Entry(records=(record,)))
        assert (await journal.peek("files", limit=1)).records[0].record == record

    async def test_seqs_rise_in_the_order_of_arrival(self, journal):
        first = await journal.append(Entry(records=[record_number(5), record_number(3)]))
        second = await journal.append(Entry(records=[record_number(4)]))
        seqs = [*first, *second]
        assert seqs == sorted(set(seqs))
        assert await ids_for(journal) == [record_number(n).id for n in (5, 3, 4)]

    async def test_the_same_record_again_is_nothing_new(self, journal):
        answer, record = snapshot_number(1)
        await journal.append(Entry(answer=answer, records=(record,)))
        assert list(await journal.append(Entry(answer=answer, records=(record, record)))) == [0, 0]
        assert await ids_for(journal) == [record.id]
        assert (await journal.stats()).records == 1

    async def test_an_amended_record_is_delivered_again_under_its_id(self, journal):
        trip, *others = derived("trip", 1), derived("trip", 2)
        await journal.append(Entry(records=[trip, *others]))
        await take(journal)
        amended = replace(trip, revision=2, body={"note": "longer"})
        (seq,) = await journal.append(Entry(records=[amended]))
        batch = await journal.peek("files", limit=10)
        assert [(queued.seq, queued.record) for queued in batch.records] == [(seq, amended)]
        assert (await journal.stats()).records == 2

    async def test_an_amended_record_replaces_one_not_delivered_yet(self, journal):
        trip = derived("trip", 1)
        amended = replace(trip, revision=3, body={"note": "longer"})
        await journal.append(Entry(records=[trip]))
        await journal.append(Entry(records=[amended]))
        assert [queued.record for queued in (await journal.peek("files", limit=10)).records] == [amended]

    async def test_an_older_revision_comes_too_late(self, journal):
        await journal.append(Entry(records=[derived("trip", 1, revision=2)]))
        assert list(await journal.append(Entry(records=[derived("trip", 1)]))) == [0]

    async def test_times_are_kept_to_the_millisecond(self, journal):
        record = derived("alert", 1, received_at=START + timedelta(microseconds=123_456))
        await journal.append(Entry(records=[record]))
        kept = (await journal.peek("files", limit=1)).records[0].record
        assert kept.received_at == START + timedelta(microseconds=123_000)

    async def test_one_bad_entry_stores_nothing_and_costs_its_neighbours_nothing(self, journal):
        bad = derived("alert", 9, body={"not": object()})
        entries = [
            Entry(records=[derived("alert", 1)]),
            Entry(records=[derived("alert", 2), bad], state={"trips": {"half": True}}),
            Entry(records=[derived("alert", 3)]),
        ]
        outcomes = await asyncio.gather(*map(journal.append, entries), return_exceptions=True)
        assert isinstance(outcomes[1], TypeError)
        assert await ids_for(journal) == [derived("alert", 1).id, derived("alert", 3).id]
        assert await journal.recall("trips") is None

    @pytest.mark.parametrize("odd", ["", "r1", "zz" * 16, "ab " * 16, "ab" * 15])
    async def test_an_id_is_32_hex_digits(self, journal, odd):
        with pytest.raises(ValueError):  # noqa: PT011 - the message is Python's for some of them
            await journal.append(Entry(records=[derived("alert", 1, id=odd)]))

    async def test_many_at_once_lose_none(self, journal):
        records = [record_number(number) for number in range(200)]
        seqs = await asyncio.gather(*(journal.append(Entry(records=[record])) for record in records))
        assert len({seq for (seq,) in seqs}) == 200
        assert set(await ids_for(journal, limit=500)) == {record.id for record in records}


class TestPeek:
    async def test_nothing_there(self, journal):
        batch = await journal.peek("files", limit=10)
        assert (list(batch.records), batch.since, batch.through) == ([], 0, 0)

    async def test_no_more_than_the_limit_oldest_first(self, journal):
        records = await fill(journal, 5)
        batch = await journal.peek("files", limit=3)
        assert [queued.record for queued in batch.records] == records[:3]
        assert batch.through == batch.records[-1].seq

    async def test_looking_changes_nothing(self, journal):
        await fill(journal, 3)
        assert await journal.peek("files", limit=2) == await journal.peek("files", limit=2)

    async def test_sinks_do_not_disturb_each_other(self, journal):
        records = await fill(journal, 3)
        await take(journal, "files", limit=2)
        assert await ids_for(journal, "files") == [records[2].id]
        assert len(await ids_for(journal, "axiom")) == 3

    async def test_other_kinds_move_the_cursor(self, journal):
        await journal.append(Entry(records=[derived("trip", 1), derived("alert", 2), derived("trip", 3)]))
        batch = await journal.peek("files", limit=10, kinds=["alert"])
        assert [queued.record.kind for queued in batch.records] == ["alert"]
        assert batch.through == batch.records[0].seq + 1
        await journal.settle("files", since=batch.since, through=batch.through)
        assert (await journal.backlog("files")).records == 0

    async def test_a_batch_may_be_empty_and_still_go_on(self, journal):
        await fill(journal, 7)
        batch = await journal.peek("files", limit=3, kinds=["trip"])
        assert not batch.records
        assert batch.through > batch.since

    async def test_whether_more_lies_behind(self, journal):
        assert (await journal.peek("files", limit=2)).last
        await fill(journal, 3)
        await journal.append(Entry(records=[derived("alert", 1)]))
        assert not (await journal.peek("files", limit=3)).last
        assert not (await journal.peek("files", limit=3, kinds=["snapshot"])).last
        assert (await journal.peek("files", limit=4)).last
        assert (await journal.peek("files", limit=9, kinds=["alert"])).last

    async def test_whether_letters_wait_to_be_sent_again(self, journal):
        records = await fill(journal, 2)
        await refuse(journal, records)
        assert not (await journal.peek("files", limit=2)).letters
        letter = (await journal.dead_letters("files"))[0]
        await journal.retry([letter.id])
        assert (await journal.peek("files", limit=2)).letters
        assert not (await journal.peek("axiom", limit=2)).letters
        await journal.settle_retries([letter.id], {})
        assert not (await journal.peek("files", limit=2)).letters

    async def test_from_another_place_than_the_cursor(self, journal):
        """To read ahead: nothing moves, and only who stands there can settle from there."""
        records = await fill(journal, 5)
        ahead = await journal.peek("files", limit=2, after=2)
        assert [queued.record for queued in ahead.records] == records[2:4]
        assert (ahead.since, ahead.through, ahead.last) == (2, 4, False)
        assert not await journal.settle("files", since=ahead.since, through=ahead.through)
        assert len(await ids_for(journal)) == 5
        await take(journal, limit=2)
        assert await journal.settle("files", since=ahead.since, through=ahead.through)
        assert await ids_for(journal) == [records[4].id]
        nothing = await journal.peek("files", limit=2, after=5)
        assert (list(nothing.records), nothing.since, nothing.through, nothing.last) == ([], 5, 5, True)

    async def test_no_less_than_one(self, journal):
        await fill(journal, 2)
        with pytest.raises(ValueError, match="one record"):
            await journal.peek("files", limit=0)

    async def test_an_unknown_sink_is_said_so(self, journal):
        for call in (
            journal.peek("nobody", limit=1),
            journal.settle("nobody", since=0, through=0),
            journal.backlog("nobody"),
            journal.rewind("nobody", START),
        ):
            with pytest.raises(JournalError, match="no cursor"):
                await call


class TestChanges:
    async def test_unchanged_snapshots_are_passed_over(self, journal):
        still = {"soc_percent": 50}
        seen = START - timedelta(hours=1)
        for number, readings in enumerate([still, still, {"soc_percent": 51}, {"soc_percent": 51}, still]):
            await journal.append(Entry(records=[record_number(number, readings, observed_at=seen)]))
        batch = await journal.peek("files", limit=10, only_changes=True)
        values = [queued.record.body["readings"]["soc_percent"] for queued in batch.records]
        assert values == [50, 51, 50]

    async def test_unchanged_ones_at_the_end_move_the_cursor(self, journal):
        for number in range(3):
            await journal.append(
                Entry(records=[record_number(number, {"soc_percent": 1}, observed_at=START)])
            )
        await take(journal, limit=1)
        batch = await journal.peek("files", limit=10, only_changes=True)
        assert not batch.records
        assert batch.through == 3

    async def test_other_kinds_always_count_as_changed(self, journal):
        trips = [derived("trip", number, fingerprint="ab" * 16) for number in range(2)]
        await journal.append(Entry(records=trips))
        assert len(await ids_for(journal, only_changes=True)) == 2

    async def test_vehicles_and_sources_are_compared_with_themselves(self, journal):
        for number in range(2):
            for source, vin in (("a", VIN), ("b", VIN), ("a", VIN[:-1] + "2")):
                same = {"source": source, "vin": vin, "observed_at": START}
                await journal.append(Entry(records=[record_number(number, {"soc_percent": 1}, **same)]))
        assert len(await ids_for(journal, only_changes=True)) == 3

    async def test_a_late_comer_is_not_what_the_next_is_compared_with(self, house, journal):
        await house.clock.advance(6 * STEP.total_seconds())
        one, two = {"soc_percent": 1}, {"soc_percent": 2}
        for number, readings in ((5, one), (2, two), (6, one)):
            await journal.append(Entry(records=[record_number(number, readings, observed_at=START)]))
        assert await ids_for(journal, only_changes=True) == [
            record_number(5, one, observed_at=START).id,
            record_number(2, two, observed_at=START).id,
        ]

    async def test_an_amended_snapshot_counts_as_changed(self, journal):
        record = record_number(1)
        await journal.append(Entry(records=[record]))
        await take(journal)
        await journal.append(Entry(records=[replace(record, revision=2)]))
        assert await ids_for(journal, only_changes=True) == [record.id]


class TestSettle:
    async def test_a_cursor_moves_once(self, journal):
        await fill(journal, 4)
        batch = await journal.peek("files", limit=2)
        assert await journal.settle("files", since=batch.since, through=batch.through)
        assert not await journal.settle("files", since=batch.since, through=batch.through)
        assert (await journal.peek("files", limit=2)).since == batch.through

    async def test_overtaken_by_a_rewind_nothing_is_settled(self, journal):
        records = await fill(journal, 4)
        await take(journal, limit=2)
        batch = await journal.peek("files", limit=2)
        await journal.rewind("files", START)
        rejected = [Rejected(records[2], "no")]
        assert not await journal.settle("files", since=batch.since, through=batch.through, rejected=rejected)
        assert not await journal.dead_letters()

    async def test_cursor_and_dead_letters_stand_or_fall_together(self, journal):
        records = await fill(journal, 2)
        broken = replace(records[1], body={"not": object()})
        with pytest.raises(TypeError):
            await journal.settle("files", since=0, through=2, rejected=[Rejected(broken, "no")])
        assert (await journal.peek("files", limit=1)).since == 0
        assert not await journal.dead_letters()

    async def test_never_back(self, journal):
        await fill(journal, 2)
        await take(journal)
        with pytest.raises(ValueError, match="rewind"):
            await journal.settle("files", since=2, through=1)

    async def test_survives_a_restart(self, house):
        records = await fill(house.journal, 3)
        await take(house.journal, limit=2)
        journal = await house.restart(*SINKS)
        assert await ids_for(journal) == [records[2].id]


class TestBacklog:
    async def test_none(self, journal):
        assert (await journal.backlog("files")).records == 0
        assert (await journal.backlog("files")).oldest_at is None

    async def test_how_many_and_since_when(self, journal):
        await fill(journal, 5)
        await take(journal, limit=2)
        backlog = await journal.backlog("files")
        assert (backlog.records, backlog.oldest_at) == (3, START + 2 * STEP)

    async def test_what_was_pruned_is_not_waited_for(self, journal):
        await fill(journal, 2)
        await journal.append(Entry(records=[record_number(0, start=START + 5 * DAY)]))
        await journal.prune(Policy(max_age=DAY.total_seconds()), START + 5 * DAY)
        assert (await journal.backlog("files")).records == 1


class TestRewind:
    async def test_delivers_again_and_says_so(self, journal):
        records = await fill(journal, 5)
        await take(journal)
        assert await journal.rewind("files", START + 3 * STEP) == 2
        again = [queued.record for queued in (await journal.peek("files", limit=10)).records]
        assert again == [replace(record, replayed=True) for record in records[3:]]

    async def test_what_was_never_delivered_is_no_replay(self, journal):
        await fill(journal, 4)
        await take(journal, limit=3)
        assert await journal.rewind("files", START + STEP) == 2
        flags = [queued.record.replayed for queued in (await journal.peek("files", limit=10)).records]
        assert flags == [True, True, False]

    async def test_a_replay_stays_one_over_settling_and_rewinding_again(self, journal):
        await fill(journal, 4)
        await take(journal)
        await journal.rewind("files", START)
        await take(journal, limit=2)
        await journal.rewind("files", START + STEP)
        flags = [queued.record.replayed for queued in (await journal.peek("files", limit=10)).records]
        assert flags == [True, True, True]

    async def test_never_forward(self, journal):
        await fill(journal, 4)
        assert await journal.rewind("files", START + 2 * STEP) == 0
        assert await journal.rewind("files", START + 30 * DAY) == 0
        assert (await journal.peek("files", limit=1)).since == 0

    async def test_to_the_first_that_was_received_since_in_whatever_order_they_came(self, journal):
        numbers = [300, 600, 10, 900]
        await journal.append(Entry(records=[record_number(number) for number in numbers]))
        await take(journal)
        assert await journal.rewind("files", START + 500 * STEP) == 3
        assert await ids_for(journal) == [record_number(number).id for number in numbers[1:]]

    async def test_other_sinks_stay(self, journal):
        await fill(journal, 2)
        await take(journal, "files")
        await take(journal, "axiom")
        await journal.rewind("files", START)
        assert (await journal.backlog("axiom")).records == 0

    async def test_what_came_in_as_replayed_stays_so(self, journal):
        await journal.append(Entry(records=[replace(record_number(1), replayed=True)]))
        assert (await journal.peek("files", limit=1)).records[0].record.replayed


class TestSinks:
    async def test_a_new_sink_starts_at_the_end(self, house):
        await fill(house.journal, 3)
        journal = await house.restart(*SINKS, "webhook")
        assert (await journal.backlog("webhook")).records == 0
        later = await fill(journal, 1, start=7)
        assert await ids_for(journal, "webhook") == [later[0].id]

    async def test_a_new_sink_starts_at_the_end_even_if_all_was_pruned(self, house):
        await fill(house.journal, 3)
        await house.journal.prune(Policy(max_age=1), START + 5 * DAY)
        journal = await house.restart(*SINKS, "webhook")
        await fill(journal, 1, start=7)
        assert (await journal.peek("webhook", limit=1)).since == 3

    async def test_one_that_left_is_an_orphan_with_its_backlog(self, house):
        await fill(house.journal, 3)
        await take(house.journal, "axiom", limit=1)
        journal = await house.restart("files")
        assert dict((await journal.stats()).orphans) == {"axiom": 2}

    async def test_one_that_comes_back_goes_on_where_it_was(self, house):
        records = await fill(house.journal, 3)
        await take(house.journal, "axiom", limit=1)
        await house.restart("files")
        journal = await house.restart(*SINKS)
        assert await ids_for(journal, "axiom") == [record.id for record in records[1:]]

    async def test_forgetting_an_orphan(self, house):
        await refuse(house.journal, await fill(house.journal, 1), sink="axiom")
        journal = await house.restart("files")
        assert await journal.forget("axiom")
        assert not (await journal.stats()).orphans
        assert not await journal.dead_letters()
        assert not await journal.forget("axiom")

    async def test_a_configured_one_is_not_forgotten(self, journal):
        with pytest.raises(JournalError, match="configuration"):
            await journal.forget("files")

    async def test_a_reload_changes_who_is_configured(self, journal):
        await fill(journal, 2)
        await journal.register(["files", "webhook"])
        stats = await journal.stats()
        assert dict(stats.orphans) == {"axiom": 2}
        assert (await journal.backlog("webhook")).records == 0


class TestNewest:
    async def test_one_of_each_vehicle_and_source(self, journal):
        other = VIN[:-1] + "2"
        records = [
            record_number(1), record_number(2), record_number(1, vin=other), record_number(3, source="home"),
        ]  # fmt: skip
        await journal.append(Entry(records=[*records, derived("trip", 9)]))
        assert list(await journal.newest()) == [records[1], records[3], records[2]]

    async def test_an_older_one_does_not_become_it(self, house, journal):
        await house.clock.advance(5 * STEP.total_seconds())
        await journal.append(Entry(records=[record_number(5)]))
        await journal.append(Entry(records=[record_number(4)]))
        assert list(await journal.newest()) == [record_number(5)]

    async def test_one_from_the_future_gives_way_when_the_clock_is_right_again(self, house, journal):
        """The clock was years ahead for a poll: what comes after it is the newest all the same."""
        await journal.append(Entry(records=[record_number(100_000)]))
        await house.clock.advance(2 * STEP.total_seconds())
        await journal.append(Entry(records=[record_number(2)]))
        assert list(await journal.newest()) == [record_number(2)]
        journal = await house.restart(*SINKS)
        await journal.append(Entry(records=[record_number(1)]))
        assert list(await journal.newest()) == [record_number(2)]

    async def test_an_amended_one_takes_its_place(self, journal):
        record = record_number(5)
        amended = replace(record, revision=2, body={"readings": {"soc_percent": 7}})
        await journal.append(Entry(records=[record]))
        await journal.append(Entry(records=[amended]))
        assert list(await journal.newest()) == [amended]

    async def test_outlives_pruning_and_restart(self, house):
        await fill(house.journal, 2)
        await house.journal.prune(Policy(max_age=1), START + 50 * DAY)
        journal = await house.restart(*SINKS)
        assert list(await journal.newest()) == [record_number(1)]


class TestDeadLetters:
    async def test_a_refused_record_is_kept_with_its_reason(self, house, journal):
        records = await fill(journal, 2)
        await refuse(journal, [records[1]], "too long")
        (letter,) = await journal.dead_letters()
        assert (letter.sink, letter.reason, letter.at) == ("files", "too long", house.clock.now())
        assert (letter.record, letter.answer) == (records[1], None)
        assert (await journal.stats()).dead_letters == {"files": 1, "axiom": 0}

    async def test_an_answer_nobody_could_parse(self, journal):
        answer, _ = snapshot_number(1)
        await journal.append(Entry(answer=answer, quarantine="no JSON"))
        await journal.append(Entry(answer=answer, quarantine="no JSON, still"))
        (letter,) = await journal.dead_letters()
        assert (letter.sink, letter.reason, letter.record) == (None, "no JSON, still", None)
        assert letter.answer == answer
        stats = await journal.stats()
        assert (stats.quarantined, stats.dead_letters) == (1, {"files": 0, "axiom": 0})

    async def test_listed_by_sink_oldest_first(self, journal):
        records = await fill(journal, 3)
        await refuse(journal, [records[2], records[0]])
        await refuse(journal, [records[1]], sink="axiom")
        await journal.append(Entry(answer=snapshot_number(9)[0], quarantine="?"))
        listed = await journal.dead_letters()
        assert [letter.id for letter in listed] == sorted(letter.id for letter in listed)
        assert [letter.record.id for letter in await journal.dead_letters("files")] == [
            records[2].id,
            records[0].id,
        ]
        assert [letter.record.id for letter in await journal.dead_letters("axiom")] == [records[1].id]
        assert len(await journal.dead_letters("")) == 1
        assert len(await journal.dead_letters(limit=2)) == 2

    async def test_the_same_record_refused_again_is_one_letter(self, journal):
        records = await fill(journal, 1)
        await refuse(journal, records, "first")
        (before,) = await journal.dead_letters()
        await journal.rewind("files", START)
        await refuse(journal, records, "second")
        (after,) = await journal.dead_letters()
        assert (after.id, after.reason) == (before.id, "second")

    async def test_a_retry_comes_as_a_replay_and_goes_when_delivered(self, journal):
        records = await fill(journal, 2)
        await refuse(journal, records)
        first, second = await journal.dead_letters()
        assert await journal.retry([second.id, first.id, 999]) == 2
        marked = await journal.retries("files", limit=10)
        assert [letter.record for letter in marked] == [replace(r, replayed=True) for r in records]
        assert len(await journal.retries("files", limit=1)) == 1
        assert not await journal.retries("axiom", limit=10)
        await journal.settle_retries([first.id], {second.id: "still no"})
        assert not await journal.retries("files", limit=10)
        (left,) = await journal.dead_letters()
        assert (left.id, left.reason) == (second.id, "still no")

    async def test_a_quarantined_answer_is_not_delivered_to_anybody(self, journal):
        await journal.append(Entry(answer=snapshot_number(1)[0], quarantine="?"))
        (letter,) = await journal.dead_letters()
        assert await journal.retry([letter.id]) == 0
        assert not await journal.retries("", limit=10)

    async def test_a_marked_letter_refused_again_by_the_queue_is_not_marked_any_more(self, journal):
        records = await fill(journal, 1)
        await refuse(journal, records)
        (letter,) = await journal.dead_letters()
        await journal.retry([letter.id])
        await journal.rewind("files", START)
        await refuse(journal, records)
        assert not await journal.retries("files", limit=10)

    async def test_dropping(self, journal):
        await refuse(journal, await fill(journal, 3))
        letters = await journal.dead_letters()
        assert await journal.drop_dead_letters([letters[0].id, letters[2].id, 999]) == 2
        assert await journal.drop_dead_letters([]) == 0
        assert [letter.id for letter in await journal.dead_letters()] == [letters[1].id]

    async def test_survive_pruning_and_restart(self, house):
        answer, record = snapshot_number(1)
        await house.journal.append(Entry(answer=answer, records=[record], quarantine="?"))
        await refuse(house.journal, [record])
        await house.journal.prune(Policy(max_age=1), START + 50 * DAY)
        journal = await house.restart(*SINKS)
        quarantined, refused = await journal.dead_letters()
        assert (quarantined.answer, refused.record) == (answer, record)

    async def test_a_quarantine_needs_an_answer(self, journal):
        with pytest.raises(ValueError, match="answer"):
            await journal.append(Entry(quarantine="?"))


class TestMemory:
    async def test_nothing_yet(self, journal):
        assert await journal.recall("backoff") is None

    async def test_the_last_value_counts_and_survives(self, house):
        await house.journal.remember("backoff", {"until": 1})
        await house.journal.remember("backoff", {"until": 2, "why": ["ü"]})
        journal = await house.restart(*SINKS)
        assert await journal.recall("backoff") == {"until": 2, "why": ["ü"]}

    async def test_what_arrived_is_kept_with_the_state_that_it_makes(self, house):
        await house.journal.keep(
            Answer("home", "cardata", VIN, START, {"message": b"{}"}), "state:car", {"soc": 7}
        )
        journal = await house.restart(*SINKS)
        assert await journal.recall("state:car") == {"soc": 7}
        assert not (await journal.peek("files", limit=10)).records

    async def test_derived_state_is_stored_with_the_records(self, journal):
        await journal.append(Entry(records=[record_number(1)], state={"trips": {"open": 1}, "charge": {}}))
        assert await journal.recall("trips") == {"open": 1}
        assert await journal.recall("charge") == {}

    async def test_when_the_journal_was_begun(self, house):
        begun = await house.journal.recall("journal:begun")
        assert begun == {"at": "2026-11-21T14:00:00.000Z", "why": "new"}
        house.clock.jump(3600)
        assert await (await house.restart(*SINKS)).recall("journal:begun") == begun


class TestPrune:
    async def test_nothing_without_a_limit(self, journal):
        await fill(journal, 3)
        assert (await journal.prune(Policy(), START + 900 * DAY)).records == 0
        assert (await journal.stats()).records == 3

    async def test_whole_days_that_are_too_old(self, journal):
        await fill(journal, 2)
        await journal.append(Entry(records=[record_number(0, start=START + DAY)]))
        await take(journal, "files")
        await take(journal, "axiom")
        midnight = datetime(2026, 11, 22, tzinfo=UTC)
        policy = Policy(max_age=DAY.total_seconds())
        assert (await journal.prune(policy, midnight + DAY - timedelta(seconds=1))).records == 0
        pruned = await journal.prune(policy, midnight + DAY)
        assert (pruned.records, dict(pruned.dropped)) == (2, {})
        assert (await journal.stats()).oldest_at == START + DAY

    async def test_every_drop_is_counted_for_every_sink(self, journal):
        await fill(journal, 5)
        await take(journal, "files", limit=3)
        pruned = await journal.prune(Policy(max_age=1), START + 50 * DAY)
        assert (pruned.records, dict(pruned.dropped)) == (5, {"files": 2, "axiom": 5})
        assert await ids_for(journal, "axiom") == []
        assert (await journal.prune(Policy(max_age=1), START + 50 * DAY)).records == 0

    async def test_an_orphan_holds_nothing_back_and_is_not_counted(self, house):
        await fill(house.journal, 2)
        await take(house.journal, "files")
        journal = await house.restart("files")
        pruned = await journal.prune(Policy(max_age=1), START + 50 * DAY)
        assert (pruned.records, dict(pruned.dropped)) == (2, {})

    async def test_never_the_present_day(self, journal):
        await fill(journal, 2)
        assert (await journal.prune(Policy(max_age=1), START + timedelta(hours=9))).records == 0

    async def test_in_mid_delivery_the_cursor_still_moves(self, journal):
        await fill(journal, 3)
        batch = await journal.peek("files", limit=2)
        await journal.prune(Policy(max_age=1), START + 50 * DAY)
        assert await journal.settle("files", since=batch.since, through=batch.through)

    async def test_what_was_pruned_may_come_again(self, journal):
        await fill(journal, 1)
        await journal.prune(Policy(max_age=1), START + 50 * DAY)
        assert list(await journal.append(Entry(records=[record_number(0)]))) == [2]


class TestStats:
    async def test_empty(self, journal):
        stats = await journal.stats()
        assert (stats.records, stats.oldest_at, stats.newest_at) == (0, None, None)
        assert (stats.full, dict(stats.orphans), stats.quarantined) == (False, {}, 0)

    async def test_counts(self, journal):
        await journal.append(Entry(records=[record_number(n) for n in (400, 3, 900)]))
        stats = await journal.stats()
        assert (stats.records, stats.oldest_at, stats.newest_at) == (3, START + 3 * STEP, START + 900 * STEP)

    async def test_the_last_is_the_one_that_was_appended_last(self, journal):
        """Whatever the clock showed: it may have been ahead before."""
        assert (await journal.stats()).last_at is None
        await journal.append(Entry(records=[record_number(n) for n in (900, 3)]))
        assert (await journal.stats()).last_at == START + 3 * STEP
        await journal.append(Entry(records=[replace(record_number(900), revision=2)]))
        assert (await journal.stats()).last_at == START + 900 * STEP


class TestLife:
    async def test_closing_twice(self, journal):
        await journal.close()
        await journal.close()

    async def test_closed_is_closed(self, journal):
        await journal.close()
        for call in (
            journal.append(Entry()), journal.peek("files", limit=1), journal.stats(), journal.recall("x"),
            journal.remember("x", {}), journal.settle("files", since=0, through=0),
        ):  # fmt: skip
            with pytest.raises(JournalError):
                await call
