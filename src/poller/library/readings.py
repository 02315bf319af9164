"""A vehicle from our readings: for a source that does not send BMW's app's answers, such as CarData.

What no reading tells keeps its default; there is no ``data``.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any, Final

from poller.library.model import (
    ChargingProfile,
    ChargingWindow,
    CheckControlMessage,
    CheckControlMessageReport,
    Climate,
    ConditionBasedService,
    ConditionBasedServiceReport,
    DoorsAndWindows,
    FuelAndBattery,
    GPSPosition,
    Headunit,
    Lid,
    Tire,
    Tires,
    VehicleLocation,
)
from poller.library.units import distance, fuel_amount, length, volume
from poller.library.vehicle import Vehicle
from poller.library.words import (
    ChargingMode,
    ChargingPreferences,
    ChargingState,
    CheckControlStatus,
    ClimateActivityState,
    ConditionBasedServiceStatus,
    DriveTrainType,
    LidState,
    LockState,
    LscType,
    TimerTypes,
    ValueWithUnit,
)
from poller.vehicle.display import Units
from poller.vehicle.signals import POSITIONS, split_key
from poller.vehicle.snapshot import Snapshot

_SIDES: Final = {
    "front_left": "leftFront",
    "front_right": "rightFront",
    "rear_left": "leftRear",
    "rear_right": "rightRear",
    "rear": "rear",
}
_LIDS: Final = {
    "hood_open": "hood",
    **{f"door_open.{place}": name for place, name in _SIDES.items() if place in POSITIONS},
    "trunk_open": "trunk",
    "sunroof_open": "sunRoof",
    "convertible_top_open": "convertibleTop",
}
_WINDOWS: Final = {f"window_open.{place}": name for place, name in _SIDES.items()}
_SEASONS: Final = {"summer": 2, "winter": 4}
#: Ours → the library's, where they are not spelt alike.
_CHARGING: Final = {"waiting": "WAITING_FOR_CHARGING", "paused": "NOT_CHARGING"}


class _Told:
    """The readings of one snapshot, by the kinds of value that the library wants."""

    def __init__(self, snapshot: Snapshot, units: Units, zone: tzinfo) -> None:
        self._snapshot = snapshot
        self._units = units
        self._zone = zone

    def raw(self, key: str) -> Any:
        """The reading, or None."""
        return self._snapshot.value(key)

    def word(self, key: str, default: str = "") -> str:
        """A word, to be looked up in any case."""
        return str(self.raw(key) or default)

    def number(self, key: str) -> Any:
        """A number without an empty fraction."""
        value = self.raw(key)
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def km(self, key: str) -> ValueWithUnit:
        """A distance."""
        value = self.number(key)
        return (
            ValueWithUnit()
            if value is None
            else ValueWithUnit(distance(value, self._units), length(self._units))
        )

    def fuel(self, key: str) -> ValueWithUnit:
        """A volume."""
        value = self.number(key)
        if value is None:
            return ValueWithUnit()
        return ValueWithUnit(fuel_amount(value, self._units), volume(self._units))

    def time(self, key: str) -> datetime | None:
        """A time, to the second."""
        return _seconds(self.raw(key))

    def local(self, key: str) -> datetime | None:
        """A time where the owner lives, without a zone."""
        moment = self.time(key)
        return None if moment is None else moment.astimezone(self._zone).replace(tzinfo=None)

    def lids(self, names: dict[str, str]) -> list[Lid]:
        """Openings that are told of."""
        known = ((name, self.raw(key)) for key, name in names.items())
        return [
            Lid(name, LidState.OPEN if is_open else LidState.CLOSED)
            for name, is_open in known
            if is_open is not None
        ]

    def dimensions(self, *keys: str) -> list[str]:
        """All values of a dimension, of whichever of the signals."""
        found = (split_key(key) for key in self._snapshot.readings)
        return sorted({dimension for key, dimension in found if key in keys and dimension is not None})


def from_readings(snapshot: Snapshot, *, zone: tzinfo, units: Units = "metric") -> Vehicle:
    """The vehicle of a snapshot, whichever source it came from."""
    told = _Told(snapshot, units, zone)
    seen = _seconds(snapshot.observed_at or snapshot.received_at)
    return Vehicle(
        vin=snapshot.vin,
        fuel_and_battery=_fuel_and_battery(told),
        vehicle_location=_location(told, seen),
        doors_and_windows=DoorsAndWindows(
            LockState(told.word("lock_state")), told.lids(_LIDS), told.lids(_WINDOWS)
        ),
        condition_based_services=_services(told),
        headunit=Headunit(told.word("idrive_version"), told.word("head_unit"), told.word("software_version")),
        check_control_messages=_messages(told),
        climate=Climate(ClimateActivityState(told.word("climate_state")), told.time("climate_end_at")),
        charging_profile=_charging_profile(told),
        tires=_tires(told),
        name=told.raw("model"),
        brand=told.word("brand", "unknown"),
        drive_train=DriveTrainType(told.word("drive_train")),
        mileage=told.km("odometer_km"),
        timestamp=seen,
        # Whoever sends readings has what the library calls the last state.
        is_lsc_enabled=True,
        lsc_type=LscType.ACTIVATED,
    )


def _fuel_and_battery(told: _Told) -> FuelAndBattery:
    state, soc = told.raw("charging_state"), told.raw("soc_percent")
    return FuelAndBattery(
        remaining_range_fuel=told.km("range_fuel_km"),
        remaining_range_electric=told.km("range_electric_km"),
        remaining_range_total=told.km("range_total_km"),
        remaining_fuel=told.fuel("fuel_liters"),
        remaining_fuel_percent=told.number("fuel_percent"),
        remaining_battery_percent=None if soc is None else int(soc),
        charging_status=None if state is None else ChargingState(_CHARGING.get(state, state)),
        charging_start_time=told.local("charging_start_at"),
        charging_end_time=told.time("charging_end_at"),
        is_charger_connected=told.raw("plugged") is True,
        charging_target=told.number("soc_target_percent"),
    )


def _location(told: _Told, seen: datetime | None) -> VehicleLocation:
    north, east = told.raw("latitude_degrees"), told.raw("longitude_degrees")
    place = None if north is None or east is None else GPSPosition(north, east)
    return VehicleLocation(place, told.number("heading_degrees"), seen, "row")


def _services(told: _Told) -> ConditionBasedServiceReport:
    return ConditionBasedServiceReport(
        [
            ConditionBasedService(
                kind.upper(),
                ConditionBasedServiceStatus(told.word(f"service_state.{kind}")),
                told.time(f"service_due_at.{kind}"),
                told.km(f"service_due_km.{kind}"),
            )
            for kind in told.dimensions("service_state", "service_due_at", "service_due_km")
        ]
    )


def _messages(told: _Told) -> CheckControlMessageReport:
    kinds = told.dimensions("check_control")
    return CheckControlMessageReport(
        [
            CheckControlMessage(kind.upper(), None, CheckControlStatus(told.word(f"check_control.{kind}")))
            for kind in kinds
        ]
    )


def _charging_profile(told: _Told) -> ChargingProfile | None:
    if all(
        told.raw(key) is None for key in ("charging_mode", "charging_preference", "charging_ac_limit_amperes")
    ):
        return None
    return ChargingProfile(
        is_pre_entry_climatization_enabled=told.raw("climate_at_departure") is True,
        timer_type=TimerTypes(told.word("charging_control_type")),
        departure_times=[],
        preferred_charging_window=ChargingWindow({}),
        charging_preferences=ChargingPreferences(told.word("charging_preference")),
        charging_mode=ChargingMode(told.word("charging_mode")),
        ac_current_limit=told.number("charging_ac_limit_amperes"),
    )


def _tires(told: _Told) -> Tires | None:
    if not told.dimensions("tire_pressure_kpa", "tire_pressure_target_kpa"):
        return None
    front_left, front_right, rear_left, rear_right = (
        Tire(
            told.number(f"tire_pressure_kpa.{place}"),
            told.number(f"tire_pressure_target_kpa.{place}"),
            _SEASONS.get(told.word(f"tire_season.{place}")),
        )
        for place in POSITIONS
    )
    return Tires(front_left, front_right, rear_left, rear_right)


def _seconds(moment: datetime | None) -> datetime | None:
    """Without the fraction, as the library has it."""
    return None if moment is None else moment.replace(microsecond=0)
