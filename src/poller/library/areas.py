"""BMW's state area by area: each is read as a whole, or keeps its defaults.

That is the library's way: one bad value costs its area, and nothing else here. A value that it
would stop at altogether (a null where a word belongs, a position beyond the poles) costs no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from poller.library.answers import Heard
from poller.library.charging import waiting_until
from poller.library.model import (
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
    told,
)
from poller.library.times import monday, parsed
from poller.library.units import length, volume
from poller.library.words import (
    HAS_BATTERY,
    HAS_TANK,
    ChargingState,
    CheckControlStatus,
    ClimateActivityState,
    ConditionBasedServiceStatus,
    DriveTrainType,
    LidState,
    LockState,
    ValueWithUnit,
)
from poller.sources.mybmw.finder import Found
from poller.sources.mybmw.meaning.gcj02 import to_wgs84

Area = TypeVar("Area")

#: What reading an object of another shape raises.
_UNREADABLE: Final = (KeyError, TypeError, ValueError, AttributeError, OverflowError, IndexError)
_LARGEST: Final = 2**53
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


def area(read: Callable[[Heard], Area], said: Heard, default: Area) -> Area:
    """What `read` makes of the answers, or the default where it cannot read them."""
    try:
        return read(said)
    except _UNREADABLE:
        return default


def timestamp(said: Heard) -> datetime | None:
    """When BMW's server fetched the state, to the second."""
    times = []
    for part in (said.state, said.attributes):
        with suppress(TypeError):
            times.append(parsed(part.get("lastFetched")))
    return max((one for one in times if one is not None), default=None)


# --- energy -------------------------------------------------------------------------------------


def fuel_and_battery(said: Heard) -> FuelAndBattery:
    """Fuel for cars with a tank, charge for those with a plug, whatever else is in the state."""
    if not {"combustionFuelLevel", "electricChargingState"} & said.state.keys():
        return FuelAndBattery()
    drive = said.drive_train
    tank = said.state.get("combustionFuelLevel", {}) if drive in HAS_TANK else {}
    battery = (said.state.get("electricChargingState") or {}) if drive in HAS_BATTERY else {}
    fuel, electric, total = _ranges(drive, tank, battery, said)
    return FuelAndBattery(
        remaining_range_fuel=fuel,
        remaining_range_electric=electric,
        remaining_range_total=total,
        remaining_fuel=_value(tank, "remainingFuelLiters", volume(said.units)),
        remaining_fuel_percent=told(tank, "remainingFuelPercent"),
        **(_charging(battery, said) if battery else {}),
    )


def _ranges(
    drive: DriveTrainType, tank: Mapping[str, Any], battery: Mapping[str, Any], said: Heard
) -> tuple[ValueWithUnit, ValueWithUnit, ValueWithUnit]:
    """On fuel, on electricity, on both."""
    unit = length(said.units)
    fuel, electric = _value(tank, "range", unit), _value(battery, "range", unit)
    if drive is DriveTrainType.PLUGIN_HYBRID:
        # BMW sends the sum as the fuel's range; without it nothing is known.
        alone = _writable((tank["range"] or 0) - (electric.value or 0))
        return ValueWithUnit(alone, unit), electric, ValueWithUnit(tank["range"], unit)
    if drive is DriveTrainType.ELECTRIC_WITH_RANGE_EXTENDER:
        both = _writable((fuel.value or 0) + (electric.value or 0))
        return fuel, electric, ValueWithUnit(both, fuel.unit or electric.unit)
    return fuel, electric, electric if drive in HAS_BATTERY else fuel


def _charging(battery: Mapping[str, Any], said: Heard) -> dict[str, Any]:
    word = battery["chargingStatus"]
    status = ChargingState.NOT_CHARGING if word == "INVALID" else ChargingState(word)
    found: dict[str, Any] = {"charging_status": status}
    if "chargingTarget" in battery:
        found["charging_target"] = _writable(int(battery["chargingTarget"]))
    if "isChargerConnected" in battery:
        found["is_charger_connected"] = battery["isChargerConnected"]
    if "chargingLevelPercent" in battery:
        found["remaining_battery_percent"] = _writable(int(battery["chargingLevelPercent"]))
    if "remainingChargingMinutes" in battery:
        left = timedelta(minutes=battery["remainingChargingMinutes"])
        found["charging_end_time"] = said.fetched_at + left
    if status is ChargingState.WAITING_FOR_CHARGING:
        found["charging_start_time"] = waiting_until(said)
    return found


def _value(level: Mapping[str, Any], key: str, unit: str) -> ValueWithUnit:
    return ValueWithUnit(level[key], unit) if key in level else ValueWithUnit()


def _writable(value: float) -> float:
    """A number that we made ourselves, of a size that all who read JSON can take. Raises ValueError."""
    if not abs(value) < _LARGEST:
        raise ValueError("no car has such a number")
    return value


# --- place --------------------------------------------------------------------------------------


