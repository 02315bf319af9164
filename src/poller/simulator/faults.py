"""Faults on order, for a simulated cloud: what a bad day at the maker looks like on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from poller.runtime.clock import Clock, wait
from poller.simulator.fault import Fault, Kind
from poller.simulator.garbage import wrong_types
from poller.simulator.orders import Order
from poller.simulator.quota import until_midnight
from poller.simulator.refusals import login_refused, refusal
from poller.simulator.server import Door, line_of
from poller.simulator.wording import problems_of

__all__ = ["Fault", "Faults"]


class Faults:
    """ASGI middleware that spoils answers as ordered; control paths (``/_sim/…``) are spared.

    `moments`: what to do when a fault begins that is not a time but a moment. Whoever serves the
    app calls `attend`, so that a door is shut and opened on time.
    """

    def __init__(self, app: ASGIApp, clock: Clock, moments: Mapping[Kind, Callable[[Fault], None]]) -> None:
        self._app = app
        self._clock = clock
        self._moments = moments
        self._at_each_turn: list[Callable[[], Awaitable[None]]] = []
        self._orders: list[Order] = []
        self._changed = asyncio.Event()

    def add(self, fault: Fault) -> None:
        """Order a fault; earlier ones go first."""
        self._orders.append(Order(fault, self._clock))
        self._changed.set()

    def clear(self) -> None:
        """Back to normal, but for sessions that a refused login has ended."""
        self._orders.clear()
        self._changed.set()

    def listed(self) -> list[dict[str, Any]]:
        """What is active and pending, as JSON, with when it ends or begins."""
        self._tick()
        return [order.listed() for order in self._orders]

    def active(self, kind: Kind, vin: str | None = None) -> list[Fault]:
        """The faults of this kind that are at work now, for this vehicle or for all."""
        orders = (order for order in self._orders if order.fault.kind == kind)
        return [order.fault for order in orders if order.phase == "active" and order.fault.vin in (None, vin)]

    def take(self, kind: Kind, path: str, vin: str | None = None) -> Fault | None:
        """The fault of this kind that hits a request for `path` about `vin`, which is counted; or None."""
        for order in self._orders:
            fault = order.fault
            if fault.kind == kind and order.phase == "active" and fault.means(path, vin):
                order.take()
                return fault
        return None

    def at_each_turn(self, call: Callable[[], Awaitable[None]]) -> None:
        """Await this whenever a fault is ordered, begins or ends, while `attend` runs."""
        self._at_each_turn.append(call)

    async def attend(self, door: Door) -> None:
        """Shut `door` while it is ordered that nobody listens; runs until it is cancelled."""
        shut = False
        while True:
            self._changed.clear()
            self._tick()
            orders = [order for order in self._orders if order.fault.kind == "unreachable"]
            wanted = any(order.phase == "active" for order in orders)
            if wanted != shut:
                await (door.shut() if wanted else door.reopen())
                shut = wanted
            for call in self._at_each_turn:
                await call()
            turns = [turn for order in self._orders if (turn := order.next_turn()) is not None]
            await wait(self._changed, self._clock, min(turns, default=None))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, well or badly."""
        order = None
        if scope["type"] == "http" and not scope["path"].startswith("/_sim/"):
            order = self._take(scope["path"], Headers(scope=scope))
        if order is None:
            await self._app(scope, receive, send)
            return
        match order.fault.kind:
            case "slow":
                await line_of(scope).hold(order.fault.seconds)
                await self._app(scope, receive, send)
            case "half_body" | "broken_json" | "wrong_types" | "reset" | "captcha_demanded":
                await self._spoil(order.fault, scope, receive, send)
            case "unreachable":
                await _break_off(scope, receive)
            case _:
                ends = order.remaining
                pause = until_midnight(self._clock.now()) if ends is None else ends
                await refusal(order.fault, pause)(scope, receive, send)

    async def control(self, request: Request) -> Response:
        """``POST`` a fault, ``DELETE`` them all, ``GET`` what is ordered; the answer lists it."""
        if request.method == "DELETE":
            self.clear()
        elif request.method == "POST":
            try:
                self.add(Fault.model_validate_json(await request.body()))
            except ValidationError as error:
                return JSONResponse({"problems": problems_of(error, {"": Fault})}, 400)
        return JSONResponse({"faults": self.listed()})

    def _tick(self) -> None:
        """Let moments come, and forget what is over."""
        for order in self._orders:
            if order.phase == "active" and (come := self._moments.get(order.fault.kind)) is not None:
                come(order.fault)
                order.take()
        self._orders = [order for order in self._orders if order.phase != "over"]

    def _take(self, path: str, headers: Headers) -> Order | None:
        self._tick()
        for order in self._orders:
            if order.phase == "active" and order.fault.hits(path, headers.get("bmw-vin"), headers):
                order.take()
                return order
        return None

    async def _spoil(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry the request out and spoil what it gives."""
        start, body = await _answer_of(self._app, scope, receive)
        status, half = start["status"], body[: len(body) // 2]
        match fault.kind:
            case "reset":
                await _break_off(scope, receive)
            case "half_body":
                await send(start)
                await send({"type": "http.response.body", "body": half, "more_body": True})
                line_of(scope).cut()
                await _gone(receive)
            case "broken_json":
                await Response(half, status, media_type="application/json")(scope, receive, send)
            case "wrong_types":
                await _replaced(start, wrong_types(body, fault.seed))(scope, receive, send)
            case _:
                await login_refused()(scope, receive, send)


async def _answer_of(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
    """Carry the request out and keep the answer: its start message and its body."""
    messages: list[Message] = []

    async def collect(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, collect)
    return messages[0], b"".join(message.get("body", b"") for message in messages[1:])


def _replaced(start: Message, body: bytes) -> Response:
    """The answer with another body."""
    headers = {
        name: value for name, value in Headers(raw=start["headers"]).items() if name != "content-length"
    }
    return Response(body, start["status"], headers)


async def _break_off(scope: Scope, receive: Receive) -> None:
    """Reset the connection."""
    line_of(scope).reset()
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    """Wait until the server has seen that the connection is gone, so that it does not complain."""
    while (await receive())["type"] != "http.disconnect":
        pass
