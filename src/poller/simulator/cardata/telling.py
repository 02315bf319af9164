"""What a simulated car sends to CarData: its report, descriptor by descriptor (facts sections 3 and 4).

Names, words and units are BMW's as they were seen, odd ones included; all values are made up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any, Final, NamedTuple

from poller.simulator.car import Arrival, Car
from poller.simulator.life.report import ChargeReport, FuelReport, Report, ServiceReport
from poller.simulator.life.spec import WHEELS, CarSpec
from poller.simulator.life.timeline import EPOCH, time_at
from poller.simulator.life.wishes import Wishes
from poller.simulator.mybmw_plan import in_state

Scalar = bool | int | float | str | None
#: Descriptor, value, and the unit as the stream spells it; None: it has none.
Row = tuple[str, Scalar, str | None]

ENGINE: Final = "vehicle.drivetrain.electricEngine"
CHARGING: Final = f"{ENGINE}.charging"
BATTERY: Final = "vehicle.powertrain.electric.battery"
TRUNK_AND_HOOD: Final = {"trunk": "vehicle.body.trunk.isOpen", "hood": "vehicle.body.hood.isOpen"}
_MANAGEMENT: Final = "vehicle.drivetrain.batteryManagement"
_FUEL: Final = "vehicle.drivetrain.fuelSystem"
_PLACE: Final = "vehicle.cabin.infotainment.navigation.currentLocation"
_HVAC: Final = "vehicle.cabin.hvac.preconditioning"
ODOMETER: Final = "vehicle.vehicle.travelledDistance"
LATITUDE: Final = f"{_PLACE}.latitude"
LONGITUDE: Final = f"{_PLACE}.longitude"
PREDICTED: Final = f"{CHARGING}.level"
LOCK: Final = "vehicle.cabin.door.lock.status"
#: The catalogue calls it streamable; it comes by REST all the same.
SELDOM_STREAMED: Final = f"{CHARGING}.hvStatus"

KM_PER_MILE: Final = 1.609344
#: Some values are measured a little before the others.
_EARLIER: Final = timedelta(minutes=2, seconds=17)
#: Others are sent so seldom that they are days or a week old.
_DAY, _WEEK = timedelta(days=1), timedelta(days=7)
#: A car that dozes off while it charges says nothing more after this long.
_DOZES_AFTER: Final = timedelta(minutes=5)

_STATUS: Final = {
    "unplugged": "NOCHARGING",
    "waiting": "INITIALIZATION",
    "charging": "CHARGINGACTIVE",
    "done": "CHARGINGENDED",
    "stopped": "CHARGINGPAUSED",
}
_HV_STATUS: Final = {
    "unplugged": "NOT_CHARGING",
    "waiting": "WAITING_FOR_CHARGING",
    "charging": "CHARGING",
    "done": "FINISHED_NOT_FULL",
    "stopped": "NOT_CHARGING",
}
_COMFORT: Final = {
    "inactive": "NOT_ACTIVE",
    "heating": "COMFORT_HEATING",
    "cooling": "COMFORT_COOLING",
    "ventilation": "COMFORT_VENTILATION",
}
_SERVICES: Final = {
    "oil": (1, "Engine oil"),
    "brake_fluid": (3, "Brake fluid"),
    "vehicle_tuv": (32, "Statutory inspection"),
    "vehicle_check": (100, "Vehicle check"),
}
_MESSAGES: Final = {
    "tire_pressure": (139, "Check the tyre pressures."),
    "washing_fluid": (160, "Refill the washing fluid."),
}


class Said(NamedTuple):
    """What a descriptor says and when that was measured; `unit` as in the stream, None: it has none."""

    value: Scalar
    at: datetime
    unit: str | None = None


@cache
def model_of(spec: CarSpec) -> Mapping[str, Any]:
    """What does not change about a car, from ``models/*.json``."""
    text = (resources.files("poller.simulator") / "models" / f"{spec.model}.json").read_text()
    model: Mapping[str, Any] = json.loads(text)
    return model


class TellingCar:
    """One car, and what it lets CarData know.

    `dozes`: it sends nothing more from five minutes after plug-in until the cable is pulled, as some do.
    """

    def __init__(self, car: Car, *, dozes: bool = False) -> None:
        self.car = car
        self.vin = car.spec.vin
        self._dozes = dozes

    def reported(self, at: datetime) -> Report:
        """The newest report that BMW has by then."""
        return self._heard(self.car.reported(at))

    def arrivals(self, since: datetime, until: datetime) -> Iterator[Arrival]:
        """The reports that reach BMW in (since, until], in that order."""
        for before, report in self.car.arrivals(since, until):
            if self._heard(report) is report:
                yield Arrival(None if before is None else self._heard(before), report)

    def told(self, report: Report) -> dict[str, Said]:
        """Descriptor → what this report says of it; what the car never sends is not there."""
        now, before = report.observed_at, report.observed_at - _EARLIER
        rows = {
            now: (*self._driving(report), *self._energy(report), *self._body(report), *_climate(report)),
            before: (*self._tires(report), *self._service(report)),
        }
        told = {name: Said(value, at, unit) for at, group in rows.items() for name, value, unit in group}
        return told | dict(self._seldom(report))

    @property
    def miles(self) -> bool:
        """Whether it shows miles."""
        return bool(self.car.spec.habits.zone == "Europe/London")

    def distance(self, km: float) -> tuple[float, str]:
        """A distance as the car shows it, and its unit."""
        return (round(km / KM_PER_MILE, 1), "mi") if self.miles else (km, "km")

    def _heard(self, report: Report) -> Report:
        """The report itself, or the last one before the car dozed off."""
        if not self._dozes or report.charge is None or not report.charge.plugged:
            return report
        plug = self.car.moment(report.observed_at).plug
        fell_asleep = report.observed_at if plug is None else time_at(plug.since) + _DOZES_AFTER
        return report if report.observed_at <= fell_asleep else self.car.reported(fell_asleep)

    def _driving(self, report: Report) -> Iterator[Row]:
        spec, odometer = self.car.spec, self.distance(report.odometer_km)
        yield ODOMETER, *odometer
        yield "vehicle.cabin.infotainment.displayUnit.distance", "miles" if self.miles else "km", None
        yield "vehicle.isMoving", _asn(said=report.driving), None
        # BMW's two names are swapped: the first is the ignition, the second the engine.
        yield "vehicle.drivetrain.engine.isActive", _asn(said=report.driving), None
        burns = report.driving and spec.kind != "electric"
        yield "vehicle.drivetrain.engine.isIgnitionOn", _asn(said=burns), None
        yield LATITUDE, report.position[0], "degrees"
        yield LONGITUDE, report.position[1], "degrees"
        yield f"{_PLACE}.heading", float(report.heading), "degrees"
        if spec.battery is not None and not report.driving:
            yield "vehicle.trip.segment.end.travelledDistance", *odometer

    def _energy(self, report: Report) -> Iterator[Row]:
        spec, charge, fuel = self.car.spec, report.charge, report.fuel
        if charge is not None:
            yield from self._charge(charge)
            yield from self._plan(charge, report.wishes)
        if fuel is not None:
            yield from self._fuel(fuel, charge)
        elif spec.brand == "bmw":
            # An electric car that tells of a tank it does not have.
            yield f"{_FUEL}.level", 0, "%"
            yield "vehicle.drivetrain.lastRemainingRange", 0.0, "km"

    def _charge(self, charge: ChargeReport) -> Iterator[Row]:
        percent = float(charge.percent)
        if self.car.spec.brand == "mini":
            yield f"{BATTERY}.stateOfCharge.displayed", percent, "percent"
        else:
            yield f"{_MANAGEMENT}.header", percent, "percent"
        yield PREDICTED, percent, "%"
        yield f"{BATTERY}.stateOfCharge.target", charge.target_percent, "%"
        yield f"{_MANAGEMENT}.maxEnergy", charge.capacity_kwh, "kWh"
        plugin_hybrid = self.car.spec.kind == "plugin_hybrid"
        yield f"{_MANAGEMENT}.batterySizeMax", 0.0 if plugin_hybrid else charge.capacity_kwh, "kWh"
        yield f"{BATTERY}.stateOfHealth.displayed", charge.health_percent, "percent"
        yield f"{ENGINE}.kombiRemainingElectricRange", *self.distance(charge.range_km)
        yield f"{CHARGING}.status", _STATUS[charge.status], None
        full = charge.status == "done" and charge.percent == 100
        yield SELDOM_STREAMED, "FINISHED_FULLY_CHARGED" if full else _HV_STATUS[charge.status], None
        yield f"{BATTERY}.charging.power", round(1000 * charge.kilowatts), "W"
        minutes = 0 if charge.left is None else int(charge.left.total_seconds()) // 60
        yield f"{CHARGING}.timeRemaining", minutes, "min"
        yield f"{CHARGING}.timeToFullyCharged", minutes or "INVALID", "min"
        yield from _plug(charge)

    def _plan(self, charge: ChargeReport, wishes: Wishes) -> Iterator[Row]:
        usual = model_of(self.car.spec)["state"]["chargingProfile"]
        plan = usual if wishes.plan is None else in_state(wishes.plan, usual)
        yield f"{CHARGING}.profile.mode", plan["chargingMode"], None
        yield f"{CHARGING}.profile.preference", plan["chargingPreference"], None
        yield f"{CHARGING}.profile.timerType", plan["chargingControlType"], None
        yield f"{CHARGING}.profile.climatizationActive", plan["climatisationOn"], None
        limit = wishes.amperes or plan["chargingSettings"].get("acCurrentLimit")
        if limit is not None:
            active = plan["chargingSettings"]["isAcCurrentLimitActive"]
            yield f"{BATTERY}.charging.acLimit.selected", limit, "A"
            yield (
                f"{BATTERY}.charging.acLimit.isActive",
                "AC_LIMIT_ACTIVE" if active else "AC_LIMIT_INACTIVE",
                None,
            )
        if charge.status == "charging":
            yield f"{ENGINE}.remainingElectricRange", *self.distance(charge.range_km)

    def _fuel(self, fuel: FuelReport, charge: ChargeReport | None) -> Iterator[Row]:
        total = fuel.range_km + (charge.range_km if charge else 0)
        yield f"{_FUEL}.level", fuel.percent, "%"
        yield "vehicle.drivetrain.lastRemainingRange", float(total), "km"
        if charge is not None and charge.status == "charging":
            yield "vehicle.drivetrain.totalRemainingRange", float(total), "km"

    def _body(self, report: Report) -> Iterator[Row]:
        spec = self.car.spec
        for place in spec.body.sides:
            row, side = self._seat(place)
            door = "OPEN" if f"door.{place}" in report.open else "CLOSED"
            yield f"vehicle.cabin.door.{row}.{side}.isOpen", door, None
            # A window that was forgotten is open by a gap.
            ajar = "INTERMEDIATE" if report.locked else "OPEN"
            window = ajar if f"window.{place}" in report.open else "CLOSED"
            yield f"vehicle.cabin.window.{row}.{side}.status", window, None
        for what, name in TRUNK_AND_HOOD.items():
            yield name, "OPEN" if what in report.open else "CLOSED", None
        yield from self._roof(report)
        security = "LOCKED" if report.driving else "SECURED"
        yield LOCK, security if report.locked else "UNLOCKED", None
        if model_of(spec)["state"].get("securityOverviewMode"):
            armed = "doorsTiltCabin" if report.locked and not report.driving else "unarmed"
            yield "vehicle.vehicle.antiTheftAlarmSystem.alarm.armStatus", armed, None
        if spec.kind == "combustion":
            yield "vehicle.vehicle.deepSleepModeActive", False, None

    def _roof(self, report: Report) -> Iterator[Row]:
        """A roof that was forgotten is tilted, which `status`, of the sliding alone, calls closed."""
        words = {"status": "CLOSED", "overallStatus": "CLOSED", "tiltStatus": "CLOSED"}
        if not self.car.spec.body.sunroof:
            words = dict.fromkeys(words, "INVALID")
        elif "sunroof" in report.open:
            tilted = {"overallStatus": "OPEN_TILT", "tiltStatus": "OPEN"}
            words |= tilted if report.locked else {"status": "OPEN", "overallStatus": "OPEN"}
        for member, word in words.items():
            yield f"vehicle.cabin.sunroof.{member}", word, None

    def _seat(self, place: str) -> tuple[str, str]:
        """``front_left`` is row1, and the driver's or the passenger's side."""
        end, side = place.split("_")
        drivers = side == self.car.spec.body.steering
        return "row1" if end == "front" else "row2", "driver" if drivers else "passenger"

    def _tires(self, report: Report) -> Iterator[Row]:
        for wheel in WHEELS:
            end, side = wheel.split("_")
            tire = f"vehicle.chassis.axle.{'row1' if end == 'front' else 'row2'}.wheel.{side}.tire"
            yield f"{tire}.pressure", report.tires_kpa[wheel], "kPa"
            yield f"{tire}.pressureTarget", self.car.spec.body.target_kpa[wheel], "kPa"

    def _service(self, report: Report) -> Iterator[Row]:
        services = [self._due(service) for service in report.services]
        yield "vehicle.status.conditionBasedServices", json.dumps(services), None
        messages = [self._message(what, report) for what in report.messages]
        yield "vehicle.status.checkControlMessages", json.dumps(messages) if messages else None, None
        for service in report.services:
            if service.what == "vehicle_tuv":
                due = f"{service.due:%d.%m.%Y %H:%M:%S} UTC"
                yield "vehicle.status.serviceTime.inspectionDateLegal", due, None
        yield f"{_HVAC}.configuration.defaultSettings.targetTemperature", 21.0, "Celsius"

    def _due(self, service: ServiceReport) -> dict[str, Any]:
        number, title = _SERVICES[service.what]
        left = "-" if service.left_km is None else str(round(self.distance(service.left_km)[0]))
        return {
            "id": number,
            "title": title,
            "description": "Simulated.",
            "text": "-",
            "date": f"{service.due:%Y-%m}",
            "messageType": "CBS",
            "status": service.state.upper(),
            "unitOfLengthRemaining": left,
        }

    def _message(self, what: str, report: Report) -> dict[str, Any]:
        number, text = _MESSAGES[what]
        odometer = str(round(self.distance(report.odometer_km)[0]))
        empty = dict.fromkeys(("date", "title", "description"))
        return {"id": number, "messageType": "CCM", "status": "NULL", **empty} | {
            "text": text,
            "unitOfLengthRemaining": odometer,
        }

    def _seldom(self, report: Report) -> Iterator[tuple[str, Said]]:
        """What is as old as the last Monday, or the last morning."""
        weekly = self.car.reported(_last(report.observed_at, _WEEK))
        yield (
            "vehicle.electricalSystem.battery.voltage",
            Said(weekly.aux_volts, weekly.observed_at, "V"),
        )
        yield "vehicle.status.conditionBasedServicesCount", Said(25, weekly.observed_at)
        left = [service.left_km for service in weekly.services if service.left_km is not None]
        if weekly.fuel is not None and left:
            yield "vehicle.status.serviceDistance.next", Said(min(left), weekly.observed_at, "km")
        daily = self.car.reported(_last(report.observed_at, _DAY))
        if daily.fuel is not None:
            yield f"{_FUEL}.remainingFuel", Said(float(daily.fuel.liters), daily.observed_at)


def _plug(charge: ChargeReport) -> Iterator[Row]:
    connected = "CONNECTED" if charge.plugged else "DISCONNECTED"
    yield "vehicle.body.chargingPort.status", connected, None
    yield "vehicle.body.chargingPort.combinedStatus", connected, None
    yield f"{CHARGING}.connectorStatus", connected, None
    yield (
        "vehicle.powertrain.tractionBattery.charging.port.anyPosition.isPlugged",
        charge.plugged,
        None,
    )
    yield f"{CHARGING}.connectionType", "CONDUCTIVE" if charge.plugged else "SIGNAL_INVALID", None
    alternating = charge.status == "charging" and charge.current == "ac"
    yield f"{CHARGING}.method", "AC_TYPE2PLUG" if alternating else "NOCHARGING", None


def _climate(report: Report) -> Iterator[Row]:
    yield f"{_HVAC}.status.comfortState", _COMFORT[report.climate], None
    yield "vehicle.vehicle.preConditioning.activity", report.climate, None


def _asn(*, said: bool) -> str:
    return "ASN_isTrue" if said else "ASN_isFalse"


def _last(at: datetime, period: timedelta) -> datetime:
    """The newest beginning of a period; the first was a Monday at four in the morning."""
    return at - (at - EPOCH) % period
