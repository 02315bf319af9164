"""One sink is down for a month while the others go on; then it gets everything, in order."""

from __future__ import annotations

import random

import pytest
from soak_winding import winding

from poller.simulator import axiom
from poller.simulator.axiom import Behaviour, Exchange, FakeAxiom
from poller.simulator.server import serve

DAYS = 3
SOAK_DAYS = 30
POLLS_A_DAY = 288
CARS = 2
#: What a day of an outage costs in memory at most, and what is not growth but warming up; bytes.
GROWTH_A_DAY, NOISE = 100_000, 1_500_000


async def hang_up(exchange: Exchange) -> None:
    """The connection is reset; nothing is stored."""
    exchange.line.reset()


#: How an Axiom may be down, a day at a time.
DOWN: list[Behaviour] = [
    axiom.status(500),
    axiom.status(503),
    axiom.status(401),
    axiom.rate_limited(None),
    axiom.html,
    hang_up,
]


@pytest.mark.parametrize(
    "days", [DAYS, pytest.param(SOAK_DAYS, marks=pytest.mark.soak)], ids=["plain", "soak"]
)
async def test_a_sink_that_was_down_for_long_gets_everything_in_order(rng: random.Random, days):
    """Two cars at five minutes. Meanwhile: files go on, readiness tells it, memory stays flat."""
    world = FakeAxiom()
    async with serve(world) as url, winding(axiom=url) as poller:
        reports = []
        for day in range(days):
            world.standing = rng.choice(DOWN)
            report = await poller.order(polls=POLLS_A_DAY)
            assert report.polls == (day + 1) * POLLS_A_DAY * CARS
            assert report.backlog == {"files": 0, "axiom": report.polls}
            assert day == 0 or any(reason.startswith("sink axiom: ") for reason in report.reasons)
            world.requests.clear()
            reports.append(report)
        assert not world.events
        grown = reports[-1].resident - reports[0].resident
        assert grown <= NOISE + GROWTH_A_DAY * days, f"memory grew by {grown} bytes"
        world.standing = axiom.take_in
        lost_replies = rng.randint(0, 3)
        world.plan(*[axiom.reset_after_storing] * lost_replies)
        report = await poller.order(drain=POLLS_A_DAY)
        filed = poller.filed()
        print(f"memory grew by {grown} bytes in {days} days")  # noqa: T201 - the figures are wanted too
        print(f"{report.polls} records caught up in {report.took:.0f} s of the poller's time")  # noqa: T201 - wanted too
    assert (report.backlog, report.reasons) == ({"files": 0, "axiom": 0}, [])
    assert report.took <= 900
    assert len(world.ids()) == report.polls
    assert set(world.ids()) == filed
    first = {event["id"]: event["_time"] for event in reversed(world.events)}
    times = [first[key] for key in world.ids()]
    assert times == sorted(times)
    assert bool(world.duplicates) == bool(lost_replies)
    assert max(world.duplicates.values(), default=0) <= lost_replies
