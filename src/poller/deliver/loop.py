"""The loop of one queued sink."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, overload

from poller.deliver.ahead import Ahead
from poller.deliver.pace import REJECTIONS_IN_A_ROW, SUSPECT_AFTER, Pace, Streak
from poller.deliver.waiting import Waiting
from poller.errors import (
    BatchRefused,
    JournalError,
    PollerError,
    SinkError,
    SinkMisconfigured,
    SinkUnavailable,
)
from poller.journal.base import Batch, DeadLetter, Journal, Queued, Rejected
from poller.runtime import log
from poller.runtime.clock import Clock, passing_on, wait
from poller.runtime.metrics import Metrics
from poller.runtime.status import Failure, SinkStatus
from poller.sinks.base import Preparing, QueuedSink, Rendered, Settlement
from poller.sinks.settings import SinkSettings
from poller.vehicle.answer import Answer
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import Record

if TYPE_CHECKING:
    from poller.library.offer import Offer

#: Records that are prepared without a break: a fraction of a millisecond.
AT_A_TIME = 20
#: A pause between two tries with ever fewer records, and after a settlement that was overtaken.
BREATH = 0.1
#: No server's wish makes us wait longer than this before we look again.
LONGEST_WAIT = 3600.0
#: A waiting loop looks again at least this often, in real seconds.
ROUND = 30.0
#: Real seconds that a sink may take for one delivery: longer than its own time-outs.
ANSWER_WITHIN = 150.0
#: How long `drain` waits in all for a sink that stumbles.
PATIENCE = 5.0
#: Reasons that nothing in a record can cause.
_BLAMELESS = frozenset({"network", "disk", "rate_limited", "journal"})


@dataclass(frozen=True, slots=True)
class _Work:
    """Records to send and how to book what became of them; `settle` gives False if overtaken.

    `shown`: the same as the sink gets them.
    `last`: nothing waits behind them, so there is no need to look again before something new comes.
    """

    records: Sequence[Record]
    shown: Sequence[Rendered]
    settle: Callable[[Settlement], Awaitable[bool]]
    queued: bool
    last: bool = False


@dataclass(frozen=True, slots=True)
class _Answered(Queued):
    """A record with what it was made of (None: that is gone), for a sink that gets it in another form."""

    answer: Answer | None


@dataclass(frozen=True, slots=True)
class _Ready(Queued):
    """A record with what the sink has prepared of it."""

    shown: Rendered


class _Shown(Sequence[Rendered]):
    """Records as the sink gets them, each rendered when it is looked at: a backlog is not held twice."""

    def __init__(self, queue: Sequence[Queued], render: Callable[[Queued], Rendered]) -> None:
        self._queue = queue
        self._render = render

    def __len__(self) -> int:
        return len(self._queue)

    @overload
    def __getitem__(self, at: int) -> Rendered: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Rendered]: ...
    def __getitem__(self, at: int | slice) -> Rendered | Sequence[Rendered]:
        if isinstance(at, slice):
            return _Shown(self._queue[at], self._render)
        return self._render(self._queue[at])


class Delivery:
    """The loop of one queued sink.

    It opens the sink itself (again), so that one that cannot be opened is held like any other.
    What it knows survives a restart of its task: `run` may be called again on the same object.
    `offer`: for a sink that gets vehicles in the library's form, in place of records.
    `jitter` gives numbers in [0, 1).
    """

    def __init__(
        self,
        name: str,
        sink: QueuedSink,
        journal: Journal,
        clock: Clock,
        rendering: Rendering,
        settings: SinkSettings,
        metrics: Metrics,
        *,
        offer: Offer | None = None,
        jitter: Callable[[], float] = random.random,
        answer_within: float = ANSWER_WITHIN,
    ) -> None:
        self.name = name
        self._sink = sink
        self._journal = journal
        self._clock = clock
        self._rendering = rendering
        self._offer = offer
        self._settings = settings
        self._metrics = metrics
        self._log = log.get("deliver", sink=name)
        self._answer_within = answer_within
        self._ahead = Ahead(self._peek)
        self._busy = asyncio.Lock()
        self._news = asyncio.Event()
        self._pace = Pace(settings.batch_size, jitter)
        self._streak = Streak()
        self._waiting = Waiting(name, journal, clock)
        self._opened = False
        self._work: _Work | None = None
        #: What the sink has finished and the journal does not know yet.
        self._owed: tuple[_Work, Settlement] | None = None
        self._resume_at = 0.0
        self._failed_attempts = 0
        self._prepare = sink.prepare if isinstance(sink, Preparing) else None
        self._status = SinkStatus(
            name, getattr(settings, "type", ""), live=False, backlog_limit=settings.max_backlog_age
        )

    def wake(self) -> None:
        """There may be something new; a back-off is not cut short by it."""
        self._news.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop`; what is under way is finished and settled first.

        Cancel it when the grace is over: what the sink had not confirmed stays in the journal.
        """
        longest = ROUND * self._clock.rate
        try:
            async with passing_on(stop, self._news):
                while not stop.is_set():
                    self._news.clear()
                    pause = await self._turn()
                    if pause is None:
                        await wait(self._news, self._clock, longest)
                    else:
                        await wait(stop, self._clock, min(pause, longest))
        finally:
            self._ahead.forget()

    async def drain(self, patience: float = PATIENCE) -> bool:
        """Deliver what is pending now, also while `run` runs; True if nothing is left.

        False as soon as the sink would have to be waited for longer than `patience` seconds in all.
        """
        while (pause := await self._turn()) is not None:
            if pause > BREATH:
                patience -= pause
            if patience < 0:
                self._ahead.forget()
                return False
            await self._clock.sleep(pause)
        return True

    async def refresh(self) -> None:
        """Ask the journal how far the sink is behind, for `status`. Raises JournalError."""
        backlog = await self._journal.backlog(self.name)
        since = await self._waiting.since(backlog)
        self._status = replace(
            self._status, backlog=backlog.records, oldest_record_at=backlog.oldest_at, waiting_since=since
        )

    def status(self) -> SinkStatus:
        """How this sink stands; the backlog is as of the last `refresh`, dead letters are not counted."""
        left = self._resume_at - self._clock.monotonic()
        waiting = self._status.failure is not None and left > 0
        return replace(
            self._status, retry_at=self._clock.now() + timedelta(seconds=left) if waiting else None
        )

    async def _turn(self) -> float | None:
        """One step, never two at a time. Seconds to wait before the next; None: nothing is pending."""
        async with self._busy:
            if (left := self._resume_at - self._clock.monotonic()) > 0:
                return left
            self._work = None
            try:
                pause = await self._step()
            except SinkMisconfigured as error:
                self._count_failure(error)
                pause = self._hold(error.message, error.hint)
            except SinkUnavailable as error:
                self._count_failure(error)
                pause = self._postpone(error, error.reason, error.until)
            except JournalError as error:
                pause = self._postpone(error, "journal")
            except Exception as error:
                self._metrics.count_delivery_failure(self.name, "internal")
                self._fail("internal", f"unexpected {type(error).__name__}", "a bug: see the log", up=False)
                self._resume_in(self._pace.failed(self._sent(), blameless=False))
                raise
            if pause:
                self._ahead.forget()  # it would be stale by then
            self._resume_in(pause or 0.0)
            return pause

    async def _step(self) -> float | None:
        if not self._opened:
            await self._sink.open()
            self._opened = True
        if self._owed is None:
            self._work = work = await self._next_work()
            if work is None:
                return None
            settlement = await self._deliver(work)
            if settlement is None:
                return BREATH
            self._owed = (work, settlement)
        work, settlement = self._owed
        settled = await self._pay(work, settlement)
        finished = settled and work.last and settlement.done == len(work.records)
        pause = self._conclude(work, settlement) if work.records else 0.0
        if not settled:
            return pause or BREATH
        return pause or (None if finished else 0.0)

    async def _next_work(self) -> _Work | None:
        """Marked dead letters first, then the queue; a single record while the sink is held."""
        limit = 1 if self._status.held else self._pace.size
        batch = await self._ahead.next(limit)
        if batch.letters and (letters := await self._journal.retries(self.name, limit=limit)):
            again = [letter.record for letter in letters if letter.record is not None]
            queue = await self._answered([Queued(0, record) for record in again])
            shown = _Shown(queue, self._render)
            return _Work(again, shown, partial(self._settle_letters, letters), queued=False)
        if batch.through == batch.since:
            return None
        fresh = [queued for queued in batch.records if not self._expired(queued.record)]
        records = [queued.record for queued in fresh]
        shown = _Shown(fresh, self._render)
        return _Work(records, shown, partial(self._settle_batch, batch, fresh), queued=True, last=batch.last)

    async def _peek(self, limit: int, after: int | None) -> Batch:
        batch = await self._journal.peek(
            self.name,
            limit=limit,
            kinds=self._settings.kinds or None,
            only_changes=self._settings.only == "changes",
            after=after,
        )
        batch = replace(batch, records=await self._answered(batch.records))
        if after is None or self._prepare is None:
            return batch
        # Others are under way, so there is time.
        ready: list[Queued] = []
        for queued in batch.records:
            shown = self._prepare(self._render(queued))
            ready.append(_Ready(queued.seq, queued.record, shown))
            if len(ready) % AT_A_TIME == 0:
                await asyncio.sleep(0)
        return replace(batch, records=ready)

    async def _answered(self, queue: Sequence[Queued]) -> Sequence[Queued]:
        """The same with their answers, if this sink's form is made of them."""
        if self._offer is None or not queue:
            return queue
        answers = await self._journal.answers_of([queued.record for queued in queue])
        return [_Answered(queued.seq, queued.record, answers.get(queued.record.id)) for queued in queue]

    def _render(self, queued: Queued) -> Rendered:
        if isinstance(queued, _Ready):
            return queued.shown
        if self._offer is not None and queued.record.kind == "snapshot":
            answer = queued.answer if isinstance(queued, _Answered) else None
            return self._offer.render(queued.record, answer)
        return self._rendering.render(queued.record)

    def _expired(self, record: Record) -> bool:
        """Whether the owner wants it no more; what is sent again on purpose never expires."""
        if not self._settings.max_age or record.replayed:
            return False
        return (self._clock.now() - record.received_at).total_seconds() > self._settings.max_age

    async def _deliver(self, work: _Work) -> Settlement | None:
        """What the sink made of it; None: it wants fewer at once."""
        if not work.records:
            return Settlement(0)
        self._metrics.deliveries.labels(self.name).inc()
        try:
            async with asyncio.timeout(self._answer_within):
                settlement = await self._sink.deliver(work.shown)
        except TimeoutError as error:
            words = f"the sink did not answer within {self._answer_within:.0f} s"
            raise SinkUnavailable(words, reason="timeout") from error
        except BatchRefused as error:
            self._count_failure(error)
            if (sent := min(error.sent, len(work.shown))) > 1:
                self._pace.refused(sent)
                return None
            settlement = Settlement(1, {0: error.message})
        _check(settlement, len(work.shown))
        return self._streak.admit(settlement) if work.queued else settlement

    async def _pay(self, work: _Work, settlement: Settlement) -> bool:
        """Settle what a sink has finished, whatever comes between; after a JournalError it stays owed.

        False: there was nothing to settle, or somebody moved the cursor meanwhile.
        """
        booking = asyncio.ensure_future(self._book(work, settlement))
        try:
            await asyncio.shield(booking)
        finally:
            # Cancelled or not: progress that was made is never forgotten.
            if not booking.done():
                await asyncio.wait({booking})
            if booking.exception() is None:
                self._owed = None
        return booking.result()

    async def _book(self, work: _Work, settlement: Settlement) -> bool:
        if work.records and not settlement.done:
            return False
        if not await work.settle(settlement):
            self._log.debug("settlement.overtaken")
            return False
        self._metrics.delivered.labels(self.name).inc(settlement.done - len(settlement.rejected))
        self._metrics.rejected.labels(self.name).inc(len(settlement.rejected))
        for position, reason in settlement.rejected.items():
            self._log.warning("record.rejected", record=work.records[position].id, reason=reason)
        return True

    async def _settle_batch(self, batch: Batch, sent: Sequence[Queued], settlement: Settlement) -> bool:
        whole = settlement.done == len(sent)
        through = batch.through if whole else sent[settlement.done - 1].seq
        rejected = [Rejected(sent[at].record, reason) for at, reason in settlement.rejected.items()]
        settled = await self._journal.settle(self.name, since=batch.since, through=through, rejected=rejected)
        if settled:
            self._ahead.settled(through)
        passed = sum(queued.seq <= through for queued in batch.records)
        if settled and (expired := passed - settlement.done):
            self._metrics.dropped.labels(self.name).inc(expired)
            self._log.warning("records.expired", records=expired, max_age=self._settings.max_age)
        return settled

    async def _settle_letters(self, letters: Sequence[DeadLetter], settlement: Settlement) -> bool:
        refused = {letters[at].id: reason for at, reason in settlement.rejected.items()}
        done = {letter.id for letter in letters[: settlement.done]}
        await self._journal.settle_retries(done - refused.keys(), refused)
        return True

    def _conclude(self, work: _Work, settlement: Settlement) -> float:
        """Seconds to wait after a settled delivery."""
        if settlement.done > len(settlement.rejected):
            self._succeed(settlement.done)
        if settlement.done:
            self._pace.progressed(settlement.done)
            if settlement.done < len(work.records):
                self._pace.cut_short(settlement.done)
        if work.queued and self._streak.full:
            refusal = settlement.rejected.get(settlement.done - 1, "")
            message = f"{REJECTIONS_IN_A_ROW} records in a row were refused: {refusal}"
            hint = "mend the destination, then `poller dead-letters retry`"
            return self._hold(self._status.held or message, hint)
        if self._status.held:
            return self._pace.next_probe()
        if settlement.done:
            return self._seconds_until(settlement.retry_at)
        return self._postpone(
            SinkUnavailable("the sink took nothing"), SinkUnavailable.reason, settlement.retry_at
        )

    def _succeed(self, done: int) -> None:
        if self._failed_attempts:
            self._log.info("delivery.recovered", failed_attempts=self._failed_attempts, records=done)
        self._failed_attempts = 0
        self._status = replace(
            self._status,
            up=True,
            last_success_at=self._clock.now(),
            held=None,
            isolated=None,
            failure=None,
        )

    def _postpone(self, error: PollerError, reason: str, until: datetime | None = None) -> float:
        """Back off; only the first failure in a row is logged."""
        sent = self._sent()
        pause = self._pace.failed(sent, blameless=reason in _BLAMELESS)
        pause = max(pause, self._seconds_until(until))
        if not self._failed_attempts:
            self._log.warning(
                "delivery.postponed", reason=reason, error=error.message, hint=error.hint, retry_in=pause
            )
        isolated = self._status.isolated
        if self._work is not None and sent and self._pace.failures_alone >= SUSPECT_AFTER:
            record = self._work.records[0]
            isolated = f"{record.kind} {record.id}"
        self._status = replace(self._status, isolated=isolated)
        self._fail(reason, error.message, error.hint, up=self._status.up if reason == "journal" else False)
        return pause

    def _hold(self, message: str, hint: str | None) -> float:
        """Park the queue; gives the seconds until the next probe."""
        if self._status.held is None:
            self._log.error("sink.held", error=message, hint=hint)
        self._status = replace(self._status, held=message)
        self._fail(SinkMisconfigured.reason, message, hint, up=False)
        return self._pace.next_probe()

    def _fail(self, reason: str, message: str, hint: str | None, *, up: bool | None) -> None:
        """Note a failure; one that repeats keeps the time at which it was first seen."""
        self._failed_attempts += 1
        failure = self._status.failure
        if failure is None or (failure.reason, failure.message) != (reason, message):
            failure = Failure(self._clock.now(), reason, message, hint)
        self._status = replace(self._status, up=up, failure=failure)

    def _count_failure(self, error: SinkError) -> None:
        self._metrics.count_delivery_failure(self.name, error.reason)

    def _sent(self) -> int:
        return len(self._work.records) if self._work is not None else 0

    def _resume_in(self, seconds: float) -> None:
        self._resume_at = self._clock.monotonic() + seconds

    def _seconds_until(self, moment: datetime | None) -> float:
        """How long a sink's wish makes us wait: never past `LONGEST_WAIT`, and not for what is past."""
        if moment is None:
            return 0.0
        return min(LONGEST_WAIT, max(0.0, (moment - self._clock.now()).total_seconds()))


def _check(settlement: Settlement, given: int) -> None:
    """Raise ValueError if a sink claims what it cannot have done."""
    if not 0 <= settlement.done <= given or any(not 0 <= at < settlement.done for at in settlement.rejected):
        raise ValueError(f"the sink settled {settlement.done} of {given} records, rejected outside of them")
