"""SIGTERM in the middle of a delivery: it gets its grace and is booked, so it is not sent a second time."""

import asyncio

from poller.simulator import axiom


async def under_way(rehearsal):
    """Until Axiom has taken in a request that it has not answered."""
    async with asyncio.timeout(20):
        while not rehearsal.axiom.events:  # noqa: ASYNC110  # what the server counts sends no event
            await asyncio.sleep(0.01)


async def test_what_was_under_way_is_settled_before_the_end(rehearsal):
    rehearsal.configure(*rehearsal.addresses, interval="5m")
    rehearsal.axiom.plan(axiom.slow(1.5))
    daemon = await rehearsal.start("run")
    await under_way(rehearsal)
    assert await daemon.terminate(within=6) == 0
    code, out, err = await rehearsal.command("once")
    assert code == 0, out + err
    assert daemon.acknowledged() <= set(rehearsal.axiom.ids())
    assert rehearsal.axiom.duplicates == {}
