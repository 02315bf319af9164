"""Whether the daemon makes progress: parts beat, and a part that stopped beating is named."""

from __future__ import annotations

from poller.runtime.clock import Clock

#: Real seconds; the parts beat at least every half minute.
LIMIT = 90.0


class Pulse:
    """Beats by name. A part is watched from its first beat on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._beats: dict[str, float] = {}

    def beat(self, part: str) -> None:
        """`part` is alive."""
        self._beats[part] = self._clock.monotonic()

    def silent(self) -> list[str]:
        """The parts that have not beaten for too long; empty means progress."""
        oldest = self._clock.monotonic() - LIMIT * self._clock.rate
        return [part for part, at in self._beats.items() if at < oldest]
