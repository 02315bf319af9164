"""kill -9 at random moments: what the journal acknowledged arrives."""

import asyncio

import pytest

ROUNDS = 30
SOAK_ROUNDS = 200


@pytest.mark.parametrize(
    "rounds", [ROUNDS, pytest.param(SOAK_ROUNDS, marks=pytest.mark.soak)], ids=["plain", "soak"]
)
async def test_every_acknowledged_snapshot_is_delivered_after_one_clean_run(rehearsal, rng, rounds):
    rehearsal.configure(*rehearsal.addresses, interval="100ms")
    acknowledged = set()
    for _ in range(rounds):
        daemon = await rehearsal.start("run")
        await daemon.until("app.started")
        # The one place where real time is the thing tested: the kill comes at any moment.
        await asyncio.sleep(rng.uniform(0, 0.4))
        await daemon.kill()
        acknowledged |= daemon.acknowledged()
    assert len(acknowledged) > rounds, "the rounds must have stored something to lose"
    code, out, err = await rehearsal.command("once")
    assert code == 0, out + err
    assert acknowledged <= set(rehearsal.files())
    assert acknowledged <= set(rehearsal.axiom.ids())
