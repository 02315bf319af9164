"""What became of an order: BMW is asked until it says something final, or time is up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from poller.errors import LoginRequired, RateLimited, SourceError
from poller.runtime.clock import Clock
from poller.runtime.quoted import quoted
from poller.sources.mybmw.client import MyBmwClient
from poller.sources.mybmw.remote.car import Json
from poller.sources.texts import object_in
from poller.vehicle.command import CommandState, Outcome

#: Seconds, as bimmer_connected has them.
CYCLE: Final = 3.5
PATIENCE: Final = 240.0
_FINAL: Final = frozenset({CommandState.EXECUTED, CommandState.IGNORED, CommandState.ERROR})
#: The maker's words; all others are UNKNOWN.
_SAID: Final = frozenset({*_FINAL, CommandState.INITIATED, CommandState.PENDING, CommandState.DELIVERED})
#: Failures that name their own wait.
_HOPELESS: Final = (LoginRequired, RateLimited)


class Events:
    """Follows orders by their event id; `limited` is told of a wait that BMW asks for meanwhile."""

    def __init__(self, client: MyBmwClient, clock: Clock, limited: Callable[[RateLimited], None]) -> None:
        self._client = client
        self._clock = clock
        self._limited = limited

    async def follow(self, event_id: str, brand: str) -> Outcome:
        """Ask every 3.5 s, for 240 s at most, whatever goes wrong with a single question; never raises."""
        end = self._clock.monotonic() + PATIENCE
        last, pause = CommandState.UNKNOWN, CYCLE
        while self._clock.monotonic() + pause <= end:
            await self._clock.sleep(pause)
            try:
                answer = object_in(await self._client.event_status(event_id, brand))
            except SourceError as error:
                if isinstance(error, RateLimited):
                    self._limited(error)
                pause = self._pause(error)
                if self._clock.monotonic() + pause > end and isinstance(error, _HOPELESS):
                    return Outcome(CommandState.UNKNOWN, _unheard(error), event_id)
                continue
            last, pause = _state(answer), CYCLE
            if last in _FINAL:
                return Outcome(last, _reason(last, answer), event_id)
        return Outcome(CommandState.TIMED_OUT, _silence(last), event_id)

    def _pause(self, error: SourceError) -> float:
        if isinstance(error, LoginRequired):
            return PATIENCE  # a human does not log in within that time
        if isinstance(error, RateLimited):
            return max(CYCLE, (error.until - self._clock.now()) / timedelta(seconds=1))
        return CYCLE


def _state(answer: Json) -> CommandState:
    word = answer.get("eventStatus")
    state = word.lower() if isinstance(word, str) else ""
    return CommandState(state) if state in _SAID else CommandState.UNKNOWN


def _reason(state: CommandState, answer: Json) -> str:
    if state is CommandState.ERROR:
        details = told(answer.get("details")) or told(answer.get("errorDetails"))
        return f"BMW says that it failed: {details}" if details else "BMW says that it failed, and not why."
    return "BMW says that the car ignored it." if state is CommandState.IGNORED else ""


def _silence(last: CommandState) -> str:
    return (
        f"BMW said nothing final within {PATIENCE:.0f} s (last: {last}): the car may be asleep or out of "
        "reach. It may or may not have been done, and may still be; it is not sent again."
    )


def _unheard(error: SourceError) -> str:
    return (
        f"It was sent, and may or may not have been done: how it went could not be asked ({error.message})."
    )


def told(details: Any) -> str:
    """What BMW says of a failure, a text or title and description, as `quoted`; "" if it says nothing."""
    if isinstance(details, dict):
        parts = (details.get("title"), details.get("description"))
        details = ": ".join(text for text in parts if isinstance(text, str) and text)
    return quoted(details) if isinstance(details, str) else ""
