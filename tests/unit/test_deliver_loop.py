"""The loop: settles before it waits, backs off, holds, isolates, and never forgets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
import structlog

from poller.deliver import Delivery
from poller.deliver.loop import BREATH
from poller.errors import BatchRefused, JournalError, SinkMisconfigured, SinkUnavailable
from poller.journal.base import Entry
from poller.runtime.metrics import Metrics
from poller.sinks.base import Rendered, Settlement
from poller.sinks.settings import SinkSettings
from poller.testing.clock import ManualClock
from poller.testing.journal import MemoryJournal
from poller.testing.leaping import LeapingClock
from poller.testing.records import START, VIN, record_number
from poller.testing.sinks import RecordingSink, accept
from poller.vehicle.privacy import Rendering

SINK = "recording"


class Bench:
    """A journal, a sink, and the loop between them; `jitter` is at its worst."""

    def __init__(self, clock=None, **settings) -> None:
        self.clock = clock or LeapingClock()
        self.journal = MemoryJournal(self.clock)
        self.sink = RecordingSink(SINK)
        self.metrics = Metrics()
        self.settings = SinkSettings.model_validate(settings)
        self.delivery = self.anew()

    def anew(self) -> Delivery:
        """The loop as after a restart of the process: it remembers nothing."""
        self.delivery = Delivery(
            SINK, self.sink, self.journal, self.clock, Rendering({VIN: "mini"}), self.settings, self.metrics,
            jitter=lambda: 0.999,
        )  # fmt: skip
        return self.delivery

    async def fill(self, count: int, begin: int = 0) -> list[str]:
        records = [record_number(number) for number in range(begin, begin + count)]
        await self.journal.append(Entry(records=records))
        return [record.id for record in records]

    async def letters(self) -> list[str]:
        return [letter.record.id for letter in await self.journal.dead_letters(SINK)]

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, {"sink": SINK, **labels}) or 0.0


@pytest.fixture
async def bench() -> Bench:
    made = Bench()
    await made.journal.open([SINK])
    return made


async def bench_with(**settings) -> Bench:
    made = Bench(**settings)
    await made.journal.open([SINK])
    return made


class PreparingSink(RecordingSink):
    """A sink that makes records ready; what it has made ready says so."""

    def prepare(self, record: Rendered) -> Rendered:
        return {**record, "ready": True}


class OvertakenJournal(MemoryJournal):
    """Somebody moves the cursor during each of the first few settlements."""

    left = 3

    async def settle(self, sink, *, since, through, rejected=()) -> bool:
        self.left -= 1
        if self.left >= 0:
            return False
        return await super().settle(sink, since=since, through=through, rejected=rejected)


def poisoned(*bad: str, error: str = "HTTP 400: bad"):
    """A sink that refuses any batch with a bad record in it."""

    def behave(records: Sequence[Rendered]) -> Settlement:
        if any(record["id"] in bad for record in records):
            raise BatchRefused(error, sent=len(records))
        return accept(records)

    return behave


def rejecting(reason: str, *bad: str):
    """A sink that takes batches and names the records in them that it will never take."""

    def behave(records: Sequence[Rendered]) -> Settlement:
        at = {i: reason for i, record in enumerate(records) if not bad or record["id"] in bad}
        return Settlement(len(records), at)

    return behave


async def test_everything_goes_out_in_order_and_in_batches() -> None:
    bench = await bench_with(batch_size=4)
    ids = await bench.fill(10)
    assert await bench.delivery.drain()
    assert bench.sink.ids == ids
    assert [len(batch) for batch in bench.sink.batches] == [4, 4, 2]
    assert (await bench.journal.backlog(SINK)).records == 0


async def test_records_leave_as_the_sink_may_see_them(bench) -> None:
    await bench.fill(1)
    await bench.delivery.drain()
    assert bench.sink.records[0]["vehicle"] == "mini"


async def test_what_comes_next_is_made_ready_while_a_batch_is_under_way() -> None:
    """The first batch goes at once, as it is; those behind it are ready, and in their order."""
    bench = await bench_with(batch_size=4)
    bench.sink = PreparingSink(SINK)
    bench.anew()
    ids = await bench.fill(10)
    assert await bench.delivery.drain()
    assert bench.sink.ids == ids
    assert [record.get("ready", False) for record in bench.sink.records] == [False] * 4 + [True] * 6
    assert bench.sink.records[9]["vehicle"] == "mini"


async def test_a_settlement_that_is_overtaken_again_and_again_does_not_run_hot() -> None:
    """Each time there is a breath before the records are sent once more."""
    bench = Bench()
    bench.journal = OvertakenJournal(bench.clock)
    bench.anew()
    await bench.journal.open([SINK])
    ids = await bench.fill(2)
    assert await bench.delivery.drain()
    assert bench.sink.batches == [ids] * 4
    assert bench.clock.slept >= 3 * BREATH


async def test_what_is_done_is_settled_before_the_wait(bench) -> None:
    """Three of five are done, then the sink asks for a pause: the cursor stands behind the third."""
    ids = await bench.fill(5)
    bench.sink.plan(Settlement(3, retry_at=bench.clock.now() + timedelta(minutes=2)))
    assert not await bench.delivery.drain(patience=100)
    assert (await bench.journal.backlog(SINK)).records == 2
    bench.anew()
    assert await bench.delivery.drain()
    assert bench.sink.ids == ids
    assert bench.sink.batches[1] == ids[3:]


async def test_a_pause_that_was_asked_for_is_kept(bench) -> None:
    await bench.fill(2)
    bench.sink.plan(Settlement(1, retry_at=bench.clock.now() + timedelta(seconds=90)))
    assert await bench.delivery.drain(patience=100)
    assert 90 <= bench.clock.slept < 91


@pytest.mark.parametrize(("wish", "waited"), [(-100, 1), (10 * 365 * 86_400, 3600)])
async def test_a_senseless_pause_is_not(bench, wish, waited) -> None:
    await bench.fill(1)
    until = bench.clock.now() + timedelta(seconds=wish)
    bench.sink.plan(SinkUnavailable("later", until=until, reason="rate_limited"))
    assert await bench.delivery.drain(patience=4000)
    assert bench.clock.slept == pytest.approx(waited, abs=0.2)


async def test_rejected_records_become_dead_letters_and_the_rest_goes_on(bench) -> None:
    ids = await bench.fill(5)
    bench.sink.plan(Settlement(5, {1: "too old", 3: "too odd"}))
    assert await bench.delivery.drain()
    letters = await bench.journal.dead_letters(SINK)
    assert [(letter.record.id, letter.reason) for letter in letters] == [
        (ids[1], "too old"),
        (ids[3], "too odd"),
    ]
    assert bench.counted("poller_records_rejected_total") == 2
    assert bench.counted("poller_records_delivered_total") == 3


async def test_a_poisoned_batch_is_halved_until_the_one_is_found(bench) -> None:
    ids = await bench.fill(300)
    bench.sink.standing = poisoned(ids[123])
    assert await bench.delivery.drain()
    assert bench.sink.ids == ids[:123] + ids[124:]
    assert await bench.letters() == [ids[123]]
    assert len(bench.sink.batches) < 25
    assert bench.counted("poller_delivery_failures_total", reason="refused") > 1


async def test_an_outage_backs_off_and_is_logged_once(bench) -> None:
    await bench.fill(3)
    bench.sink.plan(*[SinkUnavailable("gone", reason="network")] * 8)
    with structlog.testing.capture_logs() as logs:
        assert await bench.delivery.drain(patience=1000)
    said = [(entry["event"], entry.get("failed_attempts")) for entry in logs]
    assert said == [("delivery.postponed", None), ("delivery.recovered", 8)]
    assert bench.counted("poller_deliveries_total") == 9
    assert bench.counted("poller_delivery_failures_total", reason="network") == 8


async def test_recovery_comes_within_30_seconds_of_the_cause_s_end(bench) -> None:
    """After any outage, however long, the next attempt is at most 25 s away."""
    await bench.fill(1)
    end = bench.clock.now() + timedelta(hours=10)

    def down_until(records):
        if bench.clock.now() < end:
            raise SinkUnavailable("down", reason="server")
        return accept(records)

    bench.sink.standing = down_until
    assert await bench.delivery.drain(patience=1e6)
    assert timedelta(0) <= bench.clock.now() - end <= timedelta(seconds=30)


async def test_a_record_that_always_fails_is_isolated_and_named(bench) -> None:
    """It blocks, since nothing says that it is bad; those before it are through, and it is named."""
    ids = await bench.fill(20)

    def crash_on_the_seventh(records):
        if ids[7] in [record["id"] for record in records]:
            raise SinkUnavailable("HTTP 500", reason="server")
        return accept(records)

    bench.sink.standing = crash_on_the_seventh
    assert not await bench.delivery.drain(patience=600)
    assert bench.sink.ids == ids[:7]
    assert bench.delivery.status().isolated == f"snapshot {ids[7]}"
    bench.sink.standing = accept
    assert await bench.delivery.drain(patience=30)
    assert bench.sink.ids == ids
    assert bench.delivery.status().isolated is None


async def test_a_wrong_setting_holds_the_queue_and_one_record_probes_it(bench) -> None:
    ids = await bench.fill(50)
    refusal = SinkMisconfigured("HTTP 403: forbidden", hint="mend the token")
    bench.sink.plan(*[refusal] * 6)
    with structlog.testing.capture_logs() as logs:
        assert not await bench.delivery.drain(patience=400)
        status = bench.delivery.status()
        assert (status.up, status.held) == (False, "HTTP 403: forbidden")
        assert status.failure.hint == "mend the token"
        assert [len(batch) for batch in bench.sink.batches] == [50, 1, 1, 1, 1]
        assert bench.clock.slept == 15 + 30 + 60 + 120
        assert await bench.delivery.drain(patience=1000)
    assert bench.sink.ids == ids
    assert bench.delivery.status().held is None
    assert [entry["event"] for entry in logs] == ["sink.held", "delivery.recovered"]


async def test_ten_rejections_in_a_row_hold_the_sink_before_the_backlog_is_dead(bench) -> None:
    ids = await bench.fill(100)
    bench.sink.standing = rejecting("field limit exceeded")
    assert not await bench.delivery.drain(patience=3000)
    assert await bench.letters() == ids[:10]
    status = bench.delivery.status()
    assert "10 records in a row were refused: field limit exceeded" in status.held
    assert (await bench.journal.backlog(SINK)).records == 90
    bench.sink.standing = accept
    assert await bench.delivery.drain(patience=400)
    assert bench.sink.ids == ids[10:]
    assert bench.delivery.status().held is None


async def test_ten_poisoned_batches_in_a_row_hold_it_too(bench) -> None:
    ids = await bench.fill(100)
    bench.sink.standing = poisoned(*ids)
    assert not await bench.delivery.drain(patience=3000)
    assert await bench.letters() == ids[:10]
    assert bench.delivery.status().held


async def test_marked_dead_letters_go_ahead_of_the_queue(bench) -> None:
    ids = await bench.fill(3)
    bench.sink.plan(Settlement(3, {0: "no", 2: "no"}))
    await bench.delivery.drain()
    newer = await bench.fill(2, begin=3)
    await bench.journal.retry([letter.id for letter in await bench.journal.dead_letters(SINK)])
    assert await bench.delivery.drain()
    assert bench.sink.ids == [ids[1], ids[0], ids[2], *newer]
    assert bench.sink.records[1]["replayed"] is True
    assert await bench.letters() == []


async def test_a_dead_letter_that_is_refused_again_stays_with_its_new_reason(bench) -> None:
    ids = await bench.fill(2)
    bench.sink.plan(Settlement(2, {0: "no", 1: "no"}), Settlement(2, {1: "still no"}))
    await bench.delivery.drain()
    await bench.journal.retry([letter.id for letter in await bench.journal.dead_letters(SINK)])
    assert await bench.delivery.drain()
    letters = await bench.journal.dead_letters(SINK)
    assert [(letter.record.id, letter.reason) for letter in letters] == [(ids[1], "still no")]


async def test_dead_letters_refused_again_do_not_hold_the_queue(bench) -> None:
    await bench.fill(12)
    bench.sink.plan(Settlement(12, {at: f"reason {chr(97 + at)}" for at in range(12)}))
    await bench.delivery.drain()
    await bench.journal.retry([letter.id for letter in await bench.journal.dead_letters(SINK)])
    bench.sink.plan(rejecting("no"))
    newer = await bench.fill(1, begin=12)
    assert await bench.delivery.drain()
    assert bench.sink.ids == newer


async def test_a_cursor_that_was_moved_meanwhile_wins(bench) -> None:
    """`resend` during a delivery: the settlement is overtaken, and the loop looks again."""
    ids = await bench.fill(4)
    await bench.delivery.drain()
    newer = await bench.fill(1, begin=4)
    bench.sink.gate.clear()
    draining = asyncio.create_task(bench.delivery.drain())
    await asyncio.sleep(0)
    await bench.journal.rewind(SINK, START)
    bench.sink.gate.set()
    assert await draining
    assert bench.sink.ids[4:] == [*newer, *ids, *newer]
    assert bench.counted("poller_records_delivered_total") == 4 + 5  # what was overtaken is not counted
    assert bench.sink.records[5]["replayed"] is True


async def test_what_the_journal_could_not_settle_is_owed_and_not_sent_again(bench) -> None:
    ids = await bench.fill(3)
    real, bench.journal.settle = bench.journal.settle, _settle_on_a_full_disk
    assert not await bench.delivery.drain(patience=0)
    assert bench.delivery.status().failure.reason == "journal"
    bench.journal.settle = real
    assert await bench.delivery.drain()
    assert len(bench.sink.batches) == 1
    assert bench.sink.ids == ids
    assert (await bench.journal.backlog(SINK)).records == 0
    assert bench.delivery.status().failure is None


async def _settle_on_a_full_disk(*_args, **_more) -> bool:
    raise JournalError("the disk is full")


async def test_a_journal_that_cannot_be_read_is_waited_for(bench) -> None:
    ids = await bench.fill(2)
    bench.journal.failure = JournalError("the disk does not play")
    assert not await bench.delivery.drain(patience=3)
    bench.journal.failure = None
    assert await bench.delivery.drain(patience=30)
    assert bench.sink.ids == ids


async def test_a_sink_that_cannot_be_opened_is_held_and_opened_later(bench) -> None:
    ids = await bench.fill(1)
    bench.sink.opening.extend([SinkMisconfigured("no token"), SinkUnavailable("disk away")])
    assert await bench.delivery.drain(patience=100)
    assert bench.sink.ids == ids
    assert bench.sink.opened


async def test_an_unexpected_error_goes_up_and_the_next_run_still_knows(bench) -> None:
    """What `supervise` restarts is the same loop: it halves until the record that breaks it is alone."""
    ids = await bench.fill(8)

    def bug_on_the_last(records):
        if ids[7] in [record["id"] for record in records]:
            raise ZeroDivisionError("a bug")
        return accept(records)

    bench.sink.standing = bug_on_the_last
    for _ in range(20):
        with pytest.raises(ZeroDivisionError):
            await bench.delivery.drain(patience=100)
    assert bench.sink.ids == ids[:7]
    assert bench.delivery.status().failure.reason == "internal"
    assert bench.counted("poller_delivery_failures_total", reason="internal") == 20


async def test_a_sink_that_claims_too_much_is_not_believed(bench) -> None:
    await bench.fill(2)
    bench.sink.standing = Settlement(3)
    with pytest.raises(ValueError, match="settled 3 of 2"):
        await bench.delivery.drain()
    assert (await bench.journal.backlog(SINK)).records == 2


async def test_history_waits_since_it_was_taken_in(bench) -> None:
    await bench.delivery.refresh()
    await bench.clock.sleep(365 * 86_400)
    await bench.delivery.refresh()
    await bench.fill(3)
    await bench.delivery.refresh()
    status = bench.delivery.status()
    assert (status.oldest_record_at, status.waiting_since) == (START, bench.clock.now())


async def test_the_status_says_how_it_stands(bench) -> None:
    await bench.fill(3)
    await bench.delivery.refresh()
    before = bench.delivery.status()
    assert (before.up, before.backlog, before.oldest_record_at) == (None, 3, START)
    bench.sink.plan(SinkUnavailable("gone", reason="network"))
    assert not await bench.delivery.drain(patience=0)
    during = bench.delivery.status()
    assert (during.up, during.failure.reason, during.failure.message) == (False, "network", "gone")
    assert during.retry_at > bench.clock.now()
    await bench.delivery.drain()
    await bench.delivery.refresh()
    after = bench.delivery.status()
    assert (after.up, after.backlog, after.failure, after.retry_at) == (True, 0, None, None)
    assert after.last_success_at is not None
    assert after.backlog_limit == 86_400


async def test_a_failure_that_repeats_keeps_its_first_time(bench) -> None:
    await bench.fill(1)
    bench.sink.plan(*[SinkUnavailable("gone", reason="network")] * 3)
    assert not await bench.delivery.drain(patience=0)
    first = bench.delivery.status().failure
    assert not await bench.delivery.drain(patience=2)
    assert bench.delivery.status().failure == first


# The running task, on a clock that the test moves.


@pytest.fixture
async def running():
    bench = Bench(clock=ManualClock())
    await bench.journal.open([SINK])
    stop = asyncio.Event()
    task = asyncio.create_task(bench.delivery.run(stop))
    await bench.clock.settle()
    yield bench, stop, task
    stop.set()
    bench.sink.gate.set()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_lone_record_goes_out_at_once(running) -> None:
    bench, _, _ = running
    ids = await bench.fill(1)
    bench.delivery.wake()
    await bench.clock.settle()
    assert bench.sink.ids == ids


async def test_what_comes_after_the_end_was_read_ahead_goes_out_at_once() -> None:
    """When the first batch was under way, the second was the last."""
    bench = await bench_with(clock=ManualClock(), batch_size=2)
    ids = await bench.fill(3)
    bench.sink.gate.clear()
    stop = asyncio.Event()
    task = asyncio.create_task(bench.delivery.run(stop))
    await bench.clock.settle()
    newer = await bench.fill(1, begin=3)
    bench.delivery.wake()
    bench.sink.gate.set()
    await bench.clock.settle()
    stop.set()
    await asyncio.wait_for(task, 5)
    assert bench.sink.ids == [*ids, *newer]


async def test_after_a_pause_what_was_read_ahead_counts_no_more() -> None:
    """Letters that were marked meanwhile go first, as they would have without reading ahead."""
    bench = await bench_with(clock=ManualClock(), batch_size=2)
    ids = await bench.fill(6)
    later = bench.clock.now() + timedelta(seconds=60)
    bench.sink.plan(Settlement(2, {0: "no"}, retry_at=later))
    stop = asyncio.Event()
    task = asyncio.create_task(bench.delivery.run(stop))
    await bench.clock.settle()
    await bench.journal.retry([letter.id for letter in await bench.journal.dead_letters(SINK)])
    await bench.clock.advance(61)
    stop.set()
    await asyncio.wait_for(task, 5)
    assert bench.sink.ids == [ids[1], ids[0], *ids[2:]]


async def test_even_without_being_woken_it_goes_out_within_a_round(running) -> None:
    bench, _, _ = running
    ids = await bench.fill(1)
    await bench.clock.advance(31)
    assert bench.sink.ids == ids


async def test_waking_does_not_cut_a_back_off_short(running) -> None:
    bench, _, _ = running
    await bench.fill(1)
    bench.sink.plan(SinkUnavailable("later", until=bench.clock.now() + timedelta(seconds=60)))
    bench.delivery.wake()
    await bench.clock.settle()
    await bench.clock.advance(59)
    bench.delivery.wake()
    await bench.clock.settle()
    assert len(bench.sink.batches) == 1
    await bench.clock.advance(2)
    assert len(bench.sink.batches) == 2


async def test_a_jump_of_the_wall_clock_neither_stalls_nor_stampedes(running) -> None:
    bench, _, _ = running
    await bench.fill(1)
    bench.sink.plan(SinkUnavailable("later", until=bench.clock.now() + timedelta(seconds=60)))
    bench.delivery.wake()
    await bench.clock.settle()
    bench.clock.jump(-86_400)
    await bench.clock.advance(59)
    bench.clock.jump(2 * 86_400)
    await bench.clock.settle()
    assert len(bench.sink.batches) == 1
    await bench.clock.advance(2)
    assert len(bench.sink.batches) == 2


async def test_stop_lets_what_is_under_way_finish_and_settles_it(running) -> None:
    bench, stop, task = running
    ids = await bench.fill(2)
    bench.sink.gate.clear()
    bench.delivery.wake()
    await bench.clock.settle()
    stop.set()
    await bench.clock.settle()
    assert not task.done()
    bench.sink.gate.set()
    await asyncio.wait_for(task, 5)
    assert bench.sink.ids == ids
    assert (await bench.journal.backlog(SINK)).records == 0


async def test_stop_ends_a_wait_at_once(running) -> None:
    bench, stop, task = running
    await bench.fill(1)
    bench.sink.plan(SinkMisconfigured("no"))
    bench.delivery.wake()
    await bench.clock.settle()
    stop.set()
    await asyncio.wait_for(task, 5)


async def test_cancelled_after_the_grace_nothing_is_settled_that_was_not_confirmed(running) -> None:
    bench, _, task = running
    await bench.fill(2)
    bench.sink.gate.clear()
    bench.delivery.wake()
    await bench.clock.settle()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await bench.journal.backlog(SINK)).records == 2


async def test_cancelled_while_it_settles_the_progress_is_kept(running) -> None:
    bench, _, task = running
    ids = await bench.fill(2)
    begun, go = asyncio.Event(), asyncio.Event()
    real = bench.journal.settle

    async def slow_settle(*args, **more):
        begun.set()
        await go.wait()
        return await real(*args, **more)

    bench.journal.settle = slow_settle
    bench.delivery.wake()
    await asyncio.wait_for(begun.wait(), 5)
    task.cancel()
    await bench.clock.settle()
    go.set()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert bench.sink.ids == ids
    assert (await bench.journal.backlog(SINK)).records == 0


async def test_what_is_older_than_max_age_is_dropped_and_counted() -> None:
    """Unless it is sent again on purpose."""
    bench = await bench_with(max_age="1h")
    old = await bench.fill(3)
    await bench.clock.sleep(2 * 86_400)
    new = record_number(2 * 288)
    await bench.journal.append(Entry(records=[new]))
    assert await bench.delivery.drain()
    assert bench.sink.ids == [new.id]
    assert bench.counted("poller_records_dropped_total") == 3
    await bench.journal.rewind(SINK, record_number(0).received_at)
    assert await bench.delivery.drain()
    assert bench.sink.ids == [new.id, *old, new.id]


async def test_a_sink_that_hangs_is_given_up_and_tried_again(bench) -> None:
    """It costs itself a delivery, and nobody else anything."""
    ids = await bench.fill(1)
    bench.delivery = Delivery(
        SINK, bench.sink, bench.journal, bench.clock, Rendering({}), bench.settings, bench.metrics,
        answer_within=0.01,
    )  # fmt: skip
    bench.sink.gate.clear()
    assert not await bench.delivery.drain(patience=0)
    assert bench.delivery.status().failure.reason == "timeout"
    bench.sink.gate.set()
    assert await bench.delivery.drain()
    assert bench.sink.ids == ids


async def test_draining_beside_the_running_loop_sends_nothing_twice(running) -> None:
    bench, _, _ = running
    bench.sink.gate.clear()
    ids = await bench.fill(3)
    bench.delivery.wake()
    await bench.clock.settle()
    draining = asyncio.create_task(bench.delivery.drain())
    await bench.clock.settle()
    bench.sink.gate.set()
    await bench.clock.advance(5)
    assert await draining
    assert bench.sink.ids == ids
