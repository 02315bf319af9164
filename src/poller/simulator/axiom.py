"""An Axiom ingest endpoint that stores, checks, and misbehaves as it is told.

Behaviours are coroutines that take an `Exchange` and give the response; `FakeAxiom.plan` queues
them, one a request; without a plan every request is taken in properly.
"""

from __future__ import annotations

import json
import secrets
import zlib
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from poller.runtime.clock import Clock, SystemClock
from poller.simulator.server import Line, line_of

Event = dict[str, Any]

TOKEN: Final = "xaat-simulated"  # noqa: S105  # the simulated endpoint's own


@dataclass(slots=True)
class Received:
    """One request as it came in. `body` is uncompressed; `status` None: no answer was given."""

    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    events: list[Event] = field(default_factory=list)
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a behaviour works with: the store, the request, and the wire below it."""

    axiom: FakeAxiom
    request: Received
    line: Line

    def store(self, refused: Iterable[Event] = ()) -> int:
        """Keep the events that are not refused; gives how many."""
        left_out = {id(event) for event in refused}
        kept = [event for event in self.request.events if id(event) not in left_out]
        self.axiom.events.extend(kept)
        return len(kept)

    def summary(self, ingested: int, failures: list[dict[str, str]]) -> dict[str, Any]:
        """The body of a 200."""
        return {
            "ingested": ingested,
            "failed": len(failures),
            "failures": failures,
            "processedBytes": len(self.request.body),
            "blocksCreated": 0,
            "walLength": 2,
        }


Behaviour = Callable[[Exchange], Awaitable[Response | None]]
Poison = Callable[[Event], bool]


class FakeAxiom:
    """An ASGI app for ``POST /v1/ingest/{dataset}`` and ``/v1/datasets/{dataset}/ingest``.

    `events` holds everything stored, in order, repeated deliveries included. Standing limits:
    `max_events` and `max_bytes` (uncompressed; 413), `window` = at most so many requests in so
    many of the clock's seconds (429 with the reset time).
    """

    def __init__(self, token: str = TOKEN, clock: Clock | None = None) -> None:
        self.token = token
        self.events: list[Event] = []
        self.requests: list[Received] = []
        self.standing: Behaviour = take_in
        self.max_events: int | None = None
        self.max_bytes: int | None = None
        self.window: tuple[int, float] | None = None
        self._clock = clock or SystemClock()
        self._window_start = float("-inf")
        self._in_window = 0
        self._plan: deque[Behaviour] = deque()
        self._app = Starlette(
            routes=[
                Route("/v1/ingest/{dataset}", self._ingest, methods=["POST"]),
                Route("/v1/datasets/{dataset}/ingest", self._ingest, methods=["POST"]),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self._app(scope, receive, send)

    def plan(self, *behaviours: Behaviour) -> None:
        """Queue behaviours for the next requests, one each; then `standing` holds again."""
        self._plan.extend(behaviours)

    @property
    def planned(self) -> int:
        """How many queued behaviours are still to come."""
        return len(self._plan)

    def ids(self) -> list[str]:
        """The ids of all events stored, in order of first arrival."""
        return list(dict.fromkeys(event["id"] for event in self.events))

    @property
    def duplicates(self) -> dict[str, int]:
        """Event id → how many times too many it was stored."""
        counts = Counter(event["id"] for event in self.events)
        return {key: count - 1 for key, count in counts.items() if count > 1}

    async def _ingest(self, request: Request) -> Response:
        received = Received(request.url.path, dict(request.headers))
        self.requests.append(received)
        line = line_of(request.scope)
        raw = await request.body()
        response = self._refusal(received, raw)
        if response is None:
            behaviour = self._plan.popleft() if self._plan else self.standing
            response = await behaviour(Exchange(self, received, line))
        if response is None:
            await _gone(request)
            return Response()
        received.status = response.status_code
        response.headers["x-axiom-trace-id"] = secrets.token_hex(8)
        return response

    def _refusal(self, received: Received, raw: bytes) -> Response | None:
        """What the endpoint refuses whatever else is planned, or None; fills in body and events."""
        authorization = received.headers.get("authorization", "")
        if not authorization:
            return _error(401, "missing authorization header")
        if authorization != f"Bearer {self.token}":
            return _error(403, "forbidden")
        try:
            received.body = _uncompressed(received.headers, raw)
            received.events = _events(received.body, received.headers)
        except ValueError as error:
            return _error(400, f"malformed body: {error}")
        if self.window is not None and not self._admits(*self.window):
            return _rate_limited(str(int(self._reset_at(self.window[1]))))
        too_many = self.max_events is not None and len(received.events) > self.max_events
        too_big = self.max_bytes is not None and len(received.body) > self.max_bytes
        return _error(413, "request entity too large") if too_many or too_big else None

    def _admits(self, limit: int, seconds: float) -> bool:
        now = self._clock.monotonic()
        if now - self._window_start >= seconds:
            self._window_start, self._in_window = now, 0
        self._in_window += 1
        return self._in_window <= limit

    def _reset_at(self, seconds: float) -> float:
        left = self._window_start + seconds - self._clock.monotonic()
        # Whole seconds on the wire: rounded up, so that waiting until then is enough.
        return self._clock.now().timestamp() + left + 1


# Behaviours: what the documentation and other people's logs show.


async def take_in(exchange: Exchange) -> Response:
    """200: everything stored."""
    return JSONResponse(exchange.summary(exchange.store(), []))


def partial(refuses: Poison, *, matching_times: bool = True) -> Behaviour:
    """200 though some events are refused; without `matching_times` nothing says which."""

    async def behave(exchange: Exchange) -> Response:
        refused = [event for event in exchange.request.events if refuses(event)]
        failures = [
            {
                "timestamp": event["_time"] if matching_times else "2000-01-01T00:00:00Z",
                "error": "field limit exceeded",
            }
            for event in refused
        ]
        return JSONResponse(exchange.summary(exchange.store(refused), failures))

    return behave


def poisoned(refuses: Poison, code: int = 400) -> Behaviour:
    """`code` for any request with such an event in it, nothing stored; others are taken in."""

    async def behave(exchange: Exchange) -> Response:
        if any(refuses(event) for event in exchange.request.events):
            return _error(code, "invalid event")
        return await take_in(exchange)

    return behave


async def failures_null(exchange: Exchange) -> Response:
    """200, stored, `failures` is null."""
    return JSONResponse(exchange.summary(exchange.store(), []) | {"failures": None})


async def failures_absent(exchange: Exchange) -> Response:
    """200, stored, only the fields that the schema requires."""
    body = exchange.summary(exchange.store(), [])
    return JSONResponse({key: body[key] for key in ("ingested", "failed", "processedBytes")})


async def empty_body(exchange: Exchange) -> Response:
    """200, stored, and no body."""
    exchange.store()
    return Response(b"", media_type="application/json")


async def html(_exchange: Exchange) -> Response:
    """200 with a login page: another host answers; nothing stored."""
    return Response("<!doctype html><title>Log in</title>", media_type="text/html")


async def truncated(exchange: Exchange) -> Response:
    """200, stored, the JSON breaks off."""
    body = json.dumps(exchange.summary(exchange.store(), []))
    return Response(body[: len(body) // 2], media_type="application/json")


def ingested_short(missing: int = 1) -> Behaviour:
    """200 that owns up to fewer events than were sent; the last ones are not stored."""

    async def behave(exchange: Exchange) -> Response:
        events = exchange.request.events
        stored = exchange.store(events[max(0, len(events) - missing) :])
        return JSONResponse(exchange.summary(stored, []))

    return behave


def redirect(location: str = "http://127.0.0.1:9/login") -> Behaviour:
    """307 to somewhere else: a wrong host."""

    async def behave(_exchange: Exchange) -> Response:
        return Response(status_code=307, headers={"location": location})

    return behave


def status(code: int, message: str = "simulated failure") -> Behaviour:
    """`code` and nothing stored."""

    async def behave(_exchange: Exchange) -> Response:
        return _error(code, message)

    return behave


def rate_limited(reset: str | None) -> Behaviour:
    """429; `reset` is the header's text as it is (epoch seconds, garbage, None: no header)."""

    async def behave(_exchange: Exchange) -> Response:
        return _rate_limited(reset)

    return behave


