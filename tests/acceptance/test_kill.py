"""kill -9 at random moments: what the journal acknowledged arrives."""

import asyncio

import pytest

ROUNDS = 20
SOAK_ROUNDS = 200


@pytest.mark.parametrize(
    "rounds", [ROUNDS, pytest.param(SOAK_ROUNDS, marks=pytest.mark.soak)], ids=["plain", "soak"]
)
async def test_every_acknowledged_snapshot_is_delivered_after_one_clean_run(rehearsal, rng, rounds):
    rehearsal.configure(*rehearsal.addresses, interval="100ms")
    acknowledged = set()
    for number in range(rounds):
        daemon = await rehearsal.start("run")
        # Every fourth may die before its first poll; the others have stored something by then.
        early = number % 4 == 3
        await (daemon.until("app.started") if early else daemon.until("poll.completed", count=2))
        # The one place where real time is the thing tested: the kill comes at any moment.
        await asyncio.sleep(rng.uniform(0, 0.4))
        await daemon.kill()
        acknowledged |= daemon.acknowledged()
    assert len(acknowledged) > rounds, "the rounds must have stored something to lose"
    code, out, err = await rehearsal.command("once")
    assert code == 0, out + err
    assert acknowledged <= set(rehearsal.files())
    assert acknowledged <= set(rehearsal.axiom.ids())
