"""Which signal comes from which descriptors: the one table that parser, doctor, tests and docs read.

A chain's descriptors are tried from left to right until one says something. ``{left}`` and
``{right}`` in a name are BMW's ``driver`` and ``passenger``, by the side of the steering wheel. A
rule sees the descriptors it reads and what basicData says the car is, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from poller.sources.cardata.cars.state import LATITUDE, LONGITUDE, ODOMETER
from poller.sources.cardata.meaning import meanings as m
from poller.sources.cardata.meaning import values as v
from poller.sources.cardata.meaning.car import (
    BASIC_DATA,
    CHARGING_STATUS,
    LITERS,
    RANGE_ELECTRIC,
    SHOWN_UNIT,
    SOC,
    Car,
    Found,
    Names,
)
from poller.sources.cardata.meaning.rules import Chain, Computed, Each, Fact, Rule, Spread
from poller.sources.texts import dimension
from poller.vehicle.signals import BY_KEY, POSITIONS

_ENGINE: Final = "vehicle.drivetrain.electricEngine"
_CHARGING: Final = f"{_ENGINE}.charging"
_PROFILE: Final = f"{_CHARGING}.profile"
_BATTERY: Final = "vehicle.powertrain.electric.battery"
_AC_LIMIT: Final = f"{_BATTERY}.charging.acLimit"
_HVAC: Final = "vehicle.cabin.hvac.preconditioning.status"
_NAVIGATION: Final = "vehicle.cabin.infotainment.navigation"

_MINUTES: Final = (f"{_CHARGING}.timeRemaining", f"{_CHARGING}.timeToFullyCharged")
_PLUG: Final = (
    "vehicle.body.chargingPort.status",
    "vehicle.body.chargingPort.combinedStatus",
    f"{_CHARGING}.connectorStatus",
    "vehicle.powertrain.tractionBattery.charging.port.anyPosition.isPlugged",
)
_CAPACITY: Final = (
    "vehicle.drivetrain.batteryManagement.maxEnergy",
    "vehicle.drivetrain.batteryManagement.batterySizeMax",
    f"{_ENGINE}.hvsMaxEnergyAbsolute",
)
_RANGE_LAST: Final = ("vehicle.drivetrain.lastRemainingRange",)
#: A plug-in hybrid's sum of both; the second is sent while it charges.
_RANGE_SUM: Final = (*_RANGE_LAST, "vehicle.drivetrain.totalRemainingRange")
_LOCK: Final = "vehicle.cabin.door.lock.status"
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_SUNROOF: Final = (
    "vehicle.cabin.sunroof.status",
    "vehicle.cabin.sunroof.overallStatus",
    "vehicle.cabin.sunroof.tiltStatus",
)
_SERVICES: Final = "vehicle.status.conditionBasedServices"
_INSPECTION: Final = "vehicle.status.serviceTime.inspectionDateLegal"
_MESSAGES: Final = "vehicle.status.checkControlMessages"

#: What would be refused as a reading ends no chain and is not reckoned with.
_REACH: Final = BY_KEY["range_total_km"].bounds
_LEFT: Final = BY_KEY["charging_remaining_seconds"].bounds

_ROWS: Final = {"front": "row1", "rear": "row2"}
#: BMW's numbers of services in the words of the MyBMW app: one car has one series from both.
_SERVICE_NAMES: Final = {
    "1": "oil",
    "2": "brake_pads_front",
    "3": "brake_fluid",
    "32": "vehicle_tuv",
    "100": "vehicle_check",
}


# --- ranges -----------------------------------------------------------------------------------


def _range_total(car: Car) -> Iterable[Found]:
    """All there is. BMW's last remaining range is a plug-in hybrid's sum, and next to 0 on electric cars."""
    if not car.has_battery:
        return car.chain(_RANGE_LAST, m.distance, _REACH)
    return car.chain(_RANGE_SUM if car.has_tank else RANGE_ELECTRIC, m.distance, _REACH)


def _range_fuel(car: Car) -> Iterable[Found]:
    """The range on fuel: for a plug-in hybrid the sum less the electric part, as old as the older one."""
    if not car.has_tank:
        return
    for total in car.chain(_RANGE_LAST, m.distance, _REACH):
        if not car.has_battery or isinstance(total.value, v.Strange):
            yield total
            continue
        electric = car.first(RANGE_ELECTRIC, m.distance, _REACH)
        if electric is not None:
            left = max(0, round(_amount(total) - _amount(electric), 3))
            yield replace(total, value=left, observed_at=_older(total.observed_at, electric.observed_at))


def _amount(found: Found) -> float:
    return found.value if isinstance(found.value, int | float) else 0


def _older(one: datetime | None, two: datetime | None) -> datetime | None:
    return None if one is None or two is None else min(one, two)


# --- charging ---------------------------------------------------------------------------------


def _remaining(car: Car) -> Iterable[Found]:
    """Seconds left, only while charging: the last minutes stay for days after unplugging."""
    charging = car.first(CHARGING_STATUS, m.charging) if car.has_battery else None
    return car.chain(_MINUTES, m.seconds, _LEFT) if charging is not None and charging.value is True else ()


def _charging_end(car: Car) -> Iterable[Found]:
    """The end by the car's own time: it does not creep forward with every poll."""
    for left in _remaining(car):
        if left.observed_at is not None and not isinstance(left.value, v.Strange):
            yield replace(left, value=left.observed_at + timedelta(seconds=_amount(left)))


