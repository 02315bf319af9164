"""The journal is alive while its writer answers, be it late; one that hangs is missed."""

from __future__ import annotations

import asyncio
import threading

import pytest

from poller.app import App
from poller.runtime.pulse import LIMIT
from poller.settings import load
from poller.testing.clock import ManualClock

CONFIG = """
data_dir = "data"
[sources.dumps]
type = "recorded"
directory = "dumps"
"""


@pytest.fixture
async def app(tmp_path):
    (tmp_path / "dumps").mkdir()
    (tmp_path / "config.toml").write_text(CONFIG)
    made = App(load(tmp_path / "config.toml", environ={"TZ": "UTC"}), clock=ManualClock())
    await made.open()
    yield made
    await made.close()


async def look(app: App) -> None:
    """A look of the daemon, a second after the one before, and a moment for what it began."""
    app._refreshed_at = None
    await app.refresh()
    await asyncio.wait({app._listening}, timeout=0.1)


async def test_a_writer_that_hangs_is_missed_although_the_journal_can_be_read(app):
    held, go = threading.Event(), threading.Event()

    def hang(_db):
        held.set()
        go.wait(30)

    await look(app)
    hanging = app.journal._writer.run(hang)
    assert await asyncio.to_thread(held.wait, 10)
    try:
        await look(app)
        await app.clock.advance(LIMIT + 1)
        await look(app)
        assert app.pulse.silent() == ["journal"]
        assert app.status().journal.failure is None  # it is read all the while
    finally:
        go.set()
    await hanging
    await asyncio.wait_for(app._listening, 10)
    assert app.pulse.silent() == []


async def test_an_error_is_an_answer(app):
    await look(app)
    await app.journal.close()
    await app.clock.advance(LIMIT + 1)
    await look(app)
    assert app.pulse.silent() == []
