"""One channel: its messages in order, each once."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from poller.sinks.base import Rendered
from poller.sinks.notify.apprise import Failed, Messenger
from poller.sinks.notify.taken import Taken


class Channel:
    """Carries alerts to one address. `label`: for people, without secrets.

    `within`: real seconds for a message.
    """

    def __init__(self, name: str, label: str, messenger: Messenger, taken: Taken, within: float) -> None:
        self.label = label
        self._name = name
        self._messenger = messenger
        self._taken = taken
        self._within = within
        #: What was sent and not answered in time, by record. It may still get through, so nothing is sent
        #: beside it, and it is not sent again; a sample that hangs as well must not displace it.
        self._pending: dict[str, asyncio.Future[Failed | None]] = {}

    async def carry(self, records: Sequence[Rendered], until: float) -> tuple[int, Failed | None]:
        """Send those that it has not had, in order, until one fails or `time.monotonic()` passes `until`.

        How many of the first it has now, and why it is no more.
        """
        for at, record in enumerate(records):
            if self._taken.has(self._name, record["id"]):
                continue
            if at and time.monotonic() > until:
                return at, None
            failed = await self.send(record)
            if failed is not None:
                return at, failed
            await self._taken.add(self._name, record["id"])
        return len(records), None

    async def send(self, record: Rendered) -> Failed | None:
        """Send it, or go on waiting for an earlier try."""
        answer = self._pending.pop(record["id"], None)
        if answer is None and not all(other.done() for other in self._pending.values()):
            return Failed("it still does not answer")
        answer = answer or _aside(partial(self._messenger.send, record))
        try:
            async with asyncio.timeout(self._within):
                return await asyncio.shield(answer)
        except TimeoutError:
            self._pending[record["id"]] = answer
            return Failed("it did not answer in time")


def _aside(job: Callable[[], Failed | None]) -> asyncio.Future[Failed | None]:
    """In a thread of its own: one that hangs must hold up neither the others nor the end of the process."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Failed | None] = loop.create_future()

    def run() -> None:
        try:
            failed = job()
        except Exception as error:  # noqa: BLE001  # whatever a service's code may do; its words may be secret
            failed = Failed(f"its code failed with {type(error).__name__}")
        with contextlib.suppress(RuntimeError):  # nobody waits any more: the loop is closed
            loop.call_soon_threadsafe(settle, failed)

    def settle(failed: Failed | None) -> None:
        if not outcome.done():
            outcome.set_result(failed)

    threading.Thread(target=run, name="notify", daemon=True).start()
    return outcome
