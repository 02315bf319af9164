"""Reading a damaged journal: every row that SQLite can still reach, whole or not at all."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

from poller.journal.codec import Unreadable, from_ms, read_object, unpack_fingerprint
from poller.journal.queries import migrations
from poller.journal.shelves import Dictionaries
from poller.journal.store import PAGE, open_readonly
from poller.vehicle.answer import Answer
from poller.vehicle.records import Record

_RECORDS: Final = "SELECT seq, id, shelf, received_ms, observed_ms, revision, fingerprint, data FROM records"
_SHELVES: Final = "SELECT id, name, vin, source FROM shelves"
_ANSWERS: Final = "SELECT received_ms, bodies FROM answers WHERE shelf = ? ORDER BY received_ms"
_ANSWERS_BACK: Final = f"{_ANSWERS} DESC"
_BODY: Final = "SELECT b.shelf, s.name, b.data FROM bodies b JOIN shelves s ON s.id = b.shelf WHERE b.id = ?"
#: Each tells from other pages how many records there were: their counter and their two indexes.
_COUNTS: Final = (
    "SELECT records FROM totals",
    "SELECT count(shelf) FROM records INDEXED BY records_by_shelf",
    "SELECT count(id) FROM records INDEXED BY sqlite_autoindex_records_1",
)
_HIGHEST: Final = 2**62

Row = tuple[Any, ...]


class _Shelf(NamedTuple):
    id: int
    name: str
    vin: str
    source: str


class Wreck:
    """A journal file that may have broken pages anywhere; `lost` counts what could not be read."""

    def __init__(self, path: Path) -> None:
        self.lost = 0
        self._dictionaries = Dictionaries()
        self._folder: TemporaryDirectory[str] | None = None
        try:
            self._db = _opened(path)
        except sqlite3.DatabaseError:
            # The first page holds the table of contents and is written most often of all.
            self._folder = TemporaryDirectory(dir=path.parent, prefix=".salvage-")
            try:
                self._db = _opened(_with_new_first_page(path, Path(self._folder.name)))
            except BaseException:
                self._folder.cleanup()
                raise

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
        if self._folder is not None:
            self._folder.cleanup()

    def records(self) -> Iterator[Record]:
        """Every record that can be read, nearly in the order of arrival."""
        count, first = 0, _HIGHEST
        for row in self._walk(_RECORDS, "seq"):
            first = min(first, row[0])
            try:
                record = self._record(row)
            except (Unreadable, sqlite3.DatabaseError, ValueError, TypeError, AttributeError):
                self.lost += 1
            else:
                count += 1
                yield record
        self.lost = max(self.lost, self._expected(first) - count)

    def answers(self) -> Iterator[Answer]:
        """Every answer all of whose bodies can be read."""
        for row in self._walk(_SHELVES, "id", "AND role = 'answer'"):
            shelf = _Shelf(*row)
            for received_ms, bodies in self._answers_on(shelf.id):
                try:
                    found = dict(self._body(number) for number in json.loads(bodies))
                    yield Answer(shelf.source, shelf.name, shelf.vin, from_ms(received_ms), found)
                except (Unreadable, sqlite3.DatabaseError, ValueError, TypeError):
                    self.lost += 1

    def _record(self, row: Row) -> Record:
        _, packed, shelf_id, received, observed, revision, fingerprint, data = row
        shelf = self._db.execute(f"{_SHELVES} WHERE id = ?", (shelf_id,)).fetchone()
        if shelf is None:
            raise Unreadable("its shelf is lost")
        _, name, vin, source = shelf
        return Record(
            id=packed.hex(),
            kind=name,
            vin=vin,
            source=source,
            received_at=from_ms(received),
            observed_at=None if observed is None else from_ms(observed),
            body=read_object(self._dictionaries.text(self._db, shelf_id, data)),
            revision=revision,
            fingerprint=unpack_fingerprint(fingerprint),
        )

    def _body(self, number: int) -> tuple[str, bytes]:
        row = self._db.execute(_BODY, (number,)).fetchone()
        if row is None:
            raise Unreadable("a body is lost")
        return row[1], self._dictionaries.text(self._db, row[0], row[2])

    def _answers_on(self, shelf: int) -> Iterator[tuple[int, str]]:
        """From the front as far as it goes, then from the back."""
        seen = set()
        for statement in (_ANSWERS, _ANSWERS_BACK):
            try:
                for row in self._db.execute(statement, (shelf,)):
                    if row not in seen:
                        seen.add(row)
                        yield row
            except sqlite3.DatabaseError:
                # How many lie on the broken page is not known: one at least.
                self.lost += statement is _ANSWERS
            else:
                return

    def _walk(self, select: str, key: str, condition: str = "") -> Iterator[Row]:
        """Rows by rising key; at a broken page jump ahead, ever farther, then read back to it."""
        reached = 0
        while reached < _HIGHEST:
            try:
                for row in self._db.execute(
                    f"{select} WHERE {key} > ? {condition} ORDER BY {key}", (reached,)
                ):
                    reached = row[0]
                    yield row
            except sqlite3.DatabaseError:
                landing = self._beyond(select, key, condition, reached)
                yield from self._back(select, key, condition, landing, reached)
                reached = landing
            else:
                return

    def _beyond(self, select: str, key: str, condition: str, broken: int) -> int:
        """A key after `broken` from which reading goes on, or the highest of all."""
        step = 1
        while broken + step < _HIGHEST:
            statement = f"{select} WHERE {key} > ? {condition} ORDER BY {key} LIMIT 1"
            try:
                self._db.execute(statement, (broken + step,)).fetchone()
            except sqlite3.DatabaseError:
                step *= 2
            else:
                return broken + step
        return _HIGHEST

    def _back(self, select: str, key: str, condition: str, landing: int, broken: int) -> Iterator[Row]:
        statement = f"{select} WHERE {key} <= ? AND {key} > ? {condition} ORDER BY {key} DESC"
        try:
            yield from self._db.execute(statement, (landing, broken))
        except sqlite3.DatabaseError:
            return

    def _expected(self, first: int) -> int:
        """How many records there were, by whatever still tells; 0 if nothing does.

        If only the numbers do, from seq `first` on: what was before it may have been pruned.
        """
        counts = [count for count in map(self._number, _COUNTS) if count is not None]
        if counts:
            return max(counts)
        last = self._number("SELECT seq FROM sqlite_sequence WHERE name = 'records'")
        return 0 if last is None else last - first + 1

    def _number(self, statement: str) -> int | None:
        try:
            return int(self._db.execute(statement).fetchone()[0])
        except (sqlite3.DatabaseError, TypeError, ValueError):
            return None


def _opened(path: Path) -> sqlite3.Connection:
    db = open_readonly(path)
    try:
        # Fails without a table of contents that names the records; where they lie is another matter.
        db.execute(f"EXPLAIN {_RECORDS}").fetchone()
    except sqlite3.Error as error:
        db.close()
        raise sqlite3.DatabaseError(str(error)) from error
    return db


def _with_new_first_page(path: Path, folder: Path) -> Path:
    """A copy of the file with the first page of an empty journal.

    The tables' places are the same in every journal, for the migrations make them in the same order.
    """
    copy = folder / "journal.db"
    empty = sqlite3.connect(folder / "empty.db", isolation_level=None)
    empty.execute(f"PRAGMA page_size = {PAGE}")
    for script in migrations():
        empty.executescript(script)
    empty.close()
    first = bytearray((folder / "empty.db").read_bytes()[:PAGE])
    size = path.stat().st_size
    # In the header at 28: the file's size in pages.
    first[28:32] = (size // PAGE).to_bytes(4, "big")
    with path.open("rb") as source, copy.open("wb") as target:
        target.write(first)
        source.seek(PAGE)
        while block := source.read(2**20):
            target.write(block)
    return copy
