"""What is kept of one vehicle: one value of the memory, so that no part of it is ahead of another."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, get_args

from poller.errors import MalformedAnswer
from poller.sources.base import Steering
from poller.sources.cardata.cars.state import CarState
from poller.sources.cardata.meaning import meanings as m
from poller.sources.cardata.meaning import values as v
from poller.sources.cardata.meaning.car import CHARGING_STATUS, Car, Names
from poller.sources.cardata.rest.plan import Endpoint
from poller.sources.texts import moment
from poller.vehicle.records import rfc3339

#: What ended, and when by the car's own time.
Ending = tuple[Literal["trip", "charge"], datetime]

#: A flag of the car that falls when it ends.
_ENDS: Final[tuple[tuple[Literal["trip", "charge"], Names, m.Convert], ...]] = (
    ("charge", CHARGING_STATUS, m.charging),
    ("trip", ("vehicle.isMoving",), m.flag),
)
_ENDPOINTS: Final[tuple[Endpoint, ...]] = get_args(Endpoint)


@dataclass(frozen=True, slots=True)
class Dossier:
    """One vehicle's merged state and what BMW was asked of it.

    `basic`: basicData exactly as received, b"" until then. `answered`: when BMW last answered each
    endpoint, also by "there is none". `ended`: the trip or charge that ended last.
    """

    state: CarState
    basic: bytes = b""
    answered: Mapping[Endpoint, datetime] = field(default_factory=dict)
    ended: Ending | None = None

    @property
    def vin(self) -> str:
        """Whose it is."""
        return self.state.vin

    def car(self, steering: Steering | None = None) -> Car:
        """The vehicle as the table's rules look at it."""
        basic = _object(self.basic)
        return Car(self.state, basic, steering)

    def to_json(self) -> dict[str, Any]:
        """For the memory; `dossier_of` reads it."""
        return {
            "state": self.state.to_json(),
            "basic": base64.b64encode(self.basic).decode(),
            "answered": {endpoint: rfc3339(at) for endpoint, at in self.answered.items()},
            "ended": [self.ended[0], rfc3339(self.ended[1])] if self.ended else None,
        }


def dossier_of(value: Mapping[str, Any], vin: str) -> Dossier | None:
    """What `to_json` made of this vehicle's; None if it was damaged: all of it can be asked for again."""
    try:
        state = CarState.from_json(value["state"])
        basic = base64.b64decode(value["basic"], validate=True)
        times = {endpoint: moment(value["answered"].get(endpoint)) for endpoint in _ENDPOINTS}
        ended = _ending(value["ended"])
    except (MalformedAnswer, KeyError, TypeError, ValueError, AttributeError):
        return None
    answered = {endpoint: at for endpoint, at in times.items() if at is not None}
    return Dossier(state, basic, answered, ended) if state.vin == vin else None


def ending(before: Car, after: Car, now: datetime) -> Ending | None:
    """What ended between two looks at a car, by its own time (`now` where it gave none)."""
    for what, chain, convert in _ENDS:
        was, found = before.first(chain, convert), after.first(chain, convert)
        if was is not None and found is not None and was.value is True and found.value is False:
            return what, found.observed_at or now
    return None


def _ending(value: Any) -> Ending | None:
    if value is None:
        return None
    what, at = value
    time = moment(at)
    return None if time is None else ("trip" if what == "trip" else "charge", time)


def _object(body: bytes) -> Mapping[str, Any]:
    raw = v.read_json(body)
    return raw if isinstance(raw, dict) else {}
