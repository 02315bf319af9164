"""CPU of the shell loop's way, a fresh program for every poll, beside one poll of the running daemon.

The loop's stand-in is the cheapest honest one: start Python, import httpx, make the six requests
that its command makes for one electric car, print JSON. The daemon polls the same cloud over the
same loopback into a journal and JSON files. CPU seconds of user and system, median of the rounds.
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import sys
import tempfile
from pathlib import Path

from poller.app import App
from poller.cli.login import login_to
from poller.commands import once
from poller.runtime import log
from poller.runtime.clock import SystemClock
from poller.settings import load
from poller.simulator.car import demo_garage
from poller.simulator.cloud import FakeCloud
from poller.simulator.login import REFRESH_TOKEN, USER
from poller.simulator.server import serve

ROUNDS = 7
CONFIG = """
data_dir = "data"
[sources.bmw]
type = "mybmw"
username = "{user}"
base_url = "{cloud}"
vins = ["{vin}"]
[sinks.files]
type = "json_files"
[sinks.prometheus]
type = "prometheus"
"""
LOOP = """
import json, sys, httpx
with httpx.Client(timeout=30) as client:
    print(json.dumps([client.get(sys.argv[1] + "/_sim/state").json() for _ in range(6)]))
"""


def children_cpu() -> float:
    """CPU seconds of all ended child processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def own_cpu() -> float:
    """CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def a_program_per_poll(cloud: str) -> float:
    """CPU seconds of one turn of the loop."""
    before = children_cpu()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LOOP, cloud, stdout=asyncio.subprocess.DEVNULL
    )
    await child.wait()
    return children_cpu() - before


async def a_poll(app: App) -> float:
    """CPU seconds of one poll, delivered; the simulated cloud in this process included."""
    before = own_cpu()
    report = await once(app, {})
    if report["exit_code"]:
        raise SystemExit(f"the poll failed: {report}")
    return own_cpu() - before


def written(folder: Path, text: str) -> Path:
    """A configuration file."""
    config = folder / "config.toml"
    config.write_text(text)
    return config


async def main() -> None:
    """Print both, and the ratio."""
    log.configure("error")
    garage = demo_garage(1)
    async with serve(FakeCloud(garage, SystemClock())) as cloud:
        with tempfile.TemporaryDirectory() as name:
            config = written(Path(name), CONFIG.format(user=USER, cloud=cloud, vin=garage.vins[0]))
            await login_to(load(config), "bmw", refresh_token=REFRESH_TOKEN)
            app = App(load(config))
            await app.open()
            await a_poll(app)
            ours = statistics.median([await a_poll(app) for _ in range(ROUNDS)])
            theirs = statistics.median([await a_program_per_poll(cloud) for _ in range(ROUNDS)])
            await app.close()
    print(f"one poll of one car, median of {ROUNDS}, CPU")
    print(f"  a program per poll {theirs * 1000:6.1f} ms")
    print(f"  the daemon         {ours * 1000:6.1f} ms, simulated cloud included: 1/{theirs / ours:.0f}")


if __name__ == "__main__":
    asyncio.run(main())
