"""What the tests of the library's form share: our own made-up cars, and recorded ones if there are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from poller.library.answers import heard
from poller.library.keys import vehicle_json
from poller.library.understand import vehicle_of
from poller.sources.captured import Found, captures, read
from poller.sources.mybmw.regions import CODES
from poller.vehicle.answer import Answer
from poller.vehicle.records import parse_time

CASES = Path(__file__).parents[1] / "cases" / "library"
SHARED = Path(__file__).parents[3] / "shared"
#: When the library's clock stood still for the recorded ones.
PINNED = datetime(2021, 11, 28, 21, 28, 59, tzinfo=UTC)


@dataclass(frozen=True)
class LibraryCar:
    """A folder of captured answers, how to read them, and what the library makes of them."""

    name: str
    folder: Path
    at: datetime = PINNED
    zone: tzinfo = UTC
    region: str = "rest_of_world"

    @property
    def expected(self) -> dict[str, Any]:
        return _json(self.folder.parent / "expected" / f"{self.name}.json")

    def answer(self) -> Answer:
        return _answer(self)

    def keys(self, answer: Answer | None = None) -> dict[str, Any]:
        said = heard(answer or self.answer(), zone=self.zone, at=self.at, region=CODES[self.region])
        return vehicle_json(vehicle_of(said))


@cache
def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


@cache
def _answer(car: LibraryCar) -> Answer:
    [capture] = captures(car.folder)
    [found] = read(capture, (), otherwise=car.at)
    assert isinstance(found, Found), found
    return Answer("case", "recorded", found.vin, car.at, found.bodies)


@cache
def own_cars() -> tuple[LibraryCar, ...]:
    """Ours, made up."""
    read_as = json.loads((CASES / "read_as.json").read_text())
    return tuple(
        LibraryCar(name, CASES / name, parse_time(how["at"]), ZoneInfo(how["timezone"]), how["region"])
        for name, how in read_as.items()
    )


@cache
def recorded_cars() -> tuple[LibraryCar, ...]:
    """The real ones; none where they are not beside the checkout."""
    return tuple(
        LibraryCar(path.stem, path.parents[1] / path.stem)
        for path in sorted(SHARED.glob("fingerprints*/expected/*.json"))
    )


def differences(wanted: Any, ours: Any, path: str = "") -> Iterator[str]:
    """Each difference in words; the order of keys is none."""
    if isinstance(wanted, dict) and isinstance(ours, dict):
        for key in sorted(wanted.keys() | ours.keys()):
            if key not in ours:
                yield f"{path}.{key}: missing, wanted {wanted[key]!r}"
            elif key not in wanted:
                yield f"{path}.{key}: not wanted, ours {ours[key]!r}"
            else:
                yield from differences(wanted[key], ours[key], f"{path}.{key}")
    elif isinstance(wanted, list) and isinstance(ours, list) and len(wanted) == len(ours):
        for index, (one, other) in enumerate(zip(wanted, ours, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif wanted != ours or isinstance(wanted, bool) != isinstance(ours, bool):
        yield f"{path}: wanted {wanted!r}, ours {ours!r}"


def without_null_capabilities(keys: dict[str, Any]) -> dict[str, Any]:
    """As the recordings were changed on which the library itself stops."""
    known = {name: value for name, value in keys["data"]["capabilities"].items() if value is not None}
    return {**keys, "data": {**keys["data"], "capabilities": known}}
