"""How a car stands at one second: what carries over from event to event and from day to day."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import Literal, NamedTuple

from poller.simulator.life.spec import Charger, Position
from poller.simulator.life.wishes import Command, Wishes

Climate = Literal["inactive", "heating", "cooling", "ventilation"]


class Plug(NamedTuple):
    """A cable between car and charger, since `since`; `until_percent` is where it stops or is pulled.

    "stopped" is what was told from afar; it stays so until told otherwise, or unplugged.
    """

    charger: Charger
    place: str
    since: int
    until_percent: float
    window: tuple[float, float] | None
    soc_before: float
    status: Literal["waiting", "charging", "done", "stopped"] = "waiting"
    kilowatts: float = 0.0  # into the battery, now
    flowed_from: int | None = None
    flowed_until: int | None = None
    battery_kwh: float = 0.0
    wall_kwh: float = 0.0


class Tire(NamedTuple):
    """Pressure at 20 °C when it was pumped, and what it loses in a day."""

    kpa: float
    pumped_at: int
    kpa_per_day: float


class Due(NamedTuple):
    """A service to come: at a time, and at a distance if that counts too."""

    what: str
    at: int
    km: float | None


class Warned(NamedTuple):
    """A check-control message that stands."""

    what: str
    severity: str
    since: int


class Task(NamedTuple):
    """Something that will happen on a stand: see `standing.happen`."""

    at: int
    verb: Literal["close", "clear", "pump", "serve", "raise_hood", "drop_hood", "end_climate", "obey"]
    what: str = ""
    command: Command | None = None


@dataclass(slots=True)
class State:
    """The whole car. Changed in place by its life; copied by `copy.copy`, all members being immutable.

    `at` is on the time line. `standing_since`, `drained_kwh`: the current stand and what it cost.
    `cabin_*`: what preheating took since `climate_since`. `left_open`: what was forgotten, and since
    when ("lock" too). `recent_*`: the car's own idea of its consumption. `wishes`: what was set from
    afar.
    """

    at: int
    place: str
    position: Position
    heading: int
    odometer_km: float
    capacity_kwh: float
    energy_kwh: float
    fuel_liters: float
    recent_kwh_per_km: float
    recent_liters_per_km: float
    target_percent: float
    driving: bool
    locked: bool
    open: frozenset[str]
    climate: Climate
    climate_until: int
    climate_since: int
    cabin_battery_kwh: float
    cabin_wall_kwh: float
    standing_since: int
    drained_kwh: float
    plug: Plug | None
    left_open: tuple[tuple[str, int], ...]
    tires: tuple[Tire, ...]
    dues: tuple[Due, ...]
    warned: tuple[Warned, ...]
    agenda: tuple[Task, ...]
    wishes: Wishes

    @property
    def soc(self) -> float:
        """Exact percent of today's capacity; 0 for a car without a traction battery."""
        return _percent(self.energy_kwh, self.capacity_kwh)


class Moment(NamedTuple):
    """A state as it was: exact, for whoever asks later. Members as in `State`."""

    at: int
    odometer_km: float
    energy_kwh: float
    fuel_liters: float
    position: Position
    heading: int
    place: str
    capacity_kwh: float
    recent_kwh_per_km: float
    recent_liters_per_km: float
    target_percent: float
    driving: bool
    locked: bool
    open: frozenset[str]
    climate: Climate
    climate_until: int
    standing_since: int
    plug: Plug | None
    tires: tuple[Tire, ...]
    dues: tuple[Due, ...]
    warned: tuple[Warned, ...]
    wishes: Wishes

    @property
    def soc(self) -> float:
        """Exact percent of the capacity; 0 for a car without a traction battery."""
        return _percent(self.energy_kwh, self.capacity_kwh)

    def towards(self, later: Moment, at: int) -> Moment:
        """Between two moments what flows flows evenly; everything else stays as it was."""
        if at <= self.at or later.at <= self.at:
            return self
        share = min(1.0, (at - self.at) / (later.at - self.at))
        (north, east), (to_north, to_east) = self.position, later.position
        return self._replace(
            at=at,
            odometer_km=self.odometer_km + share * (later.odometer_km - self.odometer_km),
            energy_kwh=self.energy_kwh + share * (later.energy_kwh - self.energy_kwh),
            fuel_liters=self.fuel_liters + share * (later.fuel_liters - self.fuel_liters),
            position=(north + share * (to_north - north), east + share * (to_east - east)),
        )


_members = attrgetter(*Moment._fields)


def moment_of(state: State) -> Moment:
    """The state now, for good."""
    return Moment._make(_members(state))


def _percent(energy_kwh: float, capacity_kwh: float) -> float:
    return 100 * energy_kwh / capacity_kwh if capacity_kwh else 0.0
