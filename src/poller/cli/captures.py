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
from poller.library.folder import answers_in, vehicle_in
from poller.library.keys import vehicle_json
from poller.settings.places import system_zone
from poller.sources.library_json import understand
from poller.sources.mybmw.regions import CODES
from poller.sources.mybmw.settings import Region
from poller.vehicle.answer import Answer
from poller.vehicle.display import Units
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import Json, rfc3339, snapshot_record

#: So many files that hold no answer are named.
_SHOWN: Final = 3


def report_on(folder: Path, *, at: datetime | None, region: Region, units: Units | None) -> Json:
    """As the command `vehicles` reports, read as at a time (None: at each answer's own).

    `problems`: what could not be used; `passed_over`: files that hold no answer, and need not.
    Raises ConfigError if there is nothing in the folder.
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
        "passed_over": reader.first_passed_over(),
    }


class _Reader:
    """Reads a folder once; `problems` fills on the way."""

    def __init__(self, folder: Path, *, at: datetime | None, region: str, units: Units) -> None:
        self.problems: list[str] = []
        self._passed_over: list[str] = []
        self.zone: tzinfo = local_zone()
        self._folder = folder
        self._at = at
        self._now = datetime.now(UTC)
        self._region = region
        self._units = units

    def vehicles(self) -> list[Json]:
        """Of each vehicle its names, record and library keys. Raises ConfigError if there is none."""
        newest: dict[tuple[str, str], Answer] = {}
        for answer in self._answers():
            whose = answer.vin, answer.source
            held = newest.get(whose)
            if held is None or answer.received_at >= held.received_at:
                newest[whose] = answer
        shown = [one for answer in newest.values() for one in self._shown(answer)]
        if not shown and not self.problems:
            hint = "files named as bimmerconnected's fingerprint names them, or dumps of its JSON"
            problems = [f"{self._folder} holds no captured answers", *self.first_passed_over()]
            raise ConfigError(problems, hint=hint)
        return shown

    def first_passed_over(self) -> list[str]:
        """The first few, and how many more."""
        more = len(self._passed_over) - _SHOWN
        return self._passed_over[:_SHOWN] + ([f"and {more} more"] if more > 0 else [])

    def _answers(self) -> Iterator[Answer]:
        try:
            for one in answers_in(self._folder, otherwise=self._at or self._now):
                if isinstance(one, Answer):
                    yield one
                elif one.promised:
                    self.problems.append(one.error.message)
                else:
                    self._passed_over.append(one.error.message)
        except OSError as error:
            raise ConfigError([f"{self._folder} cannot be read: {error.strerror}"]) from error

    def _shown(self, answer: Answer) -> Iterator[Json]:
        try:
            vehicle = vehicle_in(answer, at=self._at, region=self._region, zone=self.zone, units=self._units)
            answer = replace(answer, received_at=self._at or answer.received_at)
            snapshot = understand(answer, self.zone)
        except MalformedAnswer as error:
            self.problems.append(f"{answer.vin[-7:]}: {error.message}")
            return
        record = Rendering({}).render(snapshot_record(snapshot, answer))
        yield {"vehicle": record["vehicle"], "record": record, "library": vehicle_json(vehicle)}


def local_zone() -> tzinfo:
    """The system's time zone, ``$TZ`` first; UTC if nothing names one."""
    name = system_zone(os.environ)
    return ZoneInfo(name) if name not in ("", "UTC") else UTC
