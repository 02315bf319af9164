"""The quota's ledgers beside the journal too: BMW has counted what a backup does not know of."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from poller.runtime.atomic import write_atomic
from poller.sources.base import Memory
from poller.vehicle.answer import Answer
from poller.vehicle.records import parse_time

FOLDER: Final = "quota"
#: What only a ledger has; and what it may have.
_CALLS, _BLOCK = "calls", "block"
#: A clock that is put right moves the time of a call by less, from one saving to the next.
_SAME: Final = timedelta(seconds=30)
_UNREADABLE: Final = (ValueError, KeyError, TypeError, OverflowError, AttributeError)


class Spare:
    """A memory whose ledgers are in files of `folder` besides; what one of the two knows counts.

    So a journal that was put back from a backup forgets no call that was made since, nor a file one that
    was made by a version without such files. No clock decides which of them is newer. What the journal
    does not have at all is not taken from a file: that is a loss, as ever.
    """

    def __init__(self, memory: Memory, folder: Path) -> None:
        self._memory = memory
        self._folder = folder

    async def recall(self, key: str) -> dict[str, Any] | None:
        """As `Memory`."""
        kept = await self._memory.recall(key)
        if kept is not None and _CALLS not in kept:
            return kept
        spare = await asyncio.to_thread(self._read, key)
        try:
            return kept if spare is None else _united(kept or spare, spare)
        except _UNREADABLE:
            return kept

    async def remember(self, key: str, value: Mapping[str, Any]) -> None:
        """As `Memory`. A file that cannot be written matters only after a restore."""
        if _CALLS in value:
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
        return spare if isinstance(spare, dict) and isinstance(spare.get(_CALLS), list) else None

    def _write(self, key: str, data: bytes) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_atomic(self._path(key), data)

    def _path(self, key: str) -> Path:
        return self._folder / f"{re.sub(r'[^A-Za-z0-9.-]', '-', key)}.json"


def _united(kept: Mapping[str, Any], spare: Mapping[str, Any]) -> dict[str, Any]:
    """The calls of both, each once, and the block that ends later. Raises one of `_UNREADABLE`."""
    calls, more = _timed(kept), _timed(spare)
    for call in calls:
        same = next((other for other in more if _is_same(call, other)), None)
        if same is not None:
            more.remove(same)
    united = {**kept, _CALLS: [row for _, row in (*calls, *more)]}
    blocks = [block for block in (spare.get(_BLOCK), kept.get(_BLOCK)) if block]
    if blocks:
        united[_BLOCK] = max(blocks, key=_until)
    return united


def _timed(ledger: Mapping[str, Any]) -> list[tuple[datetime, list[Any]]]:
    return [
        (parse_time(at), [at, purpose, routine, vehicle]) for at, purpose, routine, vehicle in ledger[_CALLS]
    ]


def _is_same(call: tuple[datetime, list[Any]], other: tuple[datetime, list[Any]]) -> bool:
    """Whether two ledgers tell of one call."""
    return call[1][1:] == other[1][1:] and abs(call[0] - other[0]) < _SAME


def _until(block: Mapping[str, Any]) -> datetime:
    until, probed_at, _ = block["until"], block["probed_at"], block["by"]
    if probed_at is not None:
        parse_time(probed_at)
    return parse_time(until)
