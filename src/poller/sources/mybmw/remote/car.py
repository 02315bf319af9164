"""A car as its own fresh state answer shows it: what it can do, and how it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from poller.errors import SourceUnavailable
from poller.sources.mybmw.meaning.values import latitude, longitude
from poller.sources.texts import object_in

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Car:
    """One vehicle, by one state answer. What is missing there counts as a no."""

    vin: str = field(repr=False)
    brand: str
    state: Json = field(repr=False)
    capabilities: Json = field(repr=False)

    def can(self, capability: str) -> bool:
        """Whether BMW lists this capability."""
        return self.capabilities.get(capability) is True

    @property
    def charging_commands(self) -> frozenset[str]:
        """``START``, ``STOP``, both or neither; null in some answers."""
        commands = part(self.capabilities, "remoteChargingCommands").get("chargingControl")
        return (
            frozenset(c for c in commands if isinstance(c, str))
            if isinstance(commands, list)
            else frozenset()
        )

    @property
    def tells_climate(self) -> bool:
        """Whether the car says anything of its climate control: the app's sign that it can be stopped."""
        return "climateControlState" in self.state

    @property
    def charging_profile(self) -> Json:
        """The present charging profile as BMW sent it; empty if there is none."""
        return part(self.state, "chargingProfile")

    @property
    def is_plugged(self) -> bool:
        """Whether a charger is connected."""
        return part(self.state, "electricChargingState").get("isChargerConnected") is True

    @property
    def is_charging(self) -> bool:
        """Whether it charges."""
        status = part(self.state, "electricChargingState").get("chargingStatus")
        return isinstance(status, str) and status.upper() == "CHARGING"

    @property
    def place(self) -> tuple[float, float] | None:
        """Where it last said it was, in BMW's coordinates: latitude and longitude in degrees."""
        coordinates = part(part(self.state, "location"), "coordinates")
        pair = coordinates.get("latitude"), coordinates.get("longitude")
        north, east = latitude(*pair), longitude(*pair)
        if not (isinstance(north, int | float) and isinstance(east, int | float)):
            return None
        return north, east


def read_car(vin: str, brand: str, body: bytes) -> Car:
    """A car from its state answer. Raises SourceUnavailable if that was not understood."""
    whole = object_in(body)
    if not isinstance(whole.get("state"), dict):
        raise SourceUnavailable("the state answer was not understood", reason="malformed")
    return Car(vin, brand, whole["state"], part(whole, "capabilities"))


def part(whole: Json, name: str) -> Json:
    """A member that is an object; empty if it is none."""
    inner = whole.get(name)
    return inner if isinstance(inner, dict) else {}
