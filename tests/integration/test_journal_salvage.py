"""Copies of the journal, and taking back what is readable of a damaged one."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from journal_damage import break_page_of, break_root_of

from poller.app import App
from poller.cli.main import run
from poller.errors import JournalError
from poller.journal.base import Entry, Policy
from poller.journal.salvage import Salvaged, backup, salvage
from poller.journal.sqlite import SqliteJournal
from poller.settings import load
from poller.testing.clock import ManualClock
from poller.testing.journal import MemoryJournal
from poller.testing.records import record_number, snapshot_number

PAGE = 4096
COUNT = 600


@pytest.fixture
async def into() -> AsyncIterator[MemoryJournal]:
    journal = MemoryJournal(ManualClock())
    await journal.open(["files"])
    yield journal
    await journal.close()


@pytest.fixture
async def old(tmp_path: Path) -> Path:
    """A closed journal of COUNT answers over two days, their records and some trips."""
    path = tmp_path / "old" / "journal.db"
    journal = SqliteJournal(path, Policy(), ManualClock())
    await journal.open(["files"])
    entries = []
    for number in range(COUNT):
        answer, record = snapshot_number(number)
        bodies = {"state": random.Random(number).randbytes(80), "profile": b"the same " * 300}
        entries.append(Entry(answer=replace(answer, bodies=bodies), records=[record]))
    await asyncio.gather(*map(journal.append, entries))
    await journal.close()
    return path


async def records_in(journal: MemoryJournal) -> set[str]:
    batch = await journal.peek("files", limit=10 * COUNT)
    assert all(queued.record.replayed for queued in batch.records)
    return {queued.record.id for queued in batch.records}


def roots(path: Path) -> set[int]:
    """The pages that lead to all others of the shelves, the records, the bodies, the answers."""
    db = sqlite3.connect(path)
    statement = "SELECT name, rootpage FROM sqlite_schema"
    pages = {
        page for name, page in db.execute(statement) if name in ("shelves", "records", "bodies", "answers")
    }
    db.close()
    return pages


class TestBackup:
    async def test_a_whole_journal_in_one_private_file(self, old, tmp_path):
        copy = tmp_path / "copy.db"
        backup(old, copy)
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        db = sqlite3.connect(f"file:{copy}?immutable=1", uri=True)
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT count(*) FROM records").fetchone() == (COUNT,)
        db.close()
        assert {file.name for file in tmp_path.iterdir()} == {"copy.db", "old"}

    async def test_while_a_daemon_writes(self, tmp_path):
        """What was acknowledged before it began is in it; the daemon is not held up."""
        path, copy = tmp_path / "data" / "journal.db", tmp_path / "copy.db"
        journal = SqliteJournal(path, Policy(), ManualClock())
        await journal.open(["files"])
        for number in range(50):
            await journal.append(Entry(records=[record_number(number)]))
        copying = asyncio.ensure_future(asyncio.to_thread(backup, path, copy))
        number = 50
        while not copying.done():
            await journal.append(Entry(records=[record_number(number)]))
            number += 1
        await copying
        await journal.append(Entry(records=[record_number(number)]))
        assert (await journal.stats()).records == number + 1
        await journal.close()
        db = sqlite3.connect(copy)
        assert db.execute("SELECT count(*) FROM records").fetchone()[0] >= 50
        db.close()

    async def test_a_copy_is_a_journal(self, old, tmp_path):
        copy = tmp_path / "restored" / "journal.db"
        copy.parent.mkdir()
        backup(old, copy)
        journal = SqliteJournal(copy, Policy(), ManualClock())
        await journal.open(["files"])
        assert (await journal.backlog("files")).records == COUNT
        await journal.close()

    async def test_a_damaged_journal_gives_no_backup(self, old, tmp_path):
        with old.open("r+b") as file:
            file.seek(8 * PAGE)
            file.write(b"\xa5" * PAGE)
        with pytest.raises(JournalError):
            backup(old, tmp_path / "copy.db")
        assert {file.name for file in tmp_path.iterdir()} == {"old"}

    def test_what_cannot_be(self, tmp_path):
        with pytest.raises(JournalError, match="no journal"):
            backup(tmp_path / "nothing.db", tmp_path / "copy.db")

    async def test_not_onto_itself_nor_where_nobody_may_write(self, old, tmp_path):
        with pytest.raises(JournalError, match="itself"):
            backup(old, old)
        with pytest.raises(JournalError, match="cannot be written"):
            backup(old, tmp_path / "no such folder" / "copy.db")


class TestSalvage:
    async def test_a_sound_file_comes_back_whole_and_only_once(self, old, into):
        for _ in range(2):
            assert await salvage(old, into) == Salvaged(COUNT, COUNT, 0)
        assert await records_in(into) == {record_number(number).id for number in range(COUNT)}
        assert len(into.answers) == COUNT
        assert into.answers[7].bodies["state"] == random.Random(7).randbytes(80)

    async def test_into_the_journal_that_took_its_place(self, old, tmp_path):
        target = SqliteJournal(tmp_path / "new" / "journal.db", Policy(), ManualClock())
        await target.open(["files"])
        await target.append(Entry(records=[record_number(3)]))
        assert await salvage(old, target) == Salvaged(COUNT, COUNT, 0)
        assert (await target.stats()).records == COUNT
        await target.close()

    @pytest.mark.parametrize("stride", [9, pytest.param(1, marks=pytest.mark.soak)])
    async def test_any_one_page_costs_only_what_lies_on_it(self, old, stride):
        """Whatever page is lost; only the few that lead to all others of a table cost that table."""
        whole, leading = old.read_bytes(), roots(old)
        ids = {record_number(number).id for number in range(COUNT)}
        for page in range(1, len(whole) // PAGE + 1, stride):
            at = (page - 1) * PAGE
            old.write_bytes(whole[:at] + b"\xa5" * PAGE + whole[at + PAGE :])
            target = MemoryJournal(ManualClock())
            await target.open(["files"])
            taken = await salvage(old, target)
            back = await records_in(target)
            assert back <= ids
            assert (len(back), len(target.answers)) == (taken.records, taken.answers)
            assert taken.lost or (taken.records, taken.answers) == (COUNT, COUNT), page
            if page not in leading:
                assert min(taken.records, taken.answers) > COUNT // 3, page

    async def test_both_sides_of_a_broken_page_come_back(self, old, into):
        break_page_of(old, "records")
        taken = await salvage(old, into)
        assert taken.records >= COUNT - 60
        assert taken.lost == COUNT - taken.records
        assert await records_in(into) > {record_number(0).id, record_number(COUNT - 1).id}

    @pytest.mark.parametrize("lost", [["totals"], ["totals", "records_by_shelf"]])
    async def test_the_first_records_are_missed_too(self, old, into, lost):
        """Without their counter: whoever begins later might only have been pruned."""
        break_page_of(old, "records", share=0)
        for name in lost:
            break_root_of(old, name)
        taken = await salvage(old, into)
        assert record_number(0).id not in await records_in(into)
        assert 0 < taken.lost == COUNT - taken.records

    async def test_broken_rows_are_counted(self, old, into):
        db = sqlite3.connect(old)
        with db:
            db.execute("UPDATE records SET data = x'00' WHERE seq IN (5, 6)")
            db.execute("UPDATE bodies SET data = x'00' WHERE id = 9")
        db.close()
        assert await salvage(old, into) == Salvaged(COUNT - 2, COUNT - 1, 3)

    async def test_the_damaged_file_is_left_as_it_is(self, old, into):
        with old.open("r+b") as file:
            file.write(b"\xa5" * PAGE)
        before = old.read_bytes()
        await salvage(old, into)
        assert old.read_bytes() == before
        assert {file.name for file in old.parent.iterdir()} == {"journal.db", "poller.lock"}

    @pytest.mark.parametrize(("table", "code"), [(None, 0), ("shelves", 1), ("records", 1)])
    async def test_where_no_record_comes_back_the_command_has_failed(self, old, tmp_path, table, code):
        if table:
            break_root_of(old, table)
        config = tmp_path / "config.toml"
        config.write_text('data_dir = "new"\n[sources.dumps]\ntype = "recorded"\ndirectory = "dumps"\n')
        words = ["salvage", str(old), "--config", str(config)]
        assert await asyncio.to_thread(run, words) == code

    async def test_what_came_back_has_not_waited_since_it_was_received(self, old, tmp_path):
        config = tmp_path / "config.toml"
        source = '[sources.dumps]\ntype = "recorded"\ndirectory = "dumps"\n'
        config.write_text(f'data_dir = "new"\n{source}[sinks.files]\ntype = "json_files"\n')
        assert await asyncio.to_thread(run, ["salvage", str(old), "--config", str(config)]) == 0
        app = App(load(config), clock=ManualClock(datetime.now(UTC) + timedelta(minutes=1)))
        await app.open()
        (sink,) = app.status().sinks
        await app.close()
        assert sink.backlog == COUNT
        assert app.clock.now() - sink.waiting_since < timedelta(minutes=10)

    async def test_nothing_to_salvage(self, tmp_path, into):
        with pytest.raises(JournalError, match="no file"):
            await salvage(tmp_path / "nothing.db", into)
        (tmp_path / "notes.txt").write_text("noise " * 5000)
        with pytest.raises(JournalError, match="can be read"):
            await salvage(tmp_path / "notes.txt", into)
        assert {file.name for file in tmp_path.iterdir()} == {"notes.txt"}
