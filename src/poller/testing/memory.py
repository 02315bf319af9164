"""A `sources.base.Memory` in a dictionary."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from poller.vehicle.answer import Answer


class DictMemory:
    """Remembers for as long as it lives; values pass through JSON as on disk."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.kept: list[Answer] = []

    async def recall(self, key: str) -> dict[str, Any] | None:
        """The value last remembered under `key`, or None."""
        raw = self.values.get(key)
        return None if raw is None else json.loads(raw)

    async def remember(self, key: str, value: Mapping[str, Any]) -> None:
        """Store `value`."""
        self.values[key] = json.dumps(dict(value))

    async def keep(self, answer: Answer, key: str, value: Mapping[str, Any]) -> None:
        """Store both."""
        self.kept.append(answer)
        await self.remember(key, value)
