"""The descriptors that CarData has: what BMW's telematics catalogue says of each key.

The table is ``catalogue.tsv``, a line a descriptor: its type, its unit (``-``: the value brings its
own, or none), ``S`` streamable or ``R`` only by REST, the cars that have it (E electric, P plug-in
hybrid, M mild hybrid, I combustion; ``-`` not stated), and whether the default container asks for it.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One key; `type` and `unit` are what the catalogue says, which real values often are not.

    `cars`: letters of E, P, M, I; empty where the catalogue does not say. `by_default`: whether it
    is in the default container.
    """

    name: str
    type: str | None
    unit: str | None
    streamable: bool
    cars: str
    by_default: bool


#: They have an endpoint of their own: a container may name them, but ``telematicData`` never gives them.
OWN_ENDPOINT: Final = frozenset(
    {
        "vehicle.chassis.axle.wheel.tire.diagnosis",
        "vehicle.look.image",
        "vehicle.powertrain.electric.battery.charging.history.sessionsList",
        "vehicle.powertrain.electric.battery.charging.settingsList",
        "vehicle.vehicleIdentification.basicVehicleData",
    }
)


def _read() -> Mapping[str, Descriptor]:
    lines = files(__package__).joinpath("catalogue.tsv").read_text("utf-8").splitlines()
    rows = csv.DictReader(lines, delimiter="\t")
    return MappingProxyType({row["descriptor"]: _descriptor(row) for row in rows})


def _descriptor(row: Mapping[str, str]) -> Descriptor:
    said = {name: None if cell == "-" else cell for name, cell in row.items()}
    return Descriptor(
        name=row["descriptor"],
        type=said["type"],
        unit=said["unit"],
        streamable=row["via"] == "S",
        cars=said["cars"] or "",
        by_default=row["container"] == "yes",
    )


#: Name → descriptor: all 294.
CATALOGUE: Final = _read()
#: What the default container asks for: 42 keys, a size that BMW is known to accept.
DEFAULT_CONTAINER: Final = tuple(name for name, descriptor in CATALOGUE.items() if descriptor.by_default)
