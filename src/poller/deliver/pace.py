"""What a delivery loop remembers of its luck: how much to send, how long to wait, when to stop."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from poller.sinks.base import Settlement

#: Back-off: full jitter below 1 s, 2 s, 4 s …; the cap keeps recovery within 30 s of the cause's end.
BACKOFF_BASE, BACKOFF_CAP = 1.0, 25.0
#: A held sink is probed with one record after 15 s, doubling to 5 min.
PROBE_BASE, PROBE_CAP = 15.0, 300.0
#: From this failure in a row on, the records are suspected, not the sink alone.
SUSPECT_AFTER = 3
#: So many rejections in a row for one reason say that the sink is wrong, not the records.
REJECTIONS_IN_A_ROW = 10
#: What differs between two refusals for the same reason: what is quoted, and words with a digit.
_DETAIL = re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`|\b\w*\d\w*\b")


class Pace:
    """How much to send next and how long to wait: what a loop remembers of its luck so far.

    When a batch is refused, or fails again and again, a bad record is searched by halving: `suspects`
    counts the records ahead among which it must be. Beyond them the size doubles on every success.
    """

    def __init__(self, limit: int, jitter: Callable[[], float] = random.random) -> None:
        self._limit = limit
        self._jitter = jitter
        self.size = limit
        self.suspects = 0
        self.failures = 0
        self.failures_alone = 0
        self._probes = 0

    def progressed(self, done: int) -> None:
        """`done` records are finished."""
        self.failures = self.failures_alone = self._probes = 0
        self.suspects = max(0, self.suspects - done)
        self.size = max(1, self.suspects // 2) if self.suspects else min(self._limit, self.size * 2)

    def cut_short(self, done: int) -> None:
        """The sink takes no more than `done` at once, for reasons of its own: offer little more next time."""
        if not self.suspects:
            self.size = min(self._limit, done + done // 10 + 1)

    def refused(self, sent: int) -> None:
        """Among the next `sent` records one is bad."""
        self.suspects = sent
        self.size = max(1, sent // 2)

    def failed(self, sent: int, *, blameless: bool) -> float:
        """Nothing was done with `sent` records; gives the seconds to wait."""
        self.failures += 1
        if sent and not blameless:
            self.failures_alone += sent == 1
            if self.failures >= SUSPECT_AFTER:
                self.refused(sent)
        ceiling = BACKOFF_BASE * 2.0 ** min(self.failures - 1, 10)
        return self._jitter() * min(BACKOFF_CAP, ceiling)

    def next_probe(self) -> float:
        """Seconds until a held sink is asked again."""
        self._probes += 1
        return min(PROBE_CAP, PROBE_BASE * 2.0 ** min(self._probes - 1, 10))


class Streak:
    """Rejections in a row for one reason."""

    def __init__(self) -> None:
        self._gist = ""
        self.length = 0

    def admit(self, settlement: Settlement) -> Settlement:
        """Count the batch's rejections; what goes beyond `REJECTIONS_IN_A_ROW` at its end is kept.

        Only a run that lasts to the end is cut: nothing after it was accepted, so nothing that is
        sent again is there already.
        """
        for position in range(settlement.done):
            self._count(settlement.rejected.get(position))
        excess = max(0, self.length - REJECTIONS_IN_A_ROW)
        self.length -= excess
        done = settlement.done - excess
        kept = {at: reason for at, reason in settlement.rejected.items() if at < done}
        return Settlement(done, kept, settlement.retry_at)

    @property
    def full(self) -> bool:
        """Whether the sink is to be held."""
        return self.length >= REJECTIONS_IN_A_ROW

    def _count(self, reason: str | None) -> None:
        gist = "" if reason is None else _DETAIL.sub("", reason)
        self.length = 0 if reason is None else (self.length + 1 if gist == self._gist else 1)
        self._gist = gist
