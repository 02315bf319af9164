"""``poller login`` where a service's daemon holds the files: it does the login, this side shows it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from poller.errors import LoginRequired
from poller.runtime.clock import Clock
from poller.sources.device import EXPIRED, Code
from poller.vehicle.records import Json, parse_time

if TYPE_CHECKING:
    from poller.web.control import ControlClient

#: Seconds between two looks at how it stands.
_LOOK = 0.5


@dataclass(frozen=True, slots=True)
class DeskCode:
    """A code that the daemon waits for; a `sources.device.Code`."""

    user_code: str
    url: str
    url_complete: str
    expires_at: datetime


class Desk:
    """The daemon's desk for one source; where a code is needed, a `sources.device.ByDevice`."""

    def __init__(self, client: ControlClient, source: str, clock: Clock) -> None:
        self._client = client
        self._source = source
        self._clock = clock

    async def begin(self, **means: str | None) -> Json:
        """What `LoginDesk.begin` gives. Raises LoginRequired if it failed at once, PollerError."""
        return await self._call("login", {name: value for name, value in means.items() if value})

    async def begin_login(self) -> Code:
        """The code that the daemon waits for. Raises LoginRequired if it fails, PollerError."""
        standing = await self.begin()
        while standing["code"] is None:
            await self._clock.sleep(_LOOK)
            standing = await self._call("login-standing")
        return _code(standing["code"])

    async def finish_login(self, code: Any) -> str:
        """What the daemon says in the end. Raises LoginRequired: `EXPIRED` if it asks for another code."""
        while True:
            standing = await self._call("login-standing")
            if standing["state"] == "done":
                return str(standing["text"])
            if standing["code"] and _code(standing["code"]) != code:
                raise LoginRequired("the code was not entered in time", reason=EXPIRED)
            await self._clock.sleep(_LOOK)

    async def _call(self, command: str, means: Json | None = None) -> Json:
        arguments = {"source": self._source, **(means or {})}
        standing: Json = await asyncio.to_thread(self._client.call, command, arguments)
        if standing["state"] == "failed":
            raise LoginRequired(standing["text"], hint=standing["hint"] or None)
        return standing


def _code(raw: Json) -> DeskCode:
    return DeskCode(raw["user_code"], raw["url"], raw["url_complete"], parse_time(raw["expires_at"]))
