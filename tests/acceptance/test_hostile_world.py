"""The installed command in a world that is against it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
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
    """A sink that hangs costs the reload its grace; the stop that comes meanwhile must not wait again."""
    loop = asyncio.get_running_loop()
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
    ):
        manager.bind(str(rehearsal.folder / "notify"))
        mute.setblocking(False)
        manager.setblocking(False)
        rehearsal.configure(rehearsal.addresses[0], f"http://127.0.0.1:{mute.getsockname()[1]}")
        environ = {**os.environ, "NOTIFY_SOCKET": str(rehearsal.folder / "notify")}
        daemon = await rehearsal.start("run", env=environ)
        delivering, _ = await asyncio.wait_for(loop.sock_accept(mute), 20)
        with delivering:
            daemon.child.send_signal(signal.SIGHUP)
            while not (await asyncio.wait_for(loop.sock_recv(manager, 4096), 20)).startswith(b"RELOADING"):
                pass
            assert await daemon.terminate(within=WITHIN) == 0
        assert "reload.completed" not in [event["event"] for event in daemon.events]


@pytest.mark.parametrize("moment", ["0001-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
async def test_a_time_that_there_is_not_is_a_usage_error(rehearsal, moment):
    code, _, error = await rehearsal.command("resend", "--sink", "files", "--from", moment)
    assert code in (0, 2)
    assert "Traceback" not in error
