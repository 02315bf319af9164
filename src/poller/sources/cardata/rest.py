"""The REST API of BMW CarData: one coroutine per endpoint, each call entered in the ledger first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import httpx

from poller.errors import SourceError, SourceUnavailable
from poller.runtime.clock import Clock
from poller.runtime.tls import shared_context
from poller.sources.cardata.ledger import Call, Ledger
from poller.sources.cardata.refusals import (
    CONTAINER_DELETED,
    PAGING_EXPIRED,
    QUOTA,
    CarDataUnavailable,
    code_of,
    needs_token,
    refusal,
)
from poller.vehicle.privacy import short_vin
from poller.vehicle.records import rfc3339

#: Gives an access token; ``force``: another one than before, which BMW has refused.
TokenGiver = Callable[[bool], Awaitable[str]]

#: The whole of one request may take this many times as long: a server that drips must not hold us.
_PATIENCE: Final = 3
#: More pages than a sane answer has; each costs a call.
_MOST_PAGES: Final = 20
#: The request was never sent: nobody was reached.
_UNREACHED: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost; seconds are real ones.

    `timeout`: each of connect, read, write and waiting for a connection. `largest_body`: bytes.
    """

    timeout: float = 30.0
    largest_body: int = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Pages:
    """A paged answer: the bodies as received. `cut`: why the last pages are missing, None if none is."""

    bodies: Sequence[bytes]
    cut: SourceError | None = None


@dataclass(frozen=True, slots=True)
class _Request:
    """One request, and how the ledger shall call it."""

    method: str
    path: str
    purpose: str
    routine: bool
    vin: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


