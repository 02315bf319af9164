"""The web server over real sockets: binding, guards, and an end that comes whatever clients do."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import pytest

from poller.errors import PollerError
from poller.runtime.clock import SystemClock
from poller.runtime.metrics import Metrics
from poller.runtime.status import DaemonStatus, SourceStatus
from poller.testing.daemon import StillDaemon
from poller.vehicle.display import Display
from poller.web import serving
from poller.web.server import WebServer, bind
from poller.web.serving import Serving

LOOPBACK = [("127.0.0.1", 0)]
WILDCARD = [("0.0.0.0", 0)]  # noqa: S104  # what the guards are for
#: Seconds from the stop event to the end of `run`.
AT_ONCE = 1.0


def a_daemon():
    now = datetime.now(UTC)
    source = SourceStatus("bmw", "mybmw", "ok", 900, last_success_at=now)
    return StillDaemon(DaemonStatus("1.2.3", now, now, [source]), registries=[Metrics().registry])


def a_server(listen=LOOPBACK, **more):
    return WebServer(a_daemon(), listen=listen, display=Display("metric", UTC), clock=SystemClock(), **more)


@asynccontextmanager
async def running(server):
    """Runs it; at the end it is stopped and must have ended in time."""
    stop = asyncio.Event()
    server.bind()
    task = asyncio.create_task(server.run(stop))
    try:
        yield server.urls
    finally:
        stop.set()
        begun = time.monotonic()
        await asyncio.wait_for(task, 10)
        assert time.monotonic() - begun < AT_ONCE


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


async def test_page_metrics_and_health_are_served():
    async with running(a_server()) as [url], httpx.AsyncClient(base_url=url, timeout=5) as client:
        for path in ("", "metrics", "healthz", "readyz", "api/v1/status", "api/v1/vehicles"):
            answer = await client.get(path)
            assert answer.status_code == 200, path
            assert "server" not in answer.headers
            assert "date" in answer.headers


async def test_clients_may_connect_as_soon_as_it_is_bound():
    server = a_server()
    server.bind()
    with socket.create_connection(server._addresses[0], timeout=5) as early:
        async with running(server):
            early.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await asyncio.to_thread(early.recv, 100)).startswith(b"HTTP/1.1 200")


async def test_a_taken_port_names_address_and_setting():
    """Not uvicorn's exit with 3: that is our code for a login."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PollerError) as caught:
            a_server([("127.0.0.1", 0), ("127.0.0.1", port)]).bind()
    assert caught.value.exit_code == 1
    assert f"127.0.0.1:{port}" in caught.value.message
    assert "[web] listen" in caught.value.hint


async def test_a_port_that_is_refused_leaves_the_others_free():
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()
    with socket.create_server(("127.0.0.1", 0)) as other:
        with pytest.raises(PollerError):
            a_server([address, other.getsockname()]).bind()
        for sock in bind(*address):
            sock.close()


@pytest.mark.parametrize("host", ["203.0.113.7", "2001:db8::7", "not-an-address.invalid"])
def test_an_address_of_another_machine_is_refused(host):
    with pytest.raises(PollerError, match="cannot listen on") as caught:
        bind(host, 0)
    assert "[web] listen" in caught.value.hint


async def test_nothing_to_listen_on_serves_nothing_and_ends():
    async with running(a_server([])) as urls:
        assert urls == []


@needs_ipv6
async def test_several_listeners_both_families():
    listen = [("127.0.0.1", 0), ("::1", 0)]
    async with running(a_server(listen)) as urls:
        assert urls[1].startswith("http://[::1]:")
        async with httpx.AsyncClient(timeout=5) as client:
            assert [(await client.get(url)).status_code for url in urls] == [200, 200]


@needs_ipv6
async def test_both_wildcards_may_share_a_port():
    first = bind("0.0.0.0", 0)  # noqa: S104  # on purpose
    second = bind("::", first[0].getsockname()[1])
    for sock in first + second:
        sock.close()


async def test_a_wildcard_listener_shows_the_network_only_metrics_and_health():
    """Also when it is reached over loopback: what counts is who could reach it."""
    async with running(a_server(WILDCARD)) as [url], httpx.AsyncClient(base_url=url, timeout=5) as client:
        codes = {
            path: (await client.get(path)).status_code
            for path in ("", "api/v1/status", "metrics", "healthz", "readyz")
        }
    assert codes == {"": 403, "api/v1/status": 403, "metrics": 200, "healthz": 200, "readyz": 200}


async def test_a_loopback_listener_keeps_the_page_beside_a_wildcard_one():
    listen = [*LOOPBACK, *WILDCARD]
    async with running(a_server(listen)) as [own, open_], httpx.AsyncClient(timeout=5) as client:
        assert (await client.get(own)).status_code == 200
        assert (await client.get(open_)).status_code == 403


async def test_a_password_opens_the_page():
    server = a_server(WILDCARD, password="sesame")
    async with running(server) as [url], httpx.AsyncClient(base_url=url, timeout=5) as client:
        assert (await client.get("")).status_code == 401
        assert (await client.get("", auth=("me", "sesame"))).status_code == 200


async def test_a_proxys_path_and_name():
    server = a_server(base_path="/cars/", allowed_hosts=["Cars.Example.org"])
    async with running(server) as [url], httpx.AsyncClient(timeout=5) as client:
        assert url.endswith("/cars/")
        behind = {"Host": "cars.example.org"}
        assert (await client.get(url, headers=behind)).status_code == 200
        assert (await client.get(url, headers={"Host": "evil.example"})).status_code == 403


