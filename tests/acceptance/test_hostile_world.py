"""The installed command in a world that is against it."""

from __future__ import annotations

import asyncio
import signal
import sqlite3

import pytest

#: Seconds within which a daemon must be gone (the issue's), and what two cores under load may add.
WITHIN = 6 + 2


async def test_a_reload_that_the_journal_cannot_take_is_refused_and_the_poller_lives(rehearsal):
    """A new sink needs a cursor on disk; without room for it the old settings stay in force."""
    daemon = await rehearsal.start("run")
    await daemon.until("poll.completed")
    text = rehearsal.config.read_text() + "\n[sinks.more]\ntype = 'json_files'\ndirectory = 'more'\n"
    rehearsal.config.write_text(text)
    other = sqlite3.connect(rehearsal.folder / "data" / "journal.db", isolation_level=None, timeout=5)
    other.execute("BEGIN IMMEDIATE")
    daemon.child.send_signal(signal.SIGHUP)
    refused = await daemon.until("reload.refused")
    assert "journal" in str(refused["problems"])
    other.execute("ROLLBACK")
    other.close()
    daemon.child.send_signal(signal.SIGHUP)
    await daemon.until("reload.completed")
    assert await daemon.terminate(within=WITHIN) == 0


async def test_a_stop_during_a_reload_does_not_spend_the_grace_twice(rehearsal):
    async def mute(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.sleep(60)
        writer.close()

    asked = asyncio.Event()
    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    rehearsal.configure(rehearsal.addresses[0], f"http://127.0.0.1:{port}")
    daemon = await rehearsal.start("run")
    await asyncio.wait_for(asked.wait(), 20)
    daemon.child.send_signal(signal.SIGHUP)
    assert await daemon.terminate(within=WITHIN) == 0
    server.close()


@pytest.mark.parametrize("moment", ["0001-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
async def test_a_time_that_there_is_not_is_a_usage_error(rehearsal, moment):
    code, _, error = await rehearsal.command("resend", "--sink", "files", "--from", moment)
    assert code in (0, 2)
    assert "Traceback" not in error
