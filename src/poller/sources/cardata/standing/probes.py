"""Looking at the way to BMW without asking for data: names, TLS, the time that BMW has."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from poller.runtime.clock import Clock
from poller.sources.cardata.stream.line import because_of
from poller.sources.http import Call, HttpClient, Limits

#: Real seconds for each look.
_PATIENCE: Final = 10.0


async def is_found(host: str) -> bool:
    """Whether the name has an address."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return True


async def connect(host: str, port: int, tls: ssl.SSLContext | None) -> str:
    """The version of TLS that is spoken there, "" without `tls`. Raises stream_line.Broken."""
    writer = None
    try:
        async with asyncio.timeout(_PATIENCE):
            _, writer = await asyncio.open_connection(host, port, ssl=tls)
        spoken = writer.get_extra_info("ssl_object")
        return str(spoken.version()) if spoken is not None else ""
    except OSError as error:
        raise because_of(error) from error
    finally:
        if writer is not None:
            writer.transport.abort()


async def clock_ahead(url: str, clock: Clock) -> timedelta | None:
    """By how much our clock is ahead of the server's at `url`; None if it does not tell.

    To a second or two: more an answer's Date does not say. Raises SourceUnavailable.
    """
    http = HttpClient("BMW's login server", Limits(timeout=_PATIENCE))
    await http.open()
    try:
        before = clock.now()
        reply = await http.send(Call("HEAD", url))
        ours = before + (clock.now() - before) / 2
    finally:
        await http.close()
    theirs = _date(reply.headers.get("date", ""))
    return None if theirs is None else ours - theirs


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
