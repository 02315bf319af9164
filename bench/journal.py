"""The journal's group commit beside a bare ``executemany`` of the same encoded rows, in one run.

Both write the same rows to the same disk with the same durability (WAL, synchronous=FULL) in
transactions of the same size. Printed: the median of the rounds, and how much of the bare speed is
left after encoding, duplicate checks, cursors and answering each caller. Nothing is asserted.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from poller.journal.base import Entry, Policy
from poller.journal.sqlite import SqliteJournal
from poller.testing.clock import ManualClock
from poller.vehicle.answer import Answer
from poller.vehicle.records import Record, record_id, rfc3339

BATCHES = (10, 100, 1000)
ROUNDS = 5
TABLES = ("bodies", "answers", "records")

Rows = dict[str, list[tuple[object, ...]]]
RECORDS = 2000
START = datetime(2026, 11, 1, tzinfo=UTC)
VIN = "WMW00000000000001"


def entry(number: int) -> Entry:
    """A poll: an answer of some kilobytes of which a little changes, and its record."""
    chance = random.Random(number)
    at = START + timedelta(minutes=5 * number)
    state = {
        "lastFetched": rfc3339(at),
        "currentMileage": 10_000 + number,
        "electricChargingState": {"chargingLevelPercent": chance.randrange(100)},
        "rest": {f"member{index}": f"value {index}" for index in range(200)},
    }
    answer = Answer("bmw", "mybmw", VIN, at, {"state": json.dumps(state).encode()})
    readings = {f"signal_{index}": index for index in range(50)} | {"odometer_km": 10_000 + number}
    record = Record(
        record_id("bmw", VIN, rfc3339(at), answer.digest()),
        "snapshot",
        VIN,
        "bmw",
        at,
        at,
        {"readings": readings},
        fingerprint=record_id(str(number)),
    )
    return Entry(answer=answer, records=(record,))


async def ours(folder: Path, entries: Sequence[Entry], batch: int) -> float:
    """Seconds for all entries, `batch` of them waiting at a time."""
    journal = SqliteJournal(folder / "journal.db", Policy(), ManualClock())
    await journal.open(["files"])
    started = time.perf_counter()
    for first in range(0, len(entries), batch):
        await asyncio.gather(*(journal.append(one) for one in entries[first : first + batch]))
    taken = time.perf_counter() - started
    await journal.close()
    return taken


def bare(folder: Path, batch: int) -> float:
    """Seconds to write the rows that `ours` left, `batch` records in a transaction."""
    with sqlite3.connect(folder / "journal.db") as source:
        schema = [sql for (sql,) in source.execute("SELECT sql FROM sqlite_schema WHERE sql NOT NULL")]
        rows = {name: source.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}  # noqa: S608
    source.close()
    target = sqlite3.connect(folder / "bare.db", isolation_level=None)
    for statement in ("journal_mode = WAL", "synchronous = FULL", "cache_size = -256"):
        target.execute(f"PRAGMA {statement}")
    for sql in schema:
        if "sqlite_" not in sql.split("(")[0]:
            target.execute(sql)
    started = time.perf_counter()
    for share in _shares(rows, len(rows["records"]) // batch or 1):
        target.execute("BEGIN IMMEDIATE")
        for name, part in share.items():
            marks = ",".join("?" * len(part[0])) if part else ""
            target.executemany(f"INSERT INTO {name} VALUES ({marks})", part) if part else None  # noqa: S608
        target.execute("COMMIT")
    taken = time.perf_counter() - started
    target.close()
    return taken


def _shares(rows: Rows, count: int) -> Iterator[Rows]:
    for index in range(count):
        yield {
            name: table[len(table) * index // count : len(table) * (index + 1) // count]
            for name, table in rows.items()
        }


async def main() -> None:
    """Print one line per batch size."""
    entries = [entry(number) for number in range(RECORDS)]
    print(f"journal append, {RECORDS} polls, median of {ROUNDS}")
    for batch in BATCHES:
        pairs = []
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                pairs.append((await ours(folder, entries, batch), bare(folder, batch)))
        mine = statistics.median(pair[0] for pair in pairs)
        theirs = statistics.median(pair[1] for pair in pairs)
        share = statistics.median(pair[1] / pair[0] for pair in pairs)
        print(
            f"  batch {batch:>4}: {RECORDS / mine:>7.0f} polls/s,"
            f" bare executemany {RECORDS / theirs:>7.0f}/s: {share:.0%} of it"
        )


if __name__ == "__main__":
    asyncio.run(main())
