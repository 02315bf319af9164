"""Which descriptors a feature needs, and which of them a car has sent; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from poller.sources.cardata.cars.dossier import Dossier
from poller.sources.cardata.meaning.car import Car
from poller.sources.cardata.meaning.catalogue import CATALOGUE, DEFAULT_CONTAINER, OWN_ENDPOINT
from poller.sources.cardata.meaning.table import needs
from poller.sources.cardata.meaning.values import Presence
from poller.sources.findings import Arrival, Wanted
from poller.vehicle.privacy import short_vin
from poller.vehicle.signals import BY_KEY, GROUPS

#: Where the owner's own `descriptors` stand.
OTHERS: Final = "Others, from your settings"


def wanted(extra: Iterable[str], dossiers: Mapping[str, Dossier]) -> list[Wanted]:
    """Each descriptor once, under the feature that reads it first; then what only the owner asks for."""
    own = [name for name in extra if name not in OWN_ENDPOINT]
    polled = {*DEFAULT_CONTAINER, *own}
    features: dict[str, str] = {}
    for key, names in needs().items():
        for name in names:
            features.setdefault(name, GROUPS[BY_KEY[key].group])
    for name in own:
        features.setdefault(name, OTHERS)
    order = [*GROUPS.values(), OTHERS]
    return [
        Wanted(
            feature,
            name,
            tickable=name not in CATALOGUE or CATALOGUE[name].streamable,
            polled=name in polled,
            arrivals={short_vin(vin): arrival(dossier, name) for vin, dossier in dossiers.items()},
        )
        for name, feature in sorted(features.items(), key=lambda item: order.index(item[1]))
    ]


def arrival(dossier: Dossier, name: str) -> Arrival:
    """How a descriptor came. REST gives null for whatever the car does not have."""
    held = dossier.state.held.get(name)
    if held is None:
        return "no"
    return held.via if held.presence is Presence.VALUE else "empty"


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of what such a car can send has come; `unserved`: features of which nothing has."""

    come: int
    of: int
    unserved: Sequence[str]


def coverage(dossier: Dossier) -> Coverage:
    """What has come from this car, of the descriptors that the catalogue gives to such a car."""
    car = dossier.car()
    letters = _letters(car)
    features: dict[str, set[str]] = {}
    for key, names in needs().items():
        signal = BY_KEY[key]
        if car.has_battery or signal.group != "battery":
            fit = {name for name in names if _fits(name, letters)}
            features.setdefault(GROUPS[signal.group], set()).update(fit)
    come = {name for name in set().union(*features.values()) if arrival(dossier, name) in ("stream", "rest")}
    return Coverage(
        come=len(come),
        of=len(set().union(*features.values())),
        unserved=[title for title in GROUPS.values() if features.get(title) and not features[title] & come],
    )


def _fits(name: str, letters: str) -> bool:
    cars = CATALOGUE[name].cars
    return not cars or any(letter in cars for letter in letters)


def _letters(car: Car) -> str:
    """As the catalogue writes cars: E electric, P plug-in hybrid, M and I with a tank only."""
    if car.has_battery:
        return "P" if car.has_tank else "E"
    return "MI"
