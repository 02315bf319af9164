"""Shelves: what lies together under one zlib dictionary, and goes together when pruned."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from poller.journal.codec import MAX_DICTIONARY, Unreadable, expand, squeeze
from poller.journal.queries import SQL
from poller.runtime import log

#: Dictionaries held in memory, some 10 kB each; more vehicles than this are read from disk again.
_HELD: Final = 24
#: Bodies remembered of a shelf.
_BODIES: Final = 4

logger = log.get("journal")


class ShelfKey(NamedTuple):
    """One name of one vehicle at one source on one UTC day."""

    day: int
    role: Literal["answer", "body", "record"]
    name: str
    vin: str
    source: str


@dataclass(slots=True)
class Shelf:
    """`dictionary` is the shelf's first text, what comes later is compressed against it.

    `bodies`: the ids of the last bodies on it by their digests; the same one often comes again.
    `held`: it is on disk, or will be with this transaction; not so once it was forgotten.
    """

    id: int
    dictionary: bytes
    bodies: dict[bytes, int] = field(default_factory=dict)
    held: bool = True

    def remember(self, digest: bytes, number: int) -> None:
        """Keep the id of a body, and let go of an older one."""
        if digest not in self.bodies and len(self.bodies) >= _BODIES:
            del self.bodies[next(iter(self.bodies))]
        self.bodies[digest] = number


class Shelves:
    """The writer's side: finds a shelf or begins it, and remembers the last few."""

    def __init__(self) -> None:
        self._held: dict[ShelfKey, Shelf] = {}

    def of(self, db: sqlite3.Connection, key: ShelfKey, first: bytes) -> Shelf:
        """The shelf of `key`; a new one takes `first` as its dictionary."""
        shelf = self._held.get(key)
        if shelf is None:
            shelf = self._find(db, key) or self._begin(db, key, first)
            self._held[key] = shelf
            if len(self._held) > _HELD:
                self._held.pop(next(iter(self._held))).held = False
        return shelf

    def held(self, key: ShelfKey) -> Shelf | None:
        """A shelf that is remembered, or None; any thread may ask."""
        return self._held.get(key)

    def forget(self) -> None:
        """After a rollback or a prune: what is held may not be on disk."""
        for shelf in self._held.values():
            shelf.held = False
        self._held.clear()

    def _find(self, db: sqlite3.Connection, key: ShelfKey) -> Shelf | None:
        row = db.execute(SQL["shelf_find"], key).fetchone()
        if row is None:
            return None
        try:
            return Shelf(row[0], _dictionary(row[1]))
        except Unreadable:
            # What is on it is lost, but what comes can do without: zlib marks data that need none.
            logger.error("shelf.damaged", shelf=row[0], day=key.day, name=key.name)
            return Shelf(row[0], b"")

    def _begin(self, db: sqlite3.Connection, key: ShelfKey, first: bytes) -> Shelf:
        dictionary = first[:MAX_DICTIONARY]
        number = db.execute(SQL["shelf_add"], (*key, squeeze(dictionary) if dictionary else b"")).lastrowid
        return Shelf(int(number or 0), dictionary)


class Dictionaries:
    """The readers' side: dictionaries by shelf id, the last few remembered."""

    def __init__(self) -> None:
        self._held: OrderedDict[int, bytes] = OrderedDict()

    def text(self, db: sqlite3.Connection, shelf: int, data: bytes) -> bytes:
        """Expand what lies on a shelf. Raises Unreadable."""
        return expand(data, self._dictionary(db, shelf) if _needs_dictionary(data) else b"")

    def forget(self) -> None:
        """After the file was changed for another one."""
        self._held.clear()

    def _dictionary(self, db: sqlite3.Connection, shelf: int) -> bytes:
        if shelf in self._held:
            self._held.move_to_end(shelf)
            return self._held[shelf]
        row = db.execute(SQL["shelf_first"], (shelf,)).fetchone()
        if row is None:
            raise Unreadable("its shelf is lost")
        dictionary = self._held[shelf] = _dictionary(row[0])
        if len(self._held) > _HELD:
            self._held.popitem(last=False)
        return dictionary


def _dictionary(stored: bytes) -> bytes:
    return expand(stored) if stored else b""


def _needs_dictionary(data: bytes) -> bool:
    # FDICT, bit 5 of the second byte (RFC 1950).
    return len(data) > 1 and bool(data[1] & 0x20)
