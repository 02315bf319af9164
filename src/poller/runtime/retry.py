"""Tenacity, wrapped: a few tries inside one poll. Waiting longer than that is the schedule's business."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import tenacity

from poller.runtime.clock import Clock

T = TypeVar("T")


async def retry_transient(
    call: Callable[[], Awaitable[T]],
    *,
    on: Callable[[BaseException], bool],
    clock: Clock,
    attempts: int = 3,
    base: float = 1.0,
    cap: float = 8.0,
) -> T:
    """Await `call`, again while `on` says its error is transient; full jitter up to ``base × 2ⁿ``.

    At most `attempts` calls; then the last error is raised as it is. Seconds are the clock's.
    """
    try:
        return await call()
    except Exception as error:
        if not on(error):
            raise
        failed: Exception | None = error
    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(on),
        stop=tenacity.stop_after_attempt(attempts),
        wait=tenacity.wait_random_exponential(multiplier=base, max=cap),
        sleep=clock.sleep,
        reraise=True,
    )

    async def attempt() -> T:
        # Tenacity, which is not cheap, is asked only after the first failure, and hears of that first.
        nonlocal failed
        if failed is not None:
            error, failed = failed, None
            raise error
        return await call()

    return await retrying(attempt)
