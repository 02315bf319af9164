"""From starting `poller run` to its first tick, in real time, with a warm file cache.

The installed command, three sinks, a fresh data directory and a stored login; measured from the moment
before the process is made until its log says what it has done. The tick is `app.started`: everything is
open, the timer runs. Beside it, as text: when the first poll was on disk.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from bench.result import Result
from bench.running import COMMAND, ENVIRONMENT, prepared
from bench.world import world


def measure(*, rounds: int = 7, warm_up: int = 1) -> list[Result]:
    """Seconds to the first tick."""
    with tempfile.TemporaryDirectory() as name, world() as outside:
        folder = Path(name)
        prepared(folder / "fresh", outside, vehicles=1)
        times = [_start(folder, f"start-{number}") for number in range(warm_up + rounds)][warm_up:]
    tick = statistics.median(started for started, _ in times)
    stored = statistics.median(completed for _, completed in times)
    return [
        Result("start to first tick", f"{tick:.2f} s", f"first poll on disk {stored:.2f} s", tick, 1, "s")
    ]


def _start(folder: Path, name: str) -> tuple[float, float]:
    """Seconds to `app.started` and to the first `poll.completed`, with a login and nothing else there."""
    shutil.copytree(folder / "fresh", folder / name)
    command = [COMMAND, "run", "-c", str(folder / name / "config.toml"), "--log-level", "debug"]
    seen: dict[str, float] = {}
    begin = time.monotonic()
    with subprocess.Popen(  # noqa: S603  # our own command
        command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr or ():
            seen.setdefault(json.loads(line)["event"], time.monotonic() - begin)
            if "poll.completed" in seen:
                break
        process.terminate()
        process.communicate()
    return seen["app.started"], seen["poll.completed"]
