"""Which alerts each channel has had: on disk, so that a restart repeats none."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Mapping
from pathlib import Path

from poller.runtime import log
from poller.runtime.atomic import write_atomic

#: Alerts that are remembered for each channel; far more than are under way at once.
REMEMBERED = 1000


class Taken:
    """The memory of one sink. A channel is known by a keyed hash of its address, so an order may change."""

    def __init__(self, path: Path, key: bytes, sink: str) -> None:
        self._path = path
        self._key = key
        self._ids: dict[str, dict[str, None]] = {}
        self._writing = asyncio.Lock()
        self._log = log.get("sinks", sink=sink)

    def load(self, urls: list[str]) -> None:
        """Read what is there of these channels; one that cannot be read counts as empty."""
        try:
            known = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            known = {}
        except (OSError, ValueError) as error:
            self._log.warning("taken.unreadable", error=type(error).__name__)
            known = {}
        stored = known if isinstance(known, Mapping) else {}
        self._ids = {}
        for channel in map(self.channel, urls):
            ids = stored.get(channel)
            self._ids[channel] = dict.fromkeys(map(str, ids)) if isinstance(ids, list) else {}

    def channel(self, url: str) -> str:
        """The name of a channel here."""
        return hmac.new(self._key, url.encode(), hashlib.sha256).hexdigest()[:16]

    def has(self, channel: str, record: str) -> bool:
        """Whether the channel took that record."""
        return record in self._ids[channel]

    async def add(self, channel: str, record: str) -> None:
        """It did. A disk that does not play costs the memory over a restart, and no message."""
        ids = self._ids[channel]
        ids[record] = None
        while len(ids) > REMEMBERED:
            del ids[next(iter(ids))]
        async with self._writing:
            shown = {name: list(taken) for name, taken in self._ids.items()}
            try:
                await asyncio.to_thread(self._store, json.dumps(shown).encode())
            except OSError as error:
                self._log.warning("taken.unwritable", error=error.strerror)

    def _store(self, data: bytes) -> None:
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        write_atomic(self._path, data)
