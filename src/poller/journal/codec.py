"""How answers and records lie on disk: milliseconds, compact JSON, zlib with a dictionary."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic_core import from_json

from poller.vehicle.answer import Answer
from poller.vehicle.records import Record, dumps, record_id, rfc3339

DAY_MS: Final = 86_400_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

#: Deflate sees 32 KiB back; a longer dictionary would push its own beginning out of sight.
MAX_DICTIONARY: Final = 32_000
#: A window just wide enough and small tables make the set-up three times cheaper than zlib's defaults.
_MIN_WINDOW, _MAX_WINDOW, _TABLES = 9, 15, 4
_SLACK: Final = 1024

#: What broken JSON, broken zlib or a body of another shape raise.
_BROKEN = (zlib.error, ValueError, KeyError, TypeError, OverflowError)


class Unreadable(Exception):
    """A row of the journal that cannot be understood."""


def to_ms(moment: datetime) -> int:
    """Whole milliseconds since 1970, cut as `rfc3339` cuts."""
    return (moment - _EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    """The inverse, aware UTC. Raises Unreadable for what a broken row may hold instead."""
    try:
        return _EPOCH + milliseconds * _MILLISECOND
    except (TypeError, OverflowError) as error:
        raise Unreadable("a time is broken") from error


def day_of(milliseconds: int) -> int:
    """The UTC day a moment belongs to, counted since 1970."""
    return milliseconds // DAY_MS


def squeeze(text: bytes, dictionary: bytes = b"") -> bytes:
    """Compress against `dictionary`; the result carries a checksum over both."""
    if not dictionary:
        return zlib.compress(text, 9)
    window = (len(dictionary) + _SLACK).bit_length()
    window = max(_MIN_WINDOW, min(_MAX_WINDOW, window))
    packer = zlib.compressobj(9, zlib.DEFLATED, window, _TABLES, zdict=dictionary)
    return packer.compress(text) + packer.flush()


def expand(data: bytes, dictionary: bytes = b"") -> bytes:
    """The inverse of `squeeze`. Raises Unreadable."""
    try:
        unpacker = zlib.decompressobj(zdict=dictionary) if dictionary else zlib.decompressobj()
        text = unpacker.decompress(data)
    except _BROKEN as error:
        raise Unreadable(str(error)) from error
    if not unpacker.eof or unpacker.unused_data:
        raise Unreadable("the compressed text has the wrong length")
    return text


def digest(body: bytes) -> bytes:
    """16 bytes by which equal bodies are found."""
    return hashlib.blake2b(body, digest_size=16).digest()


def pack_id(record: str) -> bytes:
    """A record's id as 16 bytes. Raises ValueError for anything but 32 hex digits."""
    packed = bytes.fromhex(record)
    if len(packed) != 16 or len(record) != 32:
        raise ValueError("a record's id is 32 hex digits")
    return packed


def unpack_id(stored: object) -> str:
    """The inverse. Raises Unreadable for what a broken row may hold instead."""
    if not isinstance(stored, bytes) or len(stored) != 16:
        raise Unreadable("its id is broken")
    return stored.hex()


def pack_fingerprint(fingerprint: str) -> bytes | str:
    """Half the size for the usual hash; any other text stays as it is."""
    try:
        packed = bytes.fromhex(fingerprint)
    except ValueError:
        return fingerprint
    return packed if packed.hex() == fingerprint else fingerprint


def unpack_fingerprint(stored: bytes | str) -> str:
    """The inverse of `pack_fingerprint`."""
    return stored.hex() if isinstance(stored, bytes) else stored


def read_object(text: bytes | str) -> dict[str, Any]:
    """A JSON object. Raises Unreadable for anything else."""
    try:
        value = _read_json(text)
    except _BROKEN as error:
        raise Unreadable(str(error)) from error
    if not isinstance(value, dict):
        raise Unreadable("not a JSON object")
    return value


def _read_json(text: bytes | str) -> Any:
    """Pydantic's reader needs a third of the time; the library's has the last word on what is broken."""
    try:
        return from_json(text, cache_strings="keys")
    except ValueError:  # also for more than 200 levels, and for half a surrogate pair
        return json.loads(text)


def answer_id(answer: Answer) -> str:
    """The id that the snapshot of this answer has, or would have if it could be parsed."""
    return record_id(answer.source, answer.vin, rfc3339(answer.received_at), answer.digest())


def pack_record(record: Record) -> bytes:
    """A whole record by itself, for dead letters."""
    head: Mapping[str, Any] = {
        "id": record.id,
        "kind": record.kind,
        "vin": record.vin,
        "source": record.source,
        "received_ms": to_ms(record.received_at),
        "observed_ms": None if record.observed_at is None else to_ms(record.observed_at),
        "revision": record.revision,
        "replayed": record.replayed,
        "fingerprint": record.fingerprint,
        "body": record.body,
    }
    return squeeze(dumps(head).encode())


def unpack_record(data: bytes) -> Record:
    """The inverse of `pack_record`. Raises Unreadable."""
    head = read_object(expand(data))
    try:
        received, observed = head.pop("received_ms"), head.pop("observed_ms")
        return Record(
            received_at=from_ms(received),
            observed_at=None if observed is None else from_ms(observed),
            **head,
        )
    except _BROKEN as error:
        raise Unreadable(str(error)) from error


def pack_answer(answer: Answer) -> bytes:
    """A whole answer by itself: one line of JSON, then the bodies one after another."""
    names = sorted(answer.bodies)
    head = {
        "source": answer.source,
        "kind": answer.kind,
        "vin": answer.vin,
        "received_ms": to_ms(answer.received_at),
        "bodies": [[name, len(answer.bodies[name])] for name in names],
    }
    return squeeze(b"\n".join([dumps(head).encode(), b"".join(answer.bodies[name] for name in names)]))


def unpack_answer(data: bytes) -> Answer:
    """The inverse of `pack_answer`. Raises Unreadable."""
    line, _, rest = expand(data).partition(b"\n")
    head = read_object(line)
    bodies: dict[str, bytes] = {}
    try:
        for name, length in head["bodies"]:
            bodies[name], rest = rest[:length], rest[length:]
        return Answer(head["source"], head["kind"], head["vin"], from_ms(head["received_ms"]), bodies)
    except _BROKEN as error:
        raise Unreadable(str(error)) from error
