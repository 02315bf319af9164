"""Serving a simulated cloud over real HTTP: own socket, loopback, gone in well under a second."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import socket
import struct
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager
from typing import Protocol, cast, runtime_checkable

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_LINE = "poller.line"
#: Requests still running when the server stops get this long (real seconds) before they are cut off.
_GRACE = 0.5
_BACKLOG = 128


class Line:
    """The wire below one request: for what HTTP itself cannot say."""

    def __init__(self, transport: asyncio.Transport, closing: asyncio.Event) -> None:
        self._transport = transport
        self._closing = closing

    async def hold(self, seconds: float) -> None:
        """Keep the client waiting, in real seconds, but never the server's own stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)

    def reset(self) -> None:
        """Break the connection at once: the client sees a reset, not an end."""
        linger = struct.pack("ii", 1, 0)
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._transport.abort()

    def cut(self) -> None:
        """Close the connection after what was sent so far."""
        self._transport.close()


def line_of(scope: Scope) -> Line:
    """The wire of a request that `serve` handed in."""
    line: Line = scope["extensions"][_LINE]
    return line


class Door(Protocol):
    """The address at which an app is served."""

    async def shut(self) -> None:
        """Listen no more: connections are refused, those that stand are cut. The port stays ours."""
        ...

    async def reopen(self) -> None:
        """Listen again, at the same port."""
        ...


@runtime_checkable
class Attended(Protocol):
    """An app that minds its own door."""

    async def attend(self, door: Door) -> None:
        """Runs as long as the app is served, and is cancelled with it."""
        ...


@asynccontextmanager
async def serve(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve `app` on loopback while the block runs; gives the base URL. OSError if the port is taken.

    An app that is `Attended` may shut its door and open it again meanwhile.
    """
    listener = bound(host, port)
    bound_host, bound_port = listener.getsockname()[:2]
    server = _Server(app, (bound_host, bound_port))
    listener.listen(_BACKLOG)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="simulator")
    attendant = asyncio.create_task(_attend(app, server), name="simulator.attend")
    try:
        yield f"http://[{bound_host}]:{bound_port}" if ":" in host else f"http://{bound_host}:{bound_port}"
    finally:
        attendant.cancel()
        await asyncio.wait([attendant])
        server.stop()
        await task
        if not attendant.cancelled():
            attendant.result()


async def _attend(app: ASGIApp, door: Door) -> None:
    if isinstance(app, Attended):
        await app.attend(door)


async def serve_until_stopped(
    app: ASGIApp, announce: Callable[[str], None], host: str = "127.0.0.1", port: int = 0
) -> None:
    """Serve until SIGINT or SIGTERM; `announce` gets the base URL once connections are taken."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with serve(app, host, port) as base_url:
        announce(base_url)
        await stop.wait()


def split_address(text: str) -> tuple[str, int]:
    """``host:port``, ``[v6]:port`` or a bare port, as host and port; loopback only. ValueError otherwise."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not (port.isdecimal() and int(port) < 65536):
        raise ValueError(f"{text!r} is no address: write 127.0.0.1:PORT or a port")
    if host == "localhost":
        host = "127.0.0.1"
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ValueError(f"{host} is not a loopback address; the simulator has no real login to guard it")
    return host, int(port)


def bound(host: str, port: int) -> socket.socket:
    """A socket of this address that does not listen; while it lives, no other program is given the port.

    OSError if it is taken.
    """
    # Bound before uvicorn starts: it would end the process with our exit code for "log in".
    # The protocol is named because asyncio turns Nagle off only then: 40 ms an answer.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


class _Server(uvicorn.Server):
    """uvicorn without its signals, its ten wake-ups a second and its patience at the end."""

    def __init__(self, app: ASGIApp, address: tuple[str, int]) -> None:
        self._app = app
        self._address = address
        self._up = asyncio.Event()
        self._closing = asyncio.Event()
        #: While the door is shut: holds the port, without listening, so that no other program is given it.
        self._kept: socket.socket | None = None
        super().__init__(
            uvicorn.Config(
                self._with_line,
                interface="asgi3",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                date_header=False,
                # Longer than any pause between two polls of a warped demo.
                timeout_keep_alive=75,
                server_header=False,
            )
        )

    def stop(self) -> None:
        self.should_exit = True
        self._closing.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._up.set()

    async def shut(self) -> None:
        await self._up.wait()
        for server in self.servers:
            server.close()
        self._kept = bound(*self._address)
        for connection in self._connections():
            connection.transport.abort()

    async def reopen(self) -> None:
        if self._kept is not None:
            await self.startup([self._kept])
            self._kept = None

    async def main_loop(self) -> None:
        await self._closing.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in (*(sockets or ()), *([self._kept] if self._kept else [])):
            listener.close()
        for connection in self._connections():
            connection.shutdown()
        if self.server_state.tasks:
            await asyncio.wait(set(self.server_state.tasks), timeout=_GRACE)
        for connection in self._connections():
            connection.transport.abort()
        for server in self.servers:
            await server.wait_closed()

    def _connections(self) -> list[H11Protocol]:
        # The configuration allows no other protocol.
        return [cast("H11Protocol", connection) for connection in self.server_state.connections]

    async def _with_line(self, scope: Scope, receive: Receive, send: Send) -> None:
        wire = next((c for c in self._connections() if c.client == scope["client"]), None)
        if wire is None:
            return  # cut off before its turn came
        scope.setdefault("extensions", {})[_LINE] = Line(wire.transport, self._closing)
        await self._app(scope, receive, send)
