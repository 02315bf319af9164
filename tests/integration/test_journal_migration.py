"""An older journal under a newer poller, and the way back: copied, changed as a whole, or left alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from journal_damage import break_page_of
from structlog.testing import capture_logs

from poller import __version__
from poller.errors import JournalError
from poller.journal.base import Entry, Policy
from poller.journal.migrate import copies
from poller.journal.queries import migrations
from poller.journal.sqlite import SqliteJournal
from poller.journal.store import Store
from poller.testing.clock import ManualClock
from poller.testing.records import snapshot_number

COUNT = 300
NOTES = "ALTER TABLE memory ADD COLUMN note TEXT;\nUPDATE memory SET note = 'old';"
MARKS = "CREATE TABLE marks (seq INTEGER PRIMARY KEY);\nINSERT INTO marks SELECT seq FROM records;"
#: What a later version of the poller would bring.
SECOND = [*migrations(), NOTES]
THIRD = [*SECOND, MARKS]
#: Long enough to be killed in.
NOISE = """
CREATE TABLE slow AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
SELECT i, hex(randomblob(8)) AS noise FROM n;
"""
SLOW = [*migrations(), NOISE]
CHILD = """
import sys
from pathlib import Path
from poller.journal.store import Store
from poller.runtime.clock import SystemClock

store = Store(Path(sys.argv[1]), SystemClock(), sys.argv[2].split("--next--"))
print("now", flush=True)
store.claim()
store.connect().close()
print("done", flush=True)
"""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def path(tmp_path: Path, clock: ManualClock) -> Path:
    """A closed journal of today's schema with COUNT records and a sink that is halfway through."""
    path = tmp_path / "data" / "journal.db"
    journal = SqliteJournal(path, Policy(), clock)
    await journal.open(["files"])
    made = [snapshot_number(number) for number in range(COUNT)]
    await asyncio.gather(*(journal.append(Entry(answer=answer, records=[record])) for answer, record in made))
    batch = await journal.peek("files", limit=COUNT // 2)
    await journal.settle("files", since=batch.since, through=batch.through)
    await journal.close()
    return path


def opened(path: Path, clock: ManualClock, scripts: list[str]) -> None:
    """As a poller that knows these scripts starts and stops."""
    store = Store(path, clock, scripts)
    store.sinks = ["files"]
    store.claim()
    try:
        store.connect().close()
    finally:
        store.release()


def ask(path: Path, question: str) -> list[tuple]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute(question).fetchall()


def schema(path: Path) -> int:
    return ask(path, "PRAGMA user_version")[0][0]


def content(path: Path) -> list[tuple]:
    return [*ask(path, "SELECT seq, id FROM records"), *ask(path, "SELECT sink, position FROM cursors")]


def test_what_was_there_is_there_afterwards_and_in_the_copy(path, clock) -> None:
    before = content(path)
    with capture_logs() as logs:
        opened(path, clock, SECOND)
    [copy] = copies(path)
    assert copy.name == "journal.db.before-schema-2-20261121T140000Z"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert (schema(path), schema(copy)) == (2, 1)
    assert content(path) == content(copy) == before
    assert ask(copy, "PRAGMA integrity_check") == [("ok",)]
    done = next(entry for entry in logs if entry["event"] == "journal.migrated")
    assert (done["before"], done["schema"], done["copy"]) == (1, 2, str(copy))


def test_a_second_start_copies_nothing(path, clock) -> None:
    for _ in range(2):
        opened(path, clock, SECOND)
    assert len(copies(path)) == 1


def test_several_steps_are_one(path, clock) -> None:
    opened(path, clock, THIRD)
    assert schema(path) == 3
    assert len(ask(path, "SELECT seq FROM marks")) == COUNT
    assert [copy.name.split("-")[2] for copy in copies(path)] == ["3"]


def test_a_new_journal_needs_no_copy(tmp_path, clock) -> None:
    path = tmp_path / "journal.db"
    opened(path, clock, THIRD)
    assert schema(path) == 3
    assert copies(path) == []


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param("UPDATE no_such_table SET x = 1;", id="no_such_table"),
        pytest.param("INSERT INTO marks SELECT 1 FROM records;", id="constraint"),
        pytest.param("CREATE TABLE half (x", id="cut_off"),
    ],
)
async def test_one_that_fails_changes_nothing_and_says_so(path, clock, wrong) -> None:
    """Not even the steps before the one that fails; and however often it is tried, it is copied once."""
    before = content(path)
    made = set()
    for _ in range(3):
        await clock.advance(15)
        with pytest.raises(JournalError, match="could not be brought from schema 1 to 4") as caught:
            opened(path, clock, [*THIRD, wrong])
        assert copies(path)[0].name in str(caught.value.hint)
        made.update(copies(path))
    assert schema(path) == 1
    assert content(path) == before
    assert len(made) == 1
    opened(path, clock, THIRD)
    assert content(path) == before


