"""``poller backup`` beside a running poller, and the journal that is put back from it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import stat
import tarfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from poller.cli.main import run
from poller.errors import JournalError
from poller.journal.backup import archive, backup
from poller.journal.base import Entry, Policy
from poller.journal.sqlite import SqliteJournal
from poller.testing.clock import ManualClock
from poller.testing.records import record_number, snapshot_number
from poller.web.control import SOCKET_NAME, ControlServer

CONFIG = 'data_dir = "data"\n[sources.dumps]\ntype = "recorded"\ndirectory = "dumps"\n'
COUNT = 400


@pytest.fixture
async def journal(tmp_path: Path):
    """An open journal in ``data`` with COUNT records, beside a configuration; a login and the key."""
    data = tmp_path / "data"
    made = SqliteJournal(data / "journal.db", Policy(), ManualClock())
    await made.open(["files"])
    entries = [snapshot_number(number) for number in range(COUNT)]
    await asyncio.gather(*(made.append(Entry(answer=answer, records=[record])) for answer, record in entries))
    (data / "accounts").mkdir(mode=0o700)
    (data / "accounts" / "cardata-1.json").write_text("{}")
    (data / "installation.key").write_bytes(b"k" * 32)
    (tmp_path / "dumps").mkdir()
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    config.chmod(0o600)
    yield made
    await made.close()


@pytest.fixture
def poller(tmp_path, capsys) -> Callable[..., Awaitable[tuple[int, str]]]:
    """``poller ARGUMENTS`` by that configuration: exit code, and all that it said."""

    async def command(*arguments: str) -> tuple[int, str]:
        # In a thread, for a daemon that it may ask is in this loop.
        code = await asyncio.to_thread(run, [*arguments, "--config", str(tmp_path / "config.toml")])
        said = capsys.readouterr()
        return code, said.out + said.err

    return command


def count(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT count(*) FROM records").fetchone()[0]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("journal")
class TestCommand:
    async def test_a_private_copy_beside_a_poller_that_runs(self, tmp_path, poller, journal) -> None:
        code, said = await poller("backup", str(tmp_path / "copy.db"))
        assert (code, "Journal copied to" in said) == (0, True)
        assert count(tmp_path / "copy.db") == COUNT
        assert mode(tmp_path / "copy.db") == 0o600
        await journal.append(Entry(records=[record_number(COUNT)]))

    async def test_the_logins_on_request(self, tmp_path, poller) -> None:
        code, said = await poller("backup", str(tmp_path / "copy.db"), "--with-logins")
        assert code == 0, said
        logins = tmp_path / "copy.db.logins.tar"
        assert mode(logins) == 0o600
        with tarfile.open(logins) as tar:
            assert tar.getnames() == ["accounts", "accounts/cardata-1.json", "installation.key"]
        assert {file.name for file in tmp_path.iterdir()} >= {"copy.db", "copy.db.logins.tar"}

    async def test_with_a_data_directory_no_configuration_is_needed(self, tmp_path, poller) -> None:
        """As root beside a service: its secrets, and so its whole configuration, are not ours to read."""
        (tmp_path / "config.toml").write_text("[sinks.axiom]\ntype = 'axiom'\n")
        arguments = (str(tmp_path / "copy.db"), "--data-dir", str(tmp_path / "data"))
        code, said = await poller("backup", *arguments)
        assert code == 0, said
        assert count(tmp_path / "copy.db") == COUNT

    async def test_a_running_service_says_where_its_data_are(
        self, tmp_path, poller, monkeypatch, journal
    ) -> None:
        config = tmp_path / "config.toml"
        config.write_text("[sinks.axiom]\ntype = 'axiom'\n")
        runtime = tmp_path / "run"
        runtime.mkdir()

        async def status(_args: dict) -> dict:
            return {"journal": {"path": (await journal.stats()).path}}

        control = ControlServer(runtime / SOCKET_NAME, {"status": status})
        await control.start()
        monkeypatch.setenv("RUNTIME_DIRECTORY", str(runtime))
        code, said = await poller("backup", str(tmp_path / "copy.db"))
        await control.stop()
        assert code == 0, said
        assert count(tmp_path / "copy.db") == COUNT

    async def test_nothing_is_overwritten_and_nothing_half_done_is_left(self, tmp_path, poller) -> None:
        (tmp_path / "copy.db").write_text("mine")
        (tmp_path / "other.db.logins.tar").write_text("mine")
        before = {file.name for file in tmp_path.iterdir()}
        for name in ("copy.db", "other.db"):
            code, said = await poller("backup", str(tmp_path / name), "--with-logins")
            assert code == 1
            assert "exists already" in said
        assert {file.name for file in tmp_path.iterdir()} == before
        assert (tmp_path / "copy.db").read_text() == "mine"


@pytest.mark.usefixtures("journal")
class TestCopy:
    async def test_a_link_that_leads_nowhere_is_not_followed(self, tmp_path) -> None:
        (tmp_path / "copy.db").symlink_to(tmp_path / "elsewhere.db")
        with pytest.raises(JournalError, match="exists already"):
            backup(tmp_path / "data" / "journal.db", tmp_path / "copy.db")
        assert not (tmp_path / "elsewhere.db").exists()

    async def test_progress_is_told_to_the_end(self, tmp_path) -> None:
        told: list[tuple[int, int]] = []
        backup(tmp_path / "data" / "journal.db", tmp_path / "copy.db", lambda *pages: told.append(pages))
        assert told[-1][0] == 0
        assert told[-1][1] * 4096 == (tmp_path / "copy.db").stat().st_size

    async def test_two_at_once_to_one_file_do_not_mix(self, tmp_path) -> None:
        with (tmp_path / ".copy.db.partial").open("w") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            with pytest.raises(JournalError, match="another copy"):
                backup(tmp_path / "data" / "journal.db", tmp_path / "copy.db")

    async def test_what_a_killed_one_left_is_no_obstacle(self, tmp_path) -> None:
        for name in (".copy.db.partial", ".copy.db.partial-journal", ".copy.db.partial-wal"):
            (tmp_path / name).write_bytes(os.urandom(9000))
        backup(tmp_path / "data" / "journal.db", tmp_path / "copy.db")
        assert count(tmp_path / "copy.db") == COUNT
        assert not list(tmp_path.glob(".copy.db*"))

    async def test_a_disk_that_cannot_hold_it_is_named_before_anything_is_written(
        self, tmp_path, journal
    ) -> None:
        await journal.close()
        os.truncate(tmp_path / "data" / "journal.db", 8 * 2**40)
        with pytest.raises(JournalError, match=r"needs 8,796,\d{3},\d{3},\d{3} bytes") as caught:
            backup(tmp_path / "data" / "journal.db", tmp_path / "copy.db")
        assert "another disk" in str(caught.value.hint)
        assert not list(tmp_path.glob("*copy.db*"))

    async def test_a_journal_that_may_not_be_read_is_not_taken_for_a_disk_that_may_not_be_written(
        self, tmp_path
    ) -> None:
        """A file in the folder's place stands in for a folder of another user: root may enter those."""
        with pytest.raises(JournalError, match="may not read") as caught:
            backup(tmp_path / "config.toml" / "journal.db", tmp_path / "copy.db")
        assert "sudo poller backup" in str(caught.value.hint)

    def test_an_archive_of_what_is_not_there_is_empty(self, tmp_path) -> None:
        archive(tmp_path, ["accounts"], tmp_path / "logins.tar")
        with tarfile.open(tmp_path / "logins.tar") as tar:
            assert tar.getnames() == []


