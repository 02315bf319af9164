"""Charging: now, how far, how strong, and when."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from poller.cli import options
from poller.cli.vehicle import addressed
from poller.cli.vehicle.addressed import Addressed
from poller.cli.vehicle.ordering import given, send
from poller.cli.vehicle.simple import Action, with_action

_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"false", "no", "off", "0"})


def charge(
    *,
    words: Action,
    vin: addressed.Vin = None,
    source: addressed.Account = None,
    yes: addressed.Unasked = False,
    as_json: addressed.Json = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Start or stop charging of a car that is plugged in.

    The car may be left out, or named in any way that `lightflash` knows.
    """
    vehicle, action = with_action(words)
    whom = Addressed.of(vehicle, vin, source, config, data_dir)
    return send(whom, "charge_start" if action == "start" else "charge_stop", yes=yes, as_json=as_json)


def chargingsettings(
    *,
    vehicle: addressed.Vehicle = None,
    target_soc: Annotated[
        int | None, typer.Option(help="Charge up to this, percent: 20 to 100 by fives.", metavar="N")
    ] = None,
    ac_limit: Annotated[
        int | None, typer.Option(help="Amperes at most, one of those that the car offers.", metavar="N")
    ] = None,
    vin: addressed.Vin = None,
    source: addressed.Account = None,
    yes: addressed.Unasked = False,
    as_json: addressed.Json = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Set how far and how strongly the car charges."""
    arguments = given(target_soc=target_soc, ac_limit=ac_limit)
    if not arguments:
        raise typer.BadParameter("give --target-soc, --ac-limit or both")
    whom = Addressed.of(vehicle, vin, source, config, data_dir)
    return send(whom, "charging_settings", arguments, yes=yes, as_json=as_json)


def chargingprofile(
    *,
    vehicle: addressed.Vehicle = None,
    charging_mode: Annotated[
        Literal["IMMEDIATE_CHARGING", "DELAYED_CHARGING", "NO_ACTION"] | None,
        typer.Option(
            help="IMMEDIATE_CHARGING, DELAYED_CHARGING or NO_ACTION.", metavar="MODE", case_sensitive=False
        ),
    ] = None,
    precondition_climate: Annotated[
        str | None,
        typer.Option(help="Climate ready at departure: true or false, yes or no, on or off.", metavar="BOOL"),
    ] = None,
    vin: addressed.Vin = None,
    source: addressed.Account = None,
    yes: addressed.Unasked = False,
    as_json: addressed.Json = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Set when the car charges; climate at departure."""
    climate = None if precondition_climate is None else _boolean(precondition_climate)
    arguments = given(charging_mode=charging_mode, precondition_climate=climate)
    if not arguments:
        raise typer.BadParameter("give --charging-mode, --precondition-climate or both")
    whom = Addressed.of(vehicle, vin, source, config, data_dir)
    return send(whom, "charging_profile", arguments, yes=yes, as_json=as_json)


def _boolean(text: str) -> bool:
    """bimmer_connected took any text for true, "False" too. Raises BadParameter."""
    word = text.strip().lower()
    if word not in _YES | _NO:
        raise typer.BadParameter(f"--precondition-climate: expected true or false, not {text!r}")
    return word in _YES
