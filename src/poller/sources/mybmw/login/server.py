"""A region's login server, asked as the app asks it, and what its answers mean whatever the way in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from poller.errors import LoginRequired, SourceError, SourceUnavailable
from poller.runtime.clock import Clock
from poller.sources.http import Call, Reply
from poller.sources.mybmw.refusals import refusal
from poller.sources.mybmw.regions import Server, login_headers
from poller.sources.mybmw.transport import Transport
from poller.sources.oauth import understood

T = TypeVar("T")


class RefreshRefused(Exception):
    """A refresh token is taken no more. The text is the server's own word, fit to be shown, or ""."""


class LoginServer:
    """Sends a login's requests for the source `name`."""

    def __init__(self, name: str, region: Server, transport: Transport, clock: Clock) -> None:
        self.name = name
        self.region = region
        self._transport = transport
        self._clock = clock

    @property
    def hint(self) -> str:
        """What to tell the human."""
        return f"run `poller login {self.name}`"

    def now(self) -> datetime:
        """The time by our own clock."""
        return self._clock.now()

    async def get(self, url: str, device: str, headers: Mapping[str, str] | None = None) -> Reply:
        """Ask, three times at most. Raises as `Transport.send`."""
        return await self._transport.send(Call("GET", url, self._headers(device, headers)))

    async def post(
        self,
        url: str,
        device: str,
        headers: Mapping[str, str] | None = None,
        *,
        repeatable: bool = False,
        **content: Any,
    ) -> Reply:
        """Send a form, or JSON (the fields of `http.Call`), once unless the server may see it again."""
        call = Call("POST", url, self._headers(device, headers), **content)
        return await (self._transport.send(call) if repeatable else self._transport.send_once(call))

    def understood(self, reply: Reply, read: Callable[[bytes], T]) -> T:
        """What `read` makes of a good answer. Raises SourceError that says nothing about the login."""
        if reply.status != 200:
            raise self.could_not_ask(reply)
        return understood(reply.body, read)

    def could_not_ask(self, reply: Reply) -> SourceError:
        """The error for an answer that says nothing about the login itself; so the login is kept."""
        error = refusal(reply.status, reply.headers, reply.body, self.now(), login_hint=self.hint)
        if isinstance(error, LoginRequired):
            return SourceUnavailable(f"BMW's login server answered {reply.status}")
        return error

    def _headers(self, device: str, more: Mapping[str, str] | None) -> dict[str, str]:
        return login_headers(device, self.region.code) | dict(more or {})
