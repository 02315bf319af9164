"""A journal that is damaged while the poller runs, or between two runs: set aside, begun anew, taken back."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fault_house import INTERVAL, House

from poller.journal.base import Entry, Policy
from poller.journal.salvage import salvage
from poller.journal.sqlite import SqliteJournal
from poller.runtime.clock import SystemClock
from poller.simulator.axiom import status, take_in
from poller.testing.records import snapshot_number
from poller.vehicle.records import rfc3339

ROUNDS = 2
SOAK_ROUNDS = 40
SIZES = pytest.mark.parametrize(
    "rounds", [ROUNDS, pytest.param(SOAK_ROUNDS, marks=pytest.mark.soak)], ids=["plain", "soak"]
)
PAGE = 4096
DAY = 86_400.0
#: Answers of a day before, so that the journal has pages enough to miss some.
EARLIER = 120


Subject = tuple[str, str, str]


def subject(record: dict[str, Any]) -> Subject:
    """What a record tells of; its id may have been damaged in the journal, which no checksum shows."""
    return record["kind"], record["vehicle"], record["received_at"]


class Life:
    """One data directory through several runs of the poller: what was acknowledged, and what Axiom got."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = folder / "data" / "journal.db"
        #: What each record tells of → its id, and the same of what Axiom got.
        self.acknowledged: dict[Subject, str] = {}
        self.arrived: dict[Subject, str] = {}
        self.events: list[str] = []
        self._runs = 0

    @asynccontextmanager
    async def run(self) -> AsyncIterator[House]:
        """The poller, an hour after the last one ended; Axiom takes nothing until it is told to."""
        async with AsyncExitStack() as stack:
            house = House(self.folder, layout="daily")
            house.axiom.standing = status(503)
            house.clock.jump(DAY + 3600 * self._runs)
            self._runs += 1
            await house.run(stack)
            yield house
            await house.settles()
            self.arrived |= {subject(event): event["id"] for event in house.axiom.events}
            # First come, first known: taken back, one whose id was damaged is written again under that.
            written = {subject(record): record["id"] for record in house.files().values()}
            self.acknowledged = written | self.acknowledged
            self.events += [str(line["event"]) for line in house._new_lines()]

    async def grows(self, house: House) -> None:
        """Some days' worth of answers, and two polls; in the file itself, not only in its log."""
        entries = []
        for number in range(EARLIER):
            answer, record = snapshot_number(number)
            entries.append(Entry(answer=answer, records=[record]))
            of = (record.kind, house.app.rendering.slug(record.vin), rfc3339(record.received_at))
            self.acknowledged[of] = record.id
        await asyncio.gather(*map(house.app.journal.append, entries))
        await house.passes(2 * INTERVAL)
        with contextlib.closing(sqlite3.connect(self.journal)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @property
    def aside(self) -> list[Path]:
        """The journals that were set aside."""
        return sorted(self.journal.parent.glob("journal.db.corrupt-*Z"))

    def flip(self, rng: random.Random) -> None:
        """Noise over a few bytes, or over a few pages, anywhere in the file."""
        size = self.journal.stat().st_size
        with self.journal.open("r+b") as file:
            for _ in range(rng.randint(1, 3)):
                length = rng.choice([1, 16, PAGE])
                file.seek(rng.randrange(size) // length * length)
                file.write(rng.randbytes(length))


@SIZES
async def test_flipped_bytes_cost_what_is_named_and_nothing_else(tmp_path, rng: random.Random, rounds):
    """Anywhere in the file, open or between two runs: polls go on, loudly, and the rest comes back."""
    for number in range(rounds):
        folder = tmp_path / str(number)
        folder.mkdir()
        life = Life(folder)
        running = rng.random() < 0.6
        async with life.run() as house:
            await life.grows(house)
            if running:
                life.flip(rng)
                await house.passes(3 * INTERVAL)
                assert house.app.status().sources[0].state == "ok", "polls must go on"
        if not running:
            life.flip(rng)
        await ends_well(life)


async def test_broken_rows_are_passed_over_and_named(tmp_path):
    """Whatever stands in them; everything else arrives."""
    damages = [
        "data = x'00'",
        "data = 7",
        "id = x'00'",
        "received_ms = 'soon'",
        "revision = 'x'",
        "shelf = 9999",
    ]
    life = Life(tmp_path)
    async with life.run() as house:
        await life.grows(house)
        with contextlib.closing(sqlite3.connect(life.journal)) as db, db:
            for seq, damage in enumerate(damages, start=5):
                db.execute(f"UPDATE records SET {damage} WHERE seq = ?", (seq,))  # noqa: S608 - our own words
        house.axiom.standing = take_in
        await drained(house)
        letters = await house.app.journal.dead_letters("axiom")
        assert len(letters) == len(damages)
        assert all(letter.reason.startswith("unreadable in the journal: ") for letter in letters)
        known = set(life.acknowledged.values()) | set(house.files())
        assert len(known) == len(house.axiom.ids()) + len(damages)
    assert life.events.count("record.unreadable") == len(damages)
    assert not life.aside


@pytest.mark.parametrize(
    "value",
    [
        '{"at": "soon", "until": "soon", "success": "soon", "failures": 3}',
        '{"At": "2026-11-21T14:00:00Z", "failures": "many", "until": 7, "vins": 7, "body": "%"}',
        '{"at": "2026-11-21T14:00:00Z", "vins": 7, "body": 7, "failures": null}',
        "{",
    ],
)
async def test_what_was_remembered_and_is_broken_counts_as_forgotten(tmp_path, value):
    """Back-off, last attempt, lists and profiles of the cars: none of them is worth a start that fails."""
    life = Life(tmp_path)
    async with life.run() as house:
        await house.passes(INTERVAL)
    with contextlib.closing(sqlite3.connect(life.journal)) as db, db:
        db.execute("UPDATE memory SET value = ?", (value,))
    async with life.run() as house:
        house.axiom.standing = take_in
        await house.passes(2 * INTERVAL)
        assert house.app.status().sources[0].state == "ok"
        assert house.app.status().task_restarts == 0
        assert await house.is_well()


async def ends_well(life: Life) -> None:
    """Deliver all that there is, take back what was set aside, deliver that, and look for what is missing.

    In three runs, for some damage shows late; and one more whenever the last set something aside.
    """
    told: dict[Path, int] = {}
    letters: set[str] = set()
    for run in itertools.count(1):
        async with life.run() as house:
            house.axiom.standing = take_in
            await drained(house)
            assert house.app.status().sources[0].state == "ok"
            dead = await house.app.journal.dead_letters("axiom")
            letters |= {letter.record.id for letter in dead if letter.record}
        if run >= 3 and told.keys() == set(life.aside):
            break
        assert run < 10, "one journal after another is set aside"
        told |= await take_back(life)
    there = {*life.arrived.values(), *letters}
    missing = {
        identity
        for of, identity in life.acknowledged.items()
        if identity not in there and of not in life.arrived
    }
    lost = sum(told.values())
    # Where id and time were damaged, a record arrives or is set aside as another.
    renamed = len(there - set(life.acknowledged.values()))
    assert len(missing) <= lost + renamed, f"{len(missing)} lost, {lost} told, {renamed} under another id"
    assert not life.aside or "journal.set_aside" in life.events


async def drained(house: House) -> None:
    for _ in range(60):
        await house.passes(30)
        if await house.is_well():
            return
    pytest.fail(f"not well: {house.app.status()}")


async def take_back(life: Life) -> dict[Path, int]:
    """``poller salvage`` for all that was set aside; gives how much of each could not be read."""
    journal = SqliteJournal(life.journal, Policy(), SystemClock())
    await journal.open(["files", "axiom"])
    try:
        return {path: (await salvage(path, journal)).lost for path in life.aside}
    finally:
        await journal.close()
