"""The whole vehicle: its parts, and what the library answers as properties of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from poller.library.model import (
    ChargingProfile,
    CheckControlMessageReport,
    Climate,
    ConditionBasedServiceReport,
    DoorsAndWindows,
    FuelAndBattery,
    Headunit,
    Tires,
    VehicleLocation,
)
from poller.library.words import HAS_BATTERY, HAS_TANK, DriveTrainType, LscType, ValueWithUnit

_ALWAYS: Final = ("gps_position", "vin")
_WITH_STATE: Final = (
    "condition_based_services", "check_control_messages", "door_lock_state", "timestamp", "lids", "windows",
)  # fmt: skip
_DRIVING: Final = ("remaining_range_total", "mileage")
#: Names only: several of them are attributes of nothing any more, in the library too.
_ELECTRIC: Final = (
    "charging_time_remaining", "charging_start_time", "charging_end_time", "charging_time_label",
    "charging_status", "connection_status", "remaining_battery_percent", "remaining_range_electric",
    "last_charging_end_result", "ac_current_limit", "charging_target", "charging_mode",
    "charging_preferences", "is_pre_entry_climatization_enabled",
)  # fmt: skip
_COMBUSTION: Final = ("remaining_fuel", "remaining_range_fuel", "remaining_fuel_percent")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What BMW says can be asked of the car."""

    is_charging_plan_supported: bool = False
    is_charging_settings_supported: bool = False
    is_vehicle_tracking_enabled: bool = False
    is_remote_set_target_soc_enabled: bool = False
    is_remote_set_ac_limit_enabled: bool = False
    is_remote_sendpoi_enabled: bool = False
    is_remote_horn_enabled: bool = False
    is_remote_lights_enabled: bool = False
    is_remote_lock_enabled: bool = False
    is_remote_unlock_enabled: bool = False
    is_remote_climate_start_enabled: bool = False
    is_remote_climate_stop_enabled: bool = False
    is_remote_charge_start_enabled: bool = False
    is_remote_charge_stop_enabled: bool = False


@dataclass(frozen=True, slots=True)
class Vehicle:
    """One vehicle at one time.

    `data` holds BMW's own answers, None where the source has no such answers. `timestamp` is when
    BMW's server fetched the state, not when the car reported it.
    """

    vin: str
    data: Mapping[str, Any] | None = None
    fuel_and_battery: FuelAndBattery = field(default_factory=FuelAndBattery)
    vehicle_location: VehicleLocation = field(default_factory=VehicleLocation)
    doors_and_windows: DoorsAndWindows = field(default_factory=DoorsAndWindows)
    condition_based_services: ConditionBasedServiceReport = field(default_factory=ConditionBasedServiceReport)
    headunit: Headunit = field(default_factory=Headunit)
    check_control_messages: CheckControlMessageReport = field(default_factory=CheckControlMessageReport)
    climate: Climate = field(default_factory=Climate)
    charging_profile: ChargingProfile | None = None
    tires: Tires | None = None
    name: str | None = None
    brand: str = "unknown"
    drive_train: DriveTrainType = DriveTrainType.UNKNOWN
    mileage: ValueWithUnit = field(default_factory=ValueWithUnit)
    timestamp: datetime | None = None
    is_lsc_enabled: bool = False
    lsc_type: LscType = LscType.NOT_CAPABLE
    capabilities: Capabilities = field(default_factory=Capabilities)

    @property
    def has_electric_drivetrain(self) -> bool:
        """Whether it has a traction battery to plug in."""
        return self.drive_train in HAS_BATTERY

    @property
    def has_combustion_drivetrain(self) -> bool:
        """Whether it has a tank."""
        return self.drive_train in HAS_TANK

    @property
    def is_vehicle_active(self) -> bool:
        """Always False, as in the library; the signal is `moving`."""
        return False

    @property
    def drive_train_attributes(self) -> Sequence[str]:
        """Names of the attributes that the drive train brings."""
        electric = _ELECTRIC if self.has_electric_drivetrain else ()
        return [*_DRIVING, *electric, *(_COMBUSTION if self.has_combustion_drivetrain else ())]

    @property
    def available_attributes(self) -> Sequence[str]:
        """Names of the attributes that the car has; few without "last state calls"."""
        return [*_ALWAYS, *((*self.drive_train_attributes, *_WITH_STATE) if self.is_lsc_enabled else ())]
