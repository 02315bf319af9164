"""One task per source: waits until it is due, asks for each vehicle, remembers how it went."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, Protocol

from poller.errors import (
    JournalError,
    LoginRequired,
    RateLimited,
    SourceBlocked,
    SourceError,
    SourceUnavailable,
)
from poller.runtime import log
from poller.runtime.clock import Clock, Until, passing_on, wait
from poller.runtime.status import Channels, Failure, Silence, SourceStatus
from poller.schedule.backoff import BackOff
from poller.sources.base import Attended, Memory, Source, Target
from poller.vehicle.records import Json, milliseconds, parse_time, rfc3339

#: How often a source that waits for a human looks whether a new login is stored (real seconds).
LOGIN_LOOK = 10.0
#: A source may miss this many polls before it counts as not ready.
ALLOWED_MISSES = 3
#: Real seconds that a source may take for one vehicle: far longer than the time-outs of any.
ANSWER_WITHIN = 900.0
#: Reasons that come with the server's own word on when to ask again.
TOLD = frozenset({"rate_limited", "quota", "blocked"})

State = Literal["starting", "ok", "backing_off", "login_required", "blocked", "failing"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one round went: vehicles that gave a snapshot, and the error that counts for the account.

    `cut`: the stop came before every vehicle was asked.
    """

    good: int = 0
    bad: int = 0
    error: SourceError | None = None
    cut: bool = False


class Poll(Protocol):
    """`collect.Collector.poll`: ask for one vehicle and make the answer safe, with `notes` beside it."""

    async def __call__(self, source: Source, target: Target, notes: Mapping[str, Json], /) -> object:
        """`notes`: what the memory is to hold from then on, by key. Raises SourceError."""
        ...


