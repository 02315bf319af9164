"""``poller run --speed N``: for rehearsals on this machine, and for nothing else."""

from __future__ import annotations

import signal

import pytest

from poller.cli.main import run

REMOTE = "https://us-east-1.aws.edge.axiom.co"


async def test_it_is_refused_if_one_address_is_elsewhere(rehearsal) -> None:
    cloud, _ = rehearsal.addresses
    rehearsal.configure(cloud, REMOTE)
    code, out, err = await rehearsal.command("run", "--speed", "60")
    assert (code, out) == (2, "")
    assert f"sinks.axiom.url ({REMOTE}) is not on this machine" in err
    assert "poller simulate" in err
    assert not (rehearsal.folder / "data" / "journal.db").exists()


@pytest.mark.parametrize("speed", ["0", "10000"])
def test_a_speed_that_cannot_be_is_a_usage_error(capsys, speed) -> None:
    assert run(["run", "--speed", speed]) == 2
    assert "--speed" in capsys.readouterr().err


async def test_a_warped_day_passes_and_the_next_rehearsal_goes_on_from_there(rehearsal) -> None:
    """A second start, ahead of the time by then, polls all the same."""
    rehearsal.configure(*rehearsal.addresses, interval="5m")
    for _ in range(2):
        daemon = await rehearsal.start("run", "--speed", "3000")
        await daemon.until("poll.completed", count=8)
        assert await daemon.terminate(within=6) == 0
        assert not [entry for entry in daemon.events if entry["level"] in ("warning", "error")]


async def test_a_reload_cannot_let_the_warped_clock_out(rehearsal) -> None:
    rehearsal.configure(*rehearsal.addresses, interval="5m")
    daemon = await rehearsal.start("run", "--speed", "60")
    await daemon.until("app.started")
    rehearsal.configure(rehearsal.addresses[0], REMOTE, interval="5m")
    daemon.child.send_signal(signal.SIGHUP)
    refused = await daemon.until("reload.refused")
    assert "sinks.axiom.url" in str(refused["problems"])
    assert await daemon.terminate(within=6) == 0
