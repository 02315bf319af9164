"""A simulated car in the words of BMW's app cloud: profile, state and charging settings as JSON in bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import resources
from typing import Any, Final

from poller.simulator.car import Car
from poller.simulator.life.report import ChargeReport, Report
from poller.simulator.life.spec import Position, Wheel
from poller.simulator.life.wishes import Command, Wishes
from poller.simulator.mybmw_plan import in_settings, in_state
from poller.vehicle.records import rfc3339

_CHARGING_STATUS = {
    "unplugged": "INVALID",
    "waiting": "WAITING_FOR_CHARGING",
    "charging": "CHARGING",
    "done": "COMPLETE",
    "stopped": "NOT_CHARGING",
}
_SIDES: Final[Mapping[Wheel, str]] = {
    "front_left": "leftFront",
    "front_right": "rightFront",
    "rear_left": "leftRear",
    "rear_right": "rightRear",
}
_TIRES: Final[Mapping[Wheel, str]] = {
    "front_left": "frontLeft",
    "front_right": "frontRight",
    "rear_left": "rearLeft",
    "rear_right": "rearRight",
}
#: Service → the capability that a car must have for it; none for the vehicle finder, whatever it says.
_OFFERED: Final[Mapping[str, str]] = {
    "light-flash": "lights",
    "horn-blow": "horn",
    "door-lock": "lock",
    "door-unlock": "unlock",
    "climate-now START": "climateNow",
    "climate-now STOP": "climateNow",
    "charging-profile": "isChargingPlanSupported",
}
_CHARGING_COMMANDS: Final = {"start-charging": "START", "stop-charging": "STOP"}


class MyBmwAnswers:
    """What the app's cloud answers about one car. What does not change is in ``models/*.json``."""

    def __init__(self, car: Car) -> None:
        text = (resources.files("poller.simulator") / "models" / f"{car.spec.model}.json").read_text()
        model: Mapping[str, Any] = json.loads(text)
        self._car = car
        self._fixed: Mapping[str, Any] = model["state"]
        self._settings: Mapping[str, Any] = model["charging"]
        self._offers: Mapping[str, Any] = model["capabilities"]
        self._capabilities = _json(self._offers)
        self._profile = _json({**model["profile"], "vin": car.spec.vin})
        self._told: tuple[Report, bytes] | None = None

    def profile(self) -> bytes:
        """What the car is."""
        return self._profile

    def state(self, at: datetime) -> bytes:
        """What the car last reported, and that the cloud looked at `at`."""
        report = self._car.reported(at)
        fetched = rfc3339(at).encode()
        return b'{"state":{"lastFetched":"%b",%b,"capabilities":%b}' % (
            fetched,
            self._rest(report, at)[1:],
            self._capabilities,
        )

    def charging(self, at: datetime) -> bytes:
        """The charging settings; ``{}`` for a car that has none."""
        report, settings = self._car.reported(at), dict(self._settings)
        if report.charge is not None and "chargingSettingsDetail" in settings:
            settings["chargingSettingsDetail"] = self._detail(report.charge, report.wishes)
        if report.wishes.plan is not None:
            settings["chargeAndClimateTimerDetail"] = in_settings(report.wishes.plan)
        return _json(settings)

    def _detail(self, charge: ChargeReport, wishes: Wishes) -> dict[str, Any]:
        detail = {**self._settings["chargingSettingsDetail"], "chargingTarget": charge.target_percent}
        if wishes.amperes is not None:
            limit = detail["acLimit"]
            detail["acLimit"] = {**limit, "current": {**limit["current"], "value": wishes.amperes}}
        return detail

    def refusal(self, service: str, command: Command | None) -> str:
        """Why the car does not do what the app names so; "" if it offers it."""
        if service in _CHARGING_COMMANDS:
            known = self._offers["remoteChargingCommands"].get("chargingControl", ())
            offered = _CHARGING_COMMANDS[service] in known
        else:
            offered = service not in _OFFERED or self._offers[_OFFERED[service]]
        if offered and (command is None or self._takes(command.wishes)):
            return ""
        return "The vehicle does not offer this."

    def _takes(self, wishes: Wishes) -> bool:
        """Whether these settings can be set, to these values."""
        if wishes.target_percent is not None and not self._offers["isChargingTargetSocEnabled"]:
            return False
        if wishes.amperes is None:
            return True
        limits = self._settings.get("chargingSettingsDetail", {}).get("acLimit", {}).get("values", ())
        return self._offers["isChargingPowerLimitEnabled"] and wishes.amperes in limits

    def location(self, at: datetime) -> dict[str, Any]:
        """Where the car is then, which it may not have told."""
        moment = self._car.moment(at)
        return _location(moment.position, moment.heading)

    def _rest(self, report: Report, at: datetime) -> bytes:
        """The state without `lastFetched`; made once per report, a quiet car being asked over and over."""
        if report.climate_until is not None:
            return _json(self._state(report, at))
        if self._told is None or self._told[0] is not report:
            self._told = report, _json(self._state(report, at))
        return self._told[1]

    def _state(self, report: Report, at: datetime) -> dict[str, Any]:
        total, fuel = self._ranges(report)
        state = {
            **self._fixed,
            "lastUpdatedAt": f"{report.observed_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "isLeftSteering": self._car.spec.body.steering == "left",
            "range": total,
            "currentMileage": report.odometer_km,
            "doorsState": self._doors(report),
            "windowsState": self._windows(report),
            "location": _location(report.position, report.heading),
            "climateControlState": _climate(report, at),
            "combustionFuelLevel": fuel,
            "requiredServices": _services(report),
            "checkControlMessages": self._messages(report),
            "tireState": self._tires(report),
        }
        if report.charge is not None:
            state["electricChargingState"] = _electric(report.charge)
            state["chargingProfile"] = self._plan(report.charge, report.wishes)
        if "roofState" in state:
            roof = "OPEN" if "sunroof" in report.open else "CLOSED"
            state["roofState"] = {**state["roofState"], "roofState": roof}
        if state.get("securityOverviewMode"):
            armed = report.locked and not report.driving
            state["securityOverviewMode"] = "ARMED" if armed else "NOT_ARMED"
        return state

    def _doors(self, report: Report) -> dict[str, str]:
        openings = {_SIDES[side]: f"door.{side}" for side in self._car.spec.body.sides}
        doors = _openings(openings | {"hood": "hood", "trunk": "trunk"}, report)
        security = "LOCKED" if report.driving else "SECURED"
        return doors | {"combinedSecurityState": security if report.locked else "UNLOCKED"}

    def _windows(self, report: Report) -> dict[str, str]:
        return _openings({_SIDES[side]: f"window.{side}" for side in self._car.spec.body.sides}, report)

    def _plan(self, charge: ChargeReport, wishes: Wishes) -> dict[str, Any]:
        usual = self._fixed["chargingProfile"]
        plan = usual if wishes.plan is None else in_state(wishes.plan, usual)
        settings = {**usual["chargingSettings"], "targetSoc": charge.target_percent}
        if wishes.amperes is not None:
            settings["acCurrentLimit"] = wishes.amperes
        return {**plan, "chargingSettings": settings}

    def _ranges(self, report: Report) -> tuple[int, dict[str, int]]:
        """The total range, and the fuel block; a plug-in hybrid's own fuel range is the total, as in life."""
        electric = report.charge.range_km if report.charge else 0
        if report.fuel is None:
            return electric, {}
        total = electric + report.fuel.range_km
        return total, {
            "range": total,
            "remainingFuelLiters": report.fuel.liters,
            "remainingFuelPercent": report.fuel.percent,
        }

    def _messages(self, report: Report) -> list[dict[str, str]]:
        messages = [{"type": what.upper(), "severity": how.upper()} for what, how in report.messages.items()]
        if report.fuel is not None:
            messages.append({"type": "ENGINE_OIL", "severity": "OK"})
        return messages

    def _tires(self, report: Report) -> dict[str, Any]:
        targets, tires = self._car.spec.body.target_kpa, {}
        for wheel, name in _TIRES.items():
            tire = self._fixed["tireState"][name]
            pressures = {"currentPressure": report.tires_kpa[wheel], "targetPressure": targets[wheel]}
            tires[name] = {**tire, "status": {**tire["status"], **pressures}}
        return tires