def exhausted(reset: str) -> Behaviour:
    """430: the month's volume is used up until `reset` (epoch seconds)."""

    async def behave(_exchange: Exchange) -> Response:
        headers = {"x-ingestlimit-limit": "1", "x-ingestlimit-remaining": "0", "x-ingestlimit-reset": reset}
        return JSONResponse({"message": "ingest limit exceeded"}, 430, headers)

    return behave


async def reset_after_storing(exchange: Exchange) -> None:
    """Stored; the connection is reset before the answer."""
    exchange.store()
    exchange.line.reset()


def slow(seconds: float = 60.0) -> Behaviour:
    """Stored, but the answer takes this many real seconds."""

    async def behave(exchange: Exchange) -> Response:
        exchange.store()
        await exchange.line.hold(seconds)
        return JSONResponse(exchange.summary(len(exchange.request.events), []))

    return behave


def _error(code: int, message: str) -> Response:
    return JSONResponse({"message": message}, code)


def _rate_limited(reset: str | None) -> Response:
    headers = {"x-ratelimit-scope": "organization", "x-ratelimit-limit": "1", "x-ratelimit-remaining": "0"}
    if reset is not None:
        headers["x-ratelimit-reset"] = reset
    return JSONResponse({"message": "rate limit exceeded"}, 429, headers)


def _uncompressed(headers: Mapping[str, str], raw: bytes) -> bytes:
    if headers.get("content-encoding", "identity") == "identity":
        return raw
    if headers["content-encoding"] != "gzip":
        raise ValueError("content encoding is not gzip")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        body = inflate.decompress(raw)
    except zlib.error as error:
        raise ValueError("not gzip") from error
    if not inflate.eof or inflate.unused_data:
        raise ValueError("gzip is cut off or followed by something")
    return body


def _events(body: bytes, headers: Mapping[str, str]) -> list[Event]:
    kind = headers.get("content-type", "").partition(";")[0]
    if kind == "application/json" and body.lstrip()[:1] == b"[":
        events = json.loads(body, parse_constant=_no_constant)
    elif kind in ("application/x-ndjson", "application/nd-json", "application/json"):
        events = [json.loads(row, parse_constant=_no_constant) for row in body.splitlines() if row.strip()]
    else:
        raise ValueError(f"content type {kind!r} is not taken")
    if not all(isinstance(event, dict) for event in events):
        raise ValueError("an event is not an object")
    return list(events)


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


async def _gone(request: Request) -> None:
    """Wait until the server has seen that the connection is gone, so that it does not complain."""
    while not await request.is_disconnected():
        await line_of(request.scope).hold(0.001)