class CarDataClient:
    """Asks one account's CarData; bodies come back exactly as received. Nothing is tried twice in secret.

    Every call costs one of the day's, but one that reached nobody; a token that BMW does not take is
    replaced once, which costs another call. Each raises RateLimited before anything is sent when the
    ledger has nothing left for it, JournalError if the ledger cannot be written, and SourceError with
    BMW's code (`refusals`): SourceUnavailable, LoginRequired, RateLimited. `routine` calls leave the
    reserve alone; `purpose` is what the ledger notes, the endpoint's name unless told.
    """

    def __init__(
        self,
        name: str,
        *,
        api_url: str,
        token: TokenGiver,
        ledger: Ledger,
        clock: Clock,
        limits: Limits | None = None,
    ) -> None:
        self._login_hint = f"run `poller login {name}`"
        self._host = api_url.rstrip("/")
        self._token = token
        self._ledger = ledger
        self._clock = clock
        self._limits = limits or Limits()
        self._client: httpx.AsyncClient | None = None

    async def open(self) -> None:
        """Make the HTTP client; connects to nobody. Does nothing if open."""
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=self._limits.timeout, follow_redirects=False, verify=shared_context()
            )

    async def close(self) -> None:
        """Let go of connections; may be called twice."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def mappings(self, *, purpose: str = "mappings", routine: bool = False) -> bytes:
        """Which vehicles the account has; `mappings_in` reads it."""
        return await self._json(_Request("GET", "/customers/vehicles/mappings", purpose, routine))

    async def basic_data(self, vin: str, *, purpose: str = "basicData", routine: bool = False) -> bytes:
        """What the vehicle is."""
        return await self._json(_of(vin, "basicData", purpose, routine=routine))

    async def telematic_data(
        self, vin: str, container: str, *, purpose: str = "telematicData", routine: bool = False
    ) -> bytes:
        """The last values that BMW's server has of the container's descriptors."""
        params = {"containerId": container}
        return await self._json(_of(vin, "telematicData", purpose, routine=routine, params=params))

    async def tyre_diagnosis(
        self, vin: str, *, purpose: str = "tyreDiagnosis", routine: bool = False
    ) -> bytes:
        """Wear and season of the tyres."""
        return await self._json(_of(vin, "smartMaintenanceTyreDiagnosis", purpose, routine=routine))

    async def image(self, vin: str, *, purpose: str = "image", routine: bool = False) -> bytes:
        """A picture, PNG as a rule. CU-126 if there is none."""
        reply = await self._ask(_of(vin, "image", purpose, routine=routine))
        if not reply.headers.get("content-type", "").startswith("image/"):
            raise CarDataUnavailable("BMW's image is none", reason="malformed")
        return reply.body

    async def charging_history(
        self,
        vin: str,
        start: datetime,
        end: datetime,
        *,
        purpose: str = "chargingHistory",
        routine: bool = False,
    ) -> Pages:
        """The charging sessions from `start` to `end`; each page costs a call."""
        params = {"from": rfc3339(start), "to": rfc3339(end)}
        return await self._pages(_of(vin, "chargingHistory", purpose, routine=routine, params=params))

    async def charging_settings(
        self, vin: str, *, purpose: str = "chargingSettings", routine: bool = False
    ) -> Pages:
        """The location-based charging settings (they hold the home's position). CU-127 if there are none."""
        return await self._pages(_of(vin, "locationBasedChargingSettings", purpose, routine=routine))

    async def containers(self, *, purpose: str = "containers", routine: bool = False) -> bytes:
        """All containers, the deleted ones that linger included; without their descriptors."""
        return await self._json(_Request("GET", "/customers/containers", purpose, routine))

    async def container(self, container: str, *, purpose: str = "container", routine: bool = False) -> bytes:
        """One container, with its descriptors."""
        return await self._json(_Request("GET", _container(container), purpose, routine))

    async def create_container(
        self,
        name: str,
        intent: str,
        descriptors: Sequence[str],
        *,
        purpose: str = "createContainer",
        routine: bool = False,
    ) -> bytes:
        """Make a container; `intent` is what BMW calls its purpose."""
        body = {"name": name, "purpose": intent, "technicalDescriptors": list(descriptors)}
        return await self._json(_Request("POST", "/customers/containers", purpose, routine, json=body))

    async def delete_container(
        self, container: str, *, purpose: str = "deleteContainer", routine: bool = False
    ) -> None:
        """Delete a container; one that is deleted already is a success (208, CU-122)."""
        await self._ask(_Request("DELETE", _container(container), purpose, routine))

    async def _json(self, request: _Request) -> bytes:
        reply = await self._ask(request)
        try:
            json.loads(reply.body)
        except (ValueError, RecursionError):
            raise CarDataUnavailable("BMW's answer is no JSON", reason="malformed") from None
        return reply.body

    async def _pages(self, request: _Request) -> Pages:
        """All pages; what was paid for is kept when the rest cannot be had."""
        bodies: list[bytes] = []
        seen: set[str] = set()
        token: str | None = None
        while len(bodies) < _MOST_PAGES:
            params = dict(request.params) | ({"nextToken": token} if token else {})
            try:
                body = await self._json(_paged(request, params))
            except SourceError as error:
                if token and getattr(error, "code", "") == PAGING_EXPIRED and "" not in seen:
                    seen, token = {""}, None
                    bodies.clear()
                    continue
                if not bodies:
                    raise
                return Pages(tuple(bodies), error)
            bodies.append(body)
            token = next_token_in(body)
            if token is None:
                return Pages(tuple(bodies))
            if token in seen:
                break
            seen.add(token)
        endless = CarDataUnavailable("BMW's list does not end", reason="malformed")
        return Pages(tuple(bodies), endless)

    async def _ask(self, request: _Request) -> _Reply:
        reply = await self._pay_and_send(request, await self._token(False))
        if needs_token(reply.status, reply.body):
            reply = await self._pay_and_send(request, await self._token(True))
        code = code_of(reply.body)
        if 200 <= reply.status < 300 and code in ("", CONTAINER_DELETED):
            return reply
        wait = _wait(reply.headers)
        now = await self._ledger.refused(wait) if code == QUOTA else self._clock.now()
        raise refusal(reply.status, reply.body, now, login_hint=self._login_hint, wait=wait)

    async def _pay_and_send(self, request: _Request, token: str) -> _Reply:
        vehicle = short_vin(request.vin) if request.vin else ""
        call = await self._ledger.spend(request.purpose, routine=request.routine, vehicle=vehicle)
        try:
            async with asyncio.timeout(self._limits.timeout * _PATIENCE):
                reply = await self._exchange(request, token)
        except (httpx.RequestError, TimeoutError) as error:
            raise await self._failed(call, error) from error
        if reply.status < 500 and code_of(reply.body) != QUOTA:
            await self._ledger.answered()
        return reply

    async def _failed(self, call: Call, error: httpx.RequestError | TimeoutError) -> SourceUnavailable:
        unreached = isinstance(error, _UNREACHED)
        if unreached:
            await self._ledger.give_back(call)
        if isinstance(error, httpx.TimeoutException | TimeoutError):
            return CarDataUnavailable("BMW CarData did not answer in time", reason="timeout")
        what = "could not be reached" if unreached else "broke off before the end of an answer"
        return CarDataUnavailable(
            f"BMW CarData {what} ({type(error).__name__})",
            reason="network",
            hint="look at this machine's network; it is tried again by itself",
        )

    async def _exchange(self, request: _Request, token: str) -> _Reply:
        if self._client is None:
            raise RuntimeError("the source is not open")
        sent = self._client.build_request(
            request.method,
            self._host + request.path,
            headers={"authorization": f"Bearer {token}", "x-version": "v1", "accept": _accept(request)},
            params=dict(request.params) or None,
            json=request.json,
        )
        response = await self._client.send(sent, stream=True)
        try:
            body = await _read(response, self._limits.largest_body)
        finally:
            await response.aclose()
        return _Reply(response.status_code, dict(response.headers.items()), body)


def mappings_in(body: bytes) -> list[Mapping[str, Any]]:
    """The entries of `mappings`, each with a ``vin``: an array, a bare object or a wrapper was seen.

    Raises CarDataUnavailable if it is none of these.
    """
    raw = json.loads(body)
    if isinstance(raw, dict) and "vin" not in raw:
        raw = next((value for value in raw.values() if isinstance(value, list)), None)
    entries = [raw] if isinstance(raw, dict) else raw
    if not isinstance(entries, list):
        raise CarDataUnavailable("BMW's list of vehicles was not understood", reason="malformed")
    return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("vin"), str)]


