"""HTTP towards a maker's cloud: bounded in time and size, asked once, its failures in our own words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from poller.errors import SourceUnavailable
from poller.runtime.http import Client
from poller.runtime.tls import shared_context

#: The whole of one request may take this many times as long: a server that drips must not hold us.
_PATIENCE: Final = 3
_UNREACHED: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
_HINT: Final = "look at this machine's network; it is tried again by itself"


class NotSent(SourceUnavailable):
    """The server could not be reached: the request was certainly not carried out."""

    reason = "network"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost; seconds are real ones.

    `timeout`: each of connect, read, write and waiting for a connection. `largest_body`: bytes.
    """

    timeout: float = 30.0
    largest_body: int = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Call:
    """One request: with a `form`, a `json` body, or neither. `basic`: user name and password.

    `last_look` is called when the line stands and nothing of the request is written yet: if it raises,
    nothing is, and `HttpClient.send` raises that.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    basic: tuple[str, str] | None = field(default=None, repr=False)
    json: Mapping[str, Any] | None = field(default=None, repr=False)
    last_look: Callable[[], None] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whole. `headers` by lower-case name."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class HttpClient:
    """One long-lived client; `who` is asked, in the words of an error."""

    def __init__(self, who: str, limits: Limits) -> None:
        self._who = who
        self._limits = limits
        self._client: httpx.AsyncClient | None = None
        self._usual: dict[str, str] = {}
        self._extensions = {"timeout": httpx.Timeout(limits.timeout).as_dict()}

    async def open(self) -> None:
        """Make the client; connects to nobody. Does nothing if open."""
        if self._client is None:
            self._client = Client(
                timeout=self._limits.timeout, follow_redirects=False, verify=shared_context()
            )
            self._usual = dict(self._client.headers)

    async def close(self) -> None:
        """Let go of connections; may be called twice."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def send(self, call: Call) -> Reply:
        """Ask once, and give any answer whatever its status.

        Raises NotSent, or SourceUnavailable where the server may have carried it out: `timeout`,
        `network` (it broke off), `malformed` (too long). Their texts hold nothing that was sent.
        """
        try:
            async with asyncio.timeout(self._limits.timeout * _PATIENCE):
                return await self._exchange(call)
        except _UNREACHED as error:
            words = f"{self._who} could not be reached ({type(error).__name__})"
            raise NotSent(words, hint=_HINT) from error
        except (httpx.TimeoutException, TimeoutError) as error:
            words = f"{self._who} did not answer in time"
            raise SourceUnavailable(words, hint=_HINT, reason="timeout") from error
        except httpx.RequestError as error:
            words = f"{self._who} broke off before the end of an answer ({type(error).__name__})"
            raise SourceUnavailable(words, hint=_HINT, reason="network") from error

    async def _exchange(self, call: Call) -> Reply:
        if self._client is None:
            raise RuntimeError("the source is not open")
        request = self._request(self._client, call)
        auth = httpx.BasicAuth(*call.basic) if call.basic else None
        response = await self._client.send(request, auth=auth, stream=True)
        try:
            body = await self._read(response)
        finally:
            await response.aclose()
        return Reply(response.status_code, dict(response.headers.items()), body)

    def _request(self, client: httpx.AsyncClient, call: Call) -> httpx.Request:
        try:
            # As `client.build_request`, less its merging of addresses and headers: a third of its time.
            return httpx.Request(
                call.method,
                _with(call.params, call.url),
                headers=self._usual | {name.lower(): value for name, value in call.headers.items()},
                cookies=client.cookies,
                data=dict(call.form) if call.form is not None else None,
                json=call.json,
                extensions=self._extensions_of(call),
            )
        except (ValueError, httpx.InvalidURL) as error:
            words = f"{self._who} named an address or a token that cannot be used"
            raise NotSent(words, reason="unavailable") from error

    def _extensions_of(self, call: Call) -> dict[str, Any]:
        look = call.last_look
        if look is None:
            return self._extensions

        async def trace(event: str, info: Mapping[str, Any]) -> None:
            # A proxy is asked for the line by a request of its own.
            if event.endswith(".send_request_headers.started") and info["request"].method != b"CONNECT":
                look()

        return {**self._extensions, "trace": trace}

    async def _read(self, response: httpx.Response) -> bytes:
        if "," in response.headers.get("content-encoding", ""):
            # Each packing multiplies by a thousand what the client unpacks at one go: 5 kB become gigabytes.
            raise SourceUnavailable(f"an answer of {self._who} is packed more than once", reason="malformed")
        body, limit = bytearray(), self._limits.largest_body
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > limit:
                words = f"an answer of {self._who} is larger than {limit} bytes"
                raise SourceUnavailable(words, reason="malformed")
        return bytes(body)


def _with(params: Mapping[str, str], url: str) -> str:
    """The address with its query; the client would take it apart again to add that."""
    if not params:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(params)}"
