"""What a car does without being told how: lights, horn, locks, climate control."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from poller.cli import options
from poller.cli.vehicle import addressed
from poller.cli.vehicle.addressed import Addressed, with_vehicle
from poller.cli.vehicle.ordering import send

_ACTIONS: Final = ("start", "stop")
Action = Annotated[
    list[str],
    typer.Argument(help="The car, and what it is to do.", metavar="[VIN] start|stop", hidden=True),
]


def lightflash(
    *,
    vehicle: addressed.Vehicle = None,
    vin: addressed.Vin = None,
    source: addressed.Account = None,
    yes: addressed.Unasked = False,
    as_json: addressed.Json = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Flash the lights."""
    return send(Addressed.of(vehicle, vin, source, config, data_dir), "light_flash", yes=yes, as_json=as_json)


def horn(
    *,
    vehicle: addressed.Vehicle = None,
    vin: addressed.Vin = None,
    source: addressed.Account = None,
    yes: addressed.Yes = False,
    as_json: addressed.Json = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Sound the horn; asks first."""
    whom = Addressed.of(vehicle, vin, source, config, data_dir)
    return send(whom, "horn", consequence="The horn will sound.", yes=yes, as_json=as_json)


def lock(
    *,
    vehicle: addressed.Vehicle = None,
    vin: addressed.Vin = None,
    source: addressed.Account = None,
    yes: addressed.Yes = False,
    as_json: addressed.Json = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Lock the doors; asks first."""
    whom = Addressed.of(vehicle, vin, source, config, data_dir)
    return send(whom, "lock", consequence="The doors will be locked.", yes=yes, as_json=as_json)


def unlock(
    *,
    vehicle: addressed.Vehicle = None,
    vin: addressed.Vin = None,
    source: addressed.Account = None,
    yes: addressed.Yes = False,
    as_json: addressed.Json = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Unlock the doors; asks first."""
    whom = Addressed.of(vehicle, vin, source, config, data_dir)
    return send(whom, "unlock", consequence="The doors will be unlocked.", yes=yes, as_json=as_json)


def climate(
    *,
    words: Action,
    vin: addressed.Vin = None,
    source: addressed.Account = None,
    yes: addressed.Yes = False,
    as_json: addressed.Json = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Start or stop the climate control.

    Asks before it starts. The car may be left out, or named in any way that `lightflash` knows.
    """
    vehicle, action = with_action(words)
    whom = Addressed.of(vehicle, vin, source, config, data_dir)
    if action == "stop":
        return send(whom, "climate_stop", yes=yes, as_json=as_json)
    consequence = "The climate control will start, on its battery or by its heater."
    return send(whom, "climate_start", consequence=consequence, yes=yes, as_json=as_json)


def with_action(words: list[str]) -> tuple[str | None, str]:
    """The VIN, if one was given, and start or stop. Raises BadParameter."""
    vehicle, (action,) = with_vehicle(words, 1, "start or stop, and before it a VIN if need be")
    if action.lower() not in _ACTIONS:
        raise typer.BadParameter(f"expected start or stop, not {action!r}")
    return vehicle, action.lower()
