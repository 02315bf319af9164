"""Sending a backlog to an Axiom on this machine, beside bare httpx posting the same bodies. Events a second.

Ours is `poller run` as installed, after `poller resend`: it reads the records from the journal, renders
them, puts them into bodies of its own size, compresses, posts and settles each. Measured from the command
until the simulated Axiom, in another process, has answered the last request.

Bare httpx is a process with one client that posts those very bodies, read back from the simulated Axiom,
one after the other: compressed in the same way just before, nothing read, made or settled. It is given
as wall time, which is what a backlog costs; the CPU beside it.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from bench.result import Result, medians, milliseconds
from bench.running import Daemon, prepared, running, until
from bench.world import INGEST, World, world

from poller.journal.base import Entry, Policy
from poller.journal.sqlite import SqliteJournal
from poller.runtime.clock import SystemClock
from poller.simulator.axiom import TOKEN
from poller.simulator.garage import demo_garage
from poller.sources.base import Answer
from poller.sources.mybmw.meaning.parse import parse
from poller.vehicle.records import milliseconds as whole_milliseconds
from poller.vehicle.records import rfc3339, snapshot_record
from poller.web.control import SOCKET_NAME, ControlClient

BARE = """
import gzip, json, sys, time
sys.modules["click"] = None
import httpx
job = json.load(sys.stdin)
bodies = [open(path, "rb").read() for path in job["bodies"]]
with httpx.Client(timeout=30, headers=job["headers"]) as client:
    client.post(job["url"], content=gzip.compress(b"{}", 6)).raise_for_status()
    wall, cpu = time.perf_counter(), time.process_time()
    for body in bodies:
        client.post(job["url"], content=gzip.compress(body, 6, mtime=0)).raise_for_status()
    print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
"""


def measure(*, rounds: int = 5, records: int = 8640) -> list[Result]:
    """Speed of a drain, of bare httpx' speed; as many records as a car has polls in a month without Axiom."""
    with tempfile.TemporaryDirectory() as name, world(hang_up=False) as outside:
        folder = Path(name)
        config = prepared(folder, outside, vehicles=1, interval="1d")
        begin = asyncio.run(_fill(folder / "data" / "journal.db", records))
        with running(config) as daemon:
            until(lambda: outside.polls() > 0 and bool(outside.taken()))
            pairs = []
            for _ in range(rounds):
                first = len(outside.taken())
                ours = _drain(daemon, outside, folder / "data", begin, records)
                pairs.append((ours, _bare(folder, outside, first)))
    wall = medians([(ours[0], theirs[0]) for ours, theirs in pairs])
    cpu = medians([(ours[1], theirs[1]) for ours, theirs in pairs])
    return [
        Result(
            "backlog to a local Axiom, of bare httpx' speed",
            f"{records / wall.ours:.0f}/s, CPU {milliseconds(cpu.ours / records)}",
            f"httpx {records / wall.theirs:.0f}/s, CPU {milliseconds(cpu.theirs / records)}",
            100 / wall.ratio,
            50,
            "%",
            at_least=True,
        )
    ]


async def _fill(path: Path, records: int) -> datetime:
    """A journal with so many polls of a car, each five minutes after the other; gives the first's time."""
    clock = SystemClock()
    first = whole_milliseconds(clock.now()) - timedelta(minutes=5) * (records + 1)
    garage = demo_garage()
    vin = garage.vins[0]
    journal = SqliteJournal(path, Policy(), clock)
    await journal.open(["axiom", "files"])
    waiting = []
    for number in range(records):
        at = first + timedelta(minutes=5) * number
        answer = Answer("bmw", "mybmw", vin, at, {"state": garage.state(vin, at) or b""})
        record = snapshot_record(parse(answer, ZoneInfo("UTC")), answer)
        waiting.append(journal.append(Entry(answer=answer, records=(record,))))
    await asyncio.gather(*waiting)
    for sink in ("axiom", "files"):
        while (batch := await journal.peek(sink, limit=10_000)).through > batch.since:
            await journal.settle(sink, since=batch.since, through=batch.through)
    await journal.close()
    return first


def _drain(daemon: Daemon, outside: World, data: Path, begin: datetime, records: int) -> tuple[float, float]:
    """Wall and CPU seconds until all of them are taken in."""
    before = sum(events for _, events in outside.taken())
    cpu, wall = daemon.cpu(), time.monotonic()
    ControlClient(data / SOCKET_NAME).call("resend", {"sink": "axiom", "from": rfc3339(begin)})
    until(lambda: sum(events for _, events in outside.taken()) >= before + records, every=0.2)
    return outside.taken()[-1][0] - wall, daemon.cpu() - cpu


def _bare(folder: Path, outside: World, first: int) -> tuple[float, float]:
    """Wall and CPU seconds to post what the Axiom took in from the `first` request on."""
    paths = []
    for number in range(first, len(outside.taken())):
        path = folder / f"body-{number}"
        path.write_bytes(outside.body(number))
        paths.append(str(path))
    headers = {
        "authorization": f"Bearer {TOKEN}",
        "content-type": "application/x-ndjson",
        "content-encoding": "gzip",
    }
    job = json.dumps({"bodies": paths, "url": outside.axiom + INGEST, "headers": headers})
    done = subprocess.run(  # noqa: S603  # the text above
        [sys.executable, "-c", BARE], input=job, capture_output=True, text=True, check=True
    )
    wall, cpu = json.loads(done.stdout)
    return wall, cpu
