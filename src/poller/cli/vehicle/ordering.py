"""An order from the terminal to the car: asks for consent, sends it, and tells what came of it."""

from __future__ import annotations

import json
import re
import sys
import termios
import time
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

#: Arguments that errors name and options are called after.
_NAMES: Final = re.compile(r"\b(target_soc|ac_limit|charging_mode|precondition_climate)\b")


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
    confirmed: Addressed | None = whom
    if consequence is not None and not yes:
        confirmed = _confirmed(whom, consequence)
    if confirmed is None:
        print("Nothing was sent.", file=sys.stderr)
        return 1
    if sys.stderr.isatty():
        print("The car has four minutes to answer.", file=sys.stderr)
    report = _carried_out(confirmed, service, arguments or {})
    if as_json:
        found = {key: value for key, value in (report["found"] or {}).items() if value is not None}
        typer.echo(json.dumps({**report["record"], **({"found": found} if found else {})}))
    whose = report["title"] if whom.source is None else f"{report['title']}, account {report['source']}"
    _tell(report, whose, service, quiet=as_json)
    if report["stale"]:
        _reread(replace(confirmed, source=report["source"]))
    return int(report["exit_code"])


def _confirmed(whom: Addressed, consequence: str) -> Addressed | None:
    """Exactly the vehicle and account that a person was shown and agreed to; None: they did not."""
    if not sys.stdin.isatty():
        whom.has_daemon()  # or a configuration; that there is neither must be mended first
        raise ConfigError(
            ["this moves, sounds or opens something, and nobody is here to ask"],
            hint="add --yes to have it done",
        )
    try:
        chosen = whom.ask("vehicle-choose")
        print(f"VIN {chosen['vin']}: {_whose(chosen)}.\n{consequence}", file=sys.stderr)
        with suppress(OSError):  # what is not a real terminal has no keys
            termios.tcflush(sys.stdin, termios.TCIFLUSH)  # a key hit before the question is no answer to it
        agreed = typer.confirm("Go on?", err=True)
    except (KeyboardInterrupt, typer.Abort):  # Ctrl-C before the question; that, or Ctrl-D, at it
        print(file=sys.stderr)
        agreed = False
    if not agreed:
        return None
    return replace(whom, vehicle=chosen["vin"], source=chosen["source"])


def _carried_out(whom: Addressed, service: Service, arguments: Mapping[str, Any]) -> dict[str, Any]:
    from poller.web.control import CutOff

    try:
        return whom.ask("vehicle-order", service=service, arguments=arguments, ordered_at=time.time())
    except CutOff as error:
        raise _unknown(error.message) from error
    except KeyboardInterrupt as error:
        more = ""
        with suppress(PollerError):  # the configuration may be another by now
            more = "; the running poller goes on, and journals the end" if whom.has_daemon() else ""
        raise _unknown("no longer waited for", more) from error


def _unknown(why: str, more: str = "") -> PollerError:
    hint = f"look at the car before you order again{more}"
    return PollerError(f"{why}: nobody knows whether the car was told", hint=hint)


def _tell(report: Mapping[str, Any], whose: str, service: Service, *, quiet: bool) -> None:
    """For people: what came of it, to stdout if it is good; `quiet`: only what is not."""
    state, reason = report["record"]["state"], _clause(report["record"].get("reason", ""))
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


def _clause(reason: str) -> str:
    """A sentence as it goes on after a colon, which names options as they are typed."""
    words = _NAMES.sub(lambda name: "--" + name[0].replace("_", "-"), reason)
    return words[:1].lower() + words[1:] if words[1:2].islower() else words


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
    if sys.stderr.isatty():
        print("Asking the car how it stands now …", file=sys.stderr)
    try:
        report = whom.ask("vehicle-reread")
    except PollerError as error:
        report = {"error": error.message}
    except KeyboardInterrupt:
        report = {"error": "no longer waited for"}
    if report.get("error"):
        print(f"poller: the car was not asked anew: {report['error']}", file=sys.stderr)
