"""Which signal comes from where in BMW's answers: the one table that parser, tests and docs read.

A path begins with ``state`` (the member of that name of the state answer), ``profile`` or
``charging_settings`` (those whole answers), or ``answer`` (`received_at`, the source's
`timezone`, and whether its account is in `china`). ``[]`` makes a column of a list's members. A rule
sees what lies at its paths and nothing else, so a bad value can only harm the signals that name it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from poller.sources.mybmw.meaning import values as v
from poller.vehicle.signals import POSITIONS, WINDOW_POSITIONS

Tree = dict[str, Any]

#: BMW's sides are the car's, whatever the steering.
_SIDES: Final = {
    "front_left": "leftFront",
    "front_right": "rightFront",
    "rear_left": "leftRear",
    "rear_right": "rightRear",
    "rear": "rear",
}
_TIRES: Final = {
    "front_left": "frontLeft",
    "front_right": "frontRight",
    "rear_left": "rearLeft",
    "rear_right": "rearRight",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """How one signal (at one position, or for each type in a list) is read.

    `convert` gets the values at `paths` in order; if `spread`, it gives dimension → value.
    """

    key: str
    paths: tuple[str, ...]
    convert: v.Convert
    dimension: str | None = None
    spread: bool = False
    _steps: tuple[tuple[Sequence[str], Sequence[str] | None], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Take the paths apart once: seventy rules are read at every poll."""
        object.__setattr__(self, "_steps", tuple(_taken_apart(path) for path in self.paths))

    def value(self, tree: Tree) -> Any:
        """What this rule makes of an answer, for the builder to judge."""
        return self.convert(*[_look(tree, *steps) for steps in self._steps])


def _taken_apart(path: str) -> tuple[Sequence[str], Sequence[str] | None]:
    """The members on the way, and those in each entry if the way leads to a list."""
    way, listed, entry = path.partition("[].")
    return way.split("."), entry.split(".") if listed else None


def _look(node: Any, way: Sequence[str], entry: Sequence[str] | None = None) -> Any:
    for member in way:
        if not isinstance(node, dict):
            return None
        node = node.get(member)
    if entry is None:
        return node
    return [_look(item, entry) for item in node] if isinstance(node, list) else []


def _rule(key: str, convert: v.Convert, *paths: str) -> Rule:
    return Rule(key, paths, convert)


def _at(key: str, convert: v.Convert, position: str, *paths: str) -> Rule:
    return Rule(key, paths, convert, dimension=position)


def _each(key: str, convert: v.Convert, listed: str, *members: str) -> Rule:
    return Rule(key, tuple(f"{listed}[].{member}" for member in members), convert, spread=True)


_DRIVE: Final = "profile.driveTrain"
_FUEL: Final = "state.combustionFuelLevel"
_FUELS: Final = (
    _DRIVE,
    f"{_FUEL}.range",
    "state.electricChargingState.range",
    f"{_FUEL}.remainingFuelLiters",
)
_ELECTRIC: Final = "state.electricChargingState"
_STATUS: Final = f"{_ELECTRIC}.chargingStatus"
_MINUTES: Final = f"{_ELECTRIC}.remainingChargingMinutes"
_PLAN: Final = "state.chargingProfile"
_WINDOW: Final = f"{_PLAN}.reductionOfChargeCurrent.start"
_DETAIL: Final = "charging_settings.chargingSettingsDetail"
_PLACE: Final = (
    "state.location.coordinates.latitude",
    "state.location.coordinates.longitude",
    "answer.china",
)
_ROOF: Final = ("state.roofState.roofState", "state.roofState.roofStateType")
_SOFTWARE: Final = "profile.softwareVersionCurrent"

_DRIVING: Final = (
    _rule("odometer_km", v.positive, "state.currentMileage"),
    _rule("range_total_km", v.range_total, *_FUELS),
    _rule("range_electric_km", v.electric(v.quantity), _DRIVE, f"{_ELECTRIC}.range"),
    _rule("range_fuel_km", v.range_fuel, *_FUELS),
    _rule("fuel_liters", v.fuel, _DRIVE, f"{_FUEL}.remainingFuelLiters", f"{_FUEL}.remainingFuelLiters"),
    _rule("fuel_percent", v.fuel, _DRIVE, f"{_FUEL}.remainingFuelPercent", f"{_FUEL}.remainingFuelLiters"),
)

