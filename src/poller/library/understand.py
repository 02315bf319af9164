"""From BMW's answers to a vehicle."""

from __future__ import annotations

from datetime import UTC
from typing import Any, Final

from poller.library import areas
from poller.library.answers import Heard
from poller.library.areas import area
from poller.library.charging import charging_profile
from poller.library.model import (
    CheckControlMessageReport,
    Climate,
    ConditionBasedServiceReport,
    DoorsAndWindows,
    FuelAndBattery,
    Headunit,
    VehicleLocation,
)
from poller.library.units import length
from poller.library.vehicle import Capabilities, Vehicle
from poller.library.words import LscType, ValueWithUnit

#: Attribute → BMW's capability.
CAPABILITIES: Final = {
    "is_charging_plan_supported": "isChargingPlanSupported",
    "is_charging_settings_supported": "isChargingSettingsEnabled",
    "is_vehicle_tracking_enabled": "vehicleFinder",
    "is_remote_set_target_soc_enabled": "isChargingTargetSocEnabled",
    "is_remote_set_ac_limit_enabled": "isChargingPowerLimitEnabled",
    "is_remote_sendpoi_enabled": "sendPoi",
    "is_remote_horn_enabled": "horn",
    "is_remote_lights_enabled": "lights",
    "is_remote_lock_enabled": "lock",
    "is_remote_unlock_enabled": "unlock",
    "is_remote_climate_start_enabled": "climateNow",
}


def vehicle_of(said: Heard) -> Vehicle:
    """The vehicle as release 0.17.4 would show it if it had just met it. Never raises."""
    return Vehicle(
        vin=said.vin,
        data=_data(said),
        fuel_and_battery=area(areas.fuel_and_battery, said, FuelAndBattery()),
        vehicle_location=area(areas.vehicle_location, said, VehicleLocation(account_region=said.region)),
        doors_and_windows=area(areas.doors_and_windows, said, DoorsAndWindows()),
        condition_based_services=area(areas.condition_based_services, said, ConditionBasedServiceReport()),
        headunit=area(areas.headunit, said, Headunit()),
        check_control_messages=area(areas.check_control_messages, said, CheckControlMessageReport()),
        climate=area(areas.climate, said, Climate()),
        charging_profile=area(charging_profile, said, None),
        tires=area(areas.tires, said, None),
        name=said.attributes.get("model"),
        brand=_brand(said.attributes.get("brand")),
        drive_train=said.drive_train,
        mileage=ValueWithUnit(said.state.get("currentMileage", 0), length(said.units)),
        timestamp=areas.timestamp(said),
        is_lsc_enabled=said.state.get("isLscSupported", False),
        lsc_type=LscType(said.capabilities.get("lastStateCallState", LscType.NOT_CAPABLE)),
        capabilities=_capabilities(said),
    )


def _data(said: Heard) -> dict[str, Any]:
    data = {
        **said.others,
        "attributes": said.attributes,
        "capabilities": said.capabilities,
        "state": said.sent,
        "charging_settings": said.charging_settings,
        "vin": said.vin,
        "fetched_at": said.fetched_at.astimezone(UTC).isoformat(),
    }
    # Releases that knew miles said so; whoever reads this back must know, too.
    return data if said.units == "metric" else {**data, "is_metric": said.units != "imperial"}


def _brand(name: object) -> str:
    """``BMW_I`` → ``bmw``."""
    return name.partition("_")[0].lower() if isinstance(name, str) and name else "unknown"


def _capabilities(said: Heard) -> Capabilities:
    flags = {name: said.capabilities.get(wanted, False) for name, wanted in CAPABILITIES.items()}
    commands = said.capabilities.get("remoteChargingCommands")
    control = commands.get("chargingControl") if isinstance(commands, dict) else None
    known = control if isinstance(control, list | dict | str) else []
    return Capabilities(
        **flags,
        is_remote_climate_stop_enabled="climateControlState" in said.state,
        is_remote_charge_start_enabled="START" in known,
        is_remote_charge_stop_enabled="STOP" in known,
    )
