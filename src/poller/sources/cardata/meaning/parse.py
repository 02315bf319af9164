"""What an answer means: a car's merged state and its basicData in, a snapshot out; no I/O and no state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from poller.errors import MalformedAnswer
from poller.sources.base import Answer, Steering
from poller.sources.cardata.cars.state import CarState
from poller.sources.cardata.meaning.car import BASIC_DATA, Car, Found
from poller.sources.cardata.meaning.table import RULES
from poller.sources.cardata.meaning.values import Strange, read_json
from poller.vehicle.snapshot import Snapshot, SnapshotBuilder

#: Name of the body that holds `CarState.to_json`.
STATE: Final = "state"
#: Under this name descriptors are counted that the catalogue does not have.
DESCRIPTOR: Final = "descriptor"


def parse(answer: Answer, steering: Steering | None = None) -> Snapshot:
    """The snapshot of one answer; `steering` is the owner's word, where basicData does not say.

    Each reading has its own descriptor's time of measurement (None: BMW gave none), the snapshot the
    newest of them. Raises MalformedAnswer, and only if there is no state of this vehicle at all.
    """
    return _read(answer, steering)[0]


def origins(answer: Answer, steering: Steering | None = None) -> Mapping[str, Found]:
    """Record key → where that reading came from: descriptor, and stream, REST or basicData.

    Raises as `parse`.
    """
    return _read(answer, steering)[1]


def _read(answer: Answer, steering: Steering | None) -> tuple[Snapshot, dict[str, Found]]:
    state = _state(answer)
    basic = read_json(answer.bodies.get(BASIC_DATA, b""))
    car = Car(state, basic if isinstance(basic, dict) else {}, steering)
    builder = SnapshotBuilder(source=answer.source, vin=answer.vin, received_at=answer.received_at)
    found: dict[str, Found] = {}
    for rule in RULES:
        for dimension, one in rule.found(car):
            value = one.value.word if isinstance(one.value, Strange) else one.value
            builder.put(rule.key, value, dimension=dimension, observed_at=one.observed_at)
            record_key = rule.key if dimension is None else f"{rule.key}.{dimension}"
            if record_key not in found or not isinstance(one.value, Strange):
                found[record_key] = one
    snapshot = builder.build()
    # Only what became a reading: some descriptors bear the time at which they were asked for.
    times = [reading.observed_at for reading in snapshot.readings.values() if reading.observed_at]
    unknown = (*snapshot.unknown_tokens, *((DESCRIPTOR, name) for name in state.unknown))
    snapshot = replace(snapshot, observed_at=max(times, default=None), unknown_tokens=unknown)
    return snapshot, {key: one for key, one in found.items() if key in snapshot.readings}


def _state(answer: Answer) -> CarState:
    if STATE not in answer.bodies:
        raise MalformedAnswer("the answer has no state body")
    state = CarState.from_json(read_json(answer.bodies[STATE]))
    if state.vin.upper() != answer.vin.upper():
        raise MalformedAnswer("the state is another vehicle's")
    return state
