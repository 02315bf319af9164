"""What a round owes the account: noted before it asks, and a refusal counts whatever else went well."""

import asyncio
from datetime import timedelta

import pytest

from poller.errors import JournalError, LoginRequired, RateLimited, SourceUnavailable
from poller.schedule.rounds import Rounds
from poller.testing.clock import ManualClock
from poller.testing.memory import DictMemory
from poller.testing.sources import FakeSource

TWO = ("WMW00000000000001", "WBA00000000000002")


class FullMemory(DictMemory):
    """One that cannot take anything in."""

    async def remember(self, _key, _value):
        raise JournalError("the disk is full", hint="free some space")


class HangingMemory(DictMemory):
    """One on a disk that does not answer."""

    async def remember(self, _key, _value):
        await asyncio.Event().wait()


class World:
    """A source with two cars. `noted` is what the memory knew of the attempt at each poll."""

    def __init__(self, memory):
        self.clock = ManualClock()
        self.memory = memory
        self.source = FakeSource(self.clock, vins=TWO)
        self.noted = []
        self.failed = []
        self.rounds = Rounds(
            self.source,
            poll=self.poll,
            memory=memory,
            clock=self.clock,
            interval=300,
            closed=self.closed,
            listed=self.listed,
            failed=self.note_failure,
        )

    async def poll(self, source, target, notes):
        # Judged later: what is raised in here would be taken for a bug of the source, and survived.
        self.noted.append(await self.memory.recall(f"attempt:{source.account}"))
        answer = await source.fetch(target)
        for key, note in notes.items():
            await self.memory.remember(key, note)
        return answer

    async def note_failure(self, _source, error, target):
        self.failed.append((error.reason, target))

    async def closed(self):
        return ""

    async def listed(self, source, vins):
        pass


def times(notes):
    return [note and note["at"] for note in notes]


async def test_an_attempt_is_noted_before_anybody_is_asked():
    """A crash loop must not hammer the maker's cloud."""
    world = World(DictMemory())
    await world.rounds.round()
    assert times(world.noted) == ["2026-11-21T14:00:00.000Z"] * 2


async def test_after_a_good_round_the_attempt_is_noted_with_its_answers():
    """That spares a commit a poll. A crash before costs one question more: that one is noted first again."""
    world = World(DictMemory())
    await world.rounds.round()
    await world.clock.advance(300)
    await world.rounds.round()
    assert times(world.noted[2:]) == ["2026-11-21T14:00:00.000Z", "2026-11-21T14:05:00.000Z"]


@pytest.mark.parametrize("bad", [0, 1])
async def test_after_a_round_that_was_not_all_good_it_is_noted_before(bad):
    world = World(DictMemory())
    answers = [{}, {}]
    answers[bad] = SourceUnavailable("down")
    world.source.script = [*answers, {}, {}]
    await world.rounds.round()
    await world.clock.advance(300)
    await world.rounds.round()
    assert times(world.noted[2:]) == ["2026-11-21T14:05:00.000Z"] * 2


async def test_an_attempt_that_failed_after_a_good_round_is_noted_with_its_back_off():
    world = World(DictMemory())
    await world.rounds.round()
    await world.clock.advance(300)
    world.source.script = [SourceUnavailable("down")] * 2
    await world.rounds.round()
    assert times([await world.memory.recall(f"attempt:{world.source.account}")]) == [
        "2026-11-21T14:05:00.000Z"
    ]


async def test_a_note_that_hangs_is_not_tried_again_on_the_way_out():
    """A disk that does not answer must not hold up a reload for ever."""
    world = World(HangingMemory())
    running = asyncio.create_task(world.rounds.run(asyncio.Event()))
    world.rounds.mark_due()
    await world.clock.settle()
    running.cancel()
    await asyncio.wait([running], timeout=5)
    assert running.cancelled()
    assert world.source.fetched == []


async def test_nobody_is_asked_if_the_attempt_cannot_be_noted():
    world = World(FullMemory())
    outcome = await world.rounds.round()
    assert world.source.fetched == []
    assert (outcome.good, outcome.error.reason, outcome.error.hint) == (0, "journal", "free some space")
    assert world.rounds.status.failure.reason == "journal"
    assert world.failed == [("journal", None)]


@pytest.mark.parametrize("refusal", ["rate_limited", "login_required"])
async def test_a_refusal_after_a_good_vehicle_still_speaks_for_the_account(refusal):
    world = World(DictMemory())
    until = world.clock.now() + timedelta(hours=2)
    error = RateLimited(until) if refusal == "rate_limited" else LoginRequired()
    world.source.script = [{"soc_percent": 50}, error]
    outcome = await world.rounds.round()
    assert (outcome.good, outcome.bad) == (1, 1)
    assert world.rounds.told_to_wait()["reason"] == refusal
    assert world.rounds.next_poll(world.clock.now()) == (until if refusal == "rate_limited" else None)
