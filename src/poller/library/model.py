"""The parts of a vehicle, with every public attribute that the library's have, and its defaults.

A default is also what an area shows that could not be read; some of them read as good news
("all closed", no charger). `keys.as_json` writes fields and properties alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any

from poller.library.words import (
    ChargingMode,
    ChargingPreferences,
    ChargingState,
    CheckControlStatus,
    ClimateActivityState,
    ConditionBasedServiceStatus,
    LidState,
    LockState,
    TimerTypes,
    ValueWithUnit,
)

_NONE = ValueWithUnit()


@dataclass(frozen=True, slots=True)
class GPSPosition:
    """Degrees, both or neither. Raises ValueError for what is not on this planet, TypeError for text."""

    latitude: float | None
    longitude: float | None

    def __post_init__(self) -> None:
        """Check the pair; whole degrees are fractions, too."""
        if self.latitude is None and self.longitude is None:
            return
        if self.latitude is None or self.longitude is None:
            raise TypeError("a position has two numbers")
        if not (-90 <= self.latitude <= 90 and -180 <= self.longitude <= 180):
            raise ValueError("a position lies within 90 and 180 degrees")
        object.__setattr__(self, "latitude", float(self.latitude))
        object.__setattr__(self, "longitude", float(self.longitude))


@dataclass(frozen=True, slots=True)
class FuelAndBattery:
    """Energy and charging. `charging_end_time` is UTC, `charging_start_time` the owner's local time."""

    remaining_range_fuel: ValueWithUnit = _NONE
    remaining_range_electric: ValueWithUnit = _NONE
    remaining_range_total: ValueWithUnit = _NONE
    remaining_fuel: ValueWithUnit = _NONE
    remaining_fuel_percent: int | None = None
    remaining_battery_percent: int | None = None
    charging_status: ChargingState | None = None
    charging_start_time: datetime | None = None
    charging_end_time: datetime | None = None
    is_charger_connected: bool = False
    charging_target: int | None = None


@dataclass(frozen=True, slots=True)
class VehicleLocation:
    """Where it stands; `remote_service_position` is what the vehicle finder answered last."""

    location: GPSPosition | None = None
    heading: int | None = None
    vehicle_update_timestamp: datetime | None = None
    account_region: str | None = None
    remote_service_position: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Lid:
    """A door, the hood, the trunk, the roof, or a window."""

    name: str
    state: LidState

    @property
    def is_closed(self) -> bool:
        """Whether it is known to be closed."""
        return self.state is LidState.CLOSED


@dataclass(frozen=True, slots=True)
class DoorsAndWindows:
    """Locks, lids and windows; a car that names none counts as closed."""

    door_lock_state: LockState = LockState.UNKNOWN
    lids: Sequence[Lid] = ()
    windows: Sequence[Lid] = ()

    @property
    def all_lids_closed(self) -> bool:
        """Whether no lid is open."""
        return not self.open_lids

    @property
    def all_windows_closed(self) -> bool:
        """Whether no window is open."""
        return not self.open_windows

    @property
    def open_lids(self) -> Sequence[Lid]:
        """Lids that are not known to be closed."""
        return [lid for lid in self.lids if not lid.is_closed]

    @property
    def open_windows(self) -> Sequence[Lid]:
        """Windows that are not known to be closed."""
        return [window for window in self.windows if not window.is_closed]


@dataclass(frozen=True, slots=True)
class ConditionBasedService:
    """A service that is due at a date, at a mileage, or both."""

    service_type: str
    state: ConditionBasedServiceStatus
    due_date: datetime | None = None
    due_distance: ValueWithUnit = _NONE


@dataclass(frozen=True, slots=True)
class ConditionBasedServiceReport:
    """The services."""

    messages: Sequence[ConditionBasedService] = ()

    @property
    def is_service_required(self) -> bool:
        """Whether any is not OK."""
        return any(one.state is not ConditionBasedServiceStatus.OK for one in self.messages)

    @property
    def next_service_by_distance(self) -> ConditionBasedService | None:
        """The nearest; of two, by their types. The library compares all of it as text."""
        known = [one for one in self.messages if one.due_distance.value is not None]
        return min(
            known, key=lambda one: (f"{one.due_distance.value:010}", f"{one.service_type}"), default=None
        )

    @property
    def next_service_by_time(self) -> ConditionBasedService | None:
        """The earliest; of two, by their types. The library compares all of it as text."""
        dated = [one for one in self.messages if one.due_date is not None]
        return min(dated, key=lambda one: (f"{one.due_date}", f"{one.service_type}"), default=None)


