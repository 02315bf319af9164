"""The quota's ledgers beside the journal too: BMW has counted what a backup does not know of."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from poller.runtime.atomic import write_atomic
from poller.runtime.clock import Clock
from poller.sources.base import Memory
from poller.vehicle.answer import Answer
from poller.vehicle.records import rfc3339

FOLDER: Final = "quota"
#: What only a ledger has; and when it was saved.
_CALLS, _AT = "calls", "saved_at"


class Spare:
    """A memory whose ledgers are in files of `folder` besides; of the two the one that was saved last counts.

    So a journal that was put back from a backup forgets no call that was made since. What the journal
    does not have at all is not taken from a file: that is a loss, as ever.
    """

    def __init__(self, memory: Memory, folder: Path, clock: Clock) -> None:
        self._memory = memory
        self._folder = folder
        self._clock = clock

    async def recall(self, key: str) -> dict[str, Any] | None:
        """As `Memory`."""
        kept = await self._memory.recall(key)
        if kept is None or _CALLS not in kept:
            return kept
        spare = await asyncio.to_thread(self._read, key)
        return spare if spare is not None and spare[_AT] > str(kept.get(_AT, "")) else kept

    async def remember(self, key: str, value: Mapping[str, Any]) -> None:
        """As `Memory`. A file that cannot be written matters only after a restore."""
        if _CALLS in value:
            value = {**value, _AT: rfc3339(self._clock.now())}
            # First: a crash in between leaves a call too many in it, not one too few.
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self._write, key, json.dumps(value).encode())
        await self._memory.remember(key, value)

    async def keep(self, answer: Answer, key: str, value: Mapping[str, Any]) -> None:
        """As `Memory`."""
        await self._memory.keep(answer, key, value)

    def _read(self, key: str) -> dict[str, Any] | None:
        try:
            spare = json.loads(self._path(key).read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        return spare if isinstance(spare, dict) and isinstance(spare.get(_AT), str) else None

    def _write(self, key: str, data: bytes) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_atomic(self._path(key), data)

    def _path(self, key: str) -> Path:
        return self._folder / f"{re.sub(r'[^A-Za-z0-9.-]', '-', key)}.json"