async def test_a_journal_that_went_on_between_two_tries_is_copied_anew(path, clock) -> None:
    broken = [*SECOND, "UPDATE no_such_table SET x = 1;"]
    with pytest.raises(JournalError):
        opened(path, clock, broken)
    journal = SqliteJournal(path, Policy(), clock)
    await journal.open(["files"])
    answer, record = snapshot_number(COUNT)
    await journal.append(Entry(answer=answer, records=[record]))
    await journal.close()
    await clock.advance(15)
    before = content(path)
    with pytest.raises(JournalError):
        opened(path, clock, broken)
    [copy] = copies(path)
    assert content(copy) == before


def test_without_room_for_a_copy_it_is_not_begun(path, clock) -> None:
    os.truncate(path, 4 * 2**40)
    with pytest.raises(JournalError, match=r"a copy, and room to work.*nothing was changed") as caught:
        opened(path, clock, SECOND)
    assert "free disk space" in str(caught.value.hint)
    assert schema(path) == 1
    assert copies(path) == []


def test_a_folder_that_cannot_be_written_is_named(path, clock) -> None:
    """A folder stands where the unfinished copy would: what the system refuses is said."""
    (path.parent / ".journal.db.before-schema-2-20261121T140000Z.partial").mkdir()
    with pytest.raises(JournalError, match="cannot be copied"):
        opened(path, clock, SECOND)
    assert schema(path) == 1


def test_a_damaged_journal_is_not_migrated_but_set_aside(path, clock) -> None:
    break_page_of(path, "records")
    opened(path, clock, SECOND)
    assert schema(path) == 2
    assert ask(path, "SELECT count(*) FROM records") == [(0,)]
    assert list(path.parent.glob("journal.db.corrupt-*"))
    assert copies(path) == []


async def test_two_copies_are_kept_of_the_newest_schemas(path, clock) -> None:
    scripts = list(migrations())
    for number in range(4):
        scripts.append(f"CREATE TABLE later_{number} (x);")
        opened(path, clock, scripts)
        await clock.advance(86_400)
    assert [copy.name.split("-")[2] for copy in copies(path)] == ["4", "5"]


class TestDowngrade:
    def test_it_is_refused_with_both_ways_out(self, path, clock) -> None:
        opened(path, clock, SECOND)
        before = path.read_bytes()
        with pytest.raises(JournalError, match=r"schema 2.*which knows schema 1") as caught:
            opened(path, clock, list(migrations()))
        assert f"poller {__version__}" in str(caught.value.hint)
        assert f"rename {copies(path)[0].name}" in str(caught.value.hint)
        assert path.read_bytes() == before

    def test_a_copy_that_is_too_new_as_well_is_not_offered(self, path, clock) -> None:
        opened(path, clock, SECOND)
        copies(path)[0].unlink()
        opened(path, clock, THIRD)
        with pytest.raises(JournalError) as caught:
            opened(path, clock, list(migrations()))
        assert "before-schema" not in str(caught.value.hint)
        assert "backup" in str(caught.value.hint)

    def test_a_schema_that_keeps_its_memory_elsewhere_is_refused_too(self, path, clock) -> None:
        opened(path, clock, [*SECOND, "CREATE TABLE small (a, b);"])
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("DROP TABLE memory")
        with pytest.raises(JournalError, match="a newer poller") as caught:
            opened(path, clock, SECOND)
        assert "install the newer version" in str(caught.value.hint)

    async def test_the_way_back_that_it_names_works(self, path, clock) -> None:
        """Away with the newer one, the copy under its name: the older poller goes on from there."""
        before = content(path)
        opened(path, clock, SECOND)
        path.rename(path.with_name("journal.db.newer"))
        copies(path)[0].rename(path)
        journal = SqliteJournal(path, Policy(), clock)
        await journal.open(["files"])
        assert (await journal.backlog("files")).records == COUNT - COUNT // 2
        await journal.close()
        assert content(path) == before


def killed(path: Path, moment: float) -> str:
    """What a start that migrates said before it was killed."""
    arguments = [sys.executable, "-c", CHILD, str(path), "--next--".join(SLOW)]
    child = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with contextlib.closing(child.stdout) as out:
        said = out.readline()
        time.sleep(moment)  # the moment of the kill is the test
        child.kill()
        said += out.read()
        child.wait(10)
    return said


def test_a_kill_in_the_middle_leaves_the_old_one_or_the_new_one(path, clock) -> None:
    before = content(path)
    rng = random.Random(7)
    cut = 0
    for _ in range(3):
        done = "done" in killed(path, rng.uniform(0.02, 0.2))
        cut += not done
        if done:
            break
        assert schema(path) in (1, 2)  # 2: killed between the commit and its word
        assert content(path) == before
    assert cut
    opened(path, clock, SLOW)
    assert (schema(path), len(ask(path, "SELECT i FROM slow"))) == (2, 300_000)
    assert content(path) == before
    assert len(copies(path)) == 1
    assert content(copies(path)[0]) == before
    assert not list(path.parent.glob(".*partial-*"))