async def test_it_ends_with_idle_mute_and_half_spoken_connections_open():
    """A browser keeps its connection, a scanner says nothing, a bad network half a request."""
    server = a_server()
    async with running(server) as [url], httpx.AsyncClient(timeout=5) as browser:
        await browser.get(url)
        address = server._addresses[0]
        mute = socket.create_connection(address, timeout=5)
        half = socket.create_connection(address, timeout=5)
        half.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        await browser.get(url + "healthz")
    for sock in (mute, half):
        with sock:
            assert sock.recv(10) == b""


async def stopped_in_time(app, request, stop=None):
    """Serve `app`, send `request`, stop once it is being answered; gives what the client got."""
    [sock] = bind("127.0.0.1", 0)
    address, stop, begun = sock.getsockname(), stop or asyncio.Event(), asyncio.Event()

    async def watched(scope, receive, send):
        begun.set()
        await app(scope, receive, send)

    task = asyncio.create_task(Serving(watched).serve_until(stop, [sock]))
    reader, writer = await asyncio.open_connection(*address)
    writer.write(request)
    await asyncio.wait_for(begun.wait(), 5)
    stop.set()
    at = time.monotonic()
    await asyncio.wait_for(task, 10)
    assert time.monotonic() - at < AT_ONCE
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def test_it_ends_while_an_answer_never_comes():
    async def hang(_scope, _receive, _send):
        await asyncio.Event().wait()

    await stopped_in_time(hang, REQUEST)


async def test_it_ends_while_a_stream_of_events_goes_on():
    async def stream(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"data: x\n\n", "more_body": True})
            await asyncio.sleep(0)

    assert b"data: x" in await stopped_in_time(stream, REQUEST)


async def test_it_ends_while_a_client_does_not_read():
    async def flood(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 2**20, "more_body": True})

    await stopped_in_time(flood, REQUEST)


async def test_a_short_answer_under_way_is_finished():
    stop = asyncio.Event()

    async def late(_scope, _receive, send):
        await stop.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"done"})

    assert (await stopped_in_time(late, REQUEST, stop)).endswith(b"done")


async def test_it_can_be_started_again_where_it_was():
    """A supervisor restarts what failed."""
    server = a_server()
    for _ in range(2):
        async with running(server) as [url], httpx.AsyncClient(timeout=5) as client:
            assert (await client.get(url)).status_code == 200


async def test_cancelling_it_leaves_nothing_behind():
    server = a_server()
    server.bind()
    [url] = server.urls
    task = asyncio.create_task(server.run(asyncio.Event()))
    async with httpx.AsyncClient(timeout=5) as client:
        assert (await client.get(url)).status_code == 200
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(httpx.TransportError):
            await client.get(url)


async def test_signals_stay_the_pollers_own(monkeypatch):
    import signal

    before = signal.getsignal(signal.SIGTERM)
    async with running(a_server()) as [url], httpx.AsyncClient(timeout=5) as client:
        await client.get(url)
        assert signal.getsignal(signal.SIGTERM) is before


async def test_too_many_connections_do_not_take_the_file_descriptors(monkeypatch):
    monkeypatch.setattr(serving, "MAX_CONNECTIONS", 5)
    server = a_server()
    async with running(server) as [url]:
        sockets = [socket.create_connection(server._addresses[0], timeout=5) for _ in range(12)]
        try:
            closed = 0
            for sock in sockets[5:]:
                try:
                    closed += await asyncio.to_thread(sock.recv, 1) == b""
                except ConnectionResetError:
                    closed += 1
            assert closed == 7
            sockets[0].close()
            async with httpx.AsyncClient(timeout=5) as client:
                assert (await client.get(url)).status_code == 200
        finally:
            for sock in sockets:
                sock.close()


async def test_a_connection_that_never_asks_is_closed(monkeypatch):
    monkeypatch.setattr(serving, "FIRST_REQUEST", 0.05)
    server = a_server()
    async with running(server):
        with socket.create_connection(server._addresses[0], timeout=5) as mute:
            assert await asyncio.to_thread(mute.recv, 1) == b""


async def test_rubbish_is_answered_with_400_and_not_logged(capfd):
    server = a_server()
    async with running(server) as [url]:
        with socket.create_connection(server._addresses[0], timeout=5) as scanner:
            scanner.sendall(b"\x16\x03\x01\x00\xa5\r\n\r\n")
            assert (await asyncio.to_thread(scanner.recv, 100)).startswith(b"HTTP/1.1 400")
        async with httpx.AsyncClient(timeout=5) as client:
            assert (await client.get(url)).status_code == 200
    assert "Invalid" not in capfd.readouterr().err


async def test_an_idle_server_never_wakes(monkeypatch):
    """No timer of its own: one a second, as upstream has ten, is most of what an idle daemon uses."""
    loop = asyncio.get_running_loop()
    timers = []
    call_at = loop.call_at

    def counted(when, *args, **options):
        timers.append(args)
        return call_at(when, *args, **options)

    async with running(a_server()):
        monkeypatch.setattr(loop, "call_at", counted)
        await asyncio.sleep(0.3)
        monkeypatch.undo()
    assert len(timers) == 1, "only this test's own"
