"""What a fingerprint's files are called and hold, and what is said beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from poller.fingerprint import readme
from poller.fingerprint.anonymous import Anonymiser
from poller.sources.fingerprint import CARDATA, cardata_name, file_name
from poller.sources.library_json import BODY as LIBRARY
from poller.vehicle.answer import Answer

#: What is told of a car by the first characters of its VIN; the profile knows better.
_MINI: Final = "WMW"
_BRANDS: Final = {"MINI": "mini", "DRITTKUNDE": "toyota", "TOYOTA": "toyota"}
_ODD: Final = re.compile(r"[^A-Za-z0-9.-]+")


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer of the journal; `problem`: why it could not be parsed, if it is in quarantine."""

    answer: Answer
    problem: str = ""


@dataclass(slots=True)
class Bundle:
    """Gives each answer its files, and keeps what is to be said of them all.

    Of several answers of a vehicle the first stays on top, and counts for the simulator: the newest.
    """

    anonymiser: Anonymiser
    #: File → why its answer could not be parsed.
    problems: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    _taken: set[str] = field(default_factory=set)
    _brands: dict[str, str] = field(default_factory=dict)

    def written(self, answers: Callable[[], Iterable[Stored]]) -> Iterator[tuple[str, str]]:
        """Path below the folder → content, the README last; nothing at all if there are no answers.

        `answers` is called twice: what is known of one is looked for in all.
        """
        for stored in answers():
            self._learn(stored)
        self.anonymiser.replaced.clear()
        for stored in answers():
            yield from self._files(stored)
        yield from self._lists()
        if self._taken:
            yield readme.NAME, readme.readme(self.anonymiser.replaced, self.problems, self.left_out)

    def _learn(self, stored: Stored) -> None:
        """What must not be left in any answer, and of which brand the car is."""
        answer = stored.answer
        if answer.vin:
            self.anonymiser.pseudonym(answer.vin)
        for data in answer.bodies.values():
            self.anonymiser.body(data)
        brand = _brand_in(answer.bodies.get("profile"))
        if brand is not None:
            self._brands[answer.vin] = brand

    def _files(self, stored: Stored) -> Iterator[tuple[str, str]]:
        """Path → content for each body of an answer."""
        vin = self.anonymiser.pseudonym(stored.answer.vin) if stored.answer.vin else ""
        names = {body: self._name(stored.answer, body, vin) for body in stored.answer.bodies}
        folder = self._folder(stored, names.values())
        for body, name in names.items():
            text = self.anonymiser.body(stored.answer.bodies[body])
            if text is None:
                self.left_out.append(
                    f"{folder}{name}: {len(stored.answer.bodies[body])} bytes that are no text"
                )
                continue
            if stored.problem:
                self.problems[f"{folder}{name}"] = self.anonymiser.plain(stored.problem)
            yield f"{folder}{name}", text

    def _lists(self) -> Iterator[tuple[str, str]]:
        """A list of vehicles for each brand: BMW's own are not kept, these say the same."""
        found: dict[str, list[str]] = {}
        for vin, brand in sorted(self._listed().items()):
            found.setdefault(brand, []).append(vin)
        for brand, vins in found.items():
            body = {"gcid": "some_id", "mappingInfos": [_mapping(vin) for vin in vins]}
            name = file_name(brand, "list")
            if name is not None and name not in self._taken:
                self._taken.add(name)
                yield name, json.dumps(body, indent=4) + "\n"

    def _listed(self) -> dict[str, str]:
        """VIN, as it is shown, → brand, of the cars of which MyBMW had an answer."""
        pattern = re.compile(r"(?:.*/)?(bmw|mini|toyota)-eadrax-\S+_([A-Z0-9]{17})\.json")
        return {match[2]: match[1] for path in self._taken if (match := pattern.fullmatch(path))}

    def _name(self, answer: Answer, body: str, vin: str) -> str:
        if CARDATA in (answer.kind, body):
            return cardata_name(_ODD.sub("-", body), vin)
        if body == LIBRARY:
            return f"library_{vin}.json"
        known = file_name(self._brand(answer), body, vin)
        return known or f"{_ODD.sub('-', answer.kind)}-{_ODD.sub('-', body)}{f'_{vin}' * bool(vin)}.txt"

    def _brand(self, answer: Answer) -> str:
        guess = "mini" if answer.vin.upper().startswith(_MINI) else "bmw"
        return self._brands.get(answer.vin, guess)

    def _folder(self, stored: Stored, names: Iterable[str]) -> str:
        """On top for the first of its name that could be parsed, else one that says when it was had."""
        wanted = {*names}
        folder, number = "", 1
        base = f"{_written(stored.answer.received_at)}{'-quarantined' if stored.problem else ''}"
        if stored.problem:
            folder = f"{base}/"
        while any(f"{folder}{name}" in self._taken for name in wanted):
            folder = f"{base}/" if number == 1 else f"{base}-{number}/"
            number += 1
        self._taken |= {f"{folder}{name}" for name in wanted}
        return folder


def _brand_in(profile: bytes | None) -> str | None:
    """The brand that a profile tells, as BMW's lists name it."""
    try:
        told = json.loads(profile or b"").get("brand")
    except (ValueError, RecursionError, AttributeError):
        return None
    return _BRANDS.get(told, "bmw") if isinstance(told, str) else None


def _mapping(vin: str) -> dict[str, Any]:
    return {
        "vin": vin,
        "mappingStatus": "CONFIRMED",
        "vehicleMappingType": "CONNECTED",
        "isAssociated": False,
        "isLmmEnabled": False,
        "isPrimaryUser": True,
    }


def _written(at: datetime) -> str:
    """``20261121T140203.123Z``: sorts before the names of files, so what is on top counts last."""
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S.%f}"[:-3] + "Z"
