"""One poller per data directory, whatever happens to its owner and to the file that names it."""

from __future__ import annotations

import asyncio
import random

import pytest

ROUNDS = 1
SOAK_ROUNDS = 10
SIZES = pytest.mark.parametrize(
    "rounds", [ROUNDS, pytest.param(SOAK_ROUNDS, marks=pytest.mark.soak)], ids=["plain", "soak"]
)


def owner_of(rehearsal) -> str:
    return (rehearsal.folder / "data" / "poller.lock").read_text().split()[0]


@SIZES
async def test_an_owner_that_was_killed_leaves_nothing_to_clear_up(rehearsal, rng: random.Random, rounds):
    """The file stays and still names the dead; the next one starts at once, and is named."""
    for _ in range(rounds):
        daemon = await rehearsal.start("run")
        # Killed while it takes the lock, or later.
        await (daemon.until("app.started") if rng.random() < 0.7 else asyncio.sleep(rng.uniform(0.2, 1)))
        await daemon.kill()
    assert owner_of(rehearsal)
    successor = await rehearsal.start("run")
    await successor.until("poll.completed", count=2)
    assert owner_of(rehearsal) == str(successor.child.pid)
    assert await successor.terminate(within=8) == 0


@SIZES
async def test_of_many_that_start_together_one_runs_and_the_others_name_it(rehearsal, rounds):
    """Exit code 1, with the owner's number; the one that runs is not disturbed."""
    for _ in range(max(1, rounds // 4)):
        crowd = [await rehearsal.start("run") for _ in range(3)]
        ends = [asyncio.create_task(daemon.child.wait()) for daemon in crowd]
        ended = asyncio.as_completed(ends, timeout=30)
        for _ in range(2):
            await next(ended)
        (winner,) = [daemon for daemon, end in zip(crowd, ends, strict=True) if not end.done()]
        await winner.until("poll.completed")
        for daemon, end in zip(crowd, ends, strict=True):
            if daemon is not winner:
                await daemon._reader
                assert end.result() == 1
                assert f"process {winner.child.pid} " in " ".join(map(str, daemon.events))
        assert owner_of(rehearsal) == str(winner.child.pid)
        assert await winner.terminate(within=8) == 0


async def test_neither_a_deleted_lock_nor_a_moved_directory_lets_a_second_one_in(rehearsal):
    """Two on one journal would deliver everything twice, and each would spend the other's login.

    Where the directory was moved away, the owner begins another and holds that.
    """
    daemon = await rehearsal.start("run")
    await daemon.until("poll.completed", count=2)
    data = rehearsal.folder / "data"
    (data / "poller.lock").unlink()
    code, _, error = await rehearsal.command("run")
    assert (code, "another poller" in error) == (1, True)
    data.rename(rehearsal.folder / "aside")
    await daemon.until("journal.vanished")
    await daemon.until("poll.completed", count=len(daemon.acknowledged()) + 2)
    code, _, error = await rehearsal.command("run")
    assert code == 1
    assert f"process {daemon.child.pid} " in error
    assert await daemon.terminate(within=8) == 0
