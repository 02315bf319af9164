"""The catalogue: every signal that this program knows, once.

Parsers, metrics, the page and the documentation read this table. Keys, kinds and metric names of
the core signals are a contract with users (docs/signals.md is generated from here).

A record key is ``key`` or ``key.dimension`` (``door_open.front_left``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a signal's value is, in Python and in JSON."""

    NUMBER = "number"  # int or float
    BOOL = "bool"  # True or False
    ENUM = "enum"  # one of `states`
    TIME = "time"  # aware datetime; RFC 3339 UTC in JSON
    TEXT = "text"  # free text; only ever a label of `vehicle_info`


@dataclass(frozen=True, slots=True)
class Signal:
    """One measured thing.

    `unit` is the unit of the record; `factor` turns it into the base unit of the metric
    (``vehicle_`` + `metric`, None: no metric). `bounds` are inclusive; a number outside them is
    treated as absent. `private` marks position: it leaves only where ``location`` allows.
    """

    key: str
    kind: Kind
    label: str
    group: str
    unit: str | None = None
    metric: str | None = None
    factor: float = 1.0
    dimension: str | None = None
    states: tuple[str, ...] = ()
    bounds: tuple[float, float] | None = None
    private: bool = False


#: group → its title, in the order in which people are shown them.
GROUPS = {
    "driving": "Driving",
    "battery": "Battery and charging",
    "body": "Doors, windows, locks",
    "climate": "Climate",
    "service": "Service and messages",
    "tires": "Tyres",
    "position": "Position",
    "vehicle": "What the car is",
}

POSITIONS = ("front_left", "front_right", "rear_left", "rear_right")
WINDOW_POSITIONS = (*POSITIONS, "rear")
#: The closed set of values of a dimension; a dimension that is not here is open (see `valid_dimension`).
CLOSED_DIMENSIONS = {"position": frozenset(WINDOW_POSITIONS)}
_OPEN_DIMENSION = re.compile(r"[a-z0-9][a-z0-9_]{0,62}")

_KM = 1000.0
_PERCENT = 0.01
_KWH = 3_600_000.0
_KPA = 1000.0


def _number(
    key: str,
    label: str,
    group: str,
    unit: str,
    metric: str | None,
    factor: float,
    low: float,
    high: float,
    *,
    dimension: str | None = None,
    private: bool = False,
) -> Signal:
    return Signal(
        key,
        Kind.NUMBER,
        label,
        group,
        unit=unit,
        metric=metric,
        factor=factor,
        bounds=(low, high),
        dimension=dimension,
        private=private,
    )


def _bool(key: str, label: str, group: str, *, dimension: str | None = None) -> Signal:
    return Signal(key, Kind.BOOL, label, group, metric=key, dimension=dimension)


def _enum(
    key: str,
    label: str,
    group: str,
    states: str,
    *,
    metric: bool = True,
    dimension: str | None = None,
) -> Signal:
    return Signal(
        key,
        Kind.ENUM,
        label,
        group,
        states=(*states.split(), "unknown"),
        metric=key if metric else None,
        dimension=dimension,
    )


def _time(key: str, label: str, group: str, *, dimension: str | None = None) -> Signal:
    metric = key.removesuffix("_at") + "_timestamp_seconds"
    return Signal(key, Kind.TIME, label, group, metric=metric, dimension=dimension)


def _text(key: str, label: str) -> Signal:
    return Signal(key, Kind.TEXT, label, "vehicle")


