"""Resident memory of the daemon with two vehicles and three sinks, after 1,000 and after 10,000 polls.

`poller run` as installed, with page, journal, JSON files, Axiom and Prometheus, at a warped clock; cloud
and Axiom are another process. A poll is a poll of one vehicle, as `poller_polls_total` counts. The figure
is VmRSS of /proc/PID/status, the system's libraries included. One run: it takes minutes, and memory is
not noisy. The polls come every 150 seconds of the warped clock (42 ms), so 10,000 are nine days.
"""

from __future__ import annotations

from bench.result import Result
from bench.running import polling, until
from bench.world import world

SPEED = 3600.0


def measure(*, first: int = 1000, last: int = 10_000) -> list[Result]:
    """VmRSS after the `first` polls, and what it grew until the `last`."""
    with world(SPEED) as outside, polling(outside, vehicles=2, speed=SPEED, interval="150s") as daemon:
        until(lambda: outside.polls() >= first, every=0.2, within=900)
        early = daemon.resident()
        until(lambda: outside.polls() >= last, every=0.2, within=900)
        late = daemon.resident()
    return [
        Result(f"memory after {first:,} polls", f"{early:.1f} MiB", "", early, 72, "MiB"),
        Result(
            f"growth from poll {first:,} to {last:,}", f"{late:.1f} MiB", f"{early:.1f} MiB",
            late - early, 1, "MiB",
        ),
    ]  # fmt: skip
