"""What BMW asks us to wait is waited for, whoever was restarted meanwhile."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from poller.errors import RateLimited
from poller.sources.cardata.rest.errands import Errands
from poller.sources.cardata.rest.plan import PlannedCall
from poller.sources.cardata.rest.troubles import Troubles
from poller.testing.clock import ManualClock
from poller.testing.memory import DictMemory

HOUR, YEAR = 3600, 365 * 86_400
CALL = PlannedCall("mappings", "", "set-up", routine=True)


class Bmw:
    """Asks for an hour's patience at every call; also whoever gives the token."""

    def __init__(self) -> None:
        self.clock, self.memory, self.asked = ManualClock(), DictMemory(), 0

    async def mappings(self, **_how: Any) -> bytes:
        self.asked += 1
        until = self.clock.now() + timedelta(hours=1)
        raise RateLimited(until, "BMW asks us to wait", reason="rate_limited")

    async def token(self, _force: bool) -> str:
        return "token"

    async def take_mappings(self, _body: bytes) -> None:
        """No call succeeds."""

    async def started(self) -> Errands:
        """As after a start."""
        troubles = Troubles(self.memory, "account")
        await troubles.open()
        me: Any = self
        return Errands(
            "home",
            client=me,
            containers=me,
            garage=me,
            troubles=troubles,
            token=self.token,
            login=lambda: "one",
            clock=self.clock,
        )


@pytest.fixture
def bmw() -> Bmw:
    return Bmw()


async def test_a_restart_does_not_cut_a_wait_short(bmw) -> None:
    for _ in range(3):
        await (await bmw.started()).run([CALL])
    assert bmw.asked == 1
    await bmw.clock.advance(HOUR)
    await (await bmw.started()).run([CALL])
    assert bmw.asked == 2


async def test_a_clock_that_was_ahead_does_not_make_it_years(bmw) -> None:
    bmw.clock.jump(YEAR)
    await (await bmw.started()).run([CALL])
    bmw.clock.jump(-YEAR)
    errands = await bmw.started()
    await errands.run([CALL])
    assert bmw.asked == 1
    await bmw.clock.advance(HOUR)
    await errands.run([CALL])
    assert bmw.asked == 2