@dataclass(frozen=True, slots=True)
class CheckControlMessage:
    """What the dashboard shows; `description_short` is BMW's type."""

    description_short: str
    description_long: str | None
    state: CheckControlStatus


@dataclass(frozen=True, slots=True)
class CheckControlMessageReport:
    """The messages that are not OK; LOW ones are no news."""

    messages: Sequence[CheckControlMessage] = ()

    @property
    def has_check_control_messages(self) -> bool:
        """Whether any is more than LOW."""
        return bool(self._urgent())

    @property
    def urgent_check_control_messages(self) -> str | None:
        """Their types, with commas between."""
        return ", ".join(self._urgent()) or None

    def _urgent(self) -> list[str]:
        return [one.description_short for one in self.messages if one.state is not CheckControlStatus.LOW]


@dataclass(frozen=True, slots=True)
class Headunit:
    """The head unit; `software_version` as ``07/2021.50``."""

    idrive_version: str = ""
    headunit_type: str = ""
    software_version: str = ""


@dataclass(frozen=True, slots=True)
class Climate:
    """Heating and cooling while nobody drives."""

    activity: ClimateActivityState = ClimateActivityState.UNKNOWN
    activity_end_time: datetime | None = None

    @property
    def is_climate_on(self) -> bool:
        """Whether it heats or cools; ventilation does not count."""
        return self.activity in (ClimateActivityState.COOLING, ClimateActivityState.HEATING)


@dataclass(frozen=True, slots=True)
class Tire:
    """One tyre. Pressures in kPa; `manufacturing_week` is that week's Monday."""

    current_pressure: int | None = None
    target_pressure: int | None = None
    season: int | None = None
    manufacturing_week: datetime | None = None


@dataclass(frozen=True, slots=True)
class Tires:
    """All four."""

    front_left: Tire
    front_right: Tire
    rear_left: Tire
    rear_right: Tire


@dataclass(frozen=True, slots=True)
class DepartureTimer:
    """One departure; `timer_dict` is BMW's own object."""

    timer_dict: Mapping[str, Any] = field(metadata={"json": "_timer_dict"})

    @property
    def timer_id(self) -> int | None:
        """Its number."""
        return self.timer_dict.get("id")

    @property
    def start_time(self) -> time | None:
        """The car's local time of departure."""
        return clock_face(told(self.timer_dict, "timeStamp"))

    @property
    def action(self) -> str | None:
        """ACTIVATE or DEACTIVATE."""
        return self.timer_dict.get("action")

    @property
    def weekdays(self) -> Sequence[str] | None:
        """MONDAY and so on; None if BMW says nothing of days."""
        return self.timer_dict.get("timerWeekDays")


@dataclass(frozen=True, slots=True)
class ChargingWindow:
    """When current is cheap, in the car's local time; `window_dict` is BMW's own object."""

    window_dict: Mapping[str, Any] = field(metadata={"json": "_window_dict"})

    @property
    def start_time(self) -> time:
        """Its begin; midnight if BMW names none."""
        return clock_face(told(self.window_dict, "start")) or time()

    @property
    def end_time(self) -> time:
        """Its end; midnight if BMW names none."""
        return clock_face(told(self.window_dict, "end")) or time()


@dataclass(frozen=True, slots=True)
class ChargingProfile:
    """How and when it charges; limits in ampere."""

    is_pre_entry_climatization_enabled: bool
    timer_type: TimerTypes
    departure_times: Sequence[DepartureTimer]
    preferred_charging_window: ChargingWindow
    charging_preferences: ChargingPreferences
    charging_mode: ChargingMode
    ac_current_limit: int | None = None
    ac_available_limits: Sequence[int] | None = None
    charging_preferences_service_pack: str | None = None


def told(table: Any, key: str, otherwise: Any = None) -> Any:
    """A member of one of BMW's objects. A list or a text in its place has none.

    Raises TypeError for what can have no members.
    """
    return table[key] if key in table else otherwise  # noqa: SIM401 - a list and a text have no get


def clock_face(raw: object) -> time | None:
    """BMW's ``{"hour": 7, "minute": 35}`` as a time of day; None for anything else."""
    if not isinstance(raw, Mapping) or not raw:
        return None
    try:
        return time(int(raw.get("hour", 0)), int(raw.get("minute", 0)))
    except (ValueError, TypeError, OverflowError):
        return None
