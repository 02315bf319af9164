"""Captured answers as `poller vehicle status --answers` shows them: of each vehicle the newest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from poller.errors import ConfigError, MalformedAnswer
from poller.library.answers import heard
from poller.library.keys import vehicle_json
from poller.library.understand import vehicle_of
from poller.settings.places import system_zone
from poller.sources.captured import Capture, captures, named, read
from poller.sources.library_json import understand
from poller.sources.mybmw.regions import CODES
from poller.sources.mybmw.settings import Region
from poller.vehicle.answer import Answer
from poller.vehicle.display import Units
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import Json, rfc3339, snapshot_record

#: What the answers' source is called.
SOURCE: Final = "answers"


def report_on(folder: Path, *, at: datetime | None, region: Region, units: Units | None) -> Json:
    """As the command `vehicles` reports, read as at a time (None: at each answer's own).

    `problems`: what could not be used. Raises ConfigError if there is nothing in the folder.
    """
    reader = _Reader(folder, at=at, region=CODES[region], units=units or "metric")
    vehicles = reader.vehicles()
    now = rfc3339(at or datetime.now(UTC))
    return {
        "now": now,
        "units": units or "metric",
        "timezone": str(reader.zone),
        "vehicles": vehicles,
        "problems": reader.problems,
    }


class _Reader:
    """Reads a folder once; `problems` fills on the way."""

    def __init__(self, folder: Path, *, at: datetime | None, region: str, units: Units) -> None:
        self.problems: list[str] = []
        self.zone: tzinfo = local_zone()
        self._folder = folder
        self._at = at
        self._now = datetime.now(UTC)
        self._region = region
        self._units = units

    def vehicles(self) -> list[Json]:
        """Of each vehicle its names, record and library keys. Raises ConfigError if there is none."""
        newest: dict[str, Answer] = {}
        for answer in self._answers():
            held = newest.get(answer.vin)
            if held is None or answer.received_at >= held.received_at:
                newest[answer.vin] = answer
        shown = [one for answer in newest.values() for one in self._shown(answer)]
        if not shown and not self.problems:
            hint = "files named as bimmerconnected's fingerprint names them, or dumps of its JSON"
            raise ConfigError([f"{self._folder} holds no captured answers"], hint=hint)
        return shown

    def _answers(self) -> Iterator[Answer]:
        try:
            for capture in captures(self._folder):
                yield from self._in_capture(capture)
        except OSError as error:
            raise ConfigError([f"{self._folder} cannot be read: {error.strerror}"]) from error

    def _in_capture(self, capture: Capture) -> Iterator[Answer]:
        try:
            found = read(capture, (), otherwise=self._at or self._now)
        except MalformedAnswer as error:
            found = [error]
        except OSError as error:
            found = [named(capture, MalformedAnswer(f"it cannot be read: {error.strerror}"))]
        for one in found:
            if not isinstance(one, MalformedAnswer):
                yield Answer(SOURCE, "recorded", one.vin, one.received_at, one.bodies)
            elif capture.vin is not None:
                # Any other JSON file may lie in a folder; this one says by its name what it should be.
                self.problems.append(one.message)

    def _shown(self, answer: Answer) -> Iterator[Json]:
        try:
            said = heard(answer, zone=self.zone, at=self._at, region=self._region, units=self._units)
            answer = replace(answer, received_at=self._at or answer.received_at)
            snapshot = understand(answer, self.zone)
        except MalformedAnswer as error:
            self.problems.append(f"{answer.vin[-7:]}: {error.message}")
            return
        record = Rendering({}).render(snapshot_record(snapshot, answer))
        yield {"vehicle": record["vehicle"], "record": record, "library": vehicle_json(vehicle_of(said))}


def local_zone() -> tzinfo:
    """The system's time zone, ``$TZ`` first; UTC if nothing names one."""
    name = system_zone(os.environ)
    return ZoneInfo(name) if name not in ("", "UTC") else UTC
