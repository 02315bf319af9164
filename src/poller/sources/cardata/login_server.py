"""The login server over HTTP: bounded in time and size, asked once, its failures in our own words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

import httpx

from poller.errors import SourceUnavailable
from poller.runtime.tls import shared_context
from poller.sources.oauth import Unreadable

_LARGEST_BODY: Final = 2**18
#: The whole of one request may take this many times as long as its parts.
_PATIENCE: Final = 3

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whole."""

    status: int
    body: bytes = field(repr=False)

    def understood(self, read: Callable[[bytes], T]) -> T:
        """What `read` makes of the body. Raises SourceUnavailable where that raises Unreadable."""
        try:
            return read(self.body)
        except Unreadable as error:
            raise SourceUnavailable(f"BMW's login server answered without usable {error}") from error

    def unclear(self) -> SourceUnavailable:
        """The error for an answer that says nothing about the login."""
        reason = "server" if self.status >= 500 else "unavailable"
        return SourceUnavailable(f"BMW's login server answered {self.status}", reason=reason)


class NotSent(SourceUnavailable):
    """BMW could not be reached: the request was certainly not carried out."""

    reason = "network"


class LoginServer:
    """Posts forms to one host. `timeout`: real seconds for each part of a request."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self._http: httpx.AsyncClient | None = None

    async def open(self) -> None:
        """Make the client; connects to nobody. Does nothing if open."""
        if self._http is None:
            self._http = httpx.AsyncClient(
                base_url=self._url, timeout=self._timeout, follow_redirects=False, verify=shared_context()
            )

    async def close(self) -> None:
        """Let go of connections; may be called twice."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def post(self, path: str, form: Mapping[str, str]) -> Reply:
        """Ask once and give any answer. Raises SourceUnavailable; its text holds nothing that was sent."""
        try:
            async with asyncio.timeout(self._timeout * _PATIENCE):
                return await self._exchange(path, form)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise NotSent(
                f"BMW's login server could not be reached ({type(error).__name__})",
                hint="look at this machine's network; it is tried again by itself",
            ) from error
        except (httpx.TimeoutException, TimeoutError) as error:
            raise SourceUnavailable("BMW's login server did not answer in time", reason="timeout") from error
        except httpx.RequestError as error:
            raise SourceUnavailable(
                f"BMW's login server broke off before the end of an answer ({type(error).__name__})",
                reason="network",
            ) from error

    async def _exchange(self, path: str, form: Mapping[str, str]) -> Reply:
        if self._http is None:
            raise RuntimeError("the source is not open")
        async with self._http.stream("POST", path, data=dict(form)) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _LARGEST_BODY:
                    raise SourceUnavailable(f"BMW's answer is larger than {_LARGEST_BODY} bytes")
            return Reply(response.status_code, bytes(body))
