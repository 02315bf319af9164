"""``poller descriptors``: what to tick in BMW's portal, and what of it has arrived."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Annotated, Any

import typer

from poller.cli import options
from poller.cli.speaking import reach

Source = Annotated[
    str | None, typer.Argument(help="Only this source of the configuration.", metavar="SOURCE")
]
#: As wide as a short VIN.
_COLUMN = 8
_WORDS = {"stream": "stream", "rest": "REST", "empty": "empty", "no": "-"}


def descriptors(
    source: Source = None,
    config: options.Config = None,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> int:
    """Show what to tick in BMW's portal, and what has arrived of it.

    By feature, under the keys of BMW's catalogue, for the portal's own wording is not published where
    it could be taken from. Asks nobody: what has come so far is told for each vehicle.

    Marks: "stream" or "REST", the way by which the newest value came; "empty", it came without a
    value; "-", it has not come yet.
    """
    arguments = {"source": source} if source else {}
    report = reach(config, options.overrides(data_dir), "descriptors", arguments)
    if as_json:
        typer.echo(json.dumps(report))
    else:
        typer.echo("\n".join(line for one in report["sources"] for line in lines(one)))
        if not report["sources"]:
            typer.echo("No source has descriptors: only cardata does.")
    return 0


def lines(source: dict[str, Any]) -> Iterator[str]:
    """One source's list, as a person reads it."""
    wanted = source["descriptors"]
    vehicles = sorted({vin for one in wanted for vin in one["arrivals"]})
    yield f"Source {source['name']}: what to tick in BMW's portal, for each car:"
    yield "your car, BMW CarData, Configure data stream. A new tick shows with the"
    yield "car's next report."
    yield from _features([one for one in wanted if one["tickable"]], vehicles)
    by_rest = [one for one in wanted if not one["tickable"]]
    if by_rest:
        yield ""
        yield "Only by REST: not in that list, and nothing to tick. The poller asks for"
        yield "them by itself; those with a star only if `descriptors` names them."
        yield from _features(by_rest, vehicles)
    if not vehicles:
        yield ""
        yield "No car is known yet: `poller run` asks for the first time."


def _features(wanted: list[dict[str, Any]], vehicles: list[str]) -> Iterator[str]:
    for feature, members in groupby(wanted, key=lambda one: one["feature"]):
        yield ""
        yield "".join(f"{vin:<{_COLUMN}}" for vin in vehicles) + feature
        for one in members:
            marks = (_WORDS[one["arrivals"].get(vin, "no")] for vin in vehicles)
            star = "" if one["tickable"] or one["polled"] else " *"
            yield "".join(f"{mark:<{_COLUMN}}" for mark in marks) + one["name"] + star
