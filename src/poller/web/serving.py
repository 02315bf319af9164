"""uvicorn inside our event loop, tamed: no signals, no exit of its own, no log, a stop that ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from email.utils import formatdate

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

#: Connections at once; more would eat the file descriptors that the journal needs.
MAX_CONNECTIONS = 100
#: Seconds in which a new connection must begin to ask.
FIRST_REQUEST = 20.0
#: Seconds that answers under way have to finish when the poller stops.
STOP_GRACE = 0.5


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 with a limit on connections, and a time-out for those that never ask."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as upstream
        """Take the connection, or close it at once if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
            return
        self.timeout_keep_alive_task = self.loop.call_later(FIRST_REQUEST, self.timeout_keep_alive_handler)


class Dated:
    """Adds the Date header to answers. Upstream's own is renewed by a timer, which wakes an idle process."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = (b"date", formatdate(usegmt=True).encode())
                message = {**message, "headers": [date, *message["headers"]]}
            await send(message)

        await self._app(scope, receive, dated)


class Serving(uvicorn.Server):
    """Serves `app` on sockets that are bound already, until `stop` is set."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                Dated(app),
                http=BoundedProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                date_header=False,
                server_header=False,
                proxy_headers=False,
            )
        )
        self.servers = []

    async def serve_until(self, stop: asyncio.Event, sockets: Sequence[socket.socket]) -> None:
        """Answer until `stop` is set; back within about a second, whatever clients do. Closes the sockets."""
        self._stop = stop
        try:
            await self.serve(list(sockets))
        finally:
            self._hang_up()
            for sock in sockets:
                sock.close()

    async def main_loop(self) -> None:
        """Wait for the stop. Upstream wakes ten times a second: most of an idle process' CPU."""
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002  # as upstream
        """Close the door, let answers finish for a moment, then hang up. Upstream waits for clients."""
        for server in self.servers:
            server.close()
        tasks = set(self.server_state.tasks)
        if tasks:
            _, unfinished = await asyncio.wait(tasks, timeout=STOP_GRACE)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)

    def _hang_up(self) -> None:
        """Also where `serve` was cancelled: nothing of ours stays in the loop."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for task in self.server_state.tasks:
            task.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the poller's own business."""
        yield
