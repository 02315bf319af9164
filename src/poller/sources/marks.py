"""Which captures were handed out, remembered over restarts: a set of short marks in the memory."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Final

from poller.errors import JournalError
from poller.sources.base import Memory

#: Marks are spread over so many values by their first digit: a new file rewrites a small value.
_SHARDS: Final = "0123456789abcdef"


class Marks:
    """A set of hexadecimal marks under one key.

    A failing memory is borne: what is forgotten is only handed out again, with the same record id.
    """

    def __init__(self, memory: Memory, key: str) -> None:
        self._memory = memory
        self._key = key
        self._marks: set[str] = set()
        self._changed: set[str] = set()
        self._loaded = False

    async def load(self) -> frozenset[str]:
        """All marks; read from the memory the first time."""
        if not self._loaded:
            with contextlib.suppress(JournalError):
                for shard in _SHARDS:
                    value = await self._memory.recall(f"{self._key}:{shard}") or {}
                    self._marks.update(str(value.get("marks", "")).split())
                self._loaded = True
        return frozenset(self._marks)

    def add(self, mark: str) -> None:
        """Note a capture; on disk after `save`."""
        if mark not in self._marks:
            self._marks.add(mark)
            self._changed.add(mark[0])

    def keep_only(self, present: Collection[str]) -> None:
        """Drop the marks of captures that are not there any more."""
        gone = self._marks.difference(present)
        self._marks -= gone
        self._changed.update(mark[0] for mark in gone)

    async def save(self) -> None:
        """Store what changed."""
        with contextlib.suppress(JournalError):
            for shard in sorted(self._changed):
                marks = sorted(mark for mark in self._marks if mark[0] == shard)
                await self._memory.remember(f"{self._key}:{shard}", {"marks": " ".join(marks)})
                self._changed.discard(shard)
