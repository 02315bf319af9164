"""The library's vocabulary. Words compare in any case; one that nobody knows is UNKNOWN."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple


class Word(StrEnum):
    """What the library's enumerations have in common; each names an UNKNOWN."""

    @classmethod
    def _missing_(cls, value: object) -> Word | None:
        name = value.upper() if isinstance(value, str) else ""
        return cls.__members__.get(name, cls.__members__["UNKNOWN"])


class ValueWithUnit(NamedTuple):
    """A number and its unit, as BMW sent the number; both None where there is none."""

    value: int | float | None = None
    unit: str | None = None


class DriveTrainType(Word):
    """What moves the car."""

    COMBUSTION = "COMBUSTION"
    PLUGIN_HYBRID = "PLUGIN_HYBRID"
    ELECTRIC = "ELECTRIC"
    ELECTRIC_WITH_RANGE_EXTENDER = "ELECTRIC_WITH_RANGE_EXTENDER"
    HYBRID = "HYBRID"
    MILD_HYBRID = "MILD_HYBRID"
    UNKNOWN = "UNKNOWN"


class LscType(Word):
    """Whether "last state calls", that is a state worth reading, are on."""

    NOT_CAPABLE = "NOT_CAPABLE"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    ACTIVATED = "ACTIVATED"
    UNKNOWN = "UNKNOWN"


class ChargingState(Word):
    """What the charger does; BMW's INVALID reads as NOT_CHARGING."""

    DEFAULT = "DEFAULT"
    CHARGING = "CHARGING"
    ERROR = "ERROR"
    COMPLETE = "COMPLETE"
    FULLY_CHARGED = "FULLY_CHARGED"
    FINISHED_FULLY_CHARGED = "FINISHED_FULLY_CHARGED"
    FINISHED_NOT_FULL = "FINISHED_NOT_FULL"
    INVALID = "INVALID"
    NOT_CHARGING = "NOT_CHARGING"
    PLUGGED_IN = "PLUGGED_IN"
    WAITING_FOR_CHARGING = "WAITING_FOR_CHARGING"
    TARGET_REACHED = "TARGET_REACHED"
    UNKNOWN = "UNKNOWN"


class ChargingMode(Word):
    """When it charges."""

    IMMEDIATE_CHARGING = "IMMEDIATE_CHARGING"
    DELAYED_CHARGING = "DELAYED_CHARGING"
    NO_ACTION = "NO_ACTION"
    UNKNOWN = "UNKNOWN"


class ChargingPreferences(Word):
    """Whether the charging window counts."""

    NO_PRESELECTION = "NO_PRESELECTION"
    CHARGING_WINDOW = "CHARGING_WINDOW"
    UNKNOWN = "UNKNOWN"


class TimerTypes(Word):
    """How departures are planned."""

    WEEKLY_PLANNER = "WEEKLY_PLANNER"
    TWO_TIMES_TIMER = "TWO_TIMES_TIMER"
    UNKNOWN = "UNKNOWN"


class LidState(Word):
    """A door, a window, the hood, the trunk or the roof."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    OPEN_TILT = "OPEN_TILT"
    INTERMEDIATE = "INTERMEDIATE"
    INVALID = "INVALID"
    UNKNOWN = "UNKNOWN"


class LockState(Word):
    """The locks."""

    LOCKED = "LOCKED"
    SECURED = "SECURED"
    SELECTIVE_LOCKED = "SELECTIVE_LOCKED"
    PARTIALLY_LOCKED = "PARTIALLY_LOCKED"
    UNLOCKED = "UNLOCKED"
    UNKNOWN = "UNKNOWN"


class ConditionBasedServiceStatus(Word):
    """How urgent a service is."""

    OK = "OK"
    PENDING = "PENDING"
    OVERDUE = "OVERDUE"
    UNKNOWN = "UNKNOWN"


class CheckControlStatus(Word):
    """How grave a message is."""

    OK = "OK"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"
    UNKNOWN = "UNKNOWN"


class ClimateActivityState(Word):
    """What heating and cooling do while nobody drives."""

    COOLING = "COOLING"
    HEATING = "HEATING"
    VENTILATION = "VENTILATION"
    INACTIVE = "INACTIVE"
    STANDBY = "STANDBY"
    UNKNOWN = "UNKNOWN"


class VehicleViewDirection(Word):
    """From where a picture shows the car; the values are BMW's."""

    FRONTSIDE = "VehicleStatus"
    FRONT = "FrontView"
    SIDE = "SideViewLeft"
    DASHBOARD = "Dashboard"
    DRIVERDOOR = "Driverdoor"
    ANGLE_SIDE_VIEW_FORTY = "AngleSideViewForty"
    ANGLE_SIDE_VIEW_SIXTY = "AngleSideViewSixty"
    FRONT_LEFT = "FrontLeft"
    FRONT_RIGHT = "FrontRight"
    REAR_LEFT = "RearLeft"
    REAR_RIGHT = "RearRight"
    REAR_VIEW = "RearView"
    UNKNOWN = "UNKNOWN"


_D = DriveTrainType
HAS_BATTERY: Final = frozenset({_D.PLUGIN_HYBRID, _D.ELECTRIC, _D.ELECTRIC_WITH_RANGE_EXTENDER})
HAS_TANK: Final = frozenset(
    {_D.COMBUSTION, _D.ELECTRIC_WITH_RANGE_EXTENDER, _D.PLUGIN_HYBRID, _D.HYBRID, _D.MILD_HYBRID}
)
