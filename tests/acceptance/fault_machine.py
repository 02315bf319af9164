"""The faults of the page's section "Your machine": how each begins, and what ends it.

`MACHINE_KEPT` and `MACHINE_HEALS`: statements besides those of `fault_promises`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from pathlib import Path

import pytest
from fault_drill import LEAST_POLLS, POLLS_AFTER, Drill, Heal, Kept, Mishap, OwnWay, Step, nothing
from fault_house import INTERVAL, House
from fault_page import Row
from fault_sight import Story, wrong
from soak_disk import MIB, Disk, breakable_disk, small_disk

from poller.app import App
from poller.errors import JournalLocked
from poller.journal.letters import UNREADABLE
from poller.journal.salvage import salvage
from poller.settings import load

HOUR = 3600.0
PAGE = 4096
#: On a small disk the room that is kept free by default is more than there is.
SMALL = '[journal]\nkeep_free = "0"\n'
HERE = Path(__file__).parent


@contextmanager
def data_on_a_small_disk(folder: Path) -> Iterator[None]:
    """Room for the poller and little else."""
    for _ in small_disk(folder / "data", 6 * MIB):
        yield


async def fill_the_disk(house: House) -> None:
    Disk(house.data).fill()


async def make_room(house: House) -> None:
    Disk(house.data).free()


def set_the_clock(seconds: float) -> Step:
    async def begin(house: House) -> None:
        house.clock.jump(seconds)

    return begin


async def break_the_journal(house: House) -> None:
    """Noise over the page that holds the cursors."""
    path = house.data / "journal.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'cursors'").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(os.urandom(PAGE))


async def take_back(house: House) -> None:
    """What ``poller salvage`` does."""
    (aside,) = house.data.glob("journal.db.corrupt-*Z")
    taken = await salvage(aside, house.app.journal)
    assert taken.records > 0
    assert taken.lost == 0
    house.app.road.wake()


async def break_the_next_record(house: House) -> None:
    """What is stored of it is not what was written."""
    with closing(sqlite3.connect(house.data / "journal.db")) as db:
        db.execute(
            "CREATE TRIGGER spoil AFTER INSERT ON records BEGIN"
            " UPDATE records SET data = x'00' WHERE seq = new.seq; END"
        )
    await house.passes(INTERVAL)
    with closing(sqlite3.connect(house.data / "journal.db")) as db:
        db.execute("DROP TRIGGER spoil")


async def start_another(house: House) -> None:
    """It is told whose the data directory is."""
    second = App(load(house.config, environ={"TZ": "UTC"}))
    with pytest.raises(JournalLocked, match=f"process {os.getpid()} on "):
        await second.open()
    await second.close()


async def disk_turns_read_only(row: Row, folder: Path) -> None:
    """As a worn SD card does it: for good, with the journal open."""
    for disk in breakable_disk(folder, 32 * MIB):
        async with AsyncExitStack() as stack:
            house = House(disk.folder, SMALL)
            await house.run(stack)
            story = Story(await house.looks())
            disk.fail()
            for _ in range(LEAST_POLLS):
                await house.passes(INTERVAL)
                story.during.append(await house.looks())
            stored = house.axiom.ids()
        disk.unmount()
        disk.mount()
        async with AsyncExitStack() as stack:
            house = House(disk.folder, SMALL)
            house.clock.jump(HOUR)
            await house.run(stack)
            story.after.append(await house.looks())
            await house.passes(POLLS_AFTER * INTERVAL)
            story.after.append(await house.looks())
            assert row.statements("kept") == ["every record"]
            assert house.files().keys() == {*stored, *house.axiom.ids()}
    assert not (lies := wrong(row, story)), "\n".join([row.name, *lies])


def covered(file: str, test: str) -> OwnWay:
    """The fault takes more than a house; that test goes through it, and the row names its file."""

    async def look(row: Row, _folder: Path) -> None:
        assert f"\nasync def {test}(" in (HERE / file).read_text()
        assert f"`{file}`" in row.cells["heals"]
        assert row.statements("kept") == ["every acknowledged record"]

    return look


async def the_damaged_are_dead_letters(drill: Drill) -> None:
    """For each sink one of each damaged record, named, and all others arrived."""
    broken = {letter.record.id for letter in drill.middle.letters if letter.record is not None}
    assert len(broken) * 2 == len(drill.middle.letters) > 0
    assert all(letter.reason.startswith(UNREADABLE) for letter in drill.middle.letters)
    had = drill.house.axiom.ids()
    assert drill.house.files().keys() == set(had)
    told = drill.story.after[-1].metrics["poller_polls_total", frozenset({("source", "bmw")})]
    assert len(had) + len(broken) == told


MACHINE: dict[str, Mishap | OwnWay] = {
    "The disk is full": Mishap(fill_the_disk, make_room, extra=SMALL, around=data_on_a_small_disk),
    "The disk turns read-only": disk_turns_read_only,
    "The journal is damaged": Mishap(break_the_journal, nothing),
    "A record in the journal is damaged": Mishap(break_the_next_record, nothing),
    "The clock is set back": Mishap(set_the_clock(-HOUR), nothing),
    "The clock is set forth": Mishap(set_the_clock(8 * HOUR), nothing),
    "Another poller is started": Mishap(start_another, nothing),
    "The poller is killed": covered(
        "test_kill.py", "test_every_acknowledged_snapshot_is_delivered_after_one_clean_run"
    ),
    "The power is cut": covered("test_power_cut.py", "test_a_power_cut_loses_nothing_that_was_acknowledged"),
    "A sink is down for a month": covered(
        "test_soak_outage.py", "test_a_sink_that_was_down_for_long_gets_everything_in_order"
    ),
}
MACHINE_KEPT: dict[str, Kept] = {
    "every other record, and what is left of the damaged one as a dead letter": the_damaged_are_dead_letters
}
MACHINE_HEALS: dict[str, Heal] = {
    "`poller salvage` takes back what is readable": Heal(lambda _: 60, take_back),
    "there is nothing to heal": Heal(lambda _: 0),
}
