"""A demo in a container is seen through its published port; nothing else is opened by that."""

from __future__ import annotations

import httpx
import pytest
from starlette.responses import PlainTextResponse

from poller.testing.clock import ManualClock
from poller.web.guards import Guard
from poller.web.passwords import Password, Throttle


async def echo(scope, receive, send):
    await PlainTextResponse(scope["path"])(scope, receive, send)


def asking(demo, host, password=None):
    """A browser that says `host` to a container's address, which is not of the loopback."""
    guard = Guard(
        echo,
        local=[],
        hosts=["localhost", "container"],
        password=Password(password) if password else None,
        throttle=Throttle(ManualClock()),
        demo=demo,
    )
    address = "http://172.17.0.2:9877"
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(guard, client=("172.17.0.1", 5)),
        base_url=address,
        headers={"Host": host},
    )


@pytest.mark.parametrize("host", ["127.0.0.1:9877", "localhost:9877", "[::1]:9877", "poller.localhost"])
async def test_a_demo_is_shown_to_who_calls_it_by_his_own_machine(host):
    async with asking(True, host) as client:
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/api/v1/status")).status_code == 200
        forged = await client.post("/api/v1/poll", headers={"Origin": "https://evil.example"})
        assert forged.status_code == 403


@pytest.mark.parametrize("host", ["172.17.0.2:9877", "192.168.1.5", "container:9877", "evil.example", ""])
async def test_a_demo_is_not_shown_to_the_network(host):
    async with asking(True, host) as client:
        assert (await client.get("/")).status_code == 403
        assert (await client.get("/api/v1/status")).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:9877", "localhost:9877"])
async def test_a_real_car_is_not_shown_whatever_a_caller_says(host):
    async with asking(False, host) as client:
        assert (await client.get("/")).status_code == 403
        assert (await client.get("/metrics")).status_code == 200


async def test_a_password_counts_for_a_demo_too():
    async with asking(True, "localhost:9877", password="sesame") as client:
        assert (await client.get("/")).status_code == 401
