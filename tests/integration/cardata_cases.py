"""Our own made-up CarData cars: what REST and stream sent, in order, and what is to be read from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from poller.sources.cardata.cars.state import CarState
from poller.vehicle.answer import Answer
from poller.vehicle.records import dumps, parse_time

CASES = Path(__file__).parents[1] / "cases" / "cardata"


@dataclass(frozen=True)
class Sent:
    """One REST answer or stream message, and when we had it."""

    via: str
    body: bytes
    received_at: datetime

    def merged_into(self, state: CarState) -> tuple[CarState, bool]:
        merge = state.merge_stream if self.via == "stream" else state.merge_rest
        return merge(self.body, self.received_at)


@dataclass(frozen=True)
class Case:
    """A folder of tests/cases/cardata; files that end in ``.ndjson`` hold a stream message a line."""

    name: str
    sent: Sequence[Sent]
    basic: bytes | None
    expected: Mapping[str, Any]

    @property
    def vin(self) -> str:
        return self.expected["vin"]

    def state(self) -> CarState:
        state = CarState(self.vin)
        for one in self.sent:
            state, _ = one.merged_into(state)
        return state

    def answer(self) -> Answer:
        bodies = {"state": dumps(self.state().to_json()).encode()}
        if self.basic is not None:
            bodies["basicData"] = self.basic
        received_at = parse_time(self.expected["received_at"])
        return Answer("case", "cardata", self.vin, received_at, bodies)


def cases() -> list[Case]:
    """All of them."""
    return [_case(folder) for folder in sorted(CASES.iterdir()) if folder.is_dir()]


def _case(folder: Path) -> Case:
    expected = json.loads((folder / "expected.json").read_text())
    basic = folder / "basicData.json"
    sent = [one for step in expected["merged"] for one in _sent(folder / step["file"], step["received_at"])]
    return Case(folder.name, sent, basic.read_bytes() if basic.exists() else None, expected)


def _sent(path: Path, received_at: str) -> list[Sent]:
    at = parse_time(received_at)
    if path.suffix == ".ndjson":
        return [Sent("stream", line, at) for line in path.read_bytes().splitlines()]
    return [Sent("rest", path.read_bytes(), at)]