def _openings(names: Mapping[str, str], report: Report) -> dict[str, str]:
    states = {name: "OPEN" if what in report.open else "CLOSED" for name, what in names.items()}
    return states | {"combinedState": "OPEN" if "OPEN" in states.values() else "CLOSED"}


def _electric(charge: ChargeReport) -> dict[str, Any]:
    block = {
        "chargingLevelPercent": charge.percent,
        "chargingStatus": _CHARGING_STATUS[charge.status],
        "chargingTarget": charge.target_percent,
        "chargingConnectionType": "CONDUCTIVE" if charge.plugged else "UNKNOWN",
        "isChargerConnected": charge.plugged,
        "range": charge.range_km,
    }
    if charge.left is not None:
        block["remainingChargingMinutes"] = int(charge.left.total_seconds()) // 60
    return block


def _location(position: Position, heading: int) -> dict[str, Any]:
    latitude, longitude = (round(degrees, 6) for degrees in position)
    return {
        "coordinates": {"latitude": latitude, "longitude": longitude},
        "heading": heading,
        "address": {"formatted": "Open sea, simulated"},
    }


def _climate(report: Report, at: datetime) -> dict[str, Any]:
    """The seconds left count from the cloud's look, not from the report."""
    if report.climate_until is None:
        return {"activity": "INACTIVE"}
    left = max(0.0, (report.climate_until - at).total_seconds())
    return {"activity": report.climate.upper(), "remainingSeconds": left}


def _services(report: Report) -> list[dict[str, Any]]:
    services = []
    for service in report.services:
        entry: dict[str, Any] = {
            "type": service.what.upper(),
            "status": service.state.upper(),
            "dateTime": rfc3339(service.due),
        }
        if service.left_km is not None:
            entry["mileage"] = service.left_km
        services.append(entry | {"description": "Simulated."})
    return services


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
