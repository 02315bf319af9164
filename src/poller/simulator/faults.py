"""Faults on order, for any simulated service: what a bad day at the maker looks like on the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from poller.runtime.quantities import StrictTable
from poller.simulator.server import line_of

Kind = Literal["status", "slow", "half_body", "broken_json", "reset"]


class Fault(StrictTable):
    """One thing that goes wrong with the next `count` matching requests (None: until cleared).

    - ``status``: answered with `status`, `headers` and `body`; the request itself is not carried out.
    - ``slow``: carried out and answered after `seconds` (real ones).
    - ``half_body``: carried out; the connection ends in the middle of the answer.
    - ``broken_json``: carried out; a complete answer whose JSON is cut in half.
    - ``reset``: carried out; the connection is reset before a byte of the answer.

    `path_prefix` matches from the left; `vin` narrows it to requests that name this vehicle.
    """

    path_prefix: str
    kind: Kind
    status: int = Field(500, ge=200, le=599)
    body: str = ""
    headers: Mapping[str, str] = Field(default_factory=dict)
    count: int | None = Field(1, ge=1)
    vin: str | None = None
    seconds: float = Field(60.0, ge=0)

    def matches(self, path: str, vin: str | None) -> bool:
        """Whether a request for `path` about `vin` is hit."""
        return path.startswith(self.path_prefix) and self.vin in (None, vin)


class Faults:
    """ASGI middleware that spoils answers as ordered; control paths (``/_sim/…``) are spared."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.pending: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Order a fault; earlier ones go first."""
        self.pending.append(fault)

    def clear(self) -> None:
        """Back to normal."""
        self.pending.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, well or badly."""
        fault = None
        if scope["type"] == "http" and not scope["path"].startswith("/_sim/"):
            fault = self._take(scope["path"], Headers(scope=scope).get("bmw-vin"))
        if fault is None:
            await self._app(scope, receive, send)
        elif fault.kind == "status":
            refusal = Response(fault.body, fault.status, fault.headers, _media_type(fault.body))
            await refusal(scope, receive, send)
        elif fault.kind == "slow":
            await line_of(scope).hold(fault.seconds)
            await self._app(scope, receive, send)
        else:
            await self._spoil(fault.kind, scope, receive, send)

    async def control(self, request: Request) -> Response:
        """``POST`` a fault, ``DELETE`` them all; the answer lists what is pending."""
        if request.method == "DELETE":
            self.clear()
        else:
            try:
                self.add(Fault.model_validate_json(await request.body()))
            except ValidationError as error:
                return JSONResponse({"problems": error.errors(include_url=False, include_input=False)}, 400)
        return JSONResponse({"faults": self.listed()})

    def listed(self) -> list[dict[str, Any]]:
        """The pending faults as JSON."""
        return [fault.model_dump() for fault in self.pending]

    def _take(self, path: str, vin: str | None) -> Fault | None:
        for index, fault in enumerate(self.pending):
            if not fault.matches(path, vin):
                continue
            if fault.count is not None:
                if fault.count > 1:
                    self.pending[index] = fault.model_copy(update={"count": fault.count - 1})
                else:
                    del self.pending[index]
            return fault
        return None

    async def _spoil(self, kind: Kind, scope: Scope, receive: Receive, send: Send) -> None:
        start, body = await _answer_of(self._app, scope, receive)
        half = body[: len(body) // 2]
        match kind:
            case "reset":
                line_of(scope).reset()
                await _gone(receive)
            case "half_body":
                await send(start)
                await send({"type": "http.response.body", "body": half, "more_body": True})
                line_of(scope).cut()
                await _gone(receive)
            case _:
                await Response(half, start["status"], media_type="application/json")(scope, receive, send)


async def _answer_of(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
    """Carry the request out and keep the answer: its start message and its body."""
    messages: list[Message] = []

    async def collect(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, collect)
    return messages[0], b"".join(message.get("body", b"") for message in messages[1:])


async def _gone(receive: Receive) -> None:
    """Wait until the server has seen that the connection is gone, so that it does not complain."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _media_type(body: str) -> str:
    try:
        json.loads(body)
    except ValueError:
        return "text/plain"
    return "application/json"
