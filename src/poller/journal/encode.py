"""An entry as it will lie on disk: JSON, hashes and zlib, done by who calls and not by the one writer.

What the caller cannot squeeze (the first text of a shelf) or should not (one so long that the
event loop would stand still) is left to the writer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

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
from poller.journal.shelves import ShelfKey
from poller.vehicle.answer import Answer
from poller.vehicle.records import Record, dumps

#: Bytes that take zlib some milliseconds.
_LONG: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Text:
    """One text for one shelf, already squeezed against `dictionary` (None: the shelf was not known)."""

    key: ShelfKey
    raw: bytes
    dictionary: bytes | None
    squeezed: bytes

    def against(self, dictionary: bytes) -> bytes:
        """The squeezed text; squeezed again if the shelf turned out to have another dictionary."""
        return self.squeezed if self.dictionary == dictionary else squeeze(self.raw, dictionary)


@dataclass(frozen=True, slots=True)
class EncodedAnswer:
    """Its bodies in the order of their names, each with its digest."""

    key: ShelfKey
    received_ms: int
    bodies: Sequence[tuple[bytes, Text]]


@dataclass(frozen=True, slots=True)
class EncodedRecord:
    """A record's columns; `body` is its JSON."""

    id: bytes
    kind: str
    vin: str
    source: str
    received_ms: int
    observed_ms: int | None
    revision: int
    replayed: bool
    fingerprint: bytes | str
    body: str
    text: Text


@dataclass(frozen=True, slots=True)
class Encoded:
    """An `Entry` as it will lie on disk. `quarantine`: what `letters.put` takes after the sink's name."""

    answer: EncodedAnswer | None = None
    records: Sequence[EncodedRecord] = ()
    state: Sequence[tuple[str, str]] = ()
    quarantine: tuple[bytes, int, str, bytes] | None = None


class Encoder:
    """Encodes entries; `dictionary_of` gives what is known of a shelf, None for nothing yet."""

    def __init__(self, dictionary_of: Callable[[ShelfKey], bytes | None]) -> None:
        self._dictionary_of = dictionary_of

    def encode(self, entry: Entry, now_ms: int) -> Encoded:
        """All of an entry. Raises ValueError for what cannot be JSON, or an id that is none of ours."""
        quarantine = None
        if entry.quarantine is not None:
            if entry.answer is None:
                raise ValueError("a quarantine needs the answer")
            subject = pack_id(answer_id(entry.answer))
            quarantine = (subject, now_ms, entry.quarantine, pack_answer(entry.answer))
        return Encoded(
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
        return EncodedAnswer(key, received, bodies)

    def _record(self, record: Record) -> EncodedRecord:
        received = to_ms(record.received_at)
        body = dumps(record.body)
        key = ShelfKey(day_of(received), "record", record.kind, record.vin, record.source)
        return EncodedRecord(
            id=pack_id(record.id),
            kind=record.kind,
            vin=record.vin,
            source=record.source,
            received_ms=received,
            observed_ms=None if record.observed_at is None else to_ms(record.observed_at),
            revision=record.revision,
            replayed=record.replayed,
            fingerprint=pack_fingerprint(record.fingerprint),
            body=body,
            text=self._text(key, body.encode()),
        )

    def _text(self, key: ShelfKey, raw: bytes) -> Text:
        dictionary = self._dictionary_of(key) if len(raw) <= _LONG else None
        return Text(key, raw, dictionary, b"" if dictionary is None else squeeze(raw, dictionary))
