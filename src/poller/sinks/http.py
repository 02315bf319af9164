"""HTTP for sinks: one request, whatever the reply; patience is the loop's business."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import httpx

from poller.errors import SinkUnavailable
from poller.runtime.http import Client
from poller.runtime.retry_after import retry_after
from poller.runtime.tls import shared_context

#: Real seconds for the body of a reply.
_BODY_WITHIN = 2.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP reply; header names are in lower case. Its body is not read beyond `longest`."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)


class Poster:
    """A client for one address. `within`: real seconds for a request in all; `longest`: bytes of a reply."""

    def __init__(self, url: str, *, within: float, longest: int) -> None:
        self._url = url
        self._within = within
        self._longest = longest
        self._client: httpx.AsyncClient | None = None
        self.host = urlsplit(url).hostname or ""

    def open(self) -> None:
        """Make the client, unless there is one."""
        if self._client is None:
            self._client = Client(
                timeout=httpx.Timeout(self._within, connect=min(10.0, self._within)),
                follow_redirects=False,
                verify=shared_context(),
            )

    async def close(self) -> None:
        """Close the connections; may be called twice."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Raises SinkUnavailable if there is no reply within the time; it names the host at most."""
        if self._client is None:
            raise RuntimeError("send before open")
        # Latin-1, as servers read it; httpx would stumble over what is not ASCII.
        written = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        sending = self._client.stream(method, self._url, headers=written, content=body)
        try:
            async with asyncio.timeout(self._within) as limit, sending as response:
                limit.reschedule(None)  # it was answered: what follows changes nothing
                named = {name.lower(): value for name, value in response.headers.items()}
                return Reply(response.status_code, named, await self._read(response))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            words = f"cannot reach {self.host}: {type(error).__name__}"
            raise SinkUnavailable(words, reason="network") from None
        except (TimeoutError, httpx.TimeoutException):
            raise SinkUnavailable(f"{self.host} did not answer in time", reason="timeout") from None
        except httpx.HTTPError as error:
            words = f"{self.host} broke off: {type(error).__name__}"
            raise SinkUnavailable(words, reason="server") from None

    async def _read(self, response: httpx.Response) -> bytes:
        """As it came: unpacked, a small one may be gigabytes. What breaks off or drags on is cut there.

        The status has come, and asking again would deliver twice.
        """
        body = bytearray()
        with contextlib.suppress(httpx.HTTPError, TimeoutError):
            async with asyncio.timeout(_BODY_WITHIN):
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > self._longest:
                        break
        return bytes(body[: self._longest])


def asked_until(headers: Mapping[str, str], now: datetime, longest: float) -> datetime | None:
    """The end of the wait in `Retry-After`, at most `longest` seconds ahead; None: there is none."""
    wait = retry_after(headers.get("retry-after"), now)
    if wait is None or wait < timedelta(0):
        return None
    return now + min(wait, timedelta(seconds=longest))
