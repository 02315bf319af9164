"""Records of an imaginary car, numbered: the n-th was received n times five minutes after the start."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from poller.vehicle.answer import Answer
from poller.vehicle.records import Record, snapshot_record
from poller.vehicle.signals import split_key
from poller.vehicle.snapshot import SnapshotBuilder

VIN = "WMW00000000000001"
START = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
STEP = timedelta(minutes=5)


def snapshot_number(
    number: int,
    readings: Mapping[str, Any] | None = None,
    *,
    vin: str = VIN,
    source: str = "fake",
    start: datetime = START,
    observed_at: datetime | None = None,
) -> tuple[Answer, Record]:
    """An answer and its record; the car drives one kilometre between two of them, unless told otherwise."""
    received_at = start + number * STEP
    builder = SnapshotBuilder(source, vin, received_at, observed_at or received_at - timedelta(minutes=2))
    for key, value in (readings or {"odometer_km": 1000 + number, "soc_percent": 80}).items():
        signal, dimension = split_key(key)
        builder.put(signal, value, dimension=dimension)
    answer = Answer(source, "fake", vin, received_at, {"state": str(number).encode()})
    return answer, snapshot_record(builder.build(), answer)


def record_number(number: int, readings: Mapping[str, Any] | None = None, **of: Any) -> Record:
    """Only the record; `of` as for `snapshot_number`."""
    return snapshot_number(number, readings, **of)[1]
