"""``poller vehicle call``: what the maker's API has and we have no word for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from poller.cli import options
from poller.cli.vehicle import addressed
from poller.cli.vehicle.addressed import Addressed, with_vehicle
from poller.cli.vehicle.ordering import given, send


def call(
    *,
    words: Annotated[
        list[str],
        typer.Argument(help="The car, and what to call.", metavar="[VIN] PATH", hidden=True),
    ],
    param: Annotated[
        list[str] | None, typer.Option(help="A parameter of the query; may be given again.", metavar="K=V")
    ] = None,
    body: Annotated[
        str | None, typer.Option(help="The body, a JSON object; without it {}.", metavar="JSON")
    ] = None,
    vin: addressed.Vin = None,
    source: addressed.Account = None,
    yes: addressed.Yes = False,
    as_json: addressed.Json = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Call any remote service of the maker's API.

    Asks first. PATH is posted to: /eadrax-…, in which {vin} and {gcid} are filled in, or the last word
    of a remote command's path, such as light-flash. The end of what it starts is waited for. The car
    may be left out, or named in any way that `lightflash` knows.
    """
    vehicle, (path,) = with_vehicle(words, 1, "a path, and before it a VIN if need be")
    arguments = given(
        path=path,
        params=_params(param) if param else None,
        body=None if body is None else _object(body),
    )
    whom = Addressed.of(vehicle, vin, source, config, data_dir)
    consequence = f"{path} will be called, whatever the car does then."
    return send(whom, "call", arguments, consequence=consequence, yes=yes, as_json=as_json)


def _params(pairs: Sequence[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not (name and sign):
            raise typer.BadParameter(f"--param: expected K=V, not {pair!r}")
        found[name] = value
    return found


def _object(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise typer.BadParameter('--body: expected a JSON object, such as \'{"action": "START"}\'')
    return body
