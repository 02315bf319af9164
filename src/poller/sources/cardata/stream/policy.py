"""What the stream does about everything that can go wrong, and whose a message is; pure but for chance.

From the facts on CarData, section 3.1.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from poller.sources.cardata.cars.state import MAX_BODY
from poller.sources.cardata.login.tokens import Tokens
from poller.sources.cardata.stream.words import Cause, words

#: A VIN in a topic or a message. A word of 17 letters, such as batteryManagement, is none.
_VIN: Final = re.compile(r"(?=.*\d)[A-Z0-9]{17}")


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Bounds and patience. Seconds are the clock's, but those of the network are real ones.

    `answer`: for each of the broker's answers, real. `keepalive`: real. `apart`: between two attempts at
    BMW, whatever happens; `apart_own`: at an own broker. `soon`: whoever is thrown off within it was
    kicked. `gap`: an interval without a subscription that long may have cost messages. `look`: how often
    a new login is looked for. `waiting`, `waiting_bytes`: what may wait to be stored. `topic`, `body`:
    the longest that is taken, in characters and bytes; `packet`: a longer one ends the connection, and so
    does one that takes longer than `packet_within`, real. `grace`: for the last batch at a stop, real.
    """

    answer: float = 10.0
    keepalive: int = 30
    apart: float = 30.0
    apart_own: float = 5.0
    soon: float = 120.0
    gap: float = 300.0
    look: float = 10.0
    waiting: int = 2000
    waiting_bytes: int = 8 * 1024 * 1024
    topic: int = 512
    body: int = MAX_BODY
    packet: int = 8 * 1024 * 1024
    packet_within: float = 120.0
    grace: float = 0.5


@dataclass(frozen=True, slots=True)
class Pace:
    """Pauses that double from `first` to `longest` seconds; `at_last` after ten failures."""

    first: float
    longest: float
    at_last: float = 0.0

    def pause(self, failures: int, chance: float) -> float:
        """After so many in a row, 1 being the first. `chance` in 0 … 1 adds up to a quarter."""
        if self.at_last and failures > 10:
            return self.at_last * (1 + chance / 4)
        return min(self.first * 2.0 ** min(failures - 1, 20), self.longest) * (1 + chance / 4)


_NETWORK: Final = Pace(5, 300, at_last=600)
_PACES: Final[Mapping[Cause, Pace]] = {
    Cause.CREDENTIALS: Pace(30, 900),
    Cause.BUSY: Pace(20, 300),
    Cause.THROTTLED: Pace(60, 600),
    Cause.TOPIC: Pace(60, 900),
    Cause.KICKED: Pace(30, 600),
}

State = Literal["kicked", "refused", "no_network", "waiting"]
#: Why a message is not taken.
Ignored = Literal["too_long", "no_vehicle"]
_NO_NETWORK: Final = (Cause.DNS, Cause.UNREACHABLE, Cause.NO_ANSWER)
#: An end that somebody brought about on the other side, in good order.
_THROWN_OFF: Final = (Cause.CLOSED, Cause.TAKEN_OVER)
_KICKS: Final = 2
_REFUSALS: Final = 5


@dataclass(frozen=True, slots=True)
class Step:
    """What follows a failure: how it is shown, and the pause. `fresh_login`: the token is to be renewed."""

    state: State
    cause: Cause
    message: str
    hint: str | None
    pause: float
    fresh_login: bool = False


class Course:
    """Counts what fails in a row and says what to do.

    `name`: the source's, for the commands in hints. `own`: the broker is the owner's, not BMW's.
    """

    def __init__(
        self, name: str, *, own: bool, soon: float, chance: Callable[[], float] = random.random
    ) -> None:
        self._name = name
        self._own = own
        self._soon = soon
        self._chance = chance
        self._failures: Counter[Pace] = Counter()
        self._kicks = 0

    @property
    def kicked(self) -> bool:
        """Whether the connection is taken from us again and again."""
        return self._kicks >= _KICKS

    def subscribed(self) -> None:
        """Everything works; whether it lasts is another question: see `settled`."""
        self._failures.clear()

    def pause_without_login(self) -> float:
        """After a failure to get at a token, before the broker was asked."""
        self._failures[_NETWORK] += 1
        return _NETWORK.pause(self._failures[_NETWORK], self._chance())

    def settled(self) -> None:
        """The subscription has stood for longer than a kick takes."""
        self._kicks = 0

    def failed(
        self, cause: Cause, *, lasted: float | None = None, code: int | None = None, detail: str = ""
    ) -> Step:
        """`lasted`: seconds since the broker let us in, None if it did not. `detail`: more to say of it."""
        if cause in _THROWN_OFF and lasted is not None and lasted < self._soon:
            self._kicks += 1
            if self.kicked:
                cause = Cause.KICKED
        pace = _PACES.get(cause, _NETWORK)
        self._failures[pace] += 1
        count = self._kicks - 1 if cause is Cause.KICKED else self._failures[pace]
        message, hint = words(cause, code, own=self._own, name=self._name)
        told = f" ({detail})" if detail else f" (code {code})" if code is not None else ""
        return Step(
            state=self._state(cause, count),
            cause=cause,
            message=message + told,
            hint=hint,
            pause=pace.pause(count, self._chance()),
            fresh_login=cause is Cause.CREDENTIALS and count == 1,
        )

    def _state(self, cause: Cause, count: int) -> State:
        if cause is Cause.KICKED:
            return "kicked"
        if cause is Cause.TOPIC:
            return "refused"
        if cause is Cause.CREDENTIALS:
            return "refused" if self._own or count >= _REFUSALS else "waiting"
        return "no_network" if cause in _NO_NETWORK else "waiting"


def renewal_time(tokens: Tokens, margin: timedelta = timedelta(minutes=5)) -> datetime:
    """From when on `Auth.fresh` gives a fresher token than this one: a new connection is due."""
    return tokens.expires_at - min(margin, (tokens.expires_at - tokens.stored_at) / 2)


def vin_of(topic: str, body: bytes) -> str | None:
    """Whose message this is: the VIN in the topic, else the one in the message; upper case.

    BMW's topic ends with it; bridges to an own broker keep that, put something behind it, or send all
    cars' messages to one topic.
    """
    for level in reversed(topic.split("/")):
        if _VIN.fullmatch(level.upper()):
            return level.upper()
    return _vin_in(body)


def _vin_in(body: bytes) -> str | None:
    try:
        message: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    vin = message.get("vin") if isinstance(message, dict) else None
    return vin.upper() if isinstance(vin, str) and _VIN.fullmatch(vin.upper()) else None
