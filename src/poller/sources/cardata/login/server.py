"""The login server: forms go in, any answer comes out, and what it means if it says nothing of the login."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from poller.errors import RateLimited, SourceUnavailable
from poller.runtime.retry_after import retry_after
from poller.sources.http import Call, HttpClient, Limits, Reply

_LARGEST_BODY: Final = 2**18
#: "Slow down" comes without a word on how long, as a rule.
_PAUSE: Final = timedelta(minutes=5)
_SHORTEST, _LONGEST = timedelta(minutes=1), timedelta(hours=24)


class LoginServer:
    """Posts forms to one host. `timeout`: real seconds for each part of a request."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url.rstrip("/")
        self._http = HttpClient("BMW's login server", Limits(timeout, _LARGEST_BODY))

    async def open(self) -> None:
        """Make the HTTP client; connects to nobody. Does nothing if open."""
        await self._http.open()

    async def close(self) -> None:
        """Let go of connections; may be called twice."""
        await self._http.close()

    async def post(self, path: str, form: Mapping[str, str]) -> Reply:
        """Ask once and give any answer. Raises as `HttpClient.send`."""
        return await self._http.send(Call("POST", self._url + path, form=form))


def unclear(reply: Reply) -> SourceUnavailable:
    """The error for an answer that says nothing about the login."""
    reason = "server" if reply.status >= 500 else "unavailable"
    return SourceUnavailable(f"BMW's login server answered {reply.status}", reason=reason)


def slowed_down(reply: Reply, now: datetime) -> RateLimited:
    """The error for an answer that asks us to wait."""
    pause = retry_after(reply.headers.get("retry-after"), now) or _PAUSE
    pause = min(max(pause, _SHORTEST), _LONGEST)
    return RateLimited(now + pause, "BMW's login server asks us to wait")
