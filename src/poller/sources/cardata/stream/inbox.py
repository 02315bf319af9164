"""Messages between the network and the journal: a bounded queue, handed on in batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from poller.errors import JournalError
from poller.runtime.clock import Clock
from poller.runtime.log import Logger

_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 60.0


@dataclass(frozen=True, slots=True)
class StreamMessage:
    """One MQTT message as received: `vin` in upper case, `body` whatever it is."""

    vin: str
    body: bytes = field(repr=False)
    received_at: datetime


OnMessages = Callable[[Sequence[StreamMessage]], Awaitable[None]]


class Inbox:
    """Takes messages in and hands on, in order, all that wait as one batch.

    While a batch is being stored the next one gathers, so that a burst costs few transactions. A batch
    that the journal cannot take is kept and offered again, with what came meanwhile behind it. It holds
    `messages` and `size` bytes; whoever goes on putting into a full one loses nothing here, but should
    stop: see `room`.
    """

    def __init__(
        self, on_messages: OnMessages, clock: Clock, logger: Logger, *, messages: int, size: int
    ) -> None:
        self._on_messages = on_messages
        self._clock = clock
        self._logger = logger
        self._most = messages
        self._largest = size
        self._waiting: deque[StreamMessage] = deque()
        self._size = 0
        self._arrived = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()

    @property
    def full(self) -> bool:
        """Whether no more should be taken in."""
        return len(self._waiting) >= self._most or self._size >= self._largest

    def put(self, message: StreamMessage) -> None:
        """Queue a message."""
        self._waiting.append(message)
        self._size += len(message.body)
        self._emptied.clear()
        self._arrived.set()

    async def empty(self) -> None:
        """Wait until everything is handed on."""
        await self._emptied.wait()

    async def hand_on(self) -> None:
        """Do so until cancelled. What `on_messages` raises beside JournalError is a bug and comes out here;
        its batch is not offered again, for it would fail for ever.
        """
        failures = 0
        while True:
            await self._arrived.wait()
            batch = list(self._waiting)
            try:
                await self._on_messages(batch)
            except JournalError as error:
                if not failures:
                    self._logger.warning("stream.not_kept", waiting=len(batch), error=error.message)
                failures += 1
                await self._clock.sleep(min(_FIRST_PAUSE * 2 ** min(failures - 1, 10), _LONGEST_PAUSE))
                continue
            except Exception:
                self._drop(len(batch))
                raise
            self._drop(len(batch))
            if failures:
                self._logger.info("stream.kept_again", messages=len(batch))
            failures = 0

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._size -= len(self._waiting.popleft().body)
        if not self._waiting:
            self._arrived.clear()
            self._emptied.set()
