"""The other end of `soak_warp`: starts it, gives it orders, reads its reports."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from soak_warp import Report

from poller.derive.alerts.rulebook import RULES
from poller.simulator.axiom import TOKEN

CONFIG = """
data_dir = "data"
[web]
listen = ""
[alerts]
off = {alerts}
[sources.bmw]
type = "mybmw"
username = "owner@example.com"
vins = {vins}
[sinks.files]
type = "json_files"
layout = "daily"
[sinks.prometheus]
type = "prometheus"
"""
AXIOM = """
[sinks.axiom]
type = "axiom"
url = "{url}"
dataset = "cars"
token = "{token}"
"""
#: A disk in memory, where the system has one; what is made there is random in name and ours alone.
MEMORY = Path("/dev/shm")  # noqa: S108 - as the line above says
#: Real seconds for one order; the longest takes some minutes.
PATIENCE = 900.0


class Winding:
    """A poller in another process whose time passes when it is told to."""

    def __init__(self, child: asyncio.subprocess.Process, folder: Path) -> None:
        self._child = child
        self._snapshots = folder / "data" / "snapshots"

    def filed(self) -> set[str]:
        """The records in day files, packed or not."""
        lines = [line for path in self._snapshots.rglob("*.ndjson") for line in path.read_text().splitlines()]
        for path in self._snapshots.rglob("*.ndjson.gz"):
            lines += gzip.decompress(path.read_bytes()).decode().splitlines()
        return {json.loads(line)["id"] for line in lines}

    async def order(self, **order: Any) -> Report:
        """Give one order; its report, or the test fails."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(order).encode() + b"\n")
        async with asyncio.timeout(PATIENCE):
            line = await self._child.stdout.readline()
        assert line, "the poller ended: see its log"
        return Report(**json.loads(line))


@asynccontextmanager
async def winding(*, axiom: str = "", vins: tuple[str, ...] = (), extra: str = "") -> AsyncIterator[Winding]:
    """A poller that polls these cars of the demo (none named: both), in a folder of its own.

    In memory where that can be had: its disk is not what is tested, and a year of fsyncs takes hours.
    """
    with TemporaryDirectory(prefix="poller-soak-", dir=_memory()) as folder:
        async with _started(Path(folder), axiom, vins, extra) as poller:
            yield poller


def _memory() -> Path | None:
    return MEMORY if MEMORY.is_dir() else None


@asynccontextmanager
async def _started(folder: Path, axiom: str, vins: tuple[str, ...], extra: str) -> AsyncIterator[Winding]:
    config = folder / "config.toml"
    sink = AXIOM.format(url=axiom, token=TOKEN) if axiom else ""
    # So that each record is a poll: what is told has tests of its own.
    told = json.dumps(list(RULES))
    config.write_text(CONFIG.format(alerts=told, vins=json.dumps(list(vins))) + sink + extra)
    config.chmod(0o600)
    program = Path(__file__).with_name("soak_warp.py")
    child = await asyncio.create_subprocess_exec(
        sys.executable, program, folder, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Winding(child, folder)
        assert child.stdin is not None
        child.stdin.close()
        async with asyncio.timeout(30):
            assert await child.wait() == 0
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