def _capacity(car: Car) -> Iterable[Found]:
    """The battery's energy; basicData has it for cars that do not send it."""
    if not car.has_battery:
        return
    value = m.energy(v.scalar(car.basic.get("hvsMaxEnergyAbsolute")), None)
    if value is not None:
        yield Found(value, None, BASIC_DATA, BASIC_DATA)
    yield from car.chain(_CAPACITY, m.energy)


# --- body -------------------------------------------------------------------------------------


def _sunroof(car: Car) -> Iterable[Found]:
    """The newest word; of the same age, the one that says open: ``status`` of a tilted roof is CLOSED.

    REST asks for ``status`` alone, so an old tilt must not outlive what the car said later.
    """
    said = [found for name in _SUNROOF for found in car.chain((name,), m.opening)]
    known = [found for found in said if not isinstance(found.value, v.Strange)]
    yield from (found for found in said if isinstance(found.value, v.Strange))
    yield from sorted(known, key=lambda one: (one.observed_at or _NEVER, one.value is True))[-1:]


# --- place ------------------------------------------------------------------------------------


def _latitude(car: Car) -> Iterable[Found]:
    place = car.state.position
    return () if place is None else (Found(place.latitude, place.timestamp, LATITUDE, place.via),)


def _longitude(car: Car) -> Iterable[Found]:
    place = car.state.position
    return () if place is None else (Found(place.longitude, place.timestamp, LONGITUDE, place.via),)


# --- service: JSON inside strings -------------------------------------------------------------


def _services(member: str, convert: Callable[[Car, object], object]) -> Callable[[Car], Each]:
    """One member of each condition-based service."""

    def each(car: Car) -> Each:
        items, source = car.listed(_SERVICES)
        if source is None:
            return
        for item in items:
            name, value = _service_name(item), convert(car, item.get(member))
            if name is not None and value is not None:
                yield name, Found(value, source.observed_at, source.origin, source.via)

    return each


def _service_name(item: Mapping[str, Any]) -> str | None:
    """By BMW's number of the service; titles are in the owner's language."""
    number = m.label(item.get("id"))
    if number is None:
        return None
    return _SERVICE_NAMES.get(number) or dimension(f"service_{number}")


_due_dates: Final = _services("date", lambda _, value: m.due(v.scalar(value)))


