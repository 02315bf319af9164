"""An entry as it will lie on disk: JSON, hashes and zlib, done by who calls and not by the one writer.

What the caller cannot squeeze (the first text of a shelf) or should not (one so long that the
event loop would stand still) is left to the writer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from poller.journal.base import Entry
from poller.journal.codec import (
    answer_id,
    day_of,
    digest,
    pack_answer,
    pack_fingerprint,
    pack_id,
    squeeze,
    to_ms,
)
from poller.journal.shelves import Shelf, ShelfKey
from poller.vehicle.answer import Answer
from poller.vehicle.records import Record, dumps

#: Bytes that take zlib some milliseconds.
_LONG: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Text:
    """One text for one shelf, already squeezed against its dictionary (None: the shelf was not known)."""

    key: ShelfKey
    raw: bytes
    shelf: Shelf | None
    squeezed: bytes

    def against(self, dictionary: bytes) -> bytes:
        """The squeezed text; squeezed again if the shelf turned out to have another dictionary."""
        if self.shelf is not None and self.shelf.dictionary == dictionary:
            return self.squeezed
        return squeeze(self.raw, dictionary)


@dataclass(frozen=True, slots=True)
class EncodedAnswer:
    """Its bodies in the order of their names, each with its digest; `place` is a text of no length."""

    place: Text
    received_ms: int
    bodies: Sequence[tuple[bytes, Text]]


class Columns(NamedTuple):
    """What a row of `records` and one of `newest` have in common, in the order of both statements."""

    id: bytes
    received_ms: int
    observed_ms: int | None
    revision: int
    replayed: int
    fingerprint: bytes | str


@dataclass(frozen=True, slots=True)
class EncodedRecord:
    """A record; `of` is its VIN and source, `body` its JSON, `text` the same to lie on a shelf."""

    kind: str
    of: tuple[str, str]
    columns: Columns
    body: str
    text: Text


@dataclass(frozen=True, slots=True)
class Encoded:
    """An `Entry` as it will lie on disk. `quarantine`: what `letters.put` takes after the sink's name.

    `now_ms`: the time of the append.
    """

    now_ms: int
    answer: EncodedAnswer | None = None
    records: Sequence[EncodedRecord] = ()
    state: Sequence[tuple[str, str]] = ()
    quarantine: tuple[bytes, int, str, bytes] | None = None


class Encoder:
    """Encodes entries; `shelf_of` gives the shelf that a text will lie on, None if it is not known yet."""

    def __init__(self, shelf_of: Callable[[ShelfKey], Shelf | None]) -> None:
        self._shelf_of = shelf_of

    def encode(self, entry: Entry, now_ms: int) -> Encoded:
        """All of an entry. Raises ValueError for what cannot be JSON, or an id that is none of ours."""
        quarantine = None
        if entry.quarantine is not None:
            if entry.answer is None:
                raise ValueError("a quarantine needs the answer")
            subject = pack_id(answer_id(entry.answer))
            quarantine = (subject, now_ms, entry.quarantine, pack_answer(entry.answer))
        return Encoded(
            now_ms,
            None if entry.answer is None else self._answer(entry.answer),
            [self._record(record) for record in entry.records],
            [(key, dumps(dict(value))) for key, value in entry.state.items()],
            quarantine,
        )

    def _answer(self, answer: Answer) -> EncodedAnswer:
        received = to_ms(answer.received_at)
        key = ShelfKey(day_of(received), "answer", answer.kind, answer.vin, answer.source)
        bodies = []
        for name in sorted(answer.bodies):
            body = answer.bodies[name]
            bodies.append((digest(body), self._text(key._replace(role="body", name=name), body)))
        return EncodedAnswer(Text(key, b"", self._shelf_of(key), b""), received, bodies)

    def _record(self, record: Record) -> EncodedRecord:
        received = to_ms(record.received_at)
        body = dumps(record.body)
        key = ShelfKey(day_of(received), "record", record.kind, record.vin, record.source)
        columns = Columns(
            pack_id(record.id),
            received,
            None if record.observed_at is None else to_ms(record.observed_at),
            record.revision,
            int(record.replayed),
            pack_fingerprint(record.fingerprint),
        )
        return EncodedRecord(
            record.kind, (record.vin, record.source), columns, body, self._text(key, body.encode())
        )

    def _text(self, key: ShelfKey, raw: bytes) -> Text:
        shelf = self._shelf_of(key) if len(raw) <= _LONG else None
        return Text(key, raw, shelf, b"" if shelf is None else squeeze(raw, shelf.dictionary))
