"""Where requests may go."""

from __future__ import annotations

import pytest

from poller.errors import SourceUnavailable
from poller.sources.http import Call
from poller.sources.mybmw.transport import Limits, Transport
from poller.testing.clock import ManualClock


@pytest.fixture
async def transport():
    made = Transport("https://host.example", base_url=None, clock=ManualClock(), limits=Limits())
    await made.open()
    yield made
    await made.close()


@pytest.mark.parametrize("address", ["http://login.example/token", "ftp://login.example/token"])
async def test_a_login_is_never_sent_in_clear_because_the_server_says_so(transport, address) -> None:
    with pytest.raises(SourceUnavailable, match="https"):
        await transport.send(Call("POST", address, {}, form={"refresh_token": "r"}))


@pytest.mark.parametrize("address", ["https://[bad/token", "https://host:port/token"])
async def test_an_address_that_is_none_is_refused(transport, address) -> None:
    with pytest.raises(SourceUnavailable, match="cannot be used"):
        await transport.send(Call("POST", address, {}, form={"refresh_token": "r"}))


@pytest.mark.parametrize(
    ("base_url", "path", "url"),
    [
        (None, "/a/b", "https://host.example/a/b"),
        (None, "https://login.example/token", "https://login.example/token"),
        ("http://127.0.0.1:8000", "/a/b", "http://127.0.0.1:8000/a/b"),
        ("http://127.0.0.1:8000/", "https://login.example/gcdm/token", "http://127.0.0.1:8000/gcdm/token"),
        ("http://127.0.0.1:8000/bmw", "/a/b", "http://127.0.0.1:8000/bmw/a/b"),
    ],
)
def test_base_url_takes_the_place_of_every_host(base_url, path, url) -> None:
    made = Transport("https://host.example", base_url=base_url, clock=ManualClock(), limits=Limits())
    assert made._url(path) == url


def test_a_call_shows_nothing_secret() -> None:
    call = Call(
        "POST", "/x", {"authorization": "Bearer secret"}, form={"password": "secret"}, basic=("a", "secret")
    )
    assert "secret" not in repr(call)