def _due(car: Car) -> Each:
    """Also the legal inspection's own descriptor, which can be streamed; the service's word counts more."""
    for found in car.chain((_INSPECTION,), m.due):
        yield "vehicle_tuv", found
    yield from _due_dates(car)


def _messages(car: Car) -> Each:
    """Pending messages by BMW's number; no list is no message. How severe they are BMW rarely says."""
    items, source = car.listed(_MESSAGES)
    if source is None:
        return
    for item in items:
        number, status = m.label(item.get("id")), v.scalar(item.get("status"))
        name = dimension(f"ccm_{number}") if number is not None else None
        worst = m.severity(status, None) if v.presence(status) is v.Presence.VALUE else "unknown"
        if name is not None and worst is not None:
            yield name, Found(worst, source.observed_at, source.origin, source.via)


# --- the table --------------------------------------------------------------------------------


def _at_positions(key: str, convert: m.Convert, pattern: str) -> tuple[Chain, ...]:
    """A rule for each corner: `pattern` has ``row`` and ``side``, the latter by the steering wheel."""
    corners = ((place, *place.split("_")) for place in POSITIONS)
    return tuple(
        Chain(key, (pattern.format(row=_ROWS[end], side="{" + side + "}"),), convert, position=place)
        for place, end, side in corners
    )


def _wheels(key: str, member: str) -> tuple[Chain, ...]:
    """A rule for each wheel, whose left is the car's left."""
    corners = ((place, *place.split("_")) for place in POSITIONS)
    return tuple(
        Chain(
            key,
            (f"vehicle.chassis.axle.{_ROWS[end]}.wheel.{side}.tire.{member}",),
            m.pressure,
            position=place,
        )
        for place, end, side in corners
    )


def _electric(key: str, convert: m.Convert, *reads: str) -> Chain:
    return Chain(key, reads, convert, only="battery")


def _simple(key: str, convert: m.Convert, *reads: str) -> Chain:
    return Chain(key, reads, convert)