class Rounds:
    """Polls one source when marked due.

    `closed` says why nothing can be kept now ("": it can); then nothing is asked. `failed` is told
    what `poll` does not know: of which target, None for the whole round.

    Each attempt is noted on disk before anybody is asked, so that a crash loop does not hammer the
    maker's cloud. But for one after a round in which every vehicle answered: that is noted with its
    answers, in their own commit. If it never comes to that, the restart asks once more than it should,
    and notes it first: once for each life that had a good round.
    """

    def __init__(
        self,
        source: Source,
        *,
        poll: Poll,
        memory: Memory,
        clock: Clock,
        interval: float,
        closed: Callable[[], Awaitable[str]],
        listed: Callable[[Source, frozenset[str]], Awaitable[None]],
        failed: Callable[[Source, SourceError, Target | None], Awaitable[None]],
        answer_within: float = ANSWER_WITHIN,
    ) -> None:
        self._source = source
        self._answer_within = answer_within
        self._attended = source if isinstance(source, Attended) else None
        self._poll = poll
        self._memory = memory
        self._clock = clock
        self._interval = interval
        self._closed = closed
        self._listed = listed
        self._failed = failed
        self._due = asyncio.Event()
        self._idle = asyncio.Lock()
        self._backoff = BackOff()
        self._ends: Until | None = None
        self._silences: Sequence[Silence] = ()
        self._unnoted = self._may_note_later = False
        self._logger = log.get("schedule", source=source.name)
        self._status = SourceStatus(
            name=source.name, kind=source.kind, state="starting", allowed_age=interval * ALLOWED_MISSES
        )

    async def open(self) -> None:
        """Read back-off, last attempt and last success from the memory."""
        self._back_off(BackOff.from_json(await self._memory.recall(self._key("backoff"))))
        attempt = await self._memory.recall(self._key("attempt")) or {}
        self._status = replace(
            self._status,
            last_attempt_at=_time(attempt.get("at")),
            last_success_at=_time(attempt.get("success")),
            consecutive_failures=self._backoff.failures,
            state=self._state(),
        )
        if self._backoff.failures:
            at = self._status.last_attempt_at or self._clock.now()
            why = Failure(at, self._backoff.reason, self._backoff.message, self._backoff.hint)
            self._status = replace(self._status, failure=why)

    @property
    def status(self) -> SourceStatus:
        """How the source stands."""
        login = self._source.login_state()
        channels = self._channels()
        return replace(
            self._status,
            login_expires_at=login.expires_at,
            quota=channels.quota,
            stream=channels.stream,
            silences=channels.silences,
        )

    @property
    def last_attempt(self) -> datetime | None:
        """When the source was last asked, also before a restart."""
        return self._status.last_attempt_at

    def next_poll(self, due: datetime | None) -> datetime | None:
        """When the source is asked next, if the timer says `due`; None while only a login helps."""
        if self._backoff.login_version is not None:
            return None
        return max(filter(None, (due, self._waits_until())), default=None)

    def told_to_wait(self) -> dict[str, Any] | None:
        """What a server or a missing login forbids now, as error, hint and reason; None: ask away.

        Our own back-off after an outage is no reason to refuse an operator.
        """
        told = self._backoff.login_version is not None or self._backoff.reason in TOLD
        if self._allowed() or not told:
            return None
        failure = self._status.failure
        error, hint = (failure.message, failure.hint) if failure else (None, None)
        until = self._waits_until()
        if until is None:
            error = error or "a human must log in"
            hint = hint or f"run `poller login {self._source.name}`"
        else:
            error = error or f"the server asked us to wait until {rfc3339(until)}"
        return {"error": error, "hint": hint, "reason": self._backoff.reason}

    async def heed(self, error: RateLimited) -> None:
        """A wait that an order was told of holds for polls and orders alike. Raises JournalError."""
        await self._conclude(Outcome(error=error), login="")

    def mark_due(self) -> None:
        """The timer's call: poll soon, in the source's own task."""
        self._due.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Poll whenever due, until `stop`; a round in flight when it comes is finished."""
        try:
            async with passing_on(stop, self._due):
                while True:
                    await self._next_due(stop)
                    if stop.is_set():
                        return
                    self._due.clear()
                    if self._allowed():
                        await self.round(stop)
        finally:
            with suppress(JournalError):
                await self._keep_note()

    async def round(self, stop: asyncio.Event | None = None) -> Outcome:
        """Ask for every vehicle now, whatever the back-off says; never two rounds at once.

        A journal that cannot take the note of the attempt ends the round before anybody is asked.
        """
        async with self._idle:
            if why := await self._closed():
                # Not noted: it is no fault of the source, and /readyz names the journal or the clock too.
                words = f"nothing was asked: {why}"
                return Outcome(
                    error=SourceUnavailable(words, hint="`poller status` says more", reason="journal")
                )
            started = self._clock.monotonic()
            # Read before anybody is asked: a login stored meanwhile must not pass for the refused one.
            login = self._source.login_state().version
            try:
                await self._note_attempt()
                outcome = await self._ask_all(stop)
                await self._conclude(outcome, login)
                if stop is None:
                    await self._keep_note()
            except JournalError as error:
                unkept = SourceUnavailable(error.message, hint=error.hint, reason="journal")
                await self._failed(self._source, unkept, None)
                outcome = Outcome(error=unkept)
                self._note(outcome)
            self._status = replace(self._status, last_duration=self._clock.monotonic() - started)
            self._log_silences()
            return outcome

    async def _next_due(self, stop: asyncio.Event) -> None:
        """Wait for the timer, or for a new login while one is missing."""
        while not (self._due.is_set() or stop.is_set()):
            waiting = self._backoff.login_version is not None
            look = LOGIN_LOOK * self._clock.rate if waiting else None
            await wait(self._due, self._clock, look)
            if waiting and self._allowed():
                self._logger.info("login.found")
                return

    def _allowed(self) -> bool:
        if self._backoff == BackOff():
            return True  # as nearly always: nobody need look for a login
        backoff = replace(self._backoff, until=self._waits_until())
        return backoff.allows(self._clock.now(), self._source.login_state().version)

    def _back_off(self, backoff: BackOff) -> None:
        self._backoff = backoff
        self._ends = Until.told(backoff.until, self._clock) if backoff.until else None

    def _waits_until(self) -> datetime | None:
        """When the back-off ends, by the wall clock as it stands now."""
        return self._ends.at(self._clock) if self._ends else None

    async def _ask_all(self, stop: asyncio.Event | None) -> Outcome:
        try:
            async with asyncio.timeout(self._answer_within):
                targets = await self._source.targets()
        except (SourceError, TimeoutError) as failed:
            unlisted = failed if isinstance(failed, SourceError) else self._hangs()
            await self._failed(self._source, unlisted, None)
            return Outcome(error=unlisted)
        vins = frozenset(target.vin for target in targets)
        await self._listed(self._source, vins)
        good = 0
        last: SourceError | None = None
        for asked, target in enumerate(targets):
            if stop is not None and stop.is_set():
                return Outcome(good, asked - good, last, cut=True)
            error = await self._ask_one(target)
            good += error is None
            last = error or last
            if isinstance(error, RateLimited | LoginRequired):
                # These speak for the account; the next vehicle would only make it worse.
                break
        return Outcome(good, len(targets) - good, last)

    async def _ask_one(self, target: Target) -> SourceError | None:
        """How one vehicle failed, or None; a bug met with one must not starve the others."""
        try:
            async with asyncio.timeout(self._answer_within):
                await self._poll(self._source, target, self._attempt(succeeding=True))
            self._unnoted = False
        except SourceError as error:
            return error
        except JournalError:
            raise
        except TimeoutError:
            hanging = self._hangs()
            await self._failed(self._source, hanging, target)
            return hanging
        except Exception as bug:
            self._logger.exception("poll.crashed")
            words = f"a bug in this program: {type(bug).__name__}"
            failure = SourceUnavailable(words, hint="see the log", reason="internal")
            await self._failed(self._source, failure, target)
            return failure
        return None

    def _hangs(self) -> SourceUnavailable:
        words = f"the source did not answer within {self._answer_within:.0f} s"
        return SourceUnavailable(
            words, hint="what it reads from hangs; others are not held up", reason="timeout"
        )

    async def _note_attempt(self) -> None:
        self._status = replace(self._status, last_attempt_at=milliseconds(self._clock.now()))
        self._unnoted = True
        if not self._may_note_later:
            await self._keep_note()
        self._may_note_later = False

    async def _keep_note(self) -> None:
        """Note the last attempt for a restart, unless that is done or under way."""
        if not self._unnoted:
            return
        # Before: given up while the disk hangs, it must not be tried anew on the way out.
        self._unnoted = False
        try:
            for key, note in self._attempt().items():
                await self._memory.remember(key, note)
        except JournalError:
            self._unnoted = True
            raise

    def _attempt(self, *, succeeding: bool = False) -> dict[str, Json]:
        """What a restart must know of the last attempt; `succeeding`: as it is once it has an answer."""
        at = self._status.last_attempt_at
        success = milliseconds(self._clock.now()) if succeeding else self._status.last_success_at
        times = {"at": at, "success": success}
        return {self._key("attempt"): {name: rfc3339(time) if time else None for name, time in times.items()}}

    async def _conclude(self, outcome: Outcome, login: str) -> None:
        before = self._backoff
        error = outcome.error
        if outcome.cut and error is None and not outcome.good:
            return  # stopped before anybody was asked: neither a success nor a failure
        speaks_for_account = isinstance(error, RateLimited | LoginRequired)
        if error is None or (outcome.good and not speaks_for_account):
            self._back_off(BackOff())
        else:
            after = before.after(error, now=self._clock.now(), interval=self._interval, login_version=login)
            if self._attended and not isinstance(error, RateLimited):
                # Its polls look at what came meanwhile; what they may ask for is its own plan.
                after = replace(after, until=None)
            self._back_off(after)
        if self._backoff != before:
            await self._memory.remember(self._key("backoff"), self._backoff.to_json())
        self._note(outcome)
        self._unnoted |= error is None and not outcome.good
        self._may_note_later = error is None and outcome.good > 0 and not outcome.cut
        if self._backoff != before:
            await self._keep_note()

    def _note(self, outcome: Outcome) -> None:
        error, now = outcome.error, self._clock.now()
        failure = None
        if error is not None:
            failure = Failure(now, error.reason, error.message, error.hint)
            self._log_change(error)
        elif self._status.failure is not None:
            # None in a row where only some of the vehicles had failed.
            self._logger.info("source.recovered", after_failures=self._status.consecutive_failures or None)
        if error is None or outcome.good:
            self._status = replace(self._status, last_success_at=now)
        self._status = replace(
            self._status,
            state=self._state(error),
            failure=failure,
            consecutive_failures=self._backoff.failures,
        )

    def _log_change(self, error: SourceError) -> None:
        shown = self._status.failure
        if shown is not None and (shown.reason, shown.message) == (error.reason, error.message):
            return
        event = "login.required" if isinstance(error, LoginRequired) else "source.unavailable"
        self._logger.warning(event, reason=error.reason, error=error.message, hint=error.hint)

    def _channels(self) -> Channels:
        return self._attended.channels() if self._attended else Channels()

    def _log_silences(self) -> None:
        """Which of the five conditions have begun or ended since the last round."""
        before, now = _named(self._silences), _named(self._channels().silences)
        for key, silence in now.items():
            if key not in before:
                level = self._logger.info if silence.condition == "car_quiet" else self._logger.warning
                level("source.silent", **_whose(key), why=silence.message, hint=silence.hint)
        for key in before.keys() - now.keys():
            self._logger.info("source.silence_ended", **_whose(key))
        self._silences = tuple(now.values())

    def _state(self, error: SourceError | None = None) -> State:
        if self._backoff.login_version is not None:
            return "login_required"
        if isinstance(error, SourceBlocked) or self._backoff.reason == SourceBlocked.reason:
            return "blocked"
        if self._backoff.until is not None:
            return "backing_off"
        if error is not None:
            return "failing"
        return "ok" if self._status.last_success_at else "starting"

    def _key(self, what: str) -> str:
        return f"{what}:{self._source.account}"


def _named(silences: Sequence[Silence]) -> dict[tuple[str, str], Silence]:
    """By condition and vehicle."""
    return {(one.condition, one.vehicle): one for one in silences}


def _whose(key: tuple[str, str]) -> dict[str, str]:
    condition, vehicle = key
    return {"condition": condition, **({"vehicle": vehicle} if vehicle else {})}


def _time(raw: Any) -> datetime | None:
    try:
        return parse_time(raw)
    except (ValueError, TypeError):
        return None
