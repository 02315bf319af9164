"""A car's state as the table's rules look at it: which side, which unit, which drive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from poller.sources.base import Steering
from poller.sources.cardata.cars.state import ODOMETER, CarState, Held
from poller.sources.cardata.meaning import meanings as m
from poller.sources.cardata.meaning import values as v
from poller.sources.cardata.meaning.catalogue import CATALOGUE

BASIC_DATA: Final = "basicData"

#: Descriptors, the best first; ``{left}`` and ``{right}`` stand for BMW's driver and passenger.
Names = tuple[str, ...]
Bounds = tuple[float, float]

SOC: Final[Names] = (
    "vehicle.drivetrain.batteryManagement.header",
    "vehicle.powertrain.electric.battery.stateOfCharge.displayed",
    "vehicle.drivetrain.electricEngine.charging.level",
    "vehicle.trip.segment.end.drivetrain.batteryManagement.hvSoc",
)
RANGE_ELECTRIC: Final[Names] = (
    "vehicle.drivetrain.electricEngine.kombiRemainingElectricRange",
    "vehicle.drivetrain.electricEngine.remainingElectricRange",
)
LITERS: Final[Names] = ("vehicle.drivetrain.fuelSystem.remainingFuel",)
CHARGING_STATUS: Final[Names] = (
    "vehicle.drivetrain.electricEngine.charging.status",
    "vehicle.drivetrain.electricEngine.charging.hvStatus",
)
#: The unit that the car shows.
SHOWN_UNIT: Final[Names] = (
    "vehicle.cabin.infotainment.displayUnit.distance",
    "vehicle.cabin.infotainment.hmi.distanceUnit",
)
_DISTANCES: Final = (m.distance, m.positive_distance)


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule found: `origin` is the descriptor, `via` stream, rest or basicData.

    `value` may be `v.Strange`: said, but not understood.
    """

    value: object
    observed_at: datetime | None
    origin: str
    via: str


class Car:
    """A car's state and basicData, as rules look at them.

    `steering` is the owner's word, for when basicData does not say; without either it is left.
    """

    def __init__(self, state: CarState, basic: Mapping[str, Any], steering: Steering | None = None) -> None:
        self.state = state
        self.basic = basic
        side = m.steering(basic.get("steering")) or steering or "left"
        other = "right" if side == "left" else "left"
        self._sides = {side: "driver", other: "passenger"}
        self._shown_unit = self._find_shown_unit()
        self.has_battery, self.has_tank = self._find_drive()

    def chain(self, chain: Names, convert: m.Convert, bounds: Bounds | None = None) -> Iterator[Found]:
        """What the chain's descriptors say, up to and with the first that is understood.

        A number outside `bounds` is not.
        """
        for name in chain:
            descriptor = name.format(**self._sides) if "{" in name else name
            held = self.state.held.get(descriptor)
            value = None if held is None else self._read(descriptor, held, convert, bounds)
            if held is None or value is None:
                continue
            yield Found(value, held.timestamp, descriptor, held.via)
            if not isinstance(value, v.Strange):
                return

    def first(self, chain: Names, convert: m.Convert, bounds: Bounds | None = None) -> Found | None:
        """The first of the chain that is understood."""
        found = self.chain(chain, convert, bounds)
        return next((one for one in found if not isinstance(one.value, v.Strange)), None)

    def amount(self, chain: Names, convert: m.Convert) -> int | float | None:
        """The first number of the chain."""
        found = self.first(chain, convert)
        return found.value if found is not None and isinstance(found.value, int | float) else None

    def listed(self, descriptor: str) -> tuple[list[dict[str, Any]], Found | None]:
        """The objects of a descriptor that holds JSON in a string, and where they come from."""
        held = self.state.held.get(descriptor)
        items = None if held is None else v.listed(held.value)
        if held is None or items is None:
            return [], None
        return items, Found(None, held.timestamp, descriptor, held.via)

    def length(self, value: object) -> object:
        """A distance inside such an object, in the unit that the car shows; 0 is none."""
        return m.positive_distance(v.scalar(value), self._shown_unit)

    def _read(self, descriptor: str, held: Held, convert: m.Convert, bounds: Bounds | None) -> object:
        value = convert(held.value, self._unit(descriptor, held, convert))
        if bounds is not None and isinstance(value, int | float) and not bounds[0] <= value <= bounds[1]:
            return v.strange(held.value)
        return value

    def _unit(self, descriptor: str, held: Held, convert: m.Convert) -> str | None:
        """The unit that came with the value, else the catalogue's, else for distances the car's."""
        known = CATALOGUE.get(descriptor)
        fallback = self._shown_unit if convert in _DISTANCES else None
        return v.unit(held.unit) or (known.unit if known is not None else None) or fallback

    def _find_shown_unit(self) -> str | None:
        """What the car says it shows; until it has, the unit in which it tells its odometer."""
        shown = (self.state.held.get(descriptor) for descriptor in SHOWN_UNIT)
        units = [v.unit(held.value) for held in shown if held is not None]
        odometer = self.state.held.get(ODOMETER)
        units.append(v.unit(odometer.unit) if odometer is not None else None)
        return next((unit for unit in units if unit in ("km", "mi")), None)

    def _find_drive(self) -> tuple[bool, bool]:
        """(has a traction battery, has a tank); what basicData leaves open, the descriptors say.

        basicData first: electric cars send stray fuel too.
        """
        name = v.token(v.scalar(self.basic.get("driveTrain")))
        if name in m.DRIVE_TRAINS:
            return name in ("BEV", "PHEV"), name != "BEV"
        charge, reach = self.amount(SOC, m.percent), self.amount(RANGE_ELECTRIC, m.distance)
        battery = charge is not None or reach is not None
        return battery, not battery or bool(self.amount(LITERS, m.volume))
