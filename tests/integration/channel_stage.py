"""Where alerts go in tests: an ntfy-like server, a mailbox behind real SMTP, and alerts to send there."""

from __future__ import annotations

import asyncio
import email
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default

from aiosmtpd.smtp import SMTP
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from poller.testing.records import VIN
from poller.vehicle.alert import Alert, alert_record
from poller.vehicle.records import Record

START = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)


def alert_number(number: int, *, start: datetime = START, **changes) -> Record:
    """The n-th was raised n times five minutes after the start."""
    at = start + number * timedelta(minutes=5)
    values = {
        "rule": "window_open", "state": "raised", "severity": "warning", "subject": "front_left",
        "raised_at": at, "told_at": at, "title": f"mini: window open ({number})",
        "text": "The front left window has been open for 10 min.", "vin": VIN, "source": "fake",
        "values": {"open_minutes": 10},
    }  # fmt: skip
    return alert_record(Alert(**(values | changes)))


@dataclass
class Ntfy:
    """Takes what ntfy's publishing API takes (a JSON object posted to /), and answers as it is told."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    messages: list[dict] = field(default_factory=list)
    asked: int = 0
    #: Cleared: requests wait here before they are answered.
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.messages]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        self.asked += 1
        if self.status == 200:
            self.messages.append(json.loads(body))
        await self.gate.wait()
        answer: Response = JSONResponse({"id": str(self.asked)}, self.status, self.headers)
        await answer(scope, receive, send)


@dataclass
class Hook:
    """Takes any request, and answers as it is told: a status, or one made of the request's number."""

    status: int | Callable[[int], int] = 200
    headers: dict[str, str] = field(default_factory=dict)
    #: method, path with query, headers, body of those that were answered with 2xx
    taken: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        self.asked.append(dict(request.headers))
        status = self.status if isinstance(self.status, int) else self.status(len(self.asked))
        if 200 <= status < 300:
            where = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            self.taken.append((request.method, where, dict(request.headers), body))
        await Response(b"", status, self.headers)(scope, receive, send)

    @property
    def bodies(self) -> list[dict]:
        return [json.loads(body) for *_, body in self.taken]


class Mailbox:
    """What a real SMTP server has taken; `refusing`: it is there, and takes nothing."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refusing = False
        self.port = 0

    async def handle_DATA(self, _server, _session, envelope) -> str:  # noqa: N802  # the library's name
        if self.refusing:
            return "451 later"
        self.mails.append(email.message_from_bytes(envelope.content, policy=default))
        return "250 OK"


@asynccontextmanager
async def mailbox() -> AsyncIterator[Mailbox]:
    """A mailbox behind a real SMTP server on loopback."""
    box = Mailbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(box, hostname="localhost", loop=loop), "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
        await server.wait_closed()
