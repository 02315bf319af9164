"""How the stream stands: for the page, the log, and whoever must catch up after a gap."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from poller.runtime.clock import Clock
from poller.runtime.log import Logger
from poller.runtime.status import Failure, StreamStatus
from poller.sources.cardata.stream.policy import Ignored, State
from poller.sources.cardata.stream.words import ignored_words


@dataclass(frozen=True, slots=True)
class Moment:
    """One point on both clocks."""

    wall: datetime
    steady: float

    def seconds_to(self, later: Moment) -> float:
        """What went by: steady time misses a suspend, and wall time may be set back."""
        return max((later.wall - self.wall).total_seconds(), later.steady - self.steady)

    def slept_until(self, later: Moment) -> bool:
        """Whether the machine was suspended in between, or its clock set forward by a minute or more."""
        return (later.wall - self.wall).total_seconds() - (later.steady - self.steady) >= 60


class StreamStanding:
    """`gap`: an interval without a subscription that long may have cost messages. Changes are logged."""

    def __init__(self, clock: Clock, logger: Logger, *, own: bool, gap: float) -> None:
        self._clock = clock
        self._logger = logger
        self._gap = gap
        self._status = StreamStatus("connecting", own_broker=own)
        self._last_message_at: datetime | None = None
        self._ignored: Failure | None = None
        self._lossy = False
        self._gap_ended_at: datetime | None = None
        #: The last look while there was a subscription; None: there is none.
        self._seen: Moment | None = None
        #: Since when there is no subscription; None: there has never been one.
        self._off: Moment | None = None

    @property
    def status(self) -> StreamStatus:
        """As the page shows it; `since`: connected, or not, for so long. Connected, it has a failure while
        nothing has come but what is not taken.
        """
        status = replace(self._status, last_message_at=self._last_message_at)
        return replace(status, failure=self._ignored) if status.connected else status

    @property
    def gap_ended_at(self) -> datetime | None:
        """See `Stream.gap_ended_at`."""
        return self._gap_ended_at

    def began(self) -> None:
        """We are about to connect, for the first time or after a bug."""
        if self._status.since is None or self._status.connected:
            self._status = replace(self._status, state="connecting", since=self._clock.now())

    def heard(self) -> datetime:
        """A message came; gives its time."""
        self._last_message_at = self._clock.now()
        self._ignored = None
        return self._last_message_at

    def ignored(self, reason: Ignored) -> None:
        """A message came that is not taken; that matters as long as there are no others."""
        since, last = self._status.since, self._last_message_at
        if last is None or (since is not None and last < since):
            now = self._clock.now()
            self._ignored = Failure(now, reason, *ignored_words(reason, own=self._status.own_broker))

    def turned_away(self) -> None:
        """Messages that come now are lost, however short the interval."""
        self._lossy = True

    def subscribed(self) -> None:
        """Messages can arrive from now on."""
        self._seen = now = self._now()
        if self._off is None or self._lossy or self._off.seconds_to(now) >= self._gap:
            self._gap_ended_at = now.wall
        self._lossy = False

    def slept(self) -> bool:
        """Whether the machine was suspended since the last look: then the connection is not to be trusted."""
        now = self._now()
        if self._seen is not None and self._seen.slept_until(now):
            return True
        self._seen = now
        return False

    def ended(self) -> None:
        """The connection is closed; if the machine was suspended meanwhile, it was so since then."""
        if self._seen is not None:
            now = self._now()
            self._off = self._seen if self._seen.slept_until(now) else now
            self._seen = None

    def show_connected(self, version: str) -> None:
        """It stands."""
        if not self._status.connected:
            self._logger.info("stream.connected", mqtt=version)
            self._ignored = None
            self._status = replace(
                self._status, state="connected", since=self._clock.now(), retry_at=None, failure=None
            )

    def show_retry(self, at: datetime | None) -> None:
        """When the next attempt is, None: now, or when a human has done something."""
        if not self._status.connected:
            self._status = replace(self._status, retry_at=at)

    def show_down(self, state: State, reason: str, message: str, hint: str | None) -> None:
        """It does not stand. The same again, or another trouble of the same sort, is no news for the log."""
        before, now = self._status, self._clock.now()
        told = before.failure is not None and before.state == state
        if state == "refused" and before.failure is not None:
            told = told and before.failure.reason == reason
        if not told:
            event = {"kicked": "stream.kicked", "refused": "stream.refused"}.get(state, "stream.unavailable")
            event = "stream.lost" if before.connected and event == "stream.unavailable" else event
            self._logger.warning(event, reason=reason, error=message, hint=hint)
        self._status = replace(
            before,
            state=state,
            since=now if before.connected else before.since,
            retry_at=None,
            failure=Failure(now, reason, message, hint),
        )

    def _now(self) -> Moment:
        return Moment(self._clock.now(), self._clock.monotonic())
