"""BMW's state area by area: each is read as a whole, or keeps its defaults.

That is the library's way: one bad value costs its area, and nothing else here. A value that it
would stop at altogether (a null where a word belongs, a position beyond the poles) costs no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from poller.sources.mybmw.china import to_wgs84
from poller.sources.mybmw.finder import Found

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
    times = [parsed(part.get("lastFetched")) for part in (said.state, said.attributes)]
    return max((one for one in times if one is not None), default=None)


# --- energy -------------------------------------------------------------------------------------


def fuel_and_battery(said: Heard) -> FuelAndBattery:
    """Fuel for cars with a tank, charge for those with a plug, whatever else is in the state."""
    if not {"combustionFuelLevel", "electricChargingState"} & said.state.keys():
        return FuelAndBattery()
    drive = said.drive_train
    tank = said.state.get("combustionFuelLevel", {}) if drive in HAS_TANK else {}
    plug = drive in HAS_BATTERY and "electricChargingState" in said.state
    battery = said.state["electricChargingState"] if plug else {}
    fuel, electric, total = _ranges(drive, tank, battery, said)
    return FuelAndBattery(
        remaining_range_fuel=fuel,
        remaining_range_electric=electric,
        remaining_range_total=total,
        remaining_fuel=_value(tank, "remainingFuelLiters", volume(said.units)),
        remaining_fuel_percent=tank.get("remainingFuelPercent"),
        **(_charging(battery, said) if plug else {}),
    )


def _ranges(
    drive: DriveTrainType, tank: Mapping[str, Any], battery: Mapping[str, Any], said: Heard
) -> tuple[ValueWithUnit, ValueWithUnit, ValueWithUnit]:
    """On fuel, on electricity, on both."""
    unit = length(said.units)
    fuel, electric = _value(tank, "range", unit), _value(battery, "range", unit)
    if drive is DriveTrainType.PLUGIN_HYBRID:
        # BMW sends the sum as the fuel's range; without it nothing is known.
        alone = _writable(tank["range"] - battery.get("range", 0))
        return ValueWithUnit(alone, unit), electric, ValueWithUnit(tank["range"], unit)
    if drive is DriveTrainType.ELECTRIC_WITH_RANGE_EXTENDER:
        parts: list[Any] = [part.value for part in (fuel, electric) if part.unit is not None]
        return fuel, electric, ValueWithUnit(_writable(sum(parts)), unit) if parts else ValueWithUnit()
    return fuel, electric, electric if drive in HAS_BATTERY else fuel


def _charging(battery: Mapping[str, Any], said: Heard) -> dict[str, Any]:
    status = ChargingState(battery["chargingStatus"])
    if status is ChargingState.INVALID:
        status = ChargingState.NOT_CHARGING
    found: dict[str, Any] = {"charging_status": status, "charging_target": battery.get("chargingTarget")}
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
    seen = timestamp(said) or _NEVER
    if (found := said.found) is not None:
        position = _position(found.latitude, found.longitude, said.region)
        return VehicleLocation(position, found.heading, seen, said.region, _service_position(found))
    if "location" not in said.state:
        return VehicleLocation(None, None, seen, said.region)
    place = said.state["location"]
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
    place = GPSPosition(latitude, longitude)
    if region == "cn" and place.latitude is not None and place.longitude is not None:
        return GPSPosition(*to_wgs84(place.latitude, place.longitude))
    return place


# --- body ---------------------------------------------------------------------------------------


def doors_and_windows(said: Heard) -> DoorsAndWindows:
    """What BMW calls INVALID is not there; a roof counts as a lid, INVALID or not."""
    state = said.state
    lock, lids, windows = LockState.UNKNOWN, [], []
    if "doorsState" in state or "roofState" in state:
        doors = state["doorsState"]  # a roof without doors costs the windows, too
        lock = LockState(doors.get("combinedSecurityState", ""))
        lids = _there(doors, "combinedState", "combinedSecurityState")
    if "windowsState" in state:
        windows = _there(state["windowsState"], "combinedState")
    if "roofState" in state:
        roof = state["roofState"]
        lids.append(Lid(_camel_case(roof["roofStateType"]), LidState(roof["roofState"])))
    return DoorsAndWindows(lock, lids, windows)


def _there(openings: Mapping[str, Any], *combined: str) -> list[Lid]:
    lids = [Lid(name, LidState(word)) for name, word in openings.items() if name not in combined]
    return [lid for lid in lids if lid.state is not LidState.INVALID]


def _camel_case(name: str) -> str:
    """``SUN_ROOF`` → ``sunRoof``."""
    first, *others = name.lower().split("_")
    return first + "".join(word.capitalize() for word in others)


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
    return ConditionBasedServiceReport(
        [
            ConditionBasedService(
                _text(entry["type"]),
                ConditionBasedServiceStatus(entry["status"]),
                parsed(entry.get("dateTime")),
                ValueWithUnit(entry["mileage"], length(said.units))
                if entry.get("mileage")
                else ValueWithUnit(),
            )
            for entry in said.state.get("requiredServices", ())
        ]
    )


def check_control_messages(said: Heard) -> CheckControlMessageReport:
    """All messages that are not OK."""
    messages = [
        CheckControlMessage(
            _text(entry["type"]), entry.get("longDescription"), CheckControlStatus(entry["severity"])
        )
        for entry in said.state.get("checkControlMessages", ())
    ]
    return CheckControlMessageReport([one for one in messages if one.state is not CheckControlStatus.OK])


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


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
