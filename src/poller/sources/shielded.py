"""Work that must come to its end: a refresh whose answer is lost has cost the login."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Shielded(Generic[T]):
    """Runs pieces of work, each once at a time however many want it; nobody's cancelling ends it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: dict[str, asyncio.Task[T]] = {}

    async def run(self, what: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The outcome of `work`, or of the same `what` if it is under way."""
        task = self._tasks.get(what)
        if task is None or task.done():
            task = asyncio.create_task(work(), name=f"{what} of {self._name}")
            task.add_done_callback(_retrieve)
            self._tasks[what] = task
        return await asyncio.shield(task)

    async def close(self, within: float) -> None:
        """Let what is under way finish, but no longer than `within` real seconds."""
        running = [task for task in self._tasks.values() if not task.done()]
        if running:
            await asyncio.wait(running, timeout=within)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Whoever waited has seen the error; a task whose waiters were all cancelled must not complain."""
    with contextlib.suppress(asyncio.CancelledError):
        task.exception()
