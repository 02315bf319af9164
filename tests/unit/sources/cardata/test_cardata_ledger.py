"""The ledger of calls: never over the limit, whatever happens to process, clock and disk."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.errors import JournalError, RateLimited
from poller.sources.cardata.rest.ledger import MARGIN, WINDOW, Ledger
from poller.testing.clock import ManualClock
from poller.testing.memory import DictMemory
from poller.vehicle.records import rfc3339

START = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
HOUR = 3600.0


class Machine:
    """A machine with a true time of its own; `boot` gives a process its clock, which may be wrong."""

    def __init__(self) -> None:
        self.truth = 0.0
        self.wrong_by = 0.0

    def boot(self) -> ProcessClock:
        return ProcessClock(self, self.truth)


class ProcessClock:
    rate = 1.0

    def __init__(self, machine: Machine, began: float) -> None:
        self._machine = machine
        self._began = began

    def now(self) -> datetime:
        return START + timedelta(seconds=self._machine.truth + self._machine.wrong_by)

    def monotonic(self) -> float:
        return self._machine.truth - self._began

    async def sleep(self, seconds: float) -> None:
        self._machine.truth += seconds


class FailingMemory(DictMemory):
    failing = False

    async def remember(self, key, value) -> None:
        if self.failing:
            raise JournalError("no room")
        await super().remember(key, value)


async def opened(memory, clock, *, limit=50, reserve=10) -> Ledger:
    ledger = Ledger(memory, "cardata:test", clock, limit=limit, reserve=reserve)
    await ledger.open()
    return ledger


async def spend_all(ledger: Ledger, *, routine: bool) -> int:
    spent = 0
    while True:
        try:
            await ledger.spend("polling", routine=routine)
        except RateLimited:
            return spent
        spent += 1


def most_in_a_day(calls: list[float]) -> int:
    """The most calls in any window of 24 hours; the fullest ones end with a call."""
    return max((sum(end - 86400 < at <= end for at in calls) for end in calls), default=0)


def most_in_a_utc_day(calls: list[float]) -> int:
    days = [(START + timedelta(seconds=at)).date() for at in calls]
    return max((days.count(day) for day in days), default=0)


STEPS = st.one_of(
    st.tuples(st.just("spend"), st.booleans()),
    st.tuples(st.just("spend"), st.booleans()),
    st.tuples(st.just("pass"), st.floats(0, 9 * HOUR)),
    st.tuples(st.just("leap"), st.floats(-40 * HOUR, 40 * HOUR)),
    st.tuples(st.just("restart"), st.floats(0, 3 * HOUR)),
    st.tuples(st.just("set back while off"), st.floats(0, 900 * 24 * HOUR)),
)


@given(st.lists(STEPS, max_size=60))
def test_no_sequence_of_spends_restarts_and_clock_moves_exceeds_the_limit(steps) -> None:
    """By true time: never more than the limit in 24 hours or a UTC day, and routine never in the reserve."""
    limit, reserve = 5, 2

    async def run() -> None:
        machine, memory = Machine(), DictMemory()
        ledger = await opened(memory, machine.boot(), limit=limit, reserve=reserve)
        made: list[float] = []
        for what, amount in steps:
            if what == "spend":
                try:
                    await ledger.spend("polling", routine=amount)
                except RateLimited:
                    continue
                made.append(machine.truth)
                counted = sum(machine.truth - at < 86400 for at in made)
                assert counted <= (limit - reserve if amount else limit)
            elif what == "pass":
                machine.truth += amount
            elif what == "leap":
                machine.wrong_by += amount
                await ledger.watch_clock()
            else:
                if what == "restart":
                    machine.truth += amount
                else:
                    machine.wrong_by -= amount
                ledger = await opened(memory, machine.boot(), limit=limit, reserve=reserve)
        machine.truth += WINDOW.total_seconds() + 1
        await ledger.spend("polling", routine=True)  # and nothing blocks it for ever
        assert most_in_a_day(made) <= limit
        assert most_in_a_utc_day(made) <= limit

    asyncio.run(run())


@given(st.lists(st.floats(0, 5 * HOUR), max_size=30))
def test_a_call_comes_free_when_it_is_a_day_old(waits) -> None:
    """What the standing promises is kept: at `next_free_at` a routine call is let in, not before."""

    async def run() -> None:
        machine = Machine()
        clock = machine.boot()
        ledger = await opened(DictMemory(), clock, limit=4, reserve=1)
        for seconds in waits:
            machine.truth += seconds
            free_at = ledger.standing().next_free_at
            if free_at is not None:
                with pytest.raises(RateLimited) as told:
                    await ledger.spend("polling", routine=True)
                assert abs(told.value.until - free_at) < timedelta(seconds=1)
                machine.truth += (free_at - clock.now()).total_seconds() + 0.01
            await ledger.spend("polling", routine=True)

    asyncio.run(run())


async def test_a_call_counts_for_the_whole_day_and_as_long_as_it_may_have_been_under_way() -> None:
    clock = ManualClock()
    ledger = await opened(DictMemory(), clock)
    assert await spend_all(ledger, routine=False) == 50
    await clock.advance(24 * HOUR + MARGIN.total_seconds() - 1)
    assert ledger.standing().remaining == 0
    await clock.advance(1)
    assert ledger.standing().remaining == 50


async def test_routine_calls_leave_the_reserve_alone() -> None:
    ledger = await opened(DictMemory(), ManualClock())
    assert await spend_all(ledger, routine=True) == 40
    standing = ledger.standing()
    assert (standing.used_24h, standing.remaining, standing.routine_left) == (40, 10, 0)
    assert await spend_all(ledger, routine=False) == 10
    assert ledger.standing().remaining == 0


async def test_a_call_is_on_disk_before_it_is_made() -> None:
    """A crash right after `spend` has counted it: fifty starts of a crash loop cost no more than fifty."""
    memory, clock = DictMemory(), ManualClock()
    made = 0
    for _ in range(80):
        ledger = await opened(memory, clock)
        try:
            await ledger.spend("set-up", routine=False)
        except RateLimited:
            continue
        made += 1
        await clock.advance(5)
    assert made == 50


async def test_no_call_is_let_through_that_could_not_be_noted() -> None:
    memory = FailingMemory()
    ledger = await opened(memory, ManualClock())
    memory.failing = True
    with pytest.raises(JournalError):
        await ledger.spend("polling", routine=True)
    assert ledger.standing().used_24h == 0
    memory.failing = False
    assert await spend_all(ledger, routine=False) == 50


async def test_a_call_that_reached_nobody_is_given_back() -> None:
    memory, clock = DictMemory(), ManualClock()
    ledger = await opened(memory, clock)
    call = await ledger.spend("polling", routine=True)
    await ledger.spend("polling", routine=True)
    await ledger.give_back(call)
    assert ledger.standing().used_24h == 1
    assert (await opened(memory, clock)).standing().used_24h == 1


async def test_after_cu429_nothing_goes_out_before_the_next_utc_day() -> None:
    """Not even the reserve, nor after a restart; then one probe, and all when it is answered."""
    memory, clock = DictMemory(), ManualClock(START)
    ledger = await opened(memory, clock)
    until = await ledger.refused()
    assert until == datetime(2026, 11, 22, tzinfo=UTC) + MARGIN
    for _ in range(2):
        with pytest.raises(RateLimited, match="spent") as told:
            await ledger.spend("set-up", routine=False)
        assert told.value.until == until
        standing = ledger.standing()
        assert (standing.remaining, standing.routine_left, standing.blocked_by) == (0, 0, "refused")
        assert standing.blocked_until == standing.next_free_at == until
        await clock.advance(9.9 * HOUR)
        ledger = await opened(memory, clock)
    await ledger.spend("polling", routine=True)
    with pytest.raises(RateLimited):
        await ledger.spend("polling", routine=True)
    await ledger.answered()
    await ledger.spend("polling", routine=True)
    assert ledger.standing().blocked_by == ""


async def test_a_probe_that_is_refused_ends_the_day_and_one_unanswered_an_hour() -> None:
    memory, clock = DictMemory(), ManualClock(START)
    ledger = await opened(memory, clock)
    await ledger.refused()
    await clock.advance(10.1 * HOUR)
    await ledger.spend("polling", routine=True)
    await clock.advance(0.5 * HOUR)
    ledger = await opened(memory, clock)
    with pytest.raises(RateLimited):
        await ledger.spend("polling", routine=True)
    await clock.advance(0.6 * HOUR)
    await ledger.spend("polling", routine=True)
    assert await ledger.refused() == datetime(2026, 11, 23, tzinfo=UTC) + MARGIN


async def test_an_answer_to_an_earlier_call_does_not_lift_a_block() -> None:
    ledger = await opened(DictMemory(), ManualClock())
    await ledger.spend("polling", routine=True)
    await ledger.spend("polling", routine=True)
    await ledger.refused()
    await ledger.answered()
    assert ledger.standing().blocked_until is not None


async def test_a_longer_wait_that_bmw_names_is_kept() -> None:
    clock = ManualClock(START)
    ledger = await opened(DictMemory(), clock)
    assert await ledger.refused(timedelta(hours=20)) == START + timedelta(hours=20)
    assert await ledger.refused(timedelta(days=400)) == START + WINDOW


async def test_a_block_set_by_a_clock_that_was_years_ahead_ends_within_a_day() -> None:
    memory, clock = DictMemory(), ManualClock(START + timedelta(days=900))
    ledger = await opened(memory, clock)
    await ledger.refused()
    clock.jump(-900 * 86400)
    assert ledger.standing().blocked_until == datetime(2026, 11, 22, tzinfo=UTC) + MARGIN
    clock.jump(900 * 86400)
    ledger = await opened(memory, clock)
    clock.jump(-900 * 86400)
    for _ in range(2):
        ledger = await opened(memory, clock)
        assert ledger.standing().blocked_until == datetime(2026, 11, 22, tzinfo=UTC) + MARGIN


@pytest.mark.parametrize("why", ["damaged", "vanished"])
async def test_a_lost_ledger_counts_as_spent_until_the_next_utc_day(why) -> None:
    memory, clock = DictMemory(), ManualClock(START)
    await memory.remember("journal:begun", {"at": rfc3339(START - timedelta(hours=2)), "why": why})
    ledger = await opened(memory, clock)
    with pytest.raises(RateLimited, match="lost"):
        await ledger.spend("set-up", routine=False)
    assert ledger.standing().blocked_by == "lost"
    await clock.advance(10.1 * HOUR)
    await ledger.spend("set-up", routine=False)


@pytest.mark.parametrize(
    "begun",
    [
        {"at": rfc3339(START), "why": "new"},
        {"at": rfc3339(START - timedelta(days=3)), "why": "damaged"},
    ],
)
async def test_a_first_start_and_a_loss_long_ago_cost_nothing(begun) -> None:
    memory = DictMemory()
    await memory.remember("journal:begun", begun)
    ledger = await opened(memory, ManualClock(START))
    await ledger.spend("set-up", routine=False)


@pytest.mark.parametrize(
    "value", [{}, {"calls": [["x", "y"]]}, {"calls": "no"}, {"calls": [], "block": {"a": 1}}]
)
async def test_a_ledger_that_cannot_be_read_is_a_lost_one(value) -> None:
    memory = DictMemory()
    await memory.remember("ledger:cardata:test", value)
    ledger = await opened(memory, ManualClock(START))
    assert ledger.standing().blocked_by == "lost"


async def test_the_standing_tells_what_the_calls_were_for() -> None:
    memory, clock = DictMemory(), ManualClock(START)
    ledger = await opened(memory, clock)
    await ledger.spend("set-up", routine=False, vehicle="0000001")
    await clock.advance(10.5 * HOUR)
    await ledger.spend("rest-only", routine=True, vehicle="0000002")
    for standing in (ledger.standing(), (await opened(memory, clock)).standing()):
        assert (standing.used_24h, standing.used_today) == (2, 1)
        assert [(call.purpose, call.routine, call.vehicle) for call in standing.calls] == [
            ("set-up", False, "0000001"),
            ("rest-only", True, "0000002"),
        ]
        assert abs(standing.calls[0].at - START) < timedelta(seconds=1)


# --- one owner, several clients ---------------------------------------------------------------


async def of_owner(memory, clock, client: str, owner: str = "cardata:owner") -> Ledger:
    ledger = Ledger(memory, client, clock, limit=50, reserve=10)
    await ledger.open()
    await ledger.belong_to(owner)
    return ledger


async def test_a_client_that_is_made_anew_has_no_new_calls() -> None:
    """Deleted and created in the portal the same day: BMW counts by the account behind it."""
    memory, clock = DictMemory(), ManualClock(START)
    before = await of_owner(memory, clock, "cardata:first")
    assert await spend_all(before, routine=True) == 40
    await clock.advance(HOUR)
    after = await of_owner(memory, clock, "cardata:second")
    assert (after.standing().used_24h, after.standing().remaining, after.standing().routine_left) == (
        40,
        10,
        0,
    )
    assert await spend_all(after, routine=False) == 10
    await clock.advance(23 * HOUR + MARGIN.total_seconds())
    assert after.standing().remaining == 40
    assert (await of_owner(memory, clock, "cardata:second")).standing().remaining == 40


async def test_calls_from_before_a_login_told_whose_they_are_count() -> None:
    memory, clock = DictMemory(), ManualClock(START)
    ledger = await opened(memory, clock)
    await ledger.spend("set-up", routine=False)
    await ledger.belong_to("")
    await ledger.belong_to("cardata:owner")
    await ledger.spend("set-up", routine=False)
    assert ledger.standing().used_24h == 2
    assert (await of_owner(memory, clock, "cardata:test")).standing().used_24h == 2


async def test_two_tables_of_one_owner_spend_from_the_same_calls() -> None:
    memory, clock = DictMemory(), ManualClock(START)
    one, two = [await of_owner(memory, clock, client) for client in ("cardata:one", "cardata:two")]
    made = 0
    for _ in range(60):
        for ledger in (one, two):
            try:
                await ledger.spend("polling", routine=True)
            except RateLimited:
                continue
            made += 1
            await clock.advance(60)
    assert made == 40
    assert one.standing().used_24h == two.standing().used_24h == 40


async def test_what_bmw_refuses_one_client_it_refuses_the_owners_other_one() -> None:
    memory, clock = DictMemory(), ManualClock(START)
    one, two = [await of_owner(memory, clock, client) for client in ("cardata:one", "cardata:two")]
    await one.spend("polling", routine=True)
    until = await one.refused()
    with pytest.raises(RateLimited) as told:
        await two.spend("polling", routine=True)
    assert told.value.until == until
    # A client that was deleted cannot end its block: that of yesterday is none.
    await clock.advance(48 * HOUR)
    assert (await of_owner(memory, clock, "cardata:three")).standing().blocked_by == ""


async def test_another_owners_calls_are_another_owners() -> None:
    memory, clock = DictMemory(), ManualClock(START)
    assert await spend_all(await of_owner(memory, clock, "cardata:one"), routine=False) == 50
    other = await of_owner(memory, clock, "cardata:two", "cardata:neighbour")
    assert other.standing().remaining == 50


async def test_no_leap_of_the_clock_frees_the_calls_of_the_client_before() -> None:
    memory, clock = DictMemory(), ManualClock(START)
    assert await spend_all(await of_owner(memory, clock, "cardata:first"), routine=False) == 50
    after = await of_owner(memory, clock, "cardata:second")
    clock.jump(25 * HOUR)
    with pytest.raises(RateLimited):
        await after.spend("set-up", routine=False)


async def test_a_ledger_whose_row_cannot_be_read_is_a_lost_one() -> None:
    """The memory then says that there is none, as before a first start."""
    memory, clock = DictMemory(), ManualClock(START)
    await (await opened(memory, clock)).spend("set-up", routine=False)
    del memory.values["ledger:cardata:test"]
    assert (await opened(memory, clock)).standing().blocked_by == "lost"
