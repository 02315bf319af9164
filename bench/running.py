"""`poller run` as it is installed, in a folder and a process of its own, looked at from outside."""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.world import World

from poller.cli.login import login_to
from poller.runtime import log
from poller.settings import load
from poller.simulator.axiom import TOKEN
from poller.simulator.garage import demo_garage
from poller.simulator.login import REFRESH_TOKEN, USER

#: The console script beside the Python that runs us.
COMMAND = str(Path(sys.executable).with_name("poller"))
#: Our own as it is, but compiled modules are kept, as an installation has them.
ENVIRONMENT = {key: text for key, text in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
_CONFIG = """
data_dir = "data"
[poll]
interval = "{interval}"
jitter = "0s"
[web]
listen = "127.0.0.1:0"
[sources.bmw]
type = "mybmw"
username = "{user}"
base_url = "{world.cloud}"
vins = [{vins}]
[sinks.files]
type = "json_files"
[sinks.axiom]
type = "axiom"
url = "{world.axiom}"
dataset = "cars"
token = "{token}"
[sinks.prometheus]
type = "prometheus"
"""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon, by its process id."""

    pid: int

    def cpu(self) -> float:
        """CPU seconds of all its threads, since its start, user and system."""
        number = ctypes.c_int()
        if error := ctypes.CDLL(None).clock_getcpuclockid(self.pid, ctypes.byref(number)):
            raise OSError(error, os.strerror(error))
        return time.clock_gettime(number.value)

    def resident(self) -> float:
        """VmRSS in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def prepared(folder: Path, world: World, *, vehicles: int, interval: str = "5m") -> Path:
    """A configuration with three sinks, and a login, in `folder`."""
    vins = ", ".join(f'"{vin}"' for vin in demo_garage().vins[:vehicles])
    folder.mkdir(exist_ok=True)
    config = folder / "config.toml"
    config.write_text(_CONFIG.format(interval=interval, user=USER, world=world, vins=vins, token=TOKEN))
    config.chmod(0o600)
    log.configure("error")
    asyncio.run(login_to(load(config), "bmw", refresh_token=REFRESH_TOKEN))
    return config


@contextmanager
def running(config: Path, speed: float = 1.0) -> Iterator[Daemon]:
    """`poller run` while the block runs, then a clean stop."""
    command = [COMMAND, "run", "-c", str(config), "--speed", str(speed), "--log-level", "warning"]
    with subprocess.Popen(command, env=ENVIRONMENT) as process:  # noqa: S603  # our own command
        try:
            yield Daemon(process.pid)
        finally:
            process.terminate()


@contextmanager
def polling(world: World, *, vehicles: int, speed: float, interval: str = "5m") -> Iterator[Daemon]:
    """`prepared` and `running` in a folder that goes away."""
    with tempfile.TemporaryDirectory() as name:
        config = prepared(Path(name), world, vehicles=vehicles, interval=interval)
        with running(config, speed) as daemon:
            yield daemon


def until(reached: Callable[[], bool], *, every: float = 0.02, within: float = 120.0) -> None:
    """Wait, in real seconds; TimeoutError if it is never so."""
    end = time.monotonic() + within
    while not reached():
        if time.monotonic() > end:
            raise TimeoutError("the bench waited in vain; does `poller demo` work here?")
        time.sleep(every)