_DRIVING: Final[tuple[Rule, ...]] = (
    _simple("odometer_km", m.positive_distance, ODOMETER, "vehicle.trip.segment.end.travelledDistance"),
    Computed("range_total_km", (*_RANGE_SUM, *RANGE_ELECTRIC), _range_total),
    _electric("range_electric_km", m.distance, *RANGE_ELECTRIC),
    Computed("range_fuel_km", (*_RANGE_LAST, *RANGE_ELECTRIC), _range_fuel),
    Chain("fuel_liters", LITERS, m.volume, only="tank"),
    Chain("fuel_percent", ("vehicle.drivetrain.fuelSystem.level",), m.percent, only="tank"),
    _simple("moving", m.flag, "vehicle.isMoving"),
)
_ENERGY: Final[tuple[Rule, ...]] = (
    _electric("soc_percent", m.percent, *SOC),
    _electric("soc_target_percent", m.percent, f"{_BATTERY}.stateOfCharge.target"),
    _electric("plugged", m.plugged, *_PLUG),
    _electric("charging", m.charging, *CHARGING_STATUS),
    _electric("charging_state", m.charging_state, *CHARGING_STATUS),
    _electric("charging_power_watts", m.power, f"{_BATTERY}.charging.power"),
    Computed("charging_remaining_seconds", (*CHARGING_STATUS, *_MINUTES), _remaining),
    Computed("charging_end_at", (*CHARGING_STATUS, *_MINUTES), _charging_end),
    _electric("charging_mode", m.charging_mode, f"{_PROFILE}.mode"),
    _electric("charging_preference", m.charging_preference, f"{_PROFILE}.preference"),
    _electric("charging_control_type", m.charging_control_type, f"{_PROFILE}.timerType"),
    _electric("charging_connection", m.charging_connection, f"{_CHARGING}.connectionType"),
    _electric("charging_ac_limit_amperes", m.current, f"{_AC_LIMIT}.selected"),
    _electric("charging_ac_limited", m.ac_limited, f"{_AC_LIMIT}.isActive"),
    Computed("battery_capacity_kwh", _CAPACITY, _capacity),
    _electric("battery_health_percent", m.health, f"{_BATTERY}.stateOfHealth.displayed"),
    _simple("aux_battery_volts", m.voltage, "vehicle.electricalSystem.battery.voltage"),
)
_BODY: Final[tuple[Rule, ...]] = (
    _simple("locked", m.locked, _LOCK),
    _simple("lock_state", m.lock_state, _LOCK),
    *_at_positions("door_open", m.opening, "vehicle.cabin.door.{row}.{side}.isOpen"),
    *_at_positions("window_open", m.opening, "vehicle.cabin.window.{row}.{side}.status"),
    Chain("window_open", ("vehicle.body.trunk.window.isOpen",), m.opening, position="rear"),
    _simple("hood_open", m.opening, "vehicle.body.hood.isOpen"),
    _simple("trunk_open", m.opening, "vehicle.body.trunk.isOpen", "vehicle.body.trunk.door.isOpen"),
    Computed("sunroof_open", _SUNROOF, _sunroof),
    _simple("convertible_top_open", m.opening, "vehicle.cabin.convertible.roofStatus"),
    _simple("alarm_armed", m.armed, "vehicle.vehicle.antiTheftAlarmSystem.alarm.armStatus"),
    _simple("deep_sleep", m.flag, "vehicle.vehicle.deepSleepModeActive"),
    _simple(
        "climate_state", m.climate_state, f"{_HVAC}.comfortState", "vehicle.vehicle.preConditioning.activity"
    ),
    _electric("climate_at_departure", m.flag, f"{_PROFILE}.climatizationActive"),
)
_SERVICE: Final[tuple[Rule, ...]] = (
    Spread(
        "service_state",
        (_SERVICES,),
        _services("status", lambda _, value: m.service_state(v.scalar(value), None)),
    ),
    Spread("service_due_at", (_SERVICES, _INSPECTION), _due),
    Spread(
        "service_due_km",
        (_SERVICES, *SHOWN_UNIT),
        _services("unitOfLengthRemaining", lambda car, value: car.length(value)),
    ),
    Spread("check_control", (_MESSAGES,), _messages),
)
_PLACE: Final[tuple[Rule, ...]] = (
    Computed("latitude_degrees", (LATITUDE, LONGITUDE), _latitude),
    Computed("longitude_degrees", (LATITUDE, LONGITUDE), _longitude),
    _simple("heading_degrees", m.heading, f"{_NAVIGATION}.currentLocation.heading"),
)
_WHAT_IT_IS: Final[tuple[Rule, ...]] = (
    Fact("model", ("modelName", "modelRange")),
    Fact("brand", ("brand",), m.brand),
    Fact("year", ("constructionDate",), m.build_year),
    Fact("drive_train", ("driveTrain",), m.drive_train),
    Fact("body_type", ("bodyType",)),
    Fact("head_unit", ("headUnit",), m.head_unit),
    Fact("software_version", ("puStep",)),
    Fact("country", ("countryCodeISO", "countryCode")),
    Fact("steering", ("steering",), m.steering),
)

RULES: Final[tuple[Rule, ...]] = (
    *_DRIVING,
    *_ENERGY,
    *_BODY,
    *_SERVICE,
    *_wheels("tire_pressure_kpa", "pressure"),
    *_wheels("tire_pressure_target_kpa", "pressureTarget"),
    *_PLACE,
    *_WHAT_IT_IS,
)


def needs() -> Mapping[str, Names]:
    """Signal → the descriptors that it can come from, the best first; both sides where it has sides."""
    found: dict[str, dict[str, None]] = {}
    for rule in RULES:
        for name in rule.reads:
            for side in ("driver", "passenger") if "{" in name else ("",):
                found.setdefault(rule.key, {})[name.format(left=side, right=side)] = None
    return {key: tuple(names) for key, names in found.items()}
