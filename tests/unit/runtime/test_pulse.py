"""A part that stops beating is named, and not before."""

from poller.runtime.pulse import LIMIT, Pulse
from poller.testing.clock import ManualClock


async def test_a_part_that_beats_is_alive_and_one_that_stopped_is_named():
    clock = ManualClock()
    pulse = Pulse(clock)
    pulse.beat("clock")
    pulse.beat("other")
    await clock.advance(LIMIT)
    assert pulse.silent() == []
    pulse.beat("other")
    await clock.advance(1)
    assert pulse.silent() == ["clock"]
    pulse.beat("clock")
    assert pulse.silent() == []


async def test_a_part_that_never_beat_is_not_missed():
    """A daemon that is starting has no parts yet."""
    assert Pulse(ManualClock()).silent() == []


async def test_the_wall_clock_alone_silences_nobody():
    clock = ManualClock()
    pulse = Pulse(clock)
    pulse.beat("clock")
    clock.jump(86_400)
    assert pulse.silent() == []
