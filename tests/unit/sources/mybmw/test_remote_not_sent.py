"""An order that never left is an error and no outcome: the owner may try again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from poller.errors import CommandRefused, RateLimited, SourceUnavailable
from poller.sources.http import NotSent
from poller.sources.mybmw.client import InDoubt, MyBmwClient
from poller.sources.mybmw.login.tokens import Tokens
from poller.sources.mybmw.regions import SERVERS
from poller.sources.remote import Deadline
from poller.testing.clock import ManualClock

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
TOKENS = Tokens(
    account="a", generation=1, stored_at=NOW, device="AP2A.1.2", session="s", session_since=NOW,
    expires_at=NOW, refresh_token="r", access_token="t", gcid="g",
)  # fmt: skip


class Login:
    """An account that is logged in, or cannot be."""

    login_hint = "log in"

    def __init__(self, error=None):
        self.error = error

    async def tokens(self, **_):
        if self.error:
            raise self.error
        return TOKENS


class Wire:
    """Counts what goes out, and fails as told."""

    def __init__(self, error):
        self.error, self.sent = error, 0

    async def send_once(self, _call):
        self.sent += 1
        raise self.error

    send = None  # an order that goes this way would be repeated


def client(wire, login=None) -> MyBmwClient:
    return MyBmwClient(
        server=SERVERS["rest_of_world"], auth=login or Login(), transport=wire, clock=ManualClock(NOW)
    )


async def order(one: MyBmwClient):
    deadline = Deadline(ManualClock(NOW))
    return await one.order("/x", "bmw", headers={}, params={}, body={}, deadline=deadline)


async def test_a_server_that_was_not_reached_did_nothing() -> None:
    wire = Wire(NotSent("BMW could not be reached"))
    with pytest.raises(NotSent):
        await order(client(wire))
    assert wire.sent == 1


@pytest.mark.parametrize("reason", ["timeout", "network", "server", "malformed"])
async def test_a_server_that_was_reached_may_have_done_it(reason) -> None:
    wire = Wire(SourceUnavailable("BMW broke off", reason=reason))
    with pytest.raises(InDoubt) as doubt:
        await order(client(wire))
    assert (doubt.value.reason, wire.sent) == (reason, 1)


@pytest.mark.parametrize("error", [SourceUnavailable("not now", reason="timeout"), RateLimited(NOW, "wait")])
async def test_without_a_login_nothing_goes_out(error) -> None:
    wire = Wire(AssertionError("sent"))
    with pytest.raises(type(error)) as raised:
        await order(client(wire, Login(error)))
    assert not isinstance(raised.value, InDoubt)
    assert wire.sent == 0


class Attentive(Wire):
    """Keeps how long the way may take."""

    def __init__(self, error):
        super().__init__(error)
        self.within = []

    async def send_once(self, call):
        self.within.append(call.connect_within)
        return await super().send_once(call)


async def test_reaching_the_server_ends_with_the_minute_too() -> None:
    """Two steps lie before the order, the line and its encryption: neither may take what is left of it."""
    clock = ManualClock(NOW)
    wire = Attentive(NotSent("BMW could not be reached"))
    deadline = Deadline(clock)
    for passed, left in ((0, 30.0), (50, 5.0)):
        await clock.advance(passed)
        with pytest.raises(NotSent):
            await client(wire).order("/x", "bmw", headers={}, params={}, body={}, deadline=deadline)
        assert wire.within[-1] == left
    await clock.advance(10)
    with pytest.raises(CommandRefused):
        await client(wire).order("/x", "bmw", headers={}, params={}, body={}, deadline=deadline)
    assert wire.sent == 2
