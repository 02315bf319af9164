"""The journal's file: private, locked, migrated, set aside when damaged; its writer: one commit for many."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from journal_damage import break_page_of

from poller.errors import JournalError, JournalLocked
from poller.journal import place
from poller.journal.base import Entry, Policy, Rejected
from poller.journal.codec import squeeze
from poller.journal.lock import DirectoryLock
from poller.journal.queries import migrations
from poller.journal.sqlite import SqliteJournal
from poller.testing.clock import ManualClock
from poller.testing.records import record_number, snapshot_number
from poller.vehicle.records import record_id

#: Enough that its pages do not fit into the 256 KiB that a connection holds in memory.
MANY = 1200


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "journal.db"


@pytest.fixture
def journal(path: Path) -> SqliteJournal:
    return SqliteJournal(path, Policy(), ManualClock())


@pytest.fixture
async def opened(journal: SqliteJournal) -> AsyncIterator[SqliteJournal]:
    await journal.open(["files"])
    yield journal
    await journal.close()


def change(path: Path, statement: str, *values: object) -> None:
    """Do something to a closed journal that only an accident would do."""
    db = sqlite3.connect(path)
    with db:
        db.execute(statement, values)
    db.close()


def ask(path: Path, statement: str) -> list[tuple[object, ...]]:
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    rows = db.execute(statement).fetchall()
    db.close()
    return rows


async def fill(path: Path, count: int, *sinks: str) -> None:
    journal = SqliteJournal(path, Policy(), ManualClock())
    await journal.open(sinks or ["files"])
    entries = [snapshot_number(number) for number in range(count)]
    await asyncio.gather(*(journal.append(Entry(answer=a, records=[r])) for a, r in entries))
    await journal.close()


def commits(path: Path) -> int:
    """Commit frames in the write-ahead log (its format: sqlite.org/fileformat2.html)."""
    log = path.with_name(path.name + "-wal").read_bytes()
    frames = range(32, len(log), 24 + 4096)
    return sum(int.from_bytes(log[at + 4 : at + 8], "big") != 0 for at in frames)


class TestFiles:
    async def test_private_whatever_the_umask(self, path):
        before = os.umask(0)
        try:
            await fill(path, 1)
            journal = SqliteJournal(path, Policy(), ManualClock())
            await journal.open(["files"])
            await journal.append(Entry(records=[record_number(5)]))
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
            await journal.close()
        finally:
            os.umask(before)
        assert modes.keys() == {"journal.db", "journal.db-wal", "journal.db-shm", "poller.lock"}
        assert set(modes.values()) == {0o600}
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    async def test_a_wider_mode_is_narrowed(self, path):
        await fill(path, 1)
        path.chmod(0o644)
        await fill(path, 1)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    async def test_after_close_there_is_one_file_with_everything(self, path):
        await fill(path, 20)
        assert {file.name for file in path.parent.iterdir()} == {"journal.db", "poller.lock"}
        assert ask(path, "SELECT count(*) FROM records") == [(20,)]

    async def test_power_may_fail_after_every_append(self, path, opened):
        await opened.append(Entry(records=[record_number(1)]))
        assert ask(path, "SELECT count(*) FROM records") == [(1,)]
        assert await opened._writer.run(lambda db: db.execute("PRAGMA synchronous").fetchone()) == (2,)
        assert await opened._writer.run(lambda db: db.execute("PRAGMA journal_mode").fetchone()) == ("wal",)
        assert await opened._writer.run(lambda db: db.execute("PRAGMA cache_size").fetchone()) == (-256,)

    async def test_a_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / "file").write_text("in the way")
        journal = SqliteJournal(tmp_path / "file" / "journal.db", Policy(), ManualClock())
        with pytest.raises(JournalError, match="cannot be made") as caught:
            await journal.open(["files"])
        assert caught.value.hint
        await journal.close()

    @pytest.mark.parametrize("kind", ["nfs4", "cifs", "smb3", "9p"])
    def test_network_file_systems_are_refused(self, tmp_path, kind):
        mounts = tmp_path / "mounts"
        folder = tmp_path / "a share" / "data"
        shown = str(folder.parent).replace(" ", "\\040")
        mounts.write_text(f"none / ext4 rw 0 0\nnas:/x {shown} {kind} rw 0 0\nnone /proc proc rw 0 0\n")
        with pytest.raises(JournalError, match=rf"network file system \({kind}\)"):
            place.prepare_folder(folder, mounts)
        place.prepare_folder(tmp_path / "elsewhere", mounts)


class TestLock:
    def test_an_owner_who_is_still_writing_his_name_is_waited_for(self, tmp_path):
        """Of many that are started together, each is told who was first."""
        held = os.open(tmp_path / "poller.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(held, fcntl.LOCK_EX)
        writing = threading.Timer(0.02, os.write, (held, b"4711 home\n"))
        writing.start()
        with pytest.raises(JournalLocked, match="process 4711 on home"):
            DirectoryLock(tmp_path).acquire()
        writing.join()
        os.close(held)

    async def test_a_second_opener_is_told_who_was_first(self, path, opened):
        second = SqliteJournal(path, Policy(), ManualClock())
        for _ in range(2):
            with pytest.raises(JournalLocked, match=rf"process {os.getpid()} on {socket.gethostname()}"):
                await second.open(["files"])
        assert await opened.append(Entry(records=[record_number(1)]))
        await opened.close()
        await second.open(["files"])
        assert await second.append(Entry(records=[record_number(2)]))
        await second.close()

    async def test_opening_twice_is_refused_and_harms_nothing(self, opened):
        with pytest.raises(JournalError, match="open already"):
            await opened.open(["files"])
        assert await opened.append(Entry(records=[record_number(1)]))

    async def test_free_again_after_close(self, path, journal):
        await journal.open(["files"])
        await journal.close()
        await fill(path, 1)

    def test_a_killed_owner_leaves_nothing_to_clear_up(self, tmp_path):
        code = (
            "import sys, time\nfrom pathlib import Path\nfrom poller.journal.lock import DirectoryLock\n"
            "DirectoryLock(Path(sys.argv[1])).acquire()\nprint('mine', flush=True)\ntime.sleep(60)\n"
        )
        owner = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
        try:
            assert owner.stdout is not None
            assert owner.stdout.readline() == b"mine\n"
            with pytest.raises(JournalLocked, match=f"process {owner.pid} "):
                DirectoryLock(tmp_path).acquire()
        finally:
            owner.send_signal(signal.SIGKILL)
            owner.wait(10)
            owner.stdout.close()
        lock = DirectoryLock(tmp_path)
        lock.acquire()
        lock.release()
        lock.release()


class TestSchema:
    async def test_a_newer_one_is_refused_and_left_alone(self, path, journal):
        await fill(path, 1)
        change(path, f"PRAGMA user_version = {len(migrations()) + 1}")
        before = path.read_bytes()
        with pytest.raises(JournalError, match="newer poller") as caught:
            await journal.open(["files"])
        assert "install the newer version" in str(caught.value.hint)
        assert path.read_bytes() == before
        assert {file.name for file in path.parent.iterdir()} == {"journal.db", "poller.lock"}

    async def test_somebody_elses_database_is_refused_and_left_alone(self, path, journal):
        path.parent.mkdir()
        change(path, "CREATE TABLE photos (name TEXT)")
        with pytest.raises(JournalError, match="not a journal"):
            await journal.open(["files"])
        assert ask(path, "SELECT count(*) FROM photos") == [(0,)]

    async def test_an_interrupted_first_start_is_begun_again(self, path, opened):
        """A file without tables, as a kill between creating and migrating leaves it, is just new."""
        await opened.close()
        path.unlink()
        path.touch()
        await fill(path, 1)
        assert ask(path, "SELECT count(*) FROM records") == [(1,)]


class TestGroupCommit:
    async def test_what_waits_together_is_committed_together(self, path, opened):
        before = commits(path)
        await asyncio.gather(*(opened.append(Entry(records=[record_number(n)])) for n in range(500)))
        assert commits(path) - before <= 10

    async def test_alone_a_job_is_committed_at_once(self, path, opened):
        before = commits(path)
        for number in range(5):
            await opened.append(Entry(records=[record_number(number)]))
        assert commits(path) - before == 5

    async def test_what_was_queued_is_finished_before_closing(self, path, journal):
        await journal.open(["files"])
        appends = [
            asyncio.ensure_future(journal.append(Entry(records=[record_number(n)]))) for n in range(50)
        ]
        await asyncio.sleep(0)
        await journal.close()
        assert len(await asyncio.gather(*appends)) == 50
        assert ask(path, "SELECT count(*) FROM records") == [(50,)]

    async def test_a_caller_that_gave_up_harms_nobody(self, opened):
        task = asyncio.ensure_future(opened.append(Entry(records=[record_number(1)])))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await opened.append(Entry(records=[record_number(2)]))

    async def test_after_a_failure_of_the_disk_the_file_is_opened_anew(self, opened):
        def fail(_: sqlite3.Connection) -> None:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = "SQLITE_IOERR_READ"
            raise error

        before = await opened._writer.run(lambda db: db)
        with pytest.raises(JournalError, match="IOERR_READ"):
            await opened._writer.run(fail)
        assert await opened._writer.run(lambda db: db) is not before
        assert await opened.append(Entry(records=[record_number(1)]))

    async def test_a_bug_in_a_job_is_told_and_survived(self, opened):
        with pytest.raises(ZeroDivisionError):
            await opened._writer.run(lambda _: 1 // 0)
        assert await opened.append(Entry(records=[record_number(1)]))


class TestStorage:
    async def test_equal_bodies_of_a_day_are_stored_once(self, path, opened):
        for number in range(20):
            answer, record = snapshot_number(number)
            bodies = {"state": answer.bodies["state"], "profile": b"the same " * 500}
            again = type(answer)(answer.source, answer.kind, answer.vin, answer.received_at, bodies)
            await opened.append(Entry(answer=again, records=[record]))
        await opened.close()
        assert ask(path, "SELECT count(*) FROM bodies") == [(21,)]

    async def test_nothing_refers_to_another_day(self, path, opened):
        for number in range(0, 3 * 288, 24):
            answer, record = snapshot_number(number)
            await opened.append(Entry(answer=answer, records=[record]))
        await opened.close()
        dangling = """SELECT count(*) FROM answers a JOIN shelves s ON s.id = a.shelf, json_each(a.bodies) j
            LEFT JOIN bodies b ON b.id = j.value LEFT JOIN shelves t ON t.id = b.shelf
            WHERE t.day IS NULL OR t.day <> s.day OR t.vin <> s.vin"""
        assert ask(path, dangling) == [(0,)]
        assert ask(path, "SELECT count(DISTINCT day) FROM shelves") == [(4,)]

    async def test_vins_are_whole_and_ids_small(self, path, opened):
        await opened.append(Entry(records=[record_number(1)]))
        await opened.close()
        assert ask(path, "SELECT vin, source, name FROM shelves") == [
            ("WMW00000000000001", "fake", "snapshot")
        ]
        assert ask(path, "SELECT typeof(id), length(id), typeof(shelf) FROM records") == [
            ("blob", 16, "integer")
        ]


class TestBrokenRows:
    async def break_record(self, path: Path, seq: int, data: bytes) -> None:
        change(path, "UPDATE records SET data = ? WHERE seq = ?", data, seq)

    @pytest.mark.parametrize(
        "data", [b"", b"noise", squeeze(b"no json"), squeeze(b"[1]")], ids=["empty", "zlib", "json", "shape"]
    )
    async def test_a_record_becomes_a_dead_letter_of_each_sink(self, path, data):
        await fill(path, 4, "files", "axiom")
        await self.break_record(path, 2, data)
        journal = SqliteJournal(path, Policy(), ManualClock())
        await journal.open(["files", "axiom"])
        for sink in ("files", "axiom"):
            for _ in range(2):
                batch = await journal.peek(sink, limit=10)
                assert [queued.seq for queued in batch.records] == [1, 3, 4]
            assert await journal.settle(sink, since=batch.since, through=batch.through)
            (letter,) = await journal.dead_letters(sink)
            assert letter.reason.startswith("unreadable in the journal")
            assert letter.record is not None
            assert (letter.record.id, letter.record.body) == (record_number(1).id, {})
            assert await journal.retry([letter.id]) == 0
        assert (await journal.stats()).dead_letters == {"files": 1, "axiom": 1}
        await journal.close()

    async def test_a_batch_of_nothing_else_still_moves_on(self, path):
        await fill(path, 2)
        await self.break_record(path, 1, b"noise")
        journal = SqliteJournal(path, Policy(), ManualClock())
        await journal.open(["files"])
        batch = await journal.peek("files", limit=1)
        assert (list(batch.records), batch.since, batch.through) == ([], 0, 1)
        await journal.close()

    async def test_a_lost_shelf_is_not_passed_over_in_silence(self, path):
        await fill(path, 2)
        change(path, "DELETE FROM shelves WHERE role = 'record'")
        journal = SqliteJournal(path, Policy(), ManualClock())
        await journal.open(["files"])
        batch = await journal.peek("files", limit=10, kinds=["trip"])
        assert not batch.records
        assert len(await journal.dead_letters("files")) == 2
        await journal.close()

    async def test_a_broken_dictionary_costs_what_was_there_but_not_what_comes(self, path):
        await fill(path, 2)
        change(path, "UPDATE shelves SET first = ?", b"noise")
        journal = SqliteJournal(path, Policy(), ManualClock())
        await journal.open(["files"])
        answer, record = snapshot_number(7)
        await journal.append(Entry(answer=answer, records=[record]))
        batch = await journal.peek("files", limit=10)
        assert [queued.record for queued in batch.records] == [record]
        assert len(await journal.dead_letters("files")) == 2
        await journal.close()

    async def test_others_are_shown_beside_a_broken_letter(self, path, opened):
        await opened.append(Entry(answer=snapshot_number(1)[0], quarantine="one"))
        await opened.append(Entry(answer=snapshot_number(2)[0], quarantine="two"))
        await opened.close()
        change(path, "UPDATE dead_letters SET data = ? WHERE id = 1", b"noise")
        await opened.open(["files"])
        first, second = await opened.dead_letters()
        assert "unreadable" in first.reason
        assert second.answer == snapshot_number(2)[0]

    async def test_a_broken_letter_leaves_the_retries(self, path, opened):
        await opened.append(Entry(records=[record_number(1)]))
        batch = await opened.peek("files", limit=1)
        await opened.settle("files", since=0, through=1, rejected=[Rejected(batch.records[0].record, "no")])
        await opened.retry([1])
        await opened.close()
        change(path, "UPDATE dead_letters SET data = ?", b"noise")
        await opened.open(["files"])
        assert not await opened.retries("files", limit=5)
        assert await opened.retry([1]) == 0
        assert len(await opened.dead_letters("files")) == 1

    async def test_forgotten_memory_and_newest(self, path, opened):
        await opened.remember("quota", {"left": 3})
        await opened.append(Entry(records=[record_number(1), record_number(1, source="b")]))
        await opened.close()
        change(path, "UPDATE memory SET value = 'noise' WHERE key = 'quota'")
        change(path, "UPDATE newest SET body = 'noise' WHERE source = 'b'")
        await opened.open(["files"])
        assert await opened.recall("quota") is None
        assert list(await opened.newest()) == [record_number(1)]


def set_aside(path: Path) -> list[Path]:
    files = sorted(path.parent.glob("journal.db.corrupt-*"))
    return [file for file in files if not file.name.endswith(("-wal", "-shm"))]


class TestDamage:
    @pytest.mark.parametrize(
        "content", [b"noise" * 5000, b"SQLite format 3\0" + b"\xff" * 9000], ids=["noise", "only the name"]
    )
    async def test_set_aside_at_open_and_said_so(self, path, content):
        await fill(path, 5)
        path.write_bytes(content)
        journal = SqliteJournal(path, Policy(), ManualClock())
        with structlog.testing.capture_logs() as logs:
            await journal.open(["files"])
        assert [file.name for file in set_aside(path)] == ["journal.db.corrupt-20261121T140000Z"]
        assert set_aside(path)[0].read_bytes() == content
        (entry,) = [entry for entry in logs if entry["event"] == "journal.set_aside"]
        assert (entry["log_level"], entry["file"]) == ("error", str(set_aside(path)[0]))
        assert await journal.recall("journal:begun") == {
            "at": "2026-11-21T14:00:00.000Z",
            "why": "damaged",
            "set_aside": set_aside(path)[0].name,
        }
        assert await journal.append(Entry(records=[record_number(1)]))
        await journal.close()

    async def test_a_file_cut_short(self, path):
        await fill(path, MANY)
        os.truncate(path, path.stat().st_size // 2)
        await fill(path, 1)
        assert len(set_aside(path)) == 1

    async def test_twice_in_a_second(self, path):
        for _ in range(2):
            await fill(path, 1)
            path.write_bytes(b"noise" * 5000)
        await fill(path, 1)
        assert [file.name[-2:] for file in set_aside(path)] == ["0Z", "-2"]

    async def test_found_by_a_reader_while_running(self, path):
        await fill(path, MANY, "files", "axiom")
        break_page_of(path, "records")
        journal = SqliteJournal(path, Policy(), ManualClock())
        await journal.open(["files", "axiom"])
        read = 0
        while (batch := await journal.peek("files", limit=500)).through != batch.since:
            read += len(batch.records)
            assert await journal.settle("files", since=batch.since, through=batch.through)
            assert read < MANY
        assert len(set_aside(path)) == 1
        (seq,) = await journal.append(Entry(records=[record_number(1)]))
        assert seq > MANY
        assert [q.seq for q in (await journal.peek("axiom", limit=9)).records] == [seq]
        await journal.close()

    async def test_found_by_the_writer_while_running_and_the_append_is_not_lost(self, path):
        await fill(path, MANY)
        break_page_of(path, "sqlite_autoindex_records_1")
        journal = SqliteJournal(path, Policy(), ManualClock())
        await journal.open(["files"])
        assert (await journal.backlog("files")).records == MANY
        for number in range(MANY, MANY + 200):
            await journal.append(Entry(records=[record_number(number)]))
            if set_aside(path):
                break
        assert len(set_aside(path)) == 1
        newest = record_number(number)
        assert [q.record for q in (await journal.peek("files", limit=9)).records] == [newest]
        await journal.close()

    async def test_a_batch_from_the_old_file_does_not_settle_in_the_new_one(self, path, opened):
        await opened.append(Entry(records=[record_number(1)]))
        batch = await opened.peek("files", limit=5)
        await opened.close()
        path.write_bytes(b"noise" * 5000)
        await opened.open(["files"])
        assert batch.since == 0
        assert not await opened.settle("files", since=batch.since, through=batch.through)


@pytest.mark.parametrize("gone", ["the file", "the whole folder"])
async def test_deleted_under_a_running_poller_it_begins_anew_and_says_so(tmp_path, gone):
    """What is acknowledged afterwards is on disk, not in a file that nobody can find any more."""
    path = tmp_path / "data" / "journal.db"
    journal = SqliteJournal(path, Policy(), ManualClock())
    await journal.open(["files"])
    await journal.append(Entry(records=[record_number(1)]))
    if gone == "the file":
        for file in path.parent.glob("journal.db*"):
            file.unlink()
    else:
        shutil.rmtree(path.parent)
    with structlog.testing.capture_logs() as logs:
        assert await journal.append(Entry(records=[record_number(2)]))
    assert [entry["event"] for entry in logs] == ["journal.vanished"]
    batch = await journal.peek("files", limit=10)
    assert [queued.record.id for queued in batch.records] == [record_number(2).id]
    assert (await journal.recall("journal:begun"))["why"] == "vanished"
    with pytest.raises(JournalLocked):
        await SqliteJournal(path, Policy(), ManualClock()).open(["files"])
    await journal.close()
    assert ask(path, "SELECT count(*) FROM records") == [(1,)]


async def test_what_a_closed_journal_says(journal):
    with pytest.raises(JournalError, match="closed"):
        await journal.append(Entry())
    with pytest.raises(JournalError, match="closed"):
        await journal.peek("files", limit=1)


async def test_a_backlog_is_never_held_in_memory(opened):
    """Looking at 500 of many thousand takes what 500 take, whatever the kinds asked for."""
    one = record_number(1)
    records = [replace(one, id=record_id(str(number))) for number in range(6000)]
    await opened.append(Entry(records=records))
    batch = await opened.peek("files", limit=500)
    assert (len(batch.records), batch.through) == (500, 500)
    batch = await opened.peek("files", limit=500, kinds=["trip"])
    assert (len(batch.records), batch.through) == (0, 5000)
