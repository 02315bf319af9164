"""kill -9 while appending, settling and pruning: what was acknowledged is there afterwards."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from poller.journal.base import Policy
from poller.journal.sqlite import SqliteJournal
from poller.testing.clock import ManualClock

#: `make soak` takes ten times as many rounds.
ROUNDS = 5

#: Appends from four tasks at once, settles and remembers; says each id when it is acknowledged.
CHILD = """
import asyncio, sys
from pathlib import Path
from poller.journal.base import Entry, Policy
from poller.journal.sqlite import SqliteJournal
from poller.testing.clock import ManualClock
from poller.testing.records import snapshot_number

async def append(journal, start):
    for number in range(start, start + 1_000_000, 4):
        answer, record = snapshot_number(number)
        await journal.append(Entry(answer=answer, records=(record,), state={"trips": {"at": number}}))
        print(record.id, flush=True)

async def settle(journal):
    while True:
        batch = await journal.peek("files", limit=20)
        await journal.settle("files", since=batch.since, through=batch.through)
        print("settled", batch.through, flush=True)

async def main():
    journal = SqliteJournal(Path(sys.argv[1]), Policy(), ManualClock())
    await journal.open(["files", "axiom"])
    first = int(sys.argv[2])
    await asyncio.gather(*(append(journal, first + task) for task in range(4)), settle(journal))

asyncio.run(main())
"""


def killed_run(path: Path, first: int, moment: float) -> list[str]:
    """What a process said before it was killed `moment` seconds after its first word."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), str(first)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    with contextlib.closing(child.stdout) as out:
        said = [out.readline()]
        time.sleep(moment)  # the moment of the kill is the test
        child.kill()
        said += out.readlines()
        child.wait(10)
    return [line.strip() for line in said if line.endswith("\n")]


async def rounds(folder: Path, rng: random.Random, count: int) -> None:
    path = folder / "journal.db"
    acknowledged: set[str] = set()
    settled = 0
    for turn in range(count):
        said = killed_run(path, turn * 10_000_000, rng.uniform(0, 0.25))
        acknowledged |= {line for line in said if not line.startswith("settled")}
        settled = max([settled, *(int(line.split()[1]) for line in said if line.startswith("settled"))])
    journal = SqliteJournal(path, Policy(), ManualClock())
    await journal.open(["files", "axiom"])
    assert (await journal.peek("files", limit=1)).since >= settled
    there: set[str] = set()
    while (batch := await journal.peek("axiom", limit=500)).through != batch.since:
        there |= {queued.record.id for queued in batch.records}
        assert await journal.settle("axiom", since=batch.since, through=batch.through)
    assert not await journal.dead_letters()
    assert (await journal.stats()).records == len(there)
    await journal.close()
    assert acknowledged, "nothing was acknowledged before the kill"
    assert acknowledged <= there
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
    assert set(os.listdir(folder)) == {"journal.db", "poller.lock"}  # noqa: PTH208 - a plain listing


async def test_every_acknowledged_record_survives(tmp_path, rng):
    await rounds(tmp_path, rng, ROUNDS)


@pytest.mark.soak
async def test_every_acknowledged_record_survives_for_long(tmp_path, rng):
    await rounds(tmp_path, rng, 10 * ROUNDS)
