"""Answers as a bad line or a bad server might leave them, and what holds for all that is made of them."""

from __future__ import annotations

import json
import random

from poller.vehicle.answer import Answer
from poller.vehicle.records import snapshot_of, snapshot_record
from poller.vehicle.snapshot import Snapshot


def mangled(body: bytes, rng: random.Random, *, renamed: tuple[bytes, bytes]) -> bytes:
    """Cut off, with noise in it, of another shape, nested without end, or with something renamed."""
    at = rng.randrange(len(body) + 1)
    match rng.randrange(6):
        case 0:
            return body[:at]
        case 1:
            return body[:at] + bytes([rng.randrange(256)]) + body[at + 1 :]
        case 2:
            return body[:at] + body[at:].replace(b"{", b"[", 1)
        case 3:
            return body.replace(b":", b":" + b"[" * 100_000, 1)
        case 4:
            return body[:at] + rng.randbytes(20) + body[at:]
        case _:
            return body.replace(*renamed, 1)


def changed(before: Snapshot, after: Snapshot) -> set[str]:
    """The keys of the readings that one has otherwise than the other."""
    keys = before.readings.keys() | after.readings.keys()
    return {key for key in keys if repr(before.value(key)) != repr(after.value(key))}


def check_storable(snapshot: Snapshot, kind: str) -> None:
    """What comes out can be written, and comes back equal; `kind` is the source's."""
    answer = Answer("case", kind, snapshot.vin, snapshot.received_at, {})
    record = snapshot_record(snapshot, answer)
    json.dumps(dict(record.body), allow_nan=False, ensure_ascii=False).encode()
    assert snapshot_of(record).readings == snapshot.readings
