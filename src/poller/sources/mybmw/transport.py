"""HTTP, wrapped: one long-lived client, bounded in time and size, its failures in our own words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from poller.errors import SourceUnavailable
from poller.runtime.clock import Clock
from poller.runtime.retry import retry_transient
from poller.runtime.tls import shared_context

#: The whole of one request may take this many times as long: a server that drips must not hold us.
_PATIENCE = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost; seconds are real ones.

    `timeout`: each of connect, read, write and waiting for a connection. `largest_body`: bytes; a
    state has some 20 KiB. `last_word`: how long `close` waits for a refresh under way.
    """

    timeout: float = 30.0
    largest_body: int = 4 * 2**20
    last_word: float = 3.0


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `path` is below the region's host, or a whole URL that the server named."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    params: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    basic: tuple[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whole. `headers` by lower-case name."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Transport:
    """Sends calls to one host. `base_url` replaces every host, also of URLs that the server names."""

    def __init__(self, host: str, *, base_url: str | None, clock: Clock, limits: Limits) -> None:
        self._host = (base_url or host).rstrip("/")
        self._rebase = base_url is not None
        self._clock = clock
        self._limits = limits
        self._client: httpx.AsyncClient | None = None

    async def open(self) -> None:
        """Make the client; connects to nobody. Does nothing if open."""
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=self._limits.timeout, follow_redirects=False, verify=shared_context()
            )

    async def close(self) -> None:
        """Let go of connections; may be called twice."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def send(self, call: Call) -> Reply:
        """Send and give back any answer below 500, whatever it says.

        Connection faults, time-outs, broken transfers and 5xx are tried three times in all.
        Raises SourceUnavailable; its text names no header, query or body.
        """
        return await retry_transient(
            lambda: self.send_once(call),
            on=lambda error: isinstance(error, SourceUnavailable) and error.reason != "unavailable",
            clock=self._clock,
        )

    async def send_once(self, call: Call) -> Reply:
        """As `send`, with one try: for what the server must not see twice."""
        try:
            async with asyncio.timeout(self._limits.timeout * _PATIENCE):
                reply = await self._exchange(call)
        except (httpx.TimeoutException, TimeoutError) as error:
            raise SourceUnavailable("BMW did not answer in time", reason="timeout") from error
        except httpx.RequestError as error:
            kind = type(error).__name__
            unmet = isinstance(error, httpx.ConnectError | httpx.ProxyError | httpx.UnsupportedProtocol)
            what = "BMW could not be reached" if unmet else "BMW broke off before the end of an answer"
            raise SourceUnavailable(
                f"{what} ({kind})",
                reason="network",
                hint="look at this machine's network; it is tried again by itself",
            ) from error
        if reply.status >= 500:
            raise SourceUnavailable(f"BMW answered {reply.status}", reason="server")
        return reply

    async def _exchange(self, call: Call) -> Reply:
        if self._client is None:
            raise RuntimeError("the source is not open")
        try:
            request = self._client.build_request(
                call.method,
                self._url(call.path),
                headers=dict(call.headers),
                params=dict(call.params) or None,
                data=dict(call.form) if call.form is not None else None,
            )
        except (ValueError, httpx.InvalidURL) as error:
            raise SourceUnavailable("BMW named an address that cannot be used") from error
        auth = httpx.BasicAuth(*call.basic) if call.basic else None
        response = await self._client.send(request, auth=auth, stream=True)
        try:
            body = await _read(response, self._limits.largest_body)
        finally:
            await response.aclose()
        return Reply(response.status_code, dict(response.headers.items()), body)

    def _url(self, path: str) -> str:
        parts = urlsplit(path)
        if not parts.netloc:
            return self._host + path
        if self._rebase:
            return self._host + parts.path
        if parts.scheme != "https":
            # The server's word alone must not make us send a login in clear.
            raise SourceUnavailable("BMW named an address that is not https")
        return path


async def _read(response: httpx.Response, limit: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > limit:
            raise SourceUnavailable(f"BMW's answer is larger than {limit} bytes")
    return bytes(body)
