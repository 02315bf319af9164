"""One source's task: what it asks, when it leaves the account alone, what it says about itself."""

import asyncio
from datetime import timedelta

import pytest

from poller.errors import LoginRequired, RateLimited, SourceBlocked, SourceUnavailable
from poller.runtime.status import Channels, QuotaStatus, Silence, StreamStatus
from poller.schedule.rounds import Rounds
from poller.sources.base import LoginState, Target
from poller.testing.clock import ManualClock
from poller.testing.memory import DictMemory
from poller.testing.sources import FakeSource

TWO = ("WMW00000000000001", "WBA00000000000002")


class World:
    """A source with two cars, its rounds, and a poll that only fetches."""

    def __init__(self):
        self.clock = ManualClock()
        self.memory = DictMemory()
        self.source = FakeSource(self.clock, vins=TWO)
        self.room = True
        self.listed = []
        self.failed = []
        self.rounds = self.restarted()

    def restarted(self):
        async def poll(source, target, notes):
            answer = await source.fetch(target)
            for key, note in notes.items():
                await self.memory.remember(key, note)
            return answer

        async def closed():
            return "" if self.room else "the journal is full"

        async def listed(source, vins):
            self.listed.append(vins)

        async def failed(source, error, target):
            self.failed.append((error.reason, target))

        return Rounds(
            self.source,
            poll=poll,
            memory=self.memory,
            clock=self.clock,
            interval=300,
            closed=closed,
            listed=listed,
            failed=failed,
        )


@pytest.fixture
def world():
    return World()


async def test_each_vehicle_is_asked_once(world):
    outcome = await world.rounds.round()
    assert (outcome.good, outcome.bad, outcome.error) == (2, 0, None)
    assert world.source.fetched == list(TWO)
    assert world.rounds.status.state == "ok"


async def test_one_vehicles_failure_never_costs_anothers_snapshot(world):
    world.source.script = [SourceUnavailable("server said 500", reason="server"), {"soc_percent": 50}]
    outcome = await world.rounds.round()
    assert (outcome.good, outcome.bad) == (1, 1)
    assert world.rounds.status.consecutive_failures == 0
    assert world.rounds.status.failure.reason == "server"


async def test_a_bug_with_one_vehicle_does_not_starve_the_others(world):
    async def stumble():
        if len(world.source.fetched) == 1:
            raise KeyError("a bug")

    world.source.before_answer = stumble
    outcome = await world.rounds.round()
    assert (outcome.good, outcome.bad, outcome.error.reason) == (1, 1, "internal")
    assert world.rounds.status.failure.message == "a bug in this program: KeyError"
    assert world.failed == [("internal", Target(TWO[0]))]


async def test_a_round_that_fails_before_any_vehicle_is_asked_has_failed_for_all(world):
    world.source.listing = LoginRequired()
    outcome = await world.rounds.round()
    assert (outcome.good, outcome.error.reason) == (0, "login_required")
    assert world.failed == [("login_required", None)]


async def test_a_round_that_the_stop_cut_short_is_no_success_and_ends_no_back_off(world):
    until = world.clock.now() + timedelta(hours=2)
    world.source.script = [RateLimited(until)]
    await world.rounds.round()
    stop = asyncio.Event()
    stop.set()
    outcome = await world.rounds.round(stop)
    assert (outcome.good, outcome.bad, outcome.cut) == (0, 0, True)
    assert world.rounds.status.last_success_at is None
    assert world.rounds.next_poll(None) == until


@pytest.mark.parametrize("error", [RateLimited, SourceBlocked])
async def test_a_refusal_speaks_for_the_account_and_ends_the_round(world, error):
    world.source.script = [error(world.clock.now() + timedelta(hours=2))]
    await world.rounds.round()
    assert len(world.source.fetched) == 1


async def test_a_rate_limit_is_respected_and_survives_a_restart(world):
    until = world.clock.now() + timedelta(minutes=20)
    world.source.script = [RateLimited(until, "slow down")]
    await world.rounds.round()
    world.rounds = world.restarted()
    await world.rounds.open()
    assert world.rounds.told_to_wait()["reason"] == "rate_limited"
    assert world.rounds.status.failure.message == "slow down"
    assert world.rounds.next_poll(world.clock.now()) == until
    stop = asyncio.Event()
    task = asyncio.create_task(world.rounds.run(stop))
    for _ in range(4):
        world.rounds.mark_due()
        await world.clock.advance(299)
    assert len(world.source.fetched) == 1
    await world.clock.advance(10)
    world.rounds.mark_due()
    await world.clock.settle()
    assert len(world.source.fetched) == 1 + 2, "the first tick after the limit's end asks for both"
    stop.set()
    await task


async def test_the_poll_in_flight_when_stopped_is_finished(world):
    gate, stop = asyncio.Event(), asyncio.Event()
    world.source.before_answer = gate.wait
    task = asyncio.create_task(world.rounds.run(stop))
    world.rounds.mark_due()
    await world.clock.settle()
    stop.set()
    gate.set()
    await task
    assert world.source.fetched == [TWO[0]]
    assert world.rounds.status.last_success_at is not None


