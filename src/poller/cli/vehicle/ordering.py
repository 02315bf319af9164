"""An order from the terminal to the car: asks for consent, sends it, and tells what came of it."""

from __future__ import annotations

import json
import sys
import termios
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import typer

from poller.cli.vehicle.addressed import Addressed
from poller.errors import ConfigError, PollerError
from poller.vehicle.command import Service

#: What it was, once it was done.
_DONE: Final[Mapping[Service, str]] = {
    "light_flash": "the lights were flashed",
    "horn": "the horn was sounded",
    "lock": "the doors were locked",
    "unlock": "the doors were unlocked",
    "climate_start": "the climate control was started",
    "climate_stop": "the climate control was stopped",
    "vehicle_finder": "it was searched for",
    "charge_start": "charging was started",
    "charge_stop": "charging was stopped",
    "charging_settings": "the charging settings were changed",
    "charging_profile": "the charging profile was changed",
    "send_poi": "the destination was sent",
    "call": "the call was made",
}


def given(**arguments: Any) -> dict[str, Any]:
    """Those that the owner gave: the others are None."""
    return {name: value for name, value in arguments.items() if value is not None}


def send(
    whom: Addressed,
    service: Service,
    arguments: Mapping[str, Any] | None = None,
    *,
    consequence: str | None = None,
    yes: bool = False,
    as_json: bool = False,
) -> int:
    """Have the order carried out; the exit code.

    With a `consequence`, which says what will happen, a person is asked first unless `yes`.
    """
    if consequence is not None and not yes:
        confirmed = _confirmed(whom, consequence)
        if confirmed is None:
            print("Nothing was sent.", file=sys.stderr)
            return 1
        whom = confirmed
    if sys.stderr.isatty():
        print("The car has four minutes to answer.", file=sys.stderr)
    report = _carried_out(whom, service, arguments or {})
    if as_json:
        found = {key: value for key, value in (report["found"] or {}).items() if value is not None}
        typer.echo(json.dumps({**report["record"], **({"found": found} if found else {})}))
    _tell(report, service, quiet=as_json)
    if report["stale"]:
        _reread(replace(whom, source=report["source"]))
    return int(report["exit_code"])


def _confirmed(whom: Addressed, consequence: str) -> Addressed | None:
    """Exactly the vehicle and account that a person was shown and agreed to; None: they did not."""
    if not sys.stdin.isatty():
        raise ConfigError(
            ["this moves, sounds or opens something, and nobody is here to ask"],
            hint="add --yes to have it done",
        )
    chosen = whom.ask("vehicle-choose")
    print(f"VIN {chosen['vin']}: {_whose(chosen)}.\n{consequence}", file=sys.stderr)
    with suppress(OSError):  # what is not a real terminal has no keys
        termios.tcflush(sys.stdin, termios.TCIFLUSH)  # a key hit before the question is no answer to it
    if not typer.confirm("Go on?", err=True):
        return None
    return replace(whom, vehicle=chosen["vin"], source=chosen["source"])


def _carried_out(whom: Addressed, service: Service, arguments: Mapping[str, Any]) -> dict[str, Any]:
    from poller.web.control import CutOff

    try:
        return whom.ask("vehicle-order", service=service, arguments=arguments)
    except CutOff as error:
        raise _unknown(error.message) from error
    except KeyboardInterrupt as error:
        raise _unknown("no longer waited for", "; a running poller goes on, and journals the end") from error


def _unknown(why: str, more: str = "") -> PollerError:
    hint = f"look at the car before you order again{more}"
    return PollerError(f"{why}: nobody knows whether the car was told", hint=hint)


def _tell(report: Mapping[str, Any], service: Service, *, quiet: bool) -> None:
    """For people: what came of it, to stdout if it is good; `quiet`: only what is not."""
    state, reason = report["record"]["state"], report["record"].get("reason", "")
    whose = _whose(report)
    if report["exit_code"]:
        print(f"poller: {whose}: {reason or state}", file=sys.stderr)
        if report["hint"]:
            print(f"  {report['hint']}", file=sys.stderr)
    elif not quiet:
        done = "nothing was done" if state == "ignored" else _DONE[service]
        typer.echo(f"{whose}: {done}{': ' if reason else ''}{reason}")
        for line in _found(report["found"] or {}):
            typer.echo(f"  {line}")
    if report["unkept"]:
        print(f"poller: the end of this order is not in the journal: {report['unkept']}", file=sys.stderr)


def _whose(chosen: Mapping[str, Any]) -> str:
    """The car, and by which login it is told."""
    return f"{chosen['title']}, account {chosen['source']} of {chosen['file'] or 'the environment'}"


def _found(found: Mapping[str, Any]) -> Iterator[str]:
    if found:
        heading = "" if found["heading"] is None else f", heading {found['heading']}°"
        yield f"at {found['latitude']}, {found['longitude']}{heading}"
    if found.get("address"):
        yield found["address"]


def _reread(whom: Addressed) -> None:
    """Have the car asked how it stands now; that this fails takes nothing from the order."""
    try:
        report = whom.ask("vehicle-reread")
    except PollerError as error:
        report = {"error": error.message}
    if report.get("error"):
        print(f"poller: the car was not asked anew: {report['error']}", file=sys.stderr)
