"""Captured answers as vehicles: fingerprints, and dumps of the library's JSON, from a folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final

from poller.errors import MalformedAnswer
from poller.library.answers import heard
from poller.library.readings import from_readings
from poller.library.understand import vehicle_of
from poller.library.vehicle import Vehicle
from poller.sources.captured import Capture, Found, captures, named, read
from poller.sources.fingerprint import CARDATA
from poller.sources.library_json import understand
from poller.vehicle.answer import Answer
from poller.vehicle.display import Units

#: What the source of such answers is called, unless they are CarData's.
SOURCE: Final = "answers"


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that holds no answer. `promised`: by its name it should; any other may lie in a folder."""

    error: MalformedAnswer
    promised: bool


def read_folder(
    folder: Path, *, at: datetime | None = None, region: str = "row", zone: tzinfo = UTC
) -> tuple[list[Vehicle], list[MalformedAnswer]]:
    """Of each vehicle in a folder, at any depth, the newest answer; and what could not be used.

    `at`: read as if had at that time; default: each at its own. `region`: row, na or cn, where the
    answer does not say; `zone`: the owner's. Raises OSError if the folder cannot be read.
    """
    newest: dict[str, Answer] = {}
    problems: list[MalformedAnswer] = []
    for one in answers_in(folder, otherwise=at or datetime.now(UTC)):
        if isinstance(one, Unread):
            problems += [one.error] * one.promised
        elif one.vin not in newest or one.received_at >= newest[one.vin].received_at:
            newest[one.vin] = one
    vehicles: list[Vehicle] = []
    for answer in newest.values():
        try:
            vehicles.append(vehicle_in(answer, at=at, region=region, zone=zone))
        except MalformedAnswer as error:
            problems.append(MalformedAnswer(f"{answer.vin[-7:]}: {error.message}"))
    return vehicles, problems


def answers_in(folder: Path, *, otherwise: datetime) -> Iterator[Answer | Unread]:
    """Each captured answer below a folder, or why there is none.

    `otherwise`: the time of one that does not say when it was had. Raises OSError.
    """
    for capture in captures(folder):
        for found in _read(capture, otherwise):
            if isinstance(found, Found):
                source = CARDATA if CARDATA in found.bodies else SOURCE
                yield Answer(source, "recorded", found.vin, found.received_at, found.bodies)
            else:
                yield Unread(found, promised=capture.vin is not None)


def vehicle_in(
    answer: Answer, *, at: datetime | None, region: str, zone: tzinfo, units: Units = "metric"
) -> Vehicle:
    """The vehicle of a captured answer. Raises MalformedAnswer."""
    if answer.source == CARDATA:
        snapshot = understand(replace(answer, received_at=at or answer.received_at), zone)
        return from_readings(snapshot, zone=zone, units=units)
    return vehicle_of(heard(answer, zone=zone, at=at, region=region, units=units))


def _read(capture: Capture, otherwise: datetime) -> list[Found | MalformedAnswer]:
    try:
        return read(capture, (), otherwise=otherwise)
    except MalformedAnswer as error:
        return [error]
    except OSError as error:
        return [named(capture, MalformedAnswer(f"it cannot be read: {error.strerror}"))]
