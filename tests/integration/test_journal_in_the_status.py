"""What becomes of the journal is told: a failure in status and readiness, a drop in the metrics."""

from __future__ import annotations

import pytest

from poller.app import App
from poller.cli.status import lines
from poller.journal.base import Entry
from poller.settings import load
from poller.testing.clock import ManualClock
from poller.testing.records import record_number

CONFIG = """
data_dir = "data"
[journal]
max_age = "1d"
[sources.dumps]
type = "recorded"
directory = "dumps"
[sinks.files]
type = "json_files"
"""


@pytest.fixture
async def app(tmp_path):
    (tmp_path / "dumps").mkdir()
    (tmp_path / "config.toml").write_text(CONFIG)
    made = App(load(tmp_path / "config.toml", environ={"TZ": "UTC"}), clock=ManualClock())
    await made.open()
    yield made
    await made.close()


async def test_a_journal_that_fails_is_a_reason_not_to_be_ready(app):
    await app.journal.close()
    app._refreshed_at = None  # a second has passed
    await app.refresh()
    assert app.status().journal.failure.message == "the journal is closed"
    assert any("journal" in reason for reason in app.status().reasons)


async def test_a_damaged_journal_that_was_set_aside_is_told_of_until_it_is_gone(app):
    folder = app.loaded.settings.data_dir
    aside = folder / "journal.db.corrupt-20261121T101010Z"
    for suffix in ("", "-wal", "-2", "-2-shm"):
        aside.with_name(aside.name + suffix).touch()
    app._refreshed_at = None
    await app.refresh()
    assert app.status().journal.set_aside == (aside.name, f"{aside.name}-2")
    notes = (await app.status_json())["notes"]
    assert any(f"poller salvage {aside}`" in note for note in notes)
    for file in folder.glob("*.corrupt-*"):
        file.unlink()
    app._refreshed_at = None
    await app.refresh()
    assert app.status().journal.set_aside == ()


async def test_a_journal_that_vanished_under_the_poller_is_told_of_for_a_week(app):
    for file in app.loaded.settings.data_dir.glob("journal.db*"):
        file.unlink()
    for _ in range(2):  # the first look makes the writer see it
        app._refreshed_at = None
        await app.refresh()
    assert app.status().journal.vanished_at == app.clock.now()
    report = await app.status_json()
    assert any("moved or deleted under the running poller" in note for note in report["notes"])
    assert any("vanished" in line for line in lines({"running": True, **report}))
    await app.clock.advance(8 * 86_400)
    assert app.status().journal.vanished_at is None


async def test_what_pruning_takes_from_a_sink_is_in_the_metrics(app):
    await app.journal.append(Entry(records=[record_number(0), record_number(1)]))
    await app.clock.advance(3 * 86_400)
    await app.prune()
    dropped = app.metrics.registry.get_sample_value("poller_records_dropped_total", {"sink": "files"})
    assert dropped == 2