def next_token_in(body: bytes) -> str | None:
    """Where the list goes on: ``next_token`` in one endpoint's answers, ``nextToken`` in another's."""
    raw = json.loads(body)
    if not isinstance(raw, dict):
        return None
    token = raw.get("next_token") or raw.get("nextToken")
    return token if isinstance(token, str) and token else None


def _of(
    vin: str, what: str, purpose: str, *, routine: bool, params: Mapping[str, str] | None = None
) -> _Request:
    path = f"/customers/vehicles/{quote(vin, safe='')}/{what}"
    return _Request("GET", path, purpose, routine, vin=vin, params=params or {})


def _paged(request: _Request, params: Mapping[str, str]) -> _Request:
    return _Request(
        request.method, request.path, request.purpose, request.routine, vin=request.vin, params=params
    )


def _container(container: str) -> str:
    return f"/customers/containers/{quote(container, safe='')}"


def _accept(request: _Request) -> str:
    return "*/*" if request.path.endswith("/image") else "application/json"


def _wait(headers: Mapping[str, str]) -> timedelta | None:
    """``Retry-After`` in seconds; no source shows one, nor a date."""
    value = headers.get("retry-after", "").strip()
    return timedelta(seconds=int(value)) if value.isascii() and value.isdigit() and len(value) < 9 else None


async def _read(response: httpx.Response, limit: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > limit:
            raise CarDataUnavailable(f"BMW's answer is larger than {limit} bytes", reason="malformed")
    return bytes(body)
