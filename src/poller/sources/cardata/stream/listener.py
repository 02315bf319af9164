"""The stream: one connection to BMW, or to a broker of the owner's, kept as well as it can be kept.

What follows a failure is decided in `policy`; `line` is a connection, `inbox` what waits to be stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from poller.errors import JournalError, LoginRequired, RateLimited, SourceBlocked, SourceError
from poller.runtime import log
from poller.runtime.clock import Clock, Until
from poller.runtime.status import StreamStatus
from poller.sources.base import Memory, NoMemory
from poller.sources.cardata.settings import CarDataSettings, account_key, owner_key
from poller.sources.cardata.stream.inbox import Inbox, OnMessages, StreamMessage
from poller.sources.cardata.stream.line import Broken, Line, Version, trust
from poller.sources.cardata.stream.login import StreamLogin, Visit, visit_bmw, visit_own
from poller.sources.cardata.stream.policy import Course, Ignored, State, StreamLimits, vin_of
from poller.sources.cardata.stream.standing import StreamStanding
from poller.sources.cardata.stream.words import Cause
from poller.sources.texts import moment
from poller.vehicle.records import rfc3339

__all__ = ["Stream", "StreamLimits", "StreamLogin", "StreamMessage"]

#: A wait is looked at so often: by then a machine that was suspended has noticed it.
_SLICE: Final = 60.0
#: Real seconds for what was said just before the connection ended.
_LAST_WORD: Final = 0.05


class Stream:
    """Listens, hands on what comes, and says how it stands.

    `auth` None: the broker is the owner's own, which never sees BMW's login. `base`: where a relative
    `tls_ca` counts from. `on_messages` gets all messages that wait as one batch, in order; a JournalError
    keeps the batch, which is offered again after a pause. What else it raises is a bug and comes out of
    `run`; that batch is gone.

    At QoS 0 the broker keeps nothing: what is sent while nobody is subscribed is lost, and so is what is
    queued here when the process dies. So messages are handed on at once, and when too many wait because
    the journal cannot take them, the connection is closed, not left unread: a broker would drop messages
    without a word, and the connection too within a minute. As it is, the loss is a gap that is known.

    When it last tried to connect is noted in `memory` before it tries: a program that is started again and
    again does not connect each time.
    """

    def __init__(
        self,
        name: str,
        settings: CarDataSettings,
        auth: StreamLogin | None,
        clock: Clock,
        *,
        base: Path,
        on_messages: OnMessages,
        memory: Memory | None = None,
        limits: StreamLimits | None = None,
    ) -> None:
        limits = limits or StreamLimits()
        self._memory: Memory = memory or NoMemory()
        self._settings = settings
        self._own = settings.own_broker
        self._auth = None if self._own else auth
        self._clock = clock
        self._base = base
        self._limits = limits
        self._logger = log.get("source", source=name)
        self._inbox = Inbox(
            on_messages, clock, self._logger, messages=limits.waiting, size=limits.waiting_bytes
        )
        self._course = Course(name, own=self._own, soon=limits.soon)
        #: For an own broker, where two of us may listen; BMW's gets one that is the account's.
        self._client_id = f"poller{secrets.token_hex(8)}"
        self._version: Version = "5"
        self._switched = False
        self._force = False
        self._standing = StreamStanding(clock, self._logger, own=self._own, gap=limits.gap)
        self._ignored: set[str] = set()
        #: On the steady clock: the last attempt to connect, when the broker let us in, and when that ended.
        self._attempted: float | None = None
        self._let_in: float | None = None
        self._cut: float | None = None

    def status(self) -> StreamStatus:
        """How it stands; `since`: connected, or not, for so long."""
        return self._standing.status

    @property
    def gap_ended_at(self) -> datetime | None:
        """The end of the last interval without a subscription that may have cost messages.

        That is one of five minutes and more, one in which messages were turned away, and the time before
        our own start, whose length nobody knows.
        """
        return self._standing.gap_ended_at

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop`; then what has come is handed on, if that takes no more than a moment.

        Nothing that is expected is raised. It returns within a second of `stop`.
        """
        self._standing.began()
        listening = asyncio.create_task(self._listen(), name="stream.listen")
        handing_on = asyncio.create_task(self._inbox.hand_on(), name="stream.hand_on")
        stopping = asyncio.create_task(stop.wait(), name="stream.stop")
        try:
            await asyncio.wait([listening, handing_on, stopping], return_when=asyncio.FIRST_COMPLETED)
            await _end(listening, stopping)
            await _first_of(self._inbox.empty(), asyncio.wait([handing_on], timeout=self._limits.grace))
        finally:
            await _end(listening, handing_on, stopping)
        for task in (listening, handing_on):
            if not task.cancelled():
                task.result()

    # Connecting, again and again.

    async def _listen(self) -> None:
        while True:
            await self._rest(0)
            version = self._login_version()
            try:
                visit = await self._introduce()
            except SourceError as error:
                await self._without_login(error, version)
                continue
            try:
                await self._be_connected(visit)
            except Broken as broken:
                await self._recover(broken, visit)

    async def _take_turn(self, visit: Visit) -> None:
        """Wait until the last attempt is far enough back, whoever made it: a process before us, this one
        before a reload, another client of the same account. Note ours.
        """
        gcid = "" if self._own else visit.introduction.username or ""
        key = f"stream:{owner_key(gcid) or account_key(self._settings)}"
        now, at = self._clock.now(), None
        try:
            at = moment((await self._memory.recall(key) or {}).get("attempted_at"))
        except JournalError:
            at = now if self._attempted is None else None
        if at is not None:
            # A clock that was set back says no more than that it was not long ago.
            noted = self._clock.monotonic() - max(0.0, (now - at).total_seconds())
            self._attempted = max(noted, self._attempted or noted)
        await self._rest(0)
        self._attempted = self._clock.monotonic()
        with contextlib.suppress(JournalError):
            await self._memory.remember(key, {"attempted_at": rfc3339(self._clock.now())})

    async def _introduce(self) -> Visit:
        if self._auth is None:
            return visit_own(self._settings, self._client_id)
        visit = await visit_bmw(self._auth, force=self._force)
        self._force = False
        return visit

    async def _be_connected(self, visit: Visit) -> None:
        """One connection, until a fresher one is due. Raises Broken."""
        self._let_in = self._cut = None
        tls = trust(self._settings, self._base)
        await self._take_turn(visit)
        line = Line(self._settings.stream_url, visit.introduction, self._version, tls, self._limits)
        await line.connect()
        self._let_in = self._clock.monotonic()
        try:
            # In this order: a refusal that comes together with the end says more than the end.
            await _first_of(self._attend(line, visit), self._read(line), patience=_LAST_WORD)
        finally:
            self._standing.ended()
            await line.close()

    async def _attend(self, line: Line, visit: Visit) -> None:
        await line.subscribe(visit.introduction.topic)
        self._standing.subscribed()
        self._course.subscribed()
        self._switched = False
        if not self._course.kicked:
            self._standing.show_connected(self._version)
        await self._until_renewal(visit)

    async def _read(self, line: Line) -> None:
        try:
            async for topic, body in line.messages():
                self._take(topic, body)
                if self._inbox.full:
                    self._standing.turned_away()
                    raise Broken(Cause.FULL)
        finally:
            self._cut = self._clock.monotonic()

    def _take(self, topic: str, body: bytes) -> None:
        if len(topic) > self._limits.topic or len(body) > self._limits.body:
            self._ignore("too_long")
        elif (vin := vin_of(topic, body)) is None:
            self._ignore("no_vehicle")
        else:
            self._inbox.put(StreamMessage(vin, body, self._standing.heard()))

    def _ignore(self, reason: Ignored) -> None:
        self._standing.ignored(reason)
        if reason not in self._ignored:
            self._ignored.add(reason)
            self._logger.warning("stream.message_ignored", reason=reason)

    async def _until_renewal(self, visit: Visit) -> None:
        """Return when a new connection is due: the token runs out, or the machine was suspended."""
        settles = self._clock.monotonic() + self._limits.soon
        settled = False
        while True:
            pauses = [_SLICE] if settled else [_SLICE, settles - self._clock.monotonic()]
            if visit.renew_at is not None and (left := self._seconds_until(visit.renew_at)) > 0:
                pauses.append(left)
            await self._clock.sleep(max(0.0, min(pauses)))
            if self._standing.slept():
                return
            if not settled and self._cut is None and self._clock.monotonic() >= settles:
                settled = True
                self._course.settled()
                self._standing.show_connected(self._version)
            due = visit.renew_at is not None and self._clock.now() >= visit.renew_at
            if due and await self._has_fresher(visit):
                return

    async def _has_fresher(self, visit: Visit) -> bool:
        """Whether there is another token; while there is none, the connection is used as long as it lasts."""
        if self._auth is None:
            return False
        try:
            tokens = await self._auth.fresh()
        except SourceError:
            return False
        return tokens.id_token != visit.introduction.password

    # What follows a failure.

    async def _recover(self, broken: Broken, visit: Visit) -> None:
        cause = broken.cause
        if self._let_in is None and cause in (Cause.VERSION, Cause.NO_ANSWER):
            # A broker that does not know MQTT 5 says so, or says nothing at all.
            self._version = "3.1.1" if self._version == "5" else "5"
            if cause is Cause.VERSION and not self._switched:
                self._switched = True
                return
        if cause is Cause.CLOSED and visit.renew_at is not None and self._clock.now() >= visit.renew_at:
            cause = Cause.EXPIRED
        # What is waited for after the end, a last word and the closing, is no part of it.
        cut = self._clock.monotonic() if self._cut is None else self._cut
        lasted = None if self._let_in is None else cut - self._let_in
        step = self._course.failed(cause, lasted=lasted, code=broken.code, detail=broken.detail)
        self._force = self._force or step.fresh_login
        self._standing.show_down(step.state, step.cause.value, step.message, step.hint)
        if cause is Cause.FULL:
            await self._inbox.empty()
        await self._rest(step.pause)

    async def _without_login(self, error: SourceError, version: str) -> None:
        state: State = "waiting"
        if isinstance(error, LoginRequired | SourceBlocked):
            state = "refused"
        elif error.reason in ("network", "timeout"):
            state = "no_network"
        self._standing.show_down(state, error.reason, error.message, error.hint)
        if isinstance(error, LoginRequired):
            while self._login_version() == version:
                await self._clock.sleep(self._limits.look)
        elif isinstance(error, RateLimited):
            await self._rest(max(self._limits.apart, self._seconds_until(error.until)))
        else:
            await self._rest(self._course.pause_without_login())

    async def _rest(self, seconds: float) -> None:
        """Wait so long, and until the last attempt is far enough back; a new login ends what is refused."""
        clock, version = self._clock, self._login_version()
        if self._attempted is not None:
            apart = self._limits.apart_own if self._own else self._limits.apart
            seconds = max(seconds, self._attempted + apart - clock.monotonic())
        if seconds <= 0:
            return
        end = Until(clock.now() + timedelta(seconds=seconds), clock.monotonic() + seconds)
        self._standing.show_retry(end.wall)
        refused = self._standing.status.state == "refused"
        while not end.reached(clock):
            left = self._seconds_until(end.at(clock))
            await clock.sleep(min(left, self._limits.look if refused else _SLICE))
            if refused and self._login_version() != version:
                break
        self._standing.show_retry(None)

    def _login_version(self) -> str:
        return "" if self._auth is None else self._auth.login_state().version

    def _seconds_until(self, wall: datetime) -> float:
        return (wall - self._clock.now()).total_seconds()


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _first_of(*works: Coroutine[Any, Any, Any], patience: float = 0.0) -> None:
    """Run all until one ends; end the others, `patience` real seconds later. What one raised is raised,
    of several the first one's.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if patience:
            await asyncio.wait(tasks, timeout=patience)
    finally:
        await _end(*tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()
