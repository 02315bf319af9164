"""`poller check` tells of sinks that left the configuration, without disturbing the journal's owner."""

from __future__ import annotations

import json

import pytest

from poller.cli.main import run
from poller.journal.base import Entry, Policy
from poller.journal.sqlite import SqliteJournal
from poller.testing.clock import ManualClock
from poller.testing.records import record_number

CONFIG = """
data_dir = "data"
[sources.dumps]
type = "recorded"
directory = "dumps"
[sinks.files]
type = "json_files"
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("running", [True, False], ids=["beside a daemon", "without one"])
async def test_a_renamed_sink_shows(config, tmp_path, capsys, running) -> None:
    journal = SqliteJournal(tmp_path / "data" / "journal.db", Policy(), ManualClock())
    await journal.open(["files", "old-name"])
    await journal.append(Entry(records=[record_number(1), record_number(2)]))
    if not running:
        await journal.close()
    try:
        assert run(["check", "--config", str(config)]) == 0
        shown = capsys.readouterr().out
        assert run(["check", "--json", "--config", str(config)]) == 0
    finally:
        await journal.close()
    assert "orphan   old-name: 2 records wait" in shown
    assert "poller sinks forget old-name" in shown
    assert json.loads(capsys.readouterr().out)["orphans"] == {"old-name": 2}


@pytest.mark.parametrize("content", [None, b"", b"no database at all"])
def test_a_journal_that_cannot_be_read_is_not_this_commands_business(
    config, tmp_path, capsys, content
) -> None:
    if content is not None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "journal.db").write_bytes(content)
    assert run(["check", "--config", str(config)]) == 0
    assert "orphan" not in capsys.readouterr().out


def test_nothing_is_made(config, tmp_path) -> None:
    assert run(["check", "--config", str(config)]) == 0
    assert not (tmp_path / "data").exists()
