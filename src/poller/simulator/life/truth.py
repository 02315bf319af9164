"""What really happened: the records that tests compare a poller's guesses with. Exact, never shown to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Record:
    """Something that began and is over. Times are aware UTC, whole seconds."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Trip(Record):
    """From one stand to the next; `kwh` moved the car, `climate_kwh` kept the cabin, both off the battery."""

    origin: str
    target: str
    km: float
    kwh: float
    climate_kwh: float
    liters: float


@dataclass(frozen=True, slots=True)
class Charge(Record):
    """From plug-in to unplug; energy flowed from `flowed_from` to `flowed_until` (None: it never did).

    Percent is exact, of the capacity of the day. `phases` is 0 on DC.
    """

    place: str
    current: Literal["ac", "dc"]
    phases: int
    flowed_from: datetime | None
    flowed_until: datetime | None
    wall_kwh: float
    battery_kwh: float
    soc_before: float
    soc_after: float


@dataclass(frozen=True, slots=True)
class Drain(Record):
    """What a stand cost the battery, charging and cabin apart."""

    kwh: float


@dataclass(frozen=True, slots=True)
class Preheat(Record):
    """Cabin warmed or cooled before a drive, from the battery or, if plugged in, from the wall."""

    battery_kwh: float
    wall_kwh: float


@dataclass(frozen=True, slots=True)
class Refuel(Record):
    """A stop to fill up."""

    liters: float


@dataclass(frozen=True, slots=True)
class LeftOpen(Record):
    """Forgotten on a stand: `what` is "lock", "trunk", "sunroof", "window.front_left" and so on."""

    what: str


@dataclass(frozen=True, slots=True)
class Message(Record):
    """A check-control message, from raising to clearing."""

    what: str
    severity: str


@dataclass(frozen=True, slots=True)
class Serviced(Record):
    """One service done, on a visit to the workshop; when and at what distance it was due."""

    what: str
    due: datetime
    due_km: float | None
    odometer_km: float


@dataclass(frozen=True, slots=True)
class Pumped(Record):
    """All tires set to their pressure; the lowest before."""

    lowest_kpa: float


@dataclass(frozen=True, slots=True)
class Truth:
    """All records of one car that ended within a time, by kind, each in order of their end."""

    trips: tuple[Trip, ...]
    charges: tuple[Charge, ...]
    drains: tuple[Drain, ...]
    preheats: tuple[Preheat, ...]
    refuels: tuple[Refuel, ...]
    left_open: tuple[LeftOpen, ...]
    messages: tuple[Message, ...]
    services: tuple[Serviced, ...]
    pumped: tuple[Pumped, ...]


def by_kind(records: Iterable[Record]) -> Truth:
    """Sorts records into their lists."""
    ordered = sorted(records, key=lambda record: record.end)

    def of(kind: type[T]) -> tuple[T, ...]:
        return tuple(record for record in ordered if isinstance(record, kind))

    return Truth(
        trips=of(Trip),
        charges=of(Charge),
        drains=of(Drain),
        preheats=of(Preheat),
        refuels=of(Refuel),
        left_open=of(LeftOpen),
        messages=of(Message),
        services=of(Serviced),
        pumped=of(Pumped),
    )
