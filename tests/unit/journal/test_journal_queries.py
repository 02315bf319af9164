"""The statements fit the schema, and none is left over."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

import poller.journal
from poller.journal.migrate import migrate
from poller.journal.queries import SQL, migrations, read_statements
from poller.testing.clock import ManualClock

FOLDER = Path(poller.journal.__file__).parent


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db, Path("memory"), migrations(), ManualClock())
    yield db
    db.close()


@pytest.mark.parametrize("name", sorted(SQL))
def test_every_statement_fits_the_schema(db, name):
    statement = SQL[name]
    named = dict.fromkeys(re.findall(r"(?<!:):(\w+)", statement))
    db.execute(f"EXPLAIN {statement}", named or [None] * statement.count("?")).fetchall()


def test_every_statement_is_used():
    code = "".join(file.read_text() for file in FOLDER.glob("*.py"))
    assert not [name for name in SQL if f'"{name}"' not in code]


def test_names_and_statements():
    text = "-- a comment\n-- name: one\nSELECT 1\n\n-- name: two\n-- why\nSELECT 2\n"
    assert read_statements(text) == {"one": "SELECT 1", "two": "-- why\nSELECT 2"}


def test_migrations_are_numbered_without_a_gap():
    names = sorted(file.name for file in (FOLDER / "sql" / "migrations").glob("*.sql"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))


def test_migrating_again_changes_nothing(db):
    before = db.execute("SELECT * FROM sqlite_schema").fetchall()
    assert not migrate(db, Path("memory"), migrations(), ManualClock())
    assert db.execute("SELECT * FROM sqlite_schema").fetchall() == before
    assert db.execute("PRAGMA user_version").fetchone() == (len(migrations()),)


@pytest.mark.parametrize(
    ("name", "values"),
    [("peek", {"since": 1, "horizon": 9, "kinds": None, "only_changes": 0, "limit": 5}),
     ("first_after", [1]), ("standing", [""]),
     ("last_through", [1]), ("shelf_find", [1, "", "", "", ""]), ("body_find", [1, b""]),
     ("record_revision", [b""]), ("newest_of", ["", ""]), ("day_records", [1, 5]), ("day_last_seq", [1])],
)  # fmt: skip
def test_what_runs_often_never_reads_a_whole_table(db, name, values):
    plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {SQL[name]}", values)]
    scans = [step for step in plan if step.startswith("SCAN") and "json_each" not in step]
    assert not scans, plan
