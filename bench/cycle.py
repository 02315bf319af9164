"""One poll of one electric car handed to three sinks, beside the shell loop and beside bare httpx. CPU.

Ours is `poller run` as installed, with its page, journal, JSON files, Axiom and Prometheus: its process'
CPU (all threads, user and system) over a window of polls, divided by their number. Cloud and Axiom are
another process and not counted. What idling costs between two polls is the business of `bench/day.py`.

The shell loop's turn is made of the commands that it runs: a Python that imports httpx, as it is installed
here, makes six requests and prints JSON, which is what its program does for one electric car at the
least; `jq` over that JSON; `curl` that posts it. CPU of all three.

Bare httpx is one long-lived process with one client: per cycle the two answers of the car are fetched
and the daemon's own last event, compressed beforehand, is posted (the same requests and bodies), the
answers go into SQLite in one commit (WAL, synchronous=FULL) and into one file that is fsynced. It
understands nothing, retries nothing, shows nothing. It has the library's asynchronous client, as anything
has that serves a page meanwhile; with the blocking one it is given beside.
"""

from __future__ import annotations

import gzip
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.result import Result, medians, milliseconds
from bench.running import polling, prepared, until
from bench.world import CHARGING, INGEST, STATE, World, world

from poller.simulator.axiom import TOKEN
from poller.simulator.garage import demo_garage

#: Poll upon poll, so that no idling is charged to one.
INTERVAL = "50ms"
LOOP = """
import json, sys
import httpx
with httpx.Client(timeout=30) as client:
    print(json.dumps([client.get(sys.argv[1] + "/_sim/state").json() for _ in range(6)]))
"""
BARE = """
import asyncio, json, os, sqlite3, sys, time
import httpx
job = json.load(sys.stdin)
event = open(job["event"], "rb").read()
db = sqlite3.connect(os.path.join(job["folder"], "bare.db"), isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
db.execute("PRAGMA synchronous = FULL")
db.execute("CREATE TABLE IF NOT EXISTS answers (id INTEGER PRIMARY KEY, state BLOB, charging BLOB)")

def keep(bodies, number):
    db.execute("INSERT INTO answers (state, charging) VALUES (?, ?)", bodies)
    with open(os.path.join(job["folder"], f"{number}.json"), "wb") as file:
        file.write(bodies[0])
        file.flush()
        os.fsync(file.fileno())

async def main():
    async with httpx.AsyncClient(timeout=30) as client:
        async def cycle(number):
            bodies = []
            for url in job["get"]:
                answer = await client.get(url, headers=job["headers"])
                answer.raise_for_status()
                bodies.append(answer.content)
            keep(bodies, number)
            posted = await client.post(job["post"], content=event, headers=job["ingest_headers"])
            posted.raise_for_status()
        await cycle(-1)
        before = time.process_time()
        for number in range(job["cycles"]):
            await cycle(number)
        print((time.process_time() - before) / job["cycles"])

asyncio.run(main())
"""
#: The same with the library's blocking client.
BLOCKING = (
    BARE.replace("async def", "def").replace("async with", "with").replace("await ", "")
    .replace("AsyncClient", "Client").replace("asyncio.run(main())", "main()")
)  # fmt: skip


def measure(*, rounds: int = 5, polls: int = 60, warm_up: int = 24) -> list[Result]:
    """CPU of a cycle, against the shell loop's turn and against bare httpx."""
    bare, blocking, loops = [], [], []
    with tempfile.TemporaryDirectory() as name, world() as outside:
        folder = Path(name)
        token = _token(folder, outside)
        for _ in range(rounds):
            ours, event = _cycle(polls, warm_up)
            job = _job(folder, outside, event, token, cycles=polls)
            bare.append((ours, _bare(BARE, job)))
            blocking.append((ours, _bare(BLOCKING, job)))
            loops.append((ours, _turn(folder, outside)))
    beside_loop, beside_bare, beside_blocking = medians(loops), medians(bare), medians(blocking)
    programs = ", ".join(["python", *_present()])
    return [
        Result(
            "one poll to three sinks, of a turn of the shell loop",
            milliseconds(beside_loop.ours),
            f"{programs} {milliseconds(beside_loop.theirs)}",
            beside_loop.ratio,
            1 / 20,
        ),
        Result(
            "one poll to three sinks, of bare httpx",
            milliseconds(beside_bare.ours),
            f"httpx, commit, fsync {milliseconds(beside_bare.theirs)}"
            f" (blocking client {milliseconds(beside_blocking.theirs)})",
            beside_bare.ratio,
            3,
        ),
    ]


def _cycle(polls: int, warm_up: int) -> tuple[float, bytes]:
    """CPU seconds of a daemon per poll, over at least `polls` of them; and an event that it delivered."""
    with world() as outside, polling(outside, vehicles=1, speed=1.0, interval=INTERVAL) as daemon:
        until(lambda: outside.polls() >= warm_up)
        first, before = outside.polls(), daemon.cpu()
        until(lambda: outside.polls() >= first + polls)
        used, done = daemon.cpu() - before, outside.polls() - first
        until(lambda: bool(outside.taken()))  # a busy machine may lag behind with its deliveries
        return used / done, outside.body(0)


def _token(folder: Path, outside: World) -> str:
    """An access token, which bare httpx needs as well."""
    prepared(folder, outside, vehicles=1)
    stored = next((folder / "data" / "accounts").glob("*.json")).read_bytes()
    return str(json.loads(stored)["access_token"])


def _job(folder: Path, outside: World, event: bytes, token: str, *, cycles: int) -> str:
    (folder / "event.gz").write_bytes(gzip.compress(event, 6, mtime=0))
    job = {
        "folder": str(folder),
        "event": str(folder / "event.gz"),
        "get": [outside.cloud + STATE, outside.cloud + CHARGING],
        "headers": {"authorization": f"Bearer {token}", "bmw-vin": demo_garage().vins[0]},
        "post": outside.axiom + INGEST,
        "ingest_headers": {
            "authorization": f"Bearer {TOKEN}",
            "content-type": "application/x-ndjson",
            "content-encoding": "gzip",
        },
        "cycles": cycles,
    }
    return json.dumps(job)


def _bare(script: str, job: str) -> float:
    """CPU seconds of one of its cycles."""
    done = subprocess.run(  # noqa: S603  # the texts above
        [sys.executable, "-c", script], input=job, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def _present() -> list[str]:
    """The loop's other programs, as far as they are installed here."""
    return [program for program in ("jq", "curl") if shutil.which(program)]


def _turn(folder: Path, outside: World) -> float:
    """CPU seconds of the shell loop's commands, one after the other."""
    file = folder / "loop.json"
    commands = {
        "jq": ["jq", ".", str(file)],
        "curl": ["curl", "-s", "-X", "POST", outside.axiom + INGEST, "-H", "Content-Type: application/json",
                 "-H", f"Authorization: Bearer {TOKEN}", "-d", f"@{file}"],
    }  # fmt: skip
    before = _children()
    with file.open("wb") as output:
        subprocess.run([sys.executable, "-c", LOOP, outside.cloud], stdout=output, check=True)  # noqa: S603
    for program in _present():
        subprocess.run(commands[program], stdout=subprocess.DEVNULL, check=True)  # noqa: S603
    return _children() - before


def _children() -> float:
    """CPU seconds of all ended child processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
