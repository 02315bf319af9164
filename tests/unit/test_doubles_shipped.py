"""The names that those who write a part of their own rely on."""

from __future__ import annotations

from typing import get_args

import poller.testing
from poller.sinks.base import LiveSink, QueuedSink, Sink
from poller.testing import FakeSource, ManualClock, MemoryJournal, RecordingSink


def test_the_doubles_come_from_one_place() -> None:
    """`from poller.testing import ...`, in whichever module each of them lives."""
    doubles = {FakeSource, RecordingSink, MemoryJournal, ManualClock}
    assert set(poller.testing.__all__) == {double.__name__ for double in doubles}


def test_a_sink_is_a_queued_or_a_live_one() -> None:
    assert set(get_args(Sink)) == {QueuedSink, LiveSink}
    assert isinstance(RecordingSink(), Sink)
