"""Keeps a task running: what nobody expected is logged, counted and answered by a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from poller.runtime import log
from poller.runtime.clock import Clock, wait
from poller.runtime.metrics import Metrics

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
#: A task that ran this long before it failed starts again with the first pause.
_STEADY_AFTER = 300.0


async def supervise(
    name: str,
    run: Callable[[asyncio.Event], Awaitable[None]],
    *,
    stop: asyncio.Event,
    clock: Clock,
    metrics: Metrics,
) -> None:
    """Run ``run(stop)`` until it returns after `stop`; restart it with growing pauses when it raises.

    Returning without being told to stop counts as a failure too. Cancelling ends it.
    """
    logger = log.get("supervise", task=name)
    pause = _FIRST_PAUSE
    while not stop.is_set():
        started = clock.monotonic()
        try:
            await run(stop)
            if stop.is_set():
                return
            logger.error("task.ended", hint="a task of the daemon returned early; this is a bug")
        except Exception:
            if clock.monotonic() - started > _STEADY_AFTER:
                pause = _FIRST_PAUSE
            logger.exception("task.failed", restart_in_seconds=pause)
        metrics.task_restarts.labels(name).inc()
        await wait(stop, clock, pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
