"""The one HTTP client of all makers' clouds, over real sockets: what it asks, bounds and blames."""

from __future__ import annotations

import socket
from contextlib import closing, contextmanager
from gzip import compress

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from poller.errors import CommandRefused, SourceUnavailable
from poller.simulator.faults import Fault, Faults
from poller.simulator.server import serve
from poller.sources.http import Call, HttpClient, Limits, NotSent
from poller.testing.clock import ManualClock

SECRET = "hush"


async def echo(request: Request) -> Response:
    """What was asked, told back."""
    body = (await request.body()).decode()
    asked = {"method": request.method, "query": str(request.query_params), "body": body}
    return JSONResponse({**asked, "headers": dict(request.headers)}, 418, headers={"X-Trace": "7"})


async def packed_twice(_request: Request) -> Response:
    """Less than 200 bytes that become half a megabyte."""
    return Response(compress(compress(bytes(500_000))), headers={"content-encoding": "gzip, gzip"})


async def elsewhere(_request: Request) -> Response:
    return RedirectResponse("/echo", 302)


@pytest.fixture
async def cloud():
    """A server whose wire can be spoiled, and its address."""
    routes = [
        Route("/echo", echo, methods=["GET", "POST"]),
        Route("/away", elsewhere),
        Route("/bomb", packed_twice),
    ]
    wire = Faults(Starlette(routes=routes), ManualClock(), {})
    async with serve(wire) as url:
        yield wire, url


@pytest.fixture
async def http():
    client = HttpClient("BMW", Limits(timeout=0.3, largest_body=1000))
    await client.open()
    yield client
    await client.close()


async def test_any_answer_is_given_whole_whatever_its_status(cloud, http) -> None:
    _, url = cloud
    call = Call("POST", f"{url}/echo", {"X-Version": "v1"}, {"a": "1"}, form={"f": "2"}, basic=("u", "p"))
    reply = await http.send(call)
    assert (reply.status, reply.headers["x-trace"]) == (418, "7")
    for told in (b'"query":"a=1"', b'"body":"f=2"', b'"x-version":"v1"', b'"authorization":"Basic dTpw"'):
        assert told in reply.body


async def test_a_redirect_is_an_answer_and_not_followed(cloud, http) -> None:
    _, url = cloud
    reply = await http.send(Call("GET", f"{url}/away"))
    assert (reply.status, reply.headers["location"]) == (302, "/echo")


async def test_a_json_body_is_sent_as_such(cloud, http) -> None:
    _, url = cloud
    reply = await http.send(Call("POST", f"{url}/echo", json={"name": "poller"}))
    assert rb'"body":"{\"name\":\"poller\"}"' in reply.body


async def test_nobody_there_is_certainly_not_sent(http) -> None:
    with pytest.raises(NotSent, match=r"^BMW could not be reached \(ConnectError\)$") as told:
        await http.send(Call("GET", "http://127.0.0.1:9/x"))
    assert (told.value.reason, "network" in told.value.hint) == ("network", True)


@contextmanager
def nobody_let_in():
    """The address of a listener whose queue is full: the network swallows what comes."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as server:
        waiting = [socket.socket() for _ in range(4)]
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(server.getsockname())
            yield f"http://127.0.0.1:{server.getsockname()[1]}/x"
        finally:
            for one in waiting:
                one.close()


async def test_a_connection_that_never_comes_about_is_certainly_not_sent(http) -> None:
    with nobody_let_in() as url, pytest.raises(NotSent) as told:
        await http.send(Call("GET", url))
    assert told.value.reason == "network"


async def test_what_a_proxy_is_asked_first_is_not_the_request(monkeypatch) -> None:
    """One that gives no line for long: the last look is yet to come, so nothing was written."""
    looked = []
    with closing(socket.create_server(("127.0.0.1", 0))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        client = HttpClient("BMW", Limits(timeout=0.3))
        await client.open()
        try:
            with pytest.raises(SourceUnavailable, match="did not answer in time"):
                await client.send(Call("POST", "https://bmw.test/x", last_look=lambda: looked.append(1)))
        finally:
            await client.close()
        asked = proxy.accept()[0]
        with asked:
            assert asked.recv(100).startswith(b"CONNECT bmw.test:443 ")
    assert looked == []


async def test_what_the_last_look_refuses_is_not_written(http) -> None:
    """It is taken when the line stands: all that takes long is over then."""
    lines = []
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.setblocking(False)

        def late() -> None:
            lines.append(server.accept()[0])  # which raises, were there no line yet
            raise CommandRefused("too late")

        with pytest.raises(CommandRefused, match="too late"):
            await http.send(Call("POST", f"http://127.0.0.1:{server.getsockname()[1]}/x", last_look=late))
    with lines[0] as line:
        line.settimeout(5)
        assert line.recv(1) == b""


@pytest.mark.parametrize(
    "call",
    [
        Call("GET", "http://127.0.0.1:port/x"),
        Call(
            "GET",
            "http://127.0.0.1:9/x",
            {"authorization": "Bearer h\N{LATIN SMALL LETTER U WITH DIAERESIS}sh"},
        ),
    ],
)
async def test_what_no_request_can_hold_is_certainly_not_sent(http, call) -> None:
    with pytest.raises(NotSent, match="cannot be used") as told:
        await http.send(call)
    assert told.value.reason == "unavailable"


@pytest.mark.parametrize(
    ("fault", "reason", "words"),
    [
        (Fault(kind="reset"), "network", "BMW broke off before the end of an answer (ReadError)"),
        (
            Fault(kind="half_body"),
            "network",
            "BMW broke off before the end of an answer (RemoteProtocolError)",
        ),
        (Fault(kind="slow", seconds=5), "timeout", "BMW did not answer in time"),
    ],
)
async def test_what_broke_off_may_have_been_carried_out(cloud, http, fault, reason, words) -> None:
    wire, url = cloud
    wire.add(fault)
    with pytest.raises(SourceUnavailable) as told:
        await http.send(Call("POST", f"{url}/echo", {"authorization": SECRET}, {"q": SECRET}, {"f": SECRET}))
    assert not isinstance(told.value, NotSent)
    assert (told.value.reason, told.value.message) == (reason, words)
    assert SECRET not in f"{told.value} {told.value.hint}"


async def test_more_than_the_limit_is_not_read(cloud, http) -> None:
    _, url = cloud
    with pytest.raises(SourceUnavailable, match="larger than 1000 bytes") as told:
        await http.send(Call("POST", f"{url}/echo", form={"f": "x" * 2000}))
    assert told.value.reason == "malformed"


async def test_what_is_packed_more_than_once_is_not_unpacked(cloud, http) -> None:
    """Each packing multiplies by a thousand, at one go and before any limit: gigabytes from a few kB."""
    _, url = cloud
    with pytest.raises(SourceUnavailable, match="packed more than once") as told:
        await http.send(Call("GET", f"{url}/bomb"))
    assert told.value.reason == "malformed"


async def test_opening_and_closing_twice_is_once(cloud, http) -> None:
    _, url = cloud
    await http.open()
    assert (await http.send(Call("GET", f"{url}/echo"))).status == 418
    await http.close()
    await http.close()
    with pytest.raises(RuntimeError, match="not open"):
        await http.send(Call("GET", f"{url}/echo"))


def test_a_call_shows_nothing_secret() -> None:
    call = Call("POST", "/x", {"a": SECRET}, form={"f": SECRET}, basic=("u", SECRET), json={"j": SECRET})
    assert SECRET not in repr(call)