#: In the order in which the page and the documentation show them.
SIGNALS: tuple[Signal, ...] = (
    # driving
    _number("odometer_km", "Mileage", "driving", "km", "odometer_meters", _KM, 1, 5_000_000),
    _number("range_total_km", "Range", "driving", "km", "range_meters", _KM, 0, 3000),
    _number("range_electric_km", "Electric range", "driving", "km", "range_electric_meters", _KM, 0, 2000),
    _number("range_fuel_km", "Fuel range", "driving", "km", "range_fuel_meters", _KM, 0, 3000),
    _number("fuel_liters", "Fuel", "driving", "l", "fuel_liters", 1, 0, 200),
    _number("fuel_percent", "Fuel level", "driving", "%", "fuel_ratio", _PERCENT, 0, 100),
    _bool("moving", "Moving", "driving"),
    # battery and charging
    _number("soc_percent", "Charge", "battery", "%", "soc_ratio", _PERCENT, 0, 100),
    _number("soc_target_percent", "Charge target", "battery", "%", "soc_target_ratio", _PERCENT, 0, 100),
    _bool("plugged", "Plugged in", "battery"),
    _bool("charging", "Charging", "battery"),
    _enum(
        "charging_state",
        "Charging state",
        "battery",
        "charging waiting paused complete target_reached not_charging error",
    ),
    _number(
        "charging_power_watts", "Charging power", "battery", "W", "charging_power_watts", 1, 0, 1_000_000
    ),
    _number(
        "charging_remaining_seconds",
        "Charging time left",
        "battery",
        "s",
        "charging_remaining_seconds",
        1,
        0,
        30 * 86400,
    ),
    _time("charging_end_at", "Charging ends", "battery"),
    _time("charging_start_at", "Charging starts", "battery"),
    _enum(
        "charging_mode",
        "Charging mode",
        "battery",
        "immediate_charging delayed_charging no_action",
        metric=False,
    ),
    _enum(
        "charging_preference",
        "Charging preference",
        "battery",
        "no_preselection charging_window",
        metric=False,
    ),
    _enum(
        "charging_control_type",
        "Charging timer type",
        "battery",
        "weekly_planner two_times_timer",
        metric=False,
    ),
    _enum(
        "charging_connection",
        "Charging connection",
        "battery",
        "conductive inductive",
        metric=False,
    ),
    _number(
        "charging_ac_limit_amperes",
        "AC charging limit",
        "battery",
        "A",
        "charging_ac_limit_amperes",
        1,
        0,
        1000,
    ),
    _bool("charging_ac_limited", "AC limit active", "battery"),
    _number(
        "battery_capacity_kwh",
        "Battery capacity",
        "battery",
        "kWh",
        "battery_capacity_joules",
        _KWH,
        0,
        1000,
    ),
    _number(
        "battery_health_percent",
        "Battery health",
        "battery",
        "%",
        "battery_health_ratio",
        _PERCENT,
        0,
        120,
    ),
    _number("aux_battery_volts", "12 V battery", "battery", "V", "aux_battery_volts", 1, 0, 60),
    # doors, windows, locks
    _bool("locked", "Locked", "body"),
    _enum("lock_state", "Lock state", "body", "locked secured selective_locked partially_locked unlocked"),
    _bool("door_open", "Door open", "body", dimension="position"),
    _bool("window_open", "Window open", "body", dimension="position"),
    _bool("hood_open", "Hood open", "body"),
    _bool("trunk_open", "Trunk open", "body"),
    _bool("sunroof_open", "Sunroof open", "body"),
    _bool("convertible_top_open", "Top open", "body"),
    _bool("alarm_armed", "Alarm armed", "body"),
    _bool("deep_sleep", "Deep sleep", "body"),
    # climate
    _enum("climate_state", "Climate", "climate", "cooling heating ventilation standby inactive"),
    _time("climate_end_at", "Climate ends", "climate"),
    _bool("climate_at_departure", "Climate at departure", "climate"),
    # service and messages
    _enum("service_state", "Service", "service", "ok pending overdue", dimension="service"),
    _time("service_due_at", "Service due", "service", dimension="service"),
    _number(
        "service_due_km",
        "Service due in",
        "service",
        "km",
        "service_due_distance_meters",
        _KM,
        -200_000,
        1_000_000,
        dimension="service",
    ),
    _enum(
        "check_control",
        "Check control",
        "service",
        "low medium high critical",
        dimension="message",
    ),
    # tyres
    _number(
        "tire_pressure_kpa",
        "Tyre pressure",
        "tires",
        "kPa",
        "tire_pressure_pascals",
        _KPA,
        0,
        1000,
        dimension="position",
    ),
    _number(
        "tire_pressure_target_kpa",
        "Tyre pressure target",
        "tires",
        "kPa",
        "tire_pressure_target_pascals",
        _KPA,
        0,
        1000,
        dimension="position",
    ),
    _enum("tire_season", "Tyre season", "tires", "summer winter", dimension="position"),
    # position
    _number(
        "latitude_degrees",
        "Latitude",
        "position",
        "degrees",
        "latitude_degrees",
        1,
        -90,
        90,
        private=True,
    ),
    _number(
        "longitude_degrees",
        "Longitude",
        "position",
        "degrees",
        "longitude_degrees",
        1,
        -180,
        180,
        private=True,
    ),
    _number(
        "heading_degrees",
        "Heading",
        "position",
        "degrees",
        "heading_degrees",
        1,
        0,
        360,
        private=True,
    ),
    # what the car is
    _text("model", "Model"),
    _text("brand", "Brand"),
    _text("year", "Model year"),
    _text("drive_train", "Drive train"),
    _text("body_type", "Body type"),
    _text("head_unit", "Head unit"),
    _text("idrive_version", "iDrive"),
    _text("software_version", "Software"),
    _text("country", "Country"),
    _text("steering", "Steering"),
)

BY_KEY: dict[str, Signal] = {signal.key: signal for signal in SIGNALS}


def split_key(record_key: str) -> tuple[str, str | None]:
    """Split ``door_open.front_left`` into ``("door_open", "front_left")``."""
    key, _, dimension = record_key.partition(".")
    return key, dimension or None


def signal_of(record_key: str) -> Signal | None:
    """The signal of a record key, or None if the catalogue does not know it."""
    return BY_KEY.get(split_key(record_key)[0])


def valid_dimension(signal: Signal, value: str | None) -> bool:
    """Whether `value` may be the dimension of `signal`: a closed set, or a short lower-case token."""
    if signal.dimension is None or value is None:
        return signal.dimension is None and value is None
    closed = CLOSED_DIMENSIONS.get(signal.dimension)
    if closed is not None:
        return value in closed
    return _OPEN_DIMENSION.fullmatch(value) is not None