_BATTERY: Final = (
    _rule("soc_percent", v.electric(v.quantity), _DRIVE, f"{_ELECTRIC}.chargingLevelPercent"),
    _rule(
        "soc_target_percent",
        v.electric(v.first_quantity),
        _DRIVE,
        f"{_ELECTRIC}.chargingTarget",
        f"{_DETAIL}.chargingTarget",
    ),
    _rule("plugged", v.electric(v.flag), _DRIVE, f"{_ELECTRIC}.isChargerConnected"),
    _rule("charging", v.electric(v.is_charging), _DRIVE, _STATUS),
    _rule("charging_state", v.electric(v.charging_state), _DRIVE, _STATUS),
    _rule("charging_remaining_seconds", v.electric(v.charging_remaining), _DRIVE, _STATUS, _MINUTES),
    _rule("charging_end_at", v.electric(v.charging_end), _DRIVE, _STATUS, _MINUTES, "state.lastUpdatedAt"),
    _rule(
        "charging_start_at",
        v.electric(v.charging_start),
        _DRIVE,
        _STATUS,
        f"{_WINDOW}.hour",
        f"{_WINDOW}.minute",
        "answer.received_at",
        "answer.timezone",
    ),
    _rule("charging_mode", v.word, f"{_PLAN}.chargingMode"),
    _rule("charging_preference", v.word, f"{_PLAN}.chargingPreference"),
    _rule("charging_control_type", v.word, f"{_PLAN}.chargingControlType"),
    _rule("charging_connection", v.electric(v.word), _DRIVE, f"{_ELECTRIC}.chargingConnectionType"),
    _rule(
        "charging_ac_limit_amperes",
        v.first_quantity,
        f"{_PLAN}.chargingSettings.acCurrentLimit",
        f"{_DETAIL}.acLimit.current.value",
    ),
    _rule(
        "charging_ac_limited",
        v.ac_limited,
        f"{_PLAN}.chargingSettings.isAcCurrentLimitActive",
        f"{_DETAIL}.acLimit.isUnlimited",
    ),
)

_BODY: Final = (
    _rule("locked", v.locked, "state.doorsState.combinedSecurityState"),
    _rule("lock_state", v.word, "state.doorsState.combinedSecurityState"),
    *(_at("door_open", v.opening, place, f"state.doorsState.{_SIDES[place]}") for place in POSITIONS),
    *(
        _at("window_open", v.opening, place, f"state.windowsState.{_SIDES[place]}")
        for place in WINDOW_POSITIONS
    ),
    _rule("hood_open", v.opening, "state.doorsState.hood"),
    _rule("trunk_open", v.opening, "state.doorsState.trunk"),
    _rule("sunroof_open", v.sunroof, *_ROOF),
    _rule("convertible_top_open", v.convertible_top, *_ROOF),
    _rule("alarm_armed", v.armed, "state.securityOverviewMode"),
    _rule("deep_sleep", v.flag, "state.isDeepSleepModeActive"),
)

_CLIMATE: Final = (
    _rule("climate_state", v.word, "state.climateControlState.activity"),
    _rule(
        "climate_end_at",
        v.climate_end,
        "state.climateControlState.remainingSeconds",
        "state.lastFetched",
        "state.lastUpdatedAt",
    ),
    _rule(
        "climate_at_departure",
        v.first_flag,
        f"{_PLAN}.climatisationOn",
        "charging_settings.chargeAndClimateTimerDetail.isPreconditionForDepartureActive",
    ),
)

_SERVICE: Final = (
    _each("service_state", v.service_states, "state.requiredServices", "type", "status"),
    _each("service_due_at", v.service_dates, "state.requiredServices", "type", "dateTime"),
    _each("service_due_km", v.service_distances, "state.requiredServices", "type", "mileage"),
    _each("check_control", v.check_controls, "state.checkControlMessages", "type", "severity"),
)

_WHEELS: Final = tuple(
    _at(key, convert, place, f"state.tireState.{_TIRES[place]}.{member}")
    for key, convert, member in (
        ("tire_pressure_kpa", v.quantity, "status.currentPressure"),
        ("tire_pressure_target_kpa", v.quantity, "status.targetPressure"),
        ("tire_season", v.season, "details.season"),
    )
    for place in POSITIONS
)

_POSITION: Final = (
    _rule("latitude_degrees", v.latitude, *_PLACE),
    _rule("longitude_degrees", v.longitude, *_PLACE),
    _rule("heading_degrees", v.heading, "state.location.heading", *_PLACE[:2]),
)

_WHAT_IT_IS: Final = (
    _rule("model", v.label, "profile.model"),
    _rule("brand", v.brand, "profile.brand"),
    _rule("year", v.label, "profile.year"),
    _rule("drive_train", v.word, _DRIVE),
    _rule("body_type", v.label, "profile.bodyType"),
    _rule("head_unit", v.first_label, "profile.headUnitType", "profile.headUnitRaw"),
    _rule("idrive_version", v.label, "profile.hmiVersion"),
    _rule(
        "software_version",
        v.software_version,
        f"{_SOFTWARE}.puStep.month",
        f"{_SOFTWARE}.puStep.year",
        f"{_SOFTWARE}.iStep",
        "profile.year",
    ),
    _rule("country", v.label, "profile.countryOfOrigin"),
    _rule("steering", v.steering, "state.isLeftSteering"),
)

RULES: Final[tuple[Rule, ...]] = (
    *_DRIVING,
    *_BATTERY,
    *_BODY,
    *_CLIMATE,
    *_SERVICE,
    *_WHEELS,
    *_POSITION,
    *_WHAT_IT_IS,
)
