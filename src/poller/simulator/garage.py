"""The seam between a simulated cloud and what stands in its garage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol


class Garage(Protocol):
    """The vehicles of one account: answers as the cloud sends them, JSON in bytes.

    None where the garage does not know the vehicle, or knows no such answer of it.
    """

    def mappings(self, brand: str) -> Sequence[Mapping[str, Any]]:
        """The entries of the vehicle list of one brand: bmw, mini or toyota."""
        ...

    def profile(self, vin: str) -> bytes | None:
        """What the car is."""
        ...

    def state(self, vin: str, at: datetime) -> bytes | None:
        """How the car stands at that time, and what it is capable of."""
        ...

    def charging(self, vin: str, at: datetime) -> bytes | None:
        """Its charging settings; ``{}`` for a car that has none."""
        ...


def mapping(vin: str) -> dict[str, Any]:
    """A list entry of a vehicle that is the user's own and connected."""
    return {
        "isAssociated": False,
        "isLmmEnabled": False,
        "isPrimaryUser": True,
        "mappingStatus": "CONFIRMED",
        "vehicleMappingType": "CONNECTED",
        "vin": vin,
    }