def vehicle_location(said: Heard) -> VehicleLocation:
    """The position of the state, or of the vehicle finder if that is newer."""
    times = [parsed(part.get("lastFetched")) or _NEVER for part in (said.state, said.attributes)]
    seen = max(*times, _NEVER)  # BMW writes the year 1 for "never"
    if (found := said.found) is not None:
        position = _position(found.latitude, found.longitude, said.region)
        return VehicleLocation(position, found.heading, seen, said.region, _service_position(found))
    place = said.state.get("location")
    if not place:
        return VehicleLocation(None, None, seen, said.region)
    coordinates = place["coordinates"]
    position = _position(coordinates["latitude"], coordinates["longitude"], said.region)
    return VehicleLocation(position, place["heading"], seen, said.region)


def _service_position(found: Found) -> dict[str, Any]:
    return {
        "latitude": found.latitude,
        "longitude": found.longitude,
        "heading": found.heading,
        "formattedAddress": found.address,
        "timestamp": found.at.replace(microsecond=0).isoformat(),
    }


def _position(latitude: Any, longitude: Any, region: str) -> GPSPosition:
    if latitude is None or longitude is None:
        raise TypeError("a place has two numbers")
    place = GPSPosition(latitude, longitude)
    return GPSPosition(*to_wgs84(latitude, longitude)) if region == "cn" else place


# --- body ---------------------------------------------------------------------------------------


def doors_and_windows(said: Heard) -> DoorsAndWindows:
    """What BMW calls INVALID is not there; a roof counts as a lid, INVALID or not."""
    state = said.state
    lock, lids, windows = LockState.UNKNOWN, [], []
    doors, roof = state.get("doorsState"), state.get("roofState")
    if doors:
        lock = LockState(doors.get("combinedSecurityState", ""))
        lids = _there(doors, "combinedState", "combinedSecurityState")
    if state.get("windowsState"):
        windows = _there(state["windowsState"], "combinedState")
    if roof:
        if not doors:
            raise KeyError("a roof without doors costs the windows, too")
        lids.append(Lid(_camel_case(roof["roofStateType"]), LidState(roof["roofState"])))
    return DoorsAndWindows(lock, lids, windows)


def _there(openings: Mapping[str, Any], *combined: str) -> list[Lid]:
    there = {name: word for name, word in openings.items() if name not in combined and word != "INVALID"}
    return [Lid(name, LidState(word)) for name, word in there.items()]


def _camel_case(name: str) -> str:
    """``SUN_ROOF`` → ``sunRoof``; letters and digits alone."""
    words = ["".join(filter(str.isalnum, word)) for word in name.lower().split("_")]
    return words[0] + "".join(word[:1].upper() + word[1:] for word in words[1:])


def climate(said: Heard) -> Climate:
    """What heats or cools, and until when, counted from our own clock."""
    if "climateControlState" not in said.state:
        return Climate()
    control = said.state["climateControlState"]
    end = None
    if "remainingSeconds" in control:
        end = said.fetched_at + timedelta(seconds=int(control["remainingSeconds"]))
    return Climate(ClimateActivityState(control["activity"]), end)


def tires(said: Heard) -> Tires | None:
    """All four, or none."""
    if "tireState" not in said.state:
        return None
    wheels = said.state["tireState"]
    return Tires(*(_tire(**wheels[name]) for name in ("frontLeft", "frontRight", "rearLeft", "rearRight")))


def _tire(status: Mapping[str, Any], details: Mapping[str, Any] | None = None) -> Tire:
    details = details or {}
    return Tire(
        status.get("currentPressure"),
        status.get("targetPressure"),
        details.get("season"),
        monday(details.get("manufacturingWeek")),
    )


# --- reports ------------------------------------------------------------------------------------


def condition_based_services(said: Heard) -> ConditionBasedServiceReport:
    """All services; a distance of 0 is none."""
    report = ConditionBasedServiceReport(
        [
            ConditionBasedService(
                entry["type"],
                ConditionBasedServiceStatus(entry["status"]),
                parsed(entry.get("dateTime")),
                ValueWithUnit(entry["mileage"], length(said.units))
                if entry.get("mileage")
                else ValueWithUnit(),
            )
            for entry in said.state.get("requiredServices", ())
        ]
    )
    _ = report.next_service_by_distance  # a distance that cannot be compared costs the area
    return report


def check_control_messages(said: Heard) -> CheckControlMessageReport:
    """All messages that are not OK."""
    messages = [
        CheckControlMessage(
            entry["type"], entry.get("longDescription"), CheckControlStatus(entry["severity"])
        )
        for entry in said.state.get("checkControlMessages", ())
        if entry["severity"] != "OK"
    ]
    report = CheckControlMessageReport(messages)
    _ = report.urgent_check_control_messages  # a type that is no text costs the area
    return report


def headunit(said: Heard) -> Headunit:
    """Nothing at all for a car without a current software version."""
    if "softwareVersionCurrent" not in said.attributes:
        return Headunit()
    version, year = said.attributes["softwareVersionCurrent"], str(said.attributes["year"])
    step = version["puStep"]
    return Headunit(
        said.attributes["hmiVersion"],
        said.attributes["headUnitType"],
        f"{int(step['month']):02d}/{year[:2]}{int(step['year']):02d}.{str(version['iStep'])[1:]}",
    )
