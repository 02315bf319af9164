"""Whatever happens in whatever order: nothing is lost, and no cursor goes back but by rewind."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from poller.journal.base import Batch, Entry, Policy, Rejected
from poller.journal.sqlite import SqliteJournal
from poller.testing.clock import ManualClock
from poller.testing.records import START, STEP, record_number
from poller.vehicle.records import Record

SINKS = ("files", "axiom")
#: Examples and steps of a plain run; `make soak` takes ten times as many examples.
EXAMPLES, STEPS = 8, 30
DAYS = 4

sinks = st.sampled_from(SINKS)
numbers = st.lists(st.integers(0, DAYS * 288 - 1), min_size=1, max_size=6)


class JournalLaws(RuleBasedStateMachine):
    """Drives a journal on disk and keeps a plain account of what every sink must still get."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="journal-laws-"))
        self.generation = 0
        #: id → newest revision acknowledged and not pruned.
        self.held: dict[str, Record] = {}
        #: sink → ids it must still be offered.
        self.owed: dict[str, set[str]] = {sink: set() for sink in SINKS}
        self.letters: dict[str, set[str]] = {sink: set() for sink in SINKS}
        self.cursor = dict.fromkeys(SINKS, 0)
        self.batches: dict[str, Batch] = {}

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(coroutine)

    @property
    def path(self) -> Path:
        return self.folder / str(self.generation) / "journal.db"

    @initialize()
    def open(self) -> None:
        self.journal = SqliteJournal(self.path, Policy(), ManualClock())
        self.run(self.journal.open(SINKS))

    @rule(numbers=numbers, together=st.booleans())
    def append(self, numbers: list[int], *, together: bool) -> None:
        records = [record_number(number) for number in numbers]
        entries = [Entry(records=records)] if together else [Entry(records=[r]) for r in records]
        self.run(self._append(entries))
        for record in records:
            if record.id not in self.held:
                self._acknowledge(record)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def amend(self, data: st.DataObject) -> None:
        record = self.held[data.draw(st.sampled_from(sorted(self.held)))]
        amended = replace(record, revision=record.revision + 1)
        self.run(self.journal.append(Entry(records=[amended])))
        self._acknowledge(amended)

    @rule(sink=sinks, limit=st.integers(1, 8))
    def peek(self, sink: str, limit: int) -> None:
        batch = self.run(self.journal.peek(sink, limit=limit))
        assert batch.since == self.cursor[sink]
        assert {queued.record.id for queued in batch.records} <= self.owed[sink]
        for queued in batch.records:
            assert replace(queued.record, replayed=False) == self.held[queued.record.id]
        if len(batch.records) < limit:
            assert {queued.record.id for queued in batch.records} == self.owed[sink]
        self.batches[sink] = batch

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), refuse=st.booleans())
    def settle(self, data: st.DataObject, *, refuse: bool) -> None:
        sink = data.draw(st.sampled_from(sorted(self.batches)))
        batch = self.batches[sink]
        done = data.draw(st.integers(0, len(batch.records)))
        through = batch.through if done == len(batch.records) else self._seq(batch, done)
        taken = [queued.record for queued in batch.records[:done]]
        rejected = [Rejected(record, "no") for record in taken] if refuse else []
        moved = self.run(self.journal.settle(sink, since=batch.since, through=through, rejected=rejected))
        assert moved == (self.cursor[sink] == batch.since)
        if not moved:
            return
        self.cursor[sink] = through
        if refuse:
            self.letters[sink] |= {record.id for record in taken}
        for record in taken:
            # An amended record lies behind the cursor again: it is owed under its new seq.
            if record.id in self.held and self.held[record.id].revision == record.revision:
                self.owed[sink].discard(record.id)

    @rule(sink=sinks, number=st.integers(0, DAYS * 288))
    def rewind(self, sink: str, number: int) -> None:
        before = self.cursor[sink]
        self.run(self.journal.rewind(sink, START + number * STEP))
        batch = self.run(self.journal.peek(sink, limit=10_000))
        assert batch.since <= before
        self.cursor[sink] = batch.since
        again = {queued.record.id for queued in batch.records}
        since = {i for i, r in self.held.items() if r.received_at >= START + number * STEP}
        assert again >= self.owed[sink]
        assert again >= since
        self.owed[sink] = again

    @rule(days=st.integers(0, DAYS + 1))
    def prune(self, days: int) -> None:
        now = START + timedelta(days=days)
        pruned = self.run(self.journal.prune(Policy(max_age=86_400), now))
        gone = {i for i, r in self.held.items() if r.received_at.date() < (now - timedelta(days=1)).date()}
        assert pruned.records == len(gone)
        for sink in SINKS:
            assert pruned.dropped.get(sink, 0) == len(gone & self.owed[sink])
            self.owed[sink] -= gone
        for record in gone:
            del self.held[record]

    @rule()
    def crash(self) -> None:
        """The files as they lie on disk at this moment, as a kill or a power cut leaves them."""
        before = self.path.parent
        self.generation += 1
        shutil.copytree(before, self.path.parent)
        self.run(self.journal.close())
        shutil.rmtree(before)
        self.open()

    @rule()
    def restart(self) -> None:
        self.run(self.journal.close())
        self.open()

    @invariant()
    def accounts_agree(self) -> None:
        if not hasattr(self, "journal"):
            return
        stats = self.run(self.journal.stats())
        assert stats.records == len(self.held)
        assert dict(stats.dead_letters) == {sink: len(ids) for sink, ids in self.letters.items()}

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            for sink in SINKS:
                batch = self.run(self.journal.peek(sink, limit=10_000))
                assert {queued.record.id for queued in batch.records} == self.owed[sink]
            self.run(self.journal.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    async def _append(self, entries: list[Entry]) -> None:
        await asyncio.gather(*map(self.journal.append, entries))

    def _acknowledge(self, record: Record) -> None:
        self.held[record.id] = record
        for owed in self.owed.values():
            owed.add(record.id)

    @staticmethod
    def _seq(batch: Batch, done: int) -> int:
        return batch.records[done - 1].seq if done else batch.since


def laws(examples: int) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        JournalLaws, settings=settings(max_examples=examples, stateful_step_count=STEPS, deadline=None)
    )


def test_any_interleaving_keeps_the_laws():
    laws(EXAMPLES)


@pytest.mark.soak
def test_any_interleaving_keeps_the_laws_for_long():
    laws(10 * EXAMPLES)
