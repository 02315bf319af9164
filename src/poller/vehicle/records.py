"""What travels: one envelope for snapshots, charging sessions, trips, alerts and commands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from poller.vehicle.answer import Answer
from poller.vehicle.signals import BY_KEY, Kind, split_key
from poller.vehicle.snapshot import Reading, Snapshot, Value

SCHEMA: Final = 1
KINDS: Final = ("snapshot", "charging_session", "trip", "alert", "command")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """The envelope. `body` is JSON-ready and merged into the top level when rendered.

    A snapshot's body is ``{"readings": {...}, "reading_times": {...}}``; `reading_times` holds
    only those readings whose time differs from `observed_at` (None: the car gave none).
    `fingerprint` says whether anything changed; it never leaves the journal.
    """

    id: str
    kind: str
    vin: str
    source: str
    received_at: datetime
    observed_at: datetime | None
    body: Mapping[str, Any]
    revision: int = 1
    replayed: bool = False
    fingerprint: str = ""


def snapshot_record(snapshot: Snapshot, answer: Answer) -> Record:
    """The record of a snapshot; its id is a hash of source, VIN, `received_at` and answer."""
    readings: Json = {}
    times: Json = {}
    for key, reading in snapshot.readings.items():
        readings[key] = json_value(reading.value)
        if reading.observed_at != snapshot.observed_at:
            times[key] = rfc3339(reading.observed_at) if reading.observed_at else None
    body: Json = {"readings": readings}
    if times:
        body["reading_times"] = times
    return Record(
        id=record_id(snapshot.source, snapshot.vin, rfc3339(snapshot.received_at), answer.digest()),
        kind="snapshot",
        vin=snapshot.vin,
        source=snapshot.source,
        received_at=snapshot.received_at,
        observed_at=snapshot.observed_at,
        body=body,
        fingerprint=snapshot.fingerprint(),
    )


def snapshot_of(record: Record) -> Snapshot:
    """The snapshot that `snapshot_record` made this record from (signals we no longer know: left out)."""
    times = record.body.get("reading_times", {})
    readings: dict[str, Reading] = {}
    for key, raw in record.body["readings"].items():
        signal = BY_KEY.get(split_key(key)[0])
        if signal is None:
            continue
        value: Value = parse_time(raw) if signal.kind is Kind.TIME else raw
        observed = record.observed_at
        if key in times:
            observed = parse_time(times[key]) if times[key] else None
        readings[key] = Reading(value, observed)
    return Snapshot(record.source, record.vin, record.received_at, record.observed_at, readings)


def record_id(*parts: str) -> str:
    """32 hex digits over the parts; the same parts give the same id for ever."""
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def json_value(value: Value) -> bool | int | float | str:
    """A reading's value as JSON has it."""
    return rfc3339(value) if isinstance(value, datetime) else value


def rfc3339(moment: datetime) -> str:
    """``2026-11-21T14:02:03.123Z``: UTC, milliseconds, always."""
    return moment.astimezone(UTC).isoformat("T", "milliseconds")[: -len("+00:00")] + "Z"


def parse_time(text: str) -> datetime:
    """The inverse of `rfc3339`; takes any ISO 8601 time with a zone. ValueError otherwise."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:  # the first or the last day there is, in another zone
        raise ValueError(f"{text!r} is out of range in UTC") from error


def milliseconds(moment: datetime) -> datetime:
    """`moment` in UTC, cut to the milliseconds that `rfc3339` keeps."""
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def dumps(value: object) -> str:
    """Compact JSON, the one spelling used in journal, files and HTTP; NaN is a ValueError."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
