"""How far each sink got: peek, settle, rewind, backlog."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from poller.errors import JournalError
from poller.journal import letters
from poller.journal.base import Backlog, Batch, Queued, Rejected
from poller.journal.codec import (
    Unreadable,
    day_of,
    from_ms,
    read_object,
    to_ms,
    unpack_fingerprint,
    unpack_id,
)
from poller.journal.queries import SQL
from poller.journal.shelves import Dictionaries
from poller.vehicle.records import Record, dumps

#: Rows that one peek looks at, at most, in search of kinds that are wanted.
LOOK_AHEAD: Final = 5000


Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a peek found: a batch without its records, and the rows that `decode` makes them of.

    Each row has its text with it, or why there is none.
    """

    batch: Batch
    rows: Sequence[tuple[Row, bytes | Unreadable]] = ()
    replayed_to: int = 0


def begin(db: sqlite3.Connection, sinks: Collection[str]) -> None:
    """Give each sink that has none a cursor at the end."""
    db.executemany(SQL["cursor_add"], [(sink,) for sink in sorted(sinks)])


def peek(
    db: sqlite3.Connection,
    dictionaries: Dictionaries,
    sink: str,
    limit: int,
    kinds: Collection[str] | None,
    *,
    only_changes: bool,
    after: int | None = None,
) -> Seen:
    """Up to `limit` records after the sink's cursor, or after another place; oldest first."""
    if limit < 1:
        raise ValueError("a peek is for one record at least")
    cursor, replayed_to, newest, marked = _standing(db, sink)
    since = cursor if after is None else after
    if newest is None or newest <= since:
        return Seen(Batch((), since, since, last=True, letters=marked))
    horizon = newest
    if newest - since > LOOK_AHEAD:
        (first, _) = db.execute(SQL["first_after"], (since,)).fetchone()
        horizon = min(newest, first + LOOK_AHEAD - 1)
    wanted = None if kinds is None else dumps(sorted(kinds))
    bounds = {"since": since, "horizon": horizon, "limit": limit}
    rows = db.execute(SQL["peek"], {**bounds, "kinds": wanted, "only_changes": only_changes}).fetchall()
    through = horizon
    if len(rows) == limit:
        through = rows[-1][0]
    elif horizon < newest:
        through = db.execute(SQL["last_through"], (horizon,)).fetchone()[0]
    last = through == newest
    found = [(row, _text(db, dictionaries, row)) for row in rows]
    return Seen(Batch((), since, through, last=last, letters=marked), found, replayed_to)


def decode(seen: Seen, rows: slice) -> Iterator[Queued | Rejected]:
    """The records in some of the rows; one that cannot be read is refused."""
    for row, text in seen.rows[rows]:
        replayed = bool(row[8]) or row[0] <= seen.replayed_to
        try:
            yield Queued(row[0], _record(row, text, replayed=replayed))
        except Unreadable as error:
            yield Rejected(_remains(row), f"{letters.UNREADABLE}: {error}")


def settle(
    db: sqlite3.Connection,
    sink: str,
    since: int,
    through: int,
    rejected: Sequence[Rejected],
    at_ms: int,
) -> bool:
    """Compare and set the cursor, and keep what was refused; False if the cursor is elsewhere."""
    if through < since:
        raise ValueError("a cursor moves back only by rewind")
    if db.execute(SQL["cursor_settle"], (through, sink, since)).rowcount == 0:
        position(db, sink)
        return False
    letters.put_rejected(db, sink, rejected, at_ms)
    return True


def rewind(db: sqlite3.Connection, sink: str, to: datetime) -> tuple[int, int]:
    """Move the cursor back; gives its new and old position (equal: there was nothing to move)."""
    old, _ = position(db, sink)
    moment = to_ms(to)
    (first,) = db.execute(SQL["first_received_since"], {"day": day_of(moment), "ms": moment}).fetchone()
    if first is None or first > old:
        return old, old
    db.execute(SQL["cursor_rewind"], (first - 1, old, sink))
    return first - 1, old


