"""What the app can order, where each order goes, and what a car must be able to do for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from poller.errors import CommandRefused
from poller.sources.mybmw.remote.car import Car
from poller.vehicle.command import Service

COMMANDS: Final = "/eadrax-vrccs/v4/presentation/remote-commands/"
_CHARGING: Final = "/eadrax-crccs/v1/vehicles/{vin}/"


@dataclass(frozen=True, slots=True)
class Trigger:
    """Where an order is posted to; ``{vin}`` and ``{gcid}`` in `path` are to be filled in.

    `changes`: what the car tells afterwards is probably not what it told before. `unspoken`: that BMW
    takes it without naming an event to ask about is an end; of what changes a car, it is no news at all.
    """

    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    changes: bool = False
    unspoken: bool = False


#: All services but ``call``, which brings its own.
TRIGGERS: Final[Mapping[Service, Trigger]] = {
    "light_flash": Trigger(COMMANDS + "light-flash", unspoken=True),
    "horn": Trigger(COMMANDS + "horn-blow", unspoken=True),
    "lock": Trigger(COMMANDS + "door-lock", changes=True),
    "unlock": Trigger(COMMANDS + "door-unlock", changes=True),
    "climate_start": Trigger(COMMANDS + "climate-now", {"action": "START"}, changes=True),
    "climate_stop": Trigger(COMMANDS + "climate-now", {"action": "STOP"}, changes=True),
    "vehicle_finder": Trigger(COMMANDS + "vehicle-finder", changes=True),
    "charge_start": Trigger(_CHARGING + "start-charging", changes=True),
    "charge_stop": Trigger(_CHARGING + "stop-charging", changes=True),
    "charging_settings": Trigger(_CHARGING + "charging-settings", changes=True),
    "charging_profile": Trigger(_CHARGING + "charging-profile", changes=True),
    "send_poi": Trigger("/eadrax-dcs/v2/user/{gcid}/send-to-car", unspoken=True),
}

#: Service → the capability without which BMW's own app does not offer it.
_CAPABILITIES: Final[Mapping[Service, str]] = {
    "light_flash": "lights",
    "horn": "horn",
    "lock": "lock",
    "unlock": "unlock",
    "climate_start": "climateNow",
    "send_poi": "sendPoi",
}
#: Service → the word among the car's remote charging commands.
_CHARGING_COMMANDS: Final[Mapping[Service, str]] = {"charge_start": "START", "charge_stop": "STOP"}
#: What the parts of the charging settings need.
TARGET: Final = "isChargingTargetSocEnabled"
AC_LIMIT: Final = "isChargingPowerLimitEnabled"


def not_told(reason: str) -> CommandRefused:
    """What is raised for what a car does not do: `reason` is a clause."""
    return CommandRefused(
        f"this car was not told: {reason}",
        hint="look whether BMW's own app offers it, and whether the service is booked",
    )


def lack(service: Service, car: Car) -> str:
    """Why this car does not do it, as a clause; "" where it does.

    The vehicle finder works although its flag says no, so it is never lacking.
    """
    capability, command = _CAPABILITIES.get(service), _CHARGING_COMMANDS.get(service)
    if capability is not None and not car.can(capability):
        return f"BMW does not list it among what this car does ({capability})"
    if command is not None and command not in car.charging_commands:
        return f"BMW does not list it among what this car does (chargingControl {command})"
    if service == "climate_stop" and not car.tells_climate:
        return "the car says nothing of its climate control (climateControlState)"
    if service == "charging_settings" and not (car.can(TARGET) or car.can(AC_LIMIT)):
        return f"neither target nor AC limit of this car can be set from afar ({TARGET}, {AC_LIMIT})"
    if service == "charging_profile" and not car.can("isChargingPlanSupported"):
        return "this car has no charging plan (isChargingPlanSupported)"
    if service == "charging_profile" and not car.charging_profile:
        return "the car does not tell its present charging profile (chargingProfile)"
    return ""


def idle(service: Service, car: Car) -> str:
    """Why there is nothing to order just now, as a sentence; "" where there is."""
    if service in _CHARGING_COMMANDS and not car.is_plugged:
        return "By its newest state no charger is connected, so nothing was sent."
    if service == "charge_stop" and not car.is_charging:
        return "By its newest state the car is not charging, so nothing was sent."
    return ""
