"""Whose fault an error is, and what the operator is told."""

from __future__ import annotations

import sqlite3

import pytest

from poller.errors import JournalError, JournalFull
from poller.journal.faults import Damaged, Fault, OutOfRoom, explain, fault_of


def sqlite_error(name: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("it did not work")
    error.sqlite_errorname = name
    return error


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (sqlite_error("SQLITE_FULL"), Fault.FULL),
        (OutOfRoom(), Fault.FULL),
        (sqlite_error("SQLITE_CORRUPT"), Fault.DAMAGED),
        (sqlite_error("SQLITE_CORRUPT_INDEX"), Fault.DAMAGED),
        (sqlite_error("SQLITE_NOTADB"), Fault.DAMAGED),
        (Damaged("broken"), Fault.DAMAGED),
        (sqlite_error("SQLITE_IOERR_WRITE"), Fault.DISK),
        (sqlite_error("SQLITE_READONLY_DBMOVED"), Fault.DISK),
        (sqlite_error("SQLITE_BUSY"), Fault.DISK),
        (sqlite3.IntegrityError("twice"), Fault.CALLER),
        (sqlite3.ProgrammingError("closed"), Fault.CALLER),
        (ValueError("no JSON"), Fault.CALLER),
        (JournalError("no cursor"), Fault.CALLER),
    ],
)
def test_whose_fault(error, fault):
    assert fault_of(error) is fault


@pytest.mark.parametrize("name", ["SQLITE_IOERR_WRITE", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_BUSY"])
def test_the_disks_faults_say_what_to_do(name):
    said = explain(sqlite_error(name))
    assert type(said) is JournalError
    assert said.hint
    assert name.removeprefix("SQLITE_") in said.message


@pytest.mark.parametrize("error", [sqlite_error("SQLITE_FULL"), OutOfRoom()])
def test_full_says_so(error):
    said = explain(error)
    assert isinstance(said, JournalFull)
    assert "max_size" in str(said.hint)


def test_a_bug_stays_what_it_is():
    bug = KeyError("x")
    assert explain(bug) is bug
