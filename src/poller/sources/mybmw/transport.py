"""HTTP as the MyBMW app's servers want it: one host whatever they name, a transient fault tried again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from poller.errors import PASSING, SourceUnavailable
from poller.runtime.clock import Clock
from poller.runtime.retry import retry_transient
from poller.sources import http
from poller.sources.http import Call, HttpClient, Reply


@dataclass(frozen=True, slots=True)
class Limits(http.Limits):
    """What one request may cost. `last_word`: how long `close` waits for a refresh under way."""

    last_word: float = 3.0


class Transport:
    """Sends calls, whose URL may be a path below `host`.

    `base_url` replaces every host, also of URLs that the server names.
    """

    def __init__(self, host: str, *, base_url: str | None, clock: Clock, limits: Limits) -> None:
        self._host = (base_url or host).rstrip("/")
        self._rebase = base_url is not None
        self._clock = clock
        self._http = HttpClient("BMW", limits)

    async def open(self) -> None:
        """Make the client; connects to nobody. Does nothing if open."""
        await self._http.open()

    async def close(self) -> None:
        """Let go of connections; may be called twice."""
        await self._http.close()

    async def send(self, call: Call) -> Reply:
        """Send and give back any answer below 500, whatever it says.

        Connection faults, time-outs, broken transfers and 5xx are tried three times in all.
        Raises SourceUnavailable; its text names no header, query or body.
        """
        return await retry_transient(
            lambda: self.send_once(call),
            on=lambda error: isinstance(error, SourceUnavailable) and error.reason in PASSING,
            clock=self._clock,
        )

    async def send_once(self, call: Call) -> Reply:
        """As `send`, with one try: for what the server must not see twice."""
        reply = await self._http.send(replace(call, url=self._url(call.url)))
        if reply.status >= 500:
            raise SourceUnavailable(f"BMW answered {reply.status}", reason="server")
        return reply

    def _url(self, url: str) -> str:
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise SourceUnavailable("BMW named an address that cannot be used") from error
        if not parts.netloc:
            return self._host + url
        if self._rebase:
            return self._host + parts.path
        if parts.scheme != "https":
            # The server's word alone must not make us send a login in clear.
            raise SourceUnavailable("BMW named an address that is not https")
        return url
