"""Work on a disk that may be dead: beside the event loop, and never twice at once."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from poller.errors import SourceUnavailable

T = TypeVar("T")


class Aside:
    """Runs one piece of work at a time in a thread of its own.

    A thread that hangs in a system call cannot be ended: it is left alone, holds up neither the others'
    threads nor the end of the process, and is not joined by another at each poll.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._busy = False

    async def run(self, job: Callable[[], T]) -> T:
        """The outcome of `job`, or what it raises; SourceUnavailable while an earlier one has not come back.

        A caller that is cancelled does not end it.
        """
        if self._busy:
            raise SourceUnavailable(
                "the disk has not answered since an earlier look; it is not asked again until it does",
                hint="look at the mount that the folder is on: a network disk whose server is gone hangs",
                reason="timeout",
            )
        self._busy = True
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if outcome.done():
                return  # nobody waits any more
            if error is not None:
                outcome.set_exception(error)
            else:
                outcome.set_result(result)  # type: ignore[arg-type]  # None only where T has it

        def work() -> None:
            result, error = None, None
            try:
                result = job()
            except Exception as failed:  # noqa: BLE001  # it is raised where it is waited for
                error = failed
            self._busy = False
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(settle, result, error)

        try:
            threading.Thread(target=work, name=self._name, daemon=True).start()
        except BaseException:  # the machine has no thread left, say
            self._busy = False
            raise
        return await outcome