async def test_a_new_login_is_found_by_itself(world):
    world.source.script = [LoginRequired("the refresh token was refused")]
    stop = asyncio.Event()
    task = asyncio.create_task(world.rounds.run(stop))
    world.rounds.mark_due()
    await world.clock.advance(3600)
    assert world.rounds.status.state == "login_required"
    assert len(world.source.fetched) == 1, "nobody is asked while a human is needed"
    world.source.login = LoginState("2")
    await world.clock.advance(10)
    assert world.rounds.status.state == "ok"
    stop.set()
    await task


async def test_a_login_stored_while_the_old_one_is_refused_is_not_overlooked(world):
    async def log_in_elsewhere():
        world.source.login = LoginState("2")

    world.source.before_answer = log_in_elsewhere
    world.source.script = [LoginRequired("the refresh token was refused")]
    await world.rounds.round()
    assert world.rounds.told_to_wait() is None


async def test_no_overlap_when_due_twice_during_a_slow_round(world):
    gate = asyncio.Event()
    world.source.before_answer = gate.wait
    first = asyncio.create_task(world.rounds.round())
    second = asyncio.create_task(world.rounds.round())
    await world.clock.settle()
    assert len(world.source.fetched) == 1
    gate.set()
    await asyncio.gather(first, second)


async def test_what_cannot_be_kept_is_not_asked_for(world):
    world.room = False
    outcome = await world.rounds.round()
    assert world.source.fetched == []
    assert str(outcome.error).startswith("nothing was asked: the journal is full")


async def test_the_last_attempt_is_on_disk_before_anybody_is_asked(world):
    async def look():
        assert world.memory.values["attempt:fake:fake"]

    world.source.before_answer = look
    await world.rounds.round()
    assert world.source.fetched


async def test_vehicles_that_the_account_lists_are_told(world):
    await world.rounds.round()
    assert world.listed == [frozenset(TWO)]


async def test_a_success_is_remembered_at_once(world):
    """`poller once` ends here; a later `poller status` must not say that there was never an answer."""
    await world.rounds.round()
    at = world.rounds.status.last_success_at
    again = world.restarted()
    await again.open()
    assert again.status.last_success_at == at


async def polled(world, *, then=60.0):
    """One of the polls of `run`; gives when it succeeded."""
    await world.rounds.round(asyncio.Event())
    at = world.rounds.status.last_success_at
    await world.clock.advance(then)
    return at


async def remembered(world):
    again = world.restarted()
    await again.open()
    return again.status.last_success_at


async def test_while_it_runs_a_kill_costs_no_success(world):
    for _ in range(3):
        last = await polled(world)
        assert await remembered(world) == last


async def test_of_nothing_to_ask_for_the_next_attempt_tells(world):
    """A folder without new answers: a success, with no answer that its note could be kept with."""
    world.source.vins = ()
    first = await polled(world)
    second = await polled(world)
    assert await remembered(world) == first
    stop = asyncio.Event()
    stop.set()
    await world.rounds.run(stop)
    assert await remembered(world) == second


async def test_the_first_success_after_a_failure_is_remembered_at_once(world):
    await polled(world)
    world.source.script = [SourceUnavailable("down")] * 2 + [{}] * 2
    await polled(world, then=3600)
    assert await polled(world) == await remembered(world)


async def test_a_stop_leaves_the_last_success_behind(world):
    await polled(world)
    last, stop = await polled(world), asyncio.Event()
    stop.set()
    await world.rounds.run(stop)
    assert await remembered(world) == last


async def test_a_round_that_was_stopped_before_anybody_was_asked_is_no_success(world):
    stop = asyncio.Event()
    stop.set()
    assert (await world.rounds.round(stop)).good == 0
    assert world.rounds.status.last_success_at is None
    assert world.rounds.status.state == "starting"


class AttendedSource(FakeSource):
    """One with work between its polls, which it paces by itself."""

    async def attend(self, stop):
        await stop.wait()

    def channels(self):
        return Channels(QuotaStatus(50, 9), StreamStatus("connected"), [Silence("car_quiet", "asleep")])


async def test_a_source_that_paces_itself_is_looked_at_at_every_tick(world):
    """Its stream may be back at any time; a human's login is waited for all the same."""
    world.source = AttendedSource(world.clock, vins=TWO)
    rounds = world.restarted()
    for _ in range(6):
        world.source.script = [SourceUnavailable("the stream is down", reason="stream")] * 2
        assert (await rounds.round()).good == 0
        assert rounds.told_to_wait() is None
        assert rounds.next_poll(None) is None
    assert rounds.status.state == "failing"
    assert rounds.status.consecutive_failures == 6
    world.source.script = [LoginRequired("the login has ended")]
    await rounds.round()
    assert rounds.status.state == "login_required"


async def test_quota_stream_and_silences_are_the_sources_own_word(world):
    world.source = AttendedSource(world.clock)
    status = world.restarted().status
    assert (status.quota, status.stream.connected) == (QuotaStatus(50, 9), True)
    assert [silence.message for silence in status.silences] == ["asleep"]
