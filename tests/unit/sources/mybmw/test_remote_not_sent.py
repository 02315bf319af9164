"""An order that never left is an error and no outcome: the owner may try again."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime

import pytest

from poller.errors import CommandRefused, RateLimited, SourceUnavailable
from poller.sources.http import NotSent, Reply
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
    """Counts what goes out, and fails as told: when it is written, or before, if nobody is `reached`."""

    def __init__(self, error, *, reached=True):
        self.error, self.reached, self.sent = error, reached, 0

    async def send_once(self, call):
        self.sent += 1
        if self.reached:
            call.last_look()
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
    """Nor where a proxy did not answer in time, which it was asked for the line to BMW."""
    for error in (NotSent("BMW could not be reached"), SourceUnavailable("no answer", reason="timeout")):
        wire = Wire(error, reached=False)
        with pytest.raises(type(error)) as raised:
            await order(client(wire))
        assert (raised.value, wire.sent) == (error, 1)


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


class Slow(Wire):
    """Takes `seconds` of `clock` to stand, and says so; None as an error: the order is written then."""

    def __init__(self, error, clock, seconds):
        super().__init__(error)
        self.clock, self.seconds = clock, seconds

    async def send_once(self, call):
        await self.clock.advance(self.seconds)
        if self.error is not None:
            raise self.error
        call.last_look()
        self.sent += 1
        return Reply(200, {}, b"{}")


@pytest.mark.parametrize(
    ("seconds", "error", "ends"),
    [
        (59, None, nullcontext()),
        (60, None, pytest.raises(CommandRefused, match="could not be sent within 60 s")),
        (59, NotSent("BMW could not be reached"), pytest.raises(NotSent)),
        (60, NotSent("BMW could not be reached"), pytest.raises(CommandRefused, match="within 60 s")),
    ],
)
async def test_what_the_line_takes_to_stand_counts_too(seconds, error, ends) -> None:
    """A proxy that is slow, a machine put to sleep over the handshake: the first byte may come too late."""
    clock = ManualClock(NOW)
    wire = Slow(error, clock, seconds)
    with ends:
        deadline = Deadline(clock)
        await client(wire).order("/x", "bmw", headers={}, params={}, body={}, deadline=deadline)
    assert wire.sent == (seconds < 60 and error is None)
