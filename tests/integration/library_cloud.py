"""The simulator in a thread of its own, so that what asks it may start event loops as it likes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp

from poller.simulator.server import serve

_PATIENCE = 10.0


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Serve on loopback while the block runs; gives the base URL."""
    up, urls = threading.Event(), []
    ends: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        stop = asyncio.Event()
        async with serve(app) as url:
            urls.append(url)
            ends.append((asyncio.get_running_loop(), stop))
            up.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),), name="simulator")
    thread.start()
    assert up.wait(_PATIENCE)
    try:
        yield urls[0]
    finally:
        loop, stop = ends[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(_PATIENCE)
