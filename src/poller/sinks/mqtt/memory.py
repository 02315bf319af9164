"""What the broker may hold because of us, over a restart: so that nothing of ours is left lying there."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from poller.runtime import log
from poller.runtime.atomic import write_atomic


class Memory:
    """In a file below the data directory. `broker`: what another broker holds is out of our reach.

    `topics`: all that may be retained. `seen`: vehicle's id → the record keys that it ever had, so that
    an entity of Home Assistant stays when its signal pauses.
    """

    def __init__(self, path: Path, broker: str, sink: str) -> None:
        self._path = path
        self._broker = broker
        self._log = log.get("sinks", sink=sink)
        self._stored = ""
        self.topics: frozenset[str] = frozenset()
        self.seen: Mapping[str, frozenset[str]] = {}

    def load(self) -> None:
        """Read it; what cannot be read counts as nothing."""
        try:
            known = json.loads(self._path.read_bytes())
            if known["broker"] == self._broker:
                self.topics = frozenset(map(str, known["topics"]))
                self.seen = {vehicle: frozenset(keys) for vehicle, keys in known["seen"].items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self._log.warning("topics.unreadable", error=type(error).__name__)

    def note_seen(self, vehicle: str, keys: Collection[str]) -> frozenset[str]:
        """All keys that the vehicle ever had, these among them."""
        known = self.seen.get(vehicle, frozenset()) | frozenset(keys)
        self.seen = {**self.seen, vehicle: known}
        return known

    def forget_others(self, vehicles: Collection[str]) -> None:
        """Only these vehicles are there still."""
        self.seen = {vehicle: keys for vehicle, keys in self.seen.items() if vehicle in vehicles}

    def store(self, topics: Collection[str]) -> None:
        """From now on these may be retained; on disk, where the disk plays."""
        self.topics = frozenset(topics)
        seen = {vehicle: sorted(keys) for vehicle, keys in self.seen.items()}
        text = json.dumps({"broker": self._broker, "topics": sorted(self.topics), "seen": seen})
        if text == self._stored:
            return
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            write_atomic(self._path, text.encode())
            self._stored = text
        except OSError as error:
            self._log.warning("topics.unwritable", error=error.strerror)
