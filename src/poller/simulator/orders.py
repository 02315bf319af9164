"""Orders: faults on the simulator's clock, pending, active or over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from poller.runtime.clock import Clock
from poller.runtime.quantities import written_duration
from poller.simulator.fault import Fault
from poller.vehicle.records import rfc3339

Phase = Literal["pending", "active", "over"]

#: Seconds: a sleep that ends at a turn may end a rounding error before it.
_ROUNDING = 1e-6


class Order:
    """One fault that was ordered now; the steady clock counts, so a jump of the wall clock ends nothing."""

    def __init__(self, fault: Fault, clock: Clock) -> None:
        self.fault = fault
        self.hits = 0
        self._clock = clock
        self._begins = clock.monotonic() + fault.first_in(clock.now())
        self._left = fault.limit

    @property
    def phase(self) -> Phase:
        """Whether it is yet to begin, at work or over; a repeated one is never over."""
        since = self._since()
        if since < 0:
            return "pending"
        if since < self._lasts and self._left != 0:
            return "active"
        return "over" if self.fault.every is None else "pending"

    def take(self) -> None:
        """One request was hit."""
        self.hits += 1
        if self._left is not None:
            self._left -= 1

    def next_turn(self) -> float | None:
        """Seconds until it begins or, being active, ends; None: never by itself."""
        since = self._since() - _ROUNDING
        match self.phase:
            case "active":
                return None if math.isinf(self._lasts) else self._lasts - since
            case "pending":
                return -since if since < 0 else (self.fault.every or 0.0) - since
        return None

    @property
    def remaining(self) -> float | None:
        """Seconds of its time that are left, however often it may still hit; None: it has no end."""
        return None if math.isinf(self._lasts) else self._lasts - self._since()

    def moment(self, seconds: float) -> datetime:
        """The wall clock's time in so many seconds."""
        return self._clock.now() + timedelta(seconds=seconds)

    def listed(self) -> dict[str, Any]:
        """As JSON: the fault as it was ordered, its phase, when that ends, what it hit and has left."""
        turn = self.next_turn()
        changes: dict[str, Any] = {}
        if turn is not None:
            turn = round(turn, 3)
            word = "begins" if self.phase == "pending" else "ends"
            changes = {
                f"{word}_in": written_duration(turn),
                f"{word}_at": rfc3339(self.moment(turn)),
            }
        left = {} if self._left is None else {"left": self._left}
        return {
            **_ordered(self.fault),
            "says": self.fault.words,
            "phase": self.phase,
            **changes,
            **left,
            "hits": self.hits,
        }

    @property
    def _lasts(self) -> float:
        return math.inf if self.fault.lasts is None else self.fault.lasts

    def _since(self) -> float:
        """Seconds since the newest turn began, negative before the first; a new turn has its full count."""
        since = self._clock.monotonic() - self._begins + _ROUNDING
        if self.fault.every is not None and since >= self.fault.every:
            self._begins += since // self.fault.every * self.fault.every
            self._left = self.fault.limit
            since = self._clock.monotonic() - self._begins + _ROUNDING
        return since


def _ordered(fault: Fault) -> Mapping[str, Any]:
    told = fault.model_dump(by_alias=True, exclude_unset=True) | {"kind": fault.kind}
    for name in ("after", "for", "every"):
        if isinstance(told.get(name), float):
            told[name] = "ever" if math.isinf(told[name]) else written_duration(told[name])
    return told