def drop(db: sqlite3.Connection, sink: str) -> bool:
    """Delete a cursor and its sink's dead letters; False if there was neither."""
    cursor = db.execute(SQL["cursor_drop"], (sink,)).rowcount
    return bool(cursor + db.execute(SQL["letters_drop_sink"], (sink,)).rowcount)


def count_between(db: sqlite3.Connection, low: int, high: int) -> int:
    """Records above `low`, up to and with `high`."""
    return int(db.execute(SQL["count_between"], (low, high)).fetchone()[0])


def backlog(db: sqlite3.Connection, sink: str) -> Backlog:
    """Records after the cursor; gaps that amended records left are counted too."""
    since, _ = position(db, sink)
    first = db.execute(SQL["first_after"], (since,)).fetchone()
    if first is None:
        return Backlog(0, None)
    try:
        oldest_at = from_ms(first[1])
    except Unreadable:
        oldest_at = None  # the next peek passes it over
    return Backlog(_span(db, first[0]), oldest_at)


def backlogs(db: sqlite3.Connection) -> dict[str, int]:
    """The backlog of every cursor, orphans included."""
    found = {}
    for sink, since in db.execute(SQL["cursor_all"]).fetchall():
        first = db.execute(SQL["first_after"], (since,)).fetchone()
        found[sink] = 0 if first is None else _span(db, first[0])
    return found


def position(db: sqlite3.Connection, sink: str) -> tuple[int, int]:
    """Cursor and replay mark. Raises JournalError for a sink without a cursor."""
    row = db.execute(SQL["cursor_get"], (sink,)).fetchone()
    if row is None:
        raise _no_cursor(sink)
    return int(row[0]), int(row[1])


def record_of(db: sqlite3.Connection, dictionaries: Dictionaries, row: Row, *, replayed: bool) -> Record:
    """The record in a row with the columns of `peek`. Raises Unreadable."""
    return _record(row, _text(db, dictionaries, row), replayed=replayed)


def _standing(db: sqlite3.Connection, sink: str) -> tuple[int, int, int | None, bool]:
    """As `position`, then the newest record's number and whether letters are marked for the sink."""
    row = db.execute(SQL["standing"], (sink,)).fetchone()
    if row is None:
        raise _no_cursor(sink)
    cursor, replayed_to, newest, marked = row
    return int(cursor), int(replayed_to), newest, bool(marked)


def _no_cursor(sink: str) -> JournalError:
    return JournalError(
        f"the journal has no cursor for a sink {sink!r}", hint="name a sink of the configuration"
    )


def _span(db: sqlite3.Connection, first: int) -> int:
    return int(db.execute(SQL["last_seq"]).fetchone()[0]) - first + 1


def _remains(row: Row) -> Record:
    """What can be said of a row that cannot be read."""
    try:
        return _record(row, b"{}", replayed=False)
    except Unreadable:
        return letters.blank(f"{row[0]:032x}")


def _record(row: Row, text: bytes | Unreadable, *, replayed: bool) -> Record:
    """Raises Unreadable."""
    if isinstance(text, Unreadable):
        raise text
    _, packed, kind, vin, source, received, observed, revision, _, fingerprint, _, _ = row
    if not isinstance(revision, int):
        raise Unreadable("its columns are broken")
    return Record(
        id=unpack_id(packed),
        kind=kind or "unknown",
        vin=vin or "",
        source=source or "",
        received_at=from_ms(received),
        observed_at=None if observed is None else from_ms(observed),
        body=read_object(text),
        revision=revision,
        replayed=replayed,
        fingerprint=unpack_fingerprint(fingerprint),
    )


def _text(db: sqlite3.Connection, dictionaries: Dictionaries, row: Row) -> bytes | Unreadable:
    """A record's JSON, or why there is none."""
    if row[2] is None:
        return Unreadable("its shelf is lost")
    if not isinstance(row[11], bytes):
        return Unreadable("its columns are broken")
    try:
        return dictionaries.text(db, row[10], row[11])
    except Unreadable as error:
        return error
