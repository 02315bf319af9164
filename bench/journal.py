"""The journal's group commit beside a bare ``executemany`` of the same encoded rows, in one run.

Both write the same rows to the same disk with the same durability (WAL, synchronous=FULL), so many
polls in a transaction: of each poll an answer of one body and its record, of each transaction the
newest snapshot. Bare: the rows are there, one ``executemany`` a table, nobody waits for an answer.
Ours: the same polls, encoded already; so many are handed in, each gets an answer of its own, and when
all of them have it, so many more are handed in, while those that came in between are written. The
writer's thread finds shelves, recognises duplicates, sees which snapshot is the newest and what has
changed, counts, commits and wakes the event loop.

Encoding itself (JSON, hashes, zlib) is no part of the share, for bare SQLite has nothing to hold
against it; its cost is shown beside. What the bench itself keeps in memory, thousands of encoded
polls, is kept out of the garbage collector's sight.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.result import Result

from poller.journal.append import Appender
from poller.journal.base import Entry, Policy
from poller.journal.encode import Encoded, Encoder
from poller.journal.queries import SQL
from poller.journal.room import Room
from poller.journal.store import Store
from poller.journal.writer import Aides, Writer
from poller.testing.clock import ManualClock
from poller.vehicle.answer import Answer
from poller.vehicle.records import Record, record_id, rfc3339

BATCHES = (10, 100, 1000)
TABLES = ("bodies", "answers", "records")
START = datetime(2026, 11, 1, tzinfo=UTC)
VIN = "WMW00000000000001"


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds for all entries: encoded, written by the journal, written bare."""

    encoding: float
    ours: float
    bare: float


def measure(*, rounds: int = 5, polls: int = 2000) -> list[Result]:
    """One result for each size of batch."""
    return [_measure(batch, rounds, polls) for batch in BATCHES]


def _measure(batch: int, rounds: int, polls: int) -> Result:
    entries = [entry(number) for number in range(polls)]
    taken = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            encoded, encoding, ours = asyncio.run(journal(Path(name), entries, batch))
            taken.append(Round(encoding, ours, bare(Path(name), encoded, batch)))
    middle = {
        name: statistics.median(getattr(one, name) for one in taken) / polls * 1e6
        for name in ("encoding", "ours", "bare")
    }
    return Result(
        figure=f"journal append, {batch} at a time",
        ours=f"{middle['ours']:.0f} µs a poll (and {middle['encoding']:.0f} µs encoding)",
        beside=f"bare executemany {middle['bare']:.0f} µs",
        value=100 * statistics.median(one.bare / one.ours for one in taken),
        limit=70,
        unit="%",
        at_least=True,
    )


def entry(number: int) -> Entry:
    """A poll: an answer of some kilobytes of which a little changes, and its record."""
    chance = random.Random(number)
    at = START + timedelta(seconds=30 * number)
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


class Groups(Room):
    """Takes so many polls into a transaction, though as many more wait."""

    def __init__(self, path: Path, polls: int) -> None:
        super().__init__(path, Policy())
        self._polls = polls

    @property
    def rows(self) -> int:
        """Of appends, which are what the bench hands in."""
        return self._polls


async def journal(
    folder: Path, entries: Sequence[Entry], batch: int
) -> tuple[Sequence[Encoded], float, float]:
    """All encoded, and the seconds to encode them and to have them acknowledged, `batch` at a time."""
    path = folder / "journal.db"
    store = Store(path, ManualClock())
    appender = Appender()
    aides = Aides(appender.append, appender.append_new, lambda _: False, appender.forget, lambda: None)
    writer = Writer(store, Groups(path, batch), aides)
    encoder = Encoder(appender.shelf_of)
    await writer.start()
    # A day's first poll begins its shelves: what follows is squeezed against it.
    await writer.append(encoder.encode(entries[0], 0))
    started = time.perf_counter()
    encoded = [encoder.encode(one, 0) for one in entries[1:]]
    encoding = time.perf_counter() - started
    gc.collect()
    gc.freeze()
    started = time.perf_counter()
    under_way: list[asyncio.Future[Sequence[int]]] = []
    for first in range(0, len(encoded), batch):
        handed_in = [writer.append(one) for one in encoded[first : first + batch]]
        for answer in under_way:
            await answer
        under_way = handed_in
    for answer in under_way:
        await answer
    ours = time.perf_counter() - started
    gc.unfreeze()
    await writer.stop()
    return encoded, encoding, ours


def bare(folder: Path, encoded: Sequence[Encoded], batch: int) -> float:
    """Seconds to write the rows that `journal` left, those of `batch` polls in a transaction."""
    with sqlite3.connect(folder / "journal.db") as source:
        schema = [sql for (sql,) in source.execute("SELECT sql FROM sqlite_schema WHERE sql NOT NULL")]
        rows = {name: source.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}  # noqa: S608 - names from above
    source.close()
    target = sqlite3.connect(folder / "bare.db", isolation_level=None)
    for statement in ("journal_mode = WAL", "synchronous = FULL", "cache_size = -256"):
        target.execute(f"PRAGMA {statement}")
    for sql in schema:
        if "sqlite_" not in sql.split("(")[0]:
            target.execute(sql)
    # Each poll has one row in each table.
    inserts = {
        name: f"INSERT INTO {name} VALUES ({','.join('?' * len(table[0]))})"  # noqa: S608 - names from above
        for name, table in rows.items()
    }
    snapshots = [(*one.of, *one.columns, one.body) for poll in encoded for one in poll.records]
    started = time.perf_counter()
    for first in range(1, len(rows["records"]), batch):
        target.execute("BEGIN IMMEDIATE")
        for name, table in rows.items():
            target.executemany(inserts[name], table[first : first + batch])
        # The first poll, which is in `rows` and not in `encoded`, is not among those that are timed.
        target.executemany(SQL["newest_put"], snapshots[first - 1 : first - 1 + batch][-1:])
        target.execute("COMMIT")
    taken = time.perf_counter() - started
    target.close()
    return taken