async def test_a_restored_journal_carries_on(tmp_path, journal) -> None:
    """Cursors stand where they stood; what was sent since goes again under its old id; nothing is skipped."""
    path = tmp_path / "data" / "journal.db"
    first = await journal.peek("files", limit=150)
    await journal.settle("files", since=first.since, through=first.through)
    await journal.remember("backoff:cardata", {"failures": 2})
    backup(path, tmp_path / "copy.db")
    second = await journal.peek("files", limit=150)
    await journal.settle("files", since=second.since, through=second.through)
    await journal.append(Entry(records=[record_number(COUNT)]))
    await journal.close()

    # As the page on backups says: everything of the old one away, the copy under its name.
    for file in path.parent.glob("journal.db*"):
        file.unlink()
    path.write_bytes((tmp_path / "copy.db").read_bytes())
    restored = SqliteJournal(path, Policy(), ManualClock())
    await restored.open(["files"])
    again = await restored.peek("files", limit=150)
    assert [one.record.id for one in again.records] == [one.record.id for one in second.records]
    assert await restored.recall("backoff:cardata") == {"failures": 2}
    # What was polled since is gone from the journal; taken in anew it is one record, and only once.
    [seq] = await restored.append(Entry(records=[record_number(COUNT)]))
    assert seq > again.through
    assert await restored.append(Entry(records=[record_number(COUNT), record_number(3)])) == [0, 0]
    assert (await restored.stats()).records == COUNT + 1
    assert mode(path) == 0o600
    await restored.close()
