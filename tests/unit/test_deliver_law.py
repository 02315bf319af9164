"""The law of delivery: whatever happens in whatever order, nothing is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from poller.deliver import Delivery
from poller.errors import BatchRefused, SinkMisconfigured, SinkUnavailable
from poller.journal.base import Entry
from poller.runtime.metrics import Metrics
from poller.sinks.base import Settlement
from poller.sinks.settings import SinkSettings
from poller.testing.journal import MemoryJournal
from poller.testing.leaping import LeapingClock
from poller.testing.records import START, record_number
from poller.testing.sinks import RecordingSink
from poller.vehicle.privacy import Rendering

SINK = "recording"
#: What may happen at a delivery; "lost" stores everything and says nothing of it.
MOODS = ["all", "some", "some then wait", "away", "limited", "wrong", "lost", "bug", "killed"]


class Destination(RecordingSink):
    """Acts on a list of moods, then well; a poison record is refused alone and spoils any batch."""

    def __init__(self, poison: frozenset[str], clock: LeapingClock) -> None:
        super().__init__(SINK)
        self.moods: list[str] = []
        self.lost: Counter[str] = Counter()
        self._poison = poison
        self._clock = clock
        self.standing = self._act

    def _act(self, records) -> Settlement:
        mood = self.moods.pop(0) if self.moods else "all"
        later = self._clock.now() + timedelta(seconds=7)
        match mood:
            case "away" | "killed":
                raise SinkUnavailable("away", reason="server")
            case "limited":
                raise SinkUnavailable("slowly", until=later, reason="rate_limited")
            case "wrong":
                raise SinkMisconfigured("wrong")
            case "bug":
                raise ZeroDivisionError
        if any(record["id"] in self._poison for record in records):
            raise BatchRefused("poison", sent=len(records))
        if mood == "lost":
            self.records += records
            self.lost.update(record["id"] for record in records)
            raise SinkUnavailable("no reply", reason="timeout")
        done = len(records) if mood == "all" else (len(records) + 1) // 2
        return Settlement(done, retry_at=later if mood == "some then wait" else None)


@given(
    st.lists(st.sampled_from(MOODS), max_size=40),
    st.sets(st.integers(0, 29), max_size=4),
    st.integers(1, 12),
    st.integers(0, 30),
)
@settings(max_examples=80)
def test_nothing_is_lost_and_twice_is_only_what_had_no_reply(moods, bad, batch_size, early) -> None:
    """Every record is accepted or a dead letter, in order; restarts of loop and process included."""
    asyncio.run(_run(moods, bad, batch_size, early))


async def _run(moods: list[str], bad: set[int], batch_size: int, early: int) -> None:
    clock = LeapingClock(START)
    journal = MemoryJournal(clock)
    await journal.open([SINK])
    records = [record_number(number) for number in range(30)]
    ids = [record.id for record in records]
    sink = Destination(frozenset(ids[number] for number in bad), clock)
    sink.moods = list(moods)
    limits = SinkSettings(batch_size=batch_size)

    def anew() -> Delivery:
        return Delivery(SINK, sink, journal, clock, Rendering({}), limits, Metrics())

    await journal.append(Entry(records=records[:early]))
    delivery = anew()
    for _ in range(len(moods) + 1):
        killed = sink.moods[:1] == ["killed"]
        try:
            await delivery.drain(patience=50)
        except ZeroDivisionError:
            continue
        if killed:
            delivery = anew()
    await journal.append(Entry(records=records[early:]))
    sink.moods.clear()
    assert await delivery.drain(patience=1e6)

    dead = [letter.record.id for letter in await journal.dead_letters(SINK)]
    assert dead == [ids[number] for number in sorted(bad)]
    assert list(dict.fromkeys(sink.ids)) == [one for one in ids if one not in dead]
    surplus = Counter(sink.ids) - Counter(set(sink.ids))
    assert surplus <= sink.lost
    assert (await journal.backlog(SINK)).records == 0
