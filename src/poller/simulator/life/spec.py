"""What a car is, what is around it, and what its owner is used to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Position = tuple[float, float]  # degrees north, degrees east
Wheel = Literal["front_left", "front_right", "rear_left", "rear_right"]
WHEELS: tuple[Wheel, ...] = ("front_left", "front_right", "rear_left", "rear_right")
_KILOVOLTS = 0.23


class Charger(NamedTuple):
    """A socket: kilowatts from the grid; `phases` is 0 for direct current."""

    kilowatts: float
    phases: int

    def limited(self, amperes: int | None) -> Charger:
        """With no more than that for each phase; None, or direct current: as it is."""
        if amperes is None or not self.phases:
            return self
        return self._replace(kilowatts=min(self.kilowatts, _KILOVOLTS * amperes * self.phases))

    @property
    def current(self) -> Literal["ac", "dc"]:
        """Alternating or direct."""
        return "ac" if self.phases else "dc"


class Place(NamedTuple):
    """Somewhere to stop."""

    position: Position
    charger: Charger | None = None


class Stop(NamedTuple):
    """Leave for `place` at that hour of the local day (24.5 is half past midnight)."""

    hour: float
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Battery:
    """A traction battery: usable kWh when new, and what it takes on AC and on DC.

    `dc_curve`: (percent, kilowatts) from empty to full, straight lines between; empty: no DC.
    """

    kwh: float
    ac_phases: int
    kilowatts_per_phase: float
    dc_curve: tuple[tuple[float, float], ...] = ()
    standby_watts: float = 3.0
    reserve_percent: float = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """What moving takes: kWh/km at walking pace and per (km/h)², litres likewise; zero where it has none."""

    kwh_per_km: float = 0.0
    kwh_per_km_and_kmh2: float = 0.0
    liters_per_km: float = 0.0
    tank_liters: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Doors and wheels. `openings` may be forgotten; the first is the driver's window."""

    steering: Literal["left", "right"]
    doors: int
    sunroof: bool
    target_kpa: Mapping[Wheel, int]

    @property
    def driver(self) -> Wheel:
        """The driver's place."""
        return "front_left" if self.steering == "left" else "front_right"

    @property
    def sides(self) -> tuple[Wheel, ...]:
        """Where it has doors and windows."""
        return WHEELS if self.doors == 4 else WHEELS[:2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What the owner does.

    `workday` and `outings` (one of them on a free day) end at home; `far`: outings at the end of a
    long trip. `works`, `goes_out`, `errand_chance`: shares of days. `charge_below`: percent at
    which it is plugged in in the evening; `window`: local hours in which it charges, None: at once.
    """

    zone: str
    workday: tuple[Stop, ...]
    outings: tuple[tuple[Stop, ...], ...]
    far: tuple[Stop, ...]
    errand: tuple[Stop, ...] = ()
    works: float = 0.9
    goes_out: float = 0.75
    errand_chance: float = 0.25
    journeys: int = 4
    preheats: float = 0.5
    charge_below: float = 60.0
    window: tuple[float, float] | None = None
    target_percent: float = 100.0


@dataclass(frozen=True, kw_only=True, eq=False)
class CarSpec:
    """One car with its world. Compared by identity: there is one of each.

    `places` has "home", "workshop", "far" and whatever the habits name. `model` names what a
    maker's cloud knows about it.
    """

    vin: str
    brand: str
    model: str
    kind: Literal["electric", "plugin_hybrid", "combustion"]
    body: Body
    drive: Drive
    habits: Habits
    places: Mapping[str, Place]
    battery: Battery | None = None
    fast_kilowatts: float = 0.0
    first_km: float = 0.0
    age_years: float = 0.0
    mean_celsius: float = 10.5
