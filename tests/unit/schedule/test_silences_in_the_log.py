"""The five conditions in the log: when one begins and when it ends, and nothing in between."""

from __future__ import annotations

import structlog

from poller.runtime.status import Channels, Silence
from poller.schedule.rounds import Rounds
from poller.testing.clock import ManualClock
from poller.testing.memory import DictMemory
from poller.testing.sources import FakeSource

QUIET = Silence("car_quiet", "all works", "nothing needs doing", vehicle="0000001")
REFUSED = Silence("refused", "no login is stored", "run `poller login bmw`")


class Told(FakeSource):
    """Says what it is told to say of itself."""

    silences: tuple[Silence, ...] = ()

    async def attend(self, stop) -> None:
        await stop.wait()

    def channels(self) -> Channels:
        return Channels(silences=self.silences)


async def never() -> str:
    return ""


async def nothing(*_: object) -> None:
    return None


async def test_a_condition_is_logged_when_it_begins_and_when_it_ends():
    clock = ManualClock()
    source = Told(clock)
    rounds = Rounds(
        source, poll=nothing, memory=DictMemory(), clock=clock, interval=300,
        closed=never, listed=nothing, failed=nothing,
    )  # fmt: skip
    await rounds.open()
    seen = []
    for silences in ((), (REFUSED, QUIET), (REFUSED, QUIET), (QUIET,), ()):
        source.silences = silences
        with structlog.testing.capture_logs() as logs:
            await rounds.round()
        seen.append([(e["event"], e["condition"], e.get("vehicle")) for e in logs if "condition" in e])
    assert seen == [
        [],
        [("source.silent", "refused", None), ("source.silent", "car_quiet", "0000001")],
        [],
        [("source.silence_ended", "refused", None)],
        [("source.silence_ended", "car_quiet", "0000001")],
    ]
