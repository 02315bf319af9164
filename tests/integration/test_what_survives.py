"""What returned or was acknowledged lasts through a power cut, counted sync by sync."""

from __future__ import annotations

import errno
import gzip
import json
import os
import sqlite3
import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from synced_disk import SyncedDisk

from poller.errors import SinkUnavailable, SourceUnavailable
from poller.journal.backup import backup
from poller.journal.base import Entry, Policy
from poller.journal.sqlite import SqliteJournal
from poller.runtime.atomic import write_atomic
from poller.sinks.base import SinkContext
from poller.sinks.json_files import JsonFilesSink
from poller.sinks.json_files.layouts import DailyLayout
from poller.sinks.settings import JsonFilesSettings
from poller.sources.mybmw.login.tokens import TokenFile, Tokens
from poller.testing.clock import ManualClock
from poller.testing.records import START, VIN, record_number
from poller.vehicle.privacy import Rendering

RENDERING = Rendering({VIN: "mini"})
#: Two of one day and one of the next.
RECORDS = [RENDERING.render(record_number(number)) for number in (0, 1, 288)]
LAYOUTS = ["snapshot", "daily"]
TOKENS = Tokens("mybmw:row:1", 1, START, "device", "session", START, START, "refresh", "access")


@pytest.fixture
def disk(tmp_path, monkeypatch) -> SyncedDisk:
    return SyncedDisk(tmp_path, monkeypatch)


def files(folder: Path, layout: str, clock: ManualClock) -> JsonFilesSink:
    settings = JsonFilesSettings(type="json_files", layout=layout)
    return JsonFilesSink("files", settings, SinkContext(clock, folder, RENDERING))


async def deliver_all(sink: JsonFilesSink, records: list) -> None:
    done = 0
    while done < len(records):
        done += (await sink.deliver(records[done:])).done


def lasting_ids(disk: SyncedDisk, folder: Path) -> list[str]:
    """Ids of the records in files that would be there after a cut; each file must be whole."""
    found = []
    for path in sorted(folder.rglob("*")):
        data = disk.content(path) if path.is_file() and not path.name.startswith(".") else None
        if data is not None:
            plain = gzip.decompress(data) if path.suffix == ".gz" else data
            found += [json.loads(line)["id"] for line in plain.splitlines()]
    return found


# A file written whole.


def test_a_file_that_was_written_lasts_with_content_and_name(disk, tmp_path):
    for data in (b"first", b"second, and longer than a buffer" * 1000):
        write_atomic(tmp_path / "file", data)
        assert disk.content(tmp_path / "file") == data
    assert disk.torn == []


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(disk, tmp_path):
    write_atomic(tmp_path / "file", b"old")
    disk.failure = OSError(errno.EIO, "the disk is ill")
    with pytest.raises(OSError, match="ill"):
        write_atomic(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208  # a plain listing


# Files of records.


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_what_the_files_sink_calls_done_lasts(disk, tmp_path, layout):
    """Also the first file of a day and vehicle: its folders are new."""
    sink = files(tmp_path, layout, ManualClock(START))
    await sink.open()
    for count in range(1, len(RECORDS) + 1):
        await deliver_all(sink, RECORDS[count - 1 : count])
        assert lasting_ids(disk, tmp_path / "snapshots") == [record["id"] for record in RECORDS[:count]]
    assert disk.torn == []


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_a_disk_that_cannot_sync_has_nothing_done(disk, tmp_path, layout):
    sink = files(tmp_path, layout, ManualClock(START))
    await sink.open()
    disk.failure = OSError(errno.EIO, "the disk is ill")
    with pytest.raises(SinkUnavailable):
        await sink.deliver(RECORDS[:1])
    assert list((tmp_path / "snapshots").rglob("*.json")) == []


async def test_a_day_that_was_compressed_lasts(disk, tmp_path):
    """Merged and synced before the plain file goes."""
    clock = ManualClock(START)
    sink = files(tmp_path, "daily", clock)
    await deliver_all(sink, RECORDS[:2])
    clock.jump(timedelta(days=1).total_seconds())
    await deliver_all(sink, RECORDS[2:])
    assert len(list((tmp_path / "snapshots").rglob("*.gz"))) == 1
    assert sorted(lasting_ids(disk, tmp_path / "snapshots")) == sorted(record["id"] for record in RECORDS)
    assert disk.torn == []


async def test_a_day_that_cannot_be_compressed_stays_as_it_is(disk, tmp_path):
    clock = ManualClock(START)
    sink = files(tmp_path, "daily", clock)
    await deliver_all(sink, RECORDS[:2])
    clock.jump(timedelta(days=1).total_seconds())
    (day,) = (tmp_path / "snapshots").rglob("*.ndjson")
    disk.failure = OSError(errno.EIO, "the disk is ill")
    with pytest.raises(OSError, match="ill"):
        DailyLayout(tmp_path / "snapshots", 0o640).tidy(clock.now().date())
    assert [json.loads(line)["id"] for line in day.read_bytes().splitlines()] == [
        record["id"] for record in RECORDS[:2]
    ]


# A login.


def test_a_login_that_was_stored_lasts_from_the_first_on(disk, tmp_path):
    """Its folder is new, too."""
    file = TokenFile(tmp_path, TOKENS.account)
    for generation in (1, 2):
        file.write(replace(TOKENS, generation=generation))
        data = disk.content(file.path)
        assert data is not None
        assert json.loads(data)["generation"] == generation
    assert disk.torn == []


def test_a_login_that_cannot_be_stored_leaves_the_old_one(disk, tmp_path):
    file = TokenFile(tmp_path, TOKENS.account)
    file.write(TOKENS)
    disk.failure = OSError(errno.ENOSPC, "no space left")
    with pytest.raises(SourceUnavailable):
        file.write(replace(TOKENS, generation=2))
    assert file.read() == TOKENS


# The journal's file.


async def begun(path: Path) -> SqliteJournal:
    journal = SqliteJournal(path, Policy(), ManualClock())
    await journal.open(["files"])
    return journal


async def test_a_new_journal_lasts_by_name_with_its_folder_and_is_private_at_once(disk, tmp_path):
    """The pages are SQLite's business; without its name the file is gone all the same."""
    path = tmp_path / "data" / "journal.db"
    before = os.umask(0)
    try:
        journal = await begun(path)
    finally:
        os.umask(before)
    assert disk.named(path)
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    await journal.close()


async def test_a_damaged_journal_stays_set_aside(disk, tmp_path):
    path = tmp_path / "journal.db"
    path.write_bytes(b"this is no database, and long enough to be one" * 200)
    damaged = path.stat().st_ino
    await (await begun(path)).close()
    (aside,) = tmp_path.glob("journal.db.corrupt-*")
    assert aside.stat().st_ino == damaged
    assert disk.named(aside)
    assert disk.named(path)


async def test_a_backup_lasts_by_name(disk, tmp_path):
    journal = await begun(tmp_path / "journal.db")
    await journal.append(Entry(records=[record_number(1)]))
    backup(tmp_path / "journal.db", tmp_path / "copy.db")
    await journal.close()
    assert disk.named(tmp_path / "copy.db")
    db = sqlite3.connect(tmp_path / "copy.db")
    assert db.execute("SELECT count(*) FROM records").fetchone() == (1,)
    db.close()
