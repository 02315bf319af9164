"""CPU of a whole day: two vehicles every five minutes, three sinks, idle time included.

Nobody waits a day, so two daemons as installed run side by side in real time, watched through the same
windows of 30 seconds. One has nothing to poll: that is what idling costs. The other runs ten times too
fast and so does one cycle (two vehicles) in each window; what it uses more is what a cycle costs after a
pause, when connections are closed and caches are cold. A day is 2,880 idle windows and 288 such cycles.
Not in it: whoever looks at the page or scrapes /metrics, and TLS, which loopback does not use.

The limit is what the shell loop's program alone was measured to cost: 288 starts of 0.226 s.
"""

from __future__ import annotations

import statistics
import time

from bench.result import Result, milliseconds
from bench.running import Daemon, polling, until
from bench.world import world

#: A poll every 30 seconds instead of every 300.
SPEED = 10.0
WINDOW = 30.0
DAY = 86_400.0


def measure(*, rounds: int = 5, window: float = WINDOW, speed: float = SPEED) -> list[Result]:
    """CPU seconds of a day, from windows of `window` real seconds with one cycle each."""
    with (
        world() as still,
        world(speed) as moving,
        polling(still, vehicles=2, speed=1.0, interval="1d") as idle,
        polling(moving, vehicles=2, speed=speed, interval=f"{window * speed:g}s") as busy,
    ):
        until(lambda: len(still.taken()) >= 1 and len(moving.taken()) >= 1)
        time.sleep(window / 3)  # the first deliveries end, and no cycle falls on a window's edge
        pairs = [_window(idle, busy, window) for _ in range(rounds)]
    idling = statistics.median(of_idle for of_idle, _ in pairs)
    cycle = statistics.median(max(0.0, of_busy - of_idle) for of_idle, of_busy in pairs)
    total = idling * DAY / window + cycle * 288
    return [
        Result(
            "CPU of a day at five minutes",
            f"idle {idling * DAY / window:.1f} s + 288 × {milliseconds(cycle)}",
            "the loop's program 65 s",
            total,
            65,
            "s",
        )
    ]


def _window(idle: Daemon, busy: Daemon, seconds: float) -> tuple[float, float]:
    before = idle.cpu(), busy.cpu()
    time.sleep(seconds)
    return idle.cpu() - before[0], busy.cpu() - before[1]
