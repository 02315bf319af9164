"""``poller descriptors``: what to tick in BMW's portal, and what of it has arrived."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer

from poller.cli import options
from poller.cli.speaking import reach
from poller.errors import ConfigError
from poller.settings.places import find_file

Source = Annotated[
    str | None, typer.Argument(help="Only this source of the configuration.", metavar="SOURCE")
]
#: As wide as a short VIN, and a space; a name may be longer.
_COLUMN = 8
_WORDS = {"stream": "stream", "rest": "REST", "empty": "empty", "no": "-"}
_MARKS = """\
stream, REST: the way by which the newest value came; empty: it came without a
value, as for what the car does not have; -: it has not come yet."""
_WORDING = """\
The keys are those of BMW's catalogue. The portal words them its own way, by
country, and that wording is not published: go by their meaning."""


def descriptors(
    source: Source = None,
    config: options.Config = None,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> int:
    """Show what to tick in BMW's portal, and what came of it.

    By feature, under the keys of BMW's catalogue, for the portal's own wording is not published where
    it could be taken from. Asks nobody: what has come so far is told for each vehicle. Without a
    configuration the list is printed alone.
    """
    arguments = {"source": source} if source else {}
    try:
        report = reach(config, options.overrides(data_dir), "descriptors", arguments)
    except ConfigError:
        if source or find_file(config, os.environ, Path.cwd()).path is not None:
            raise
        report = bare()
    if as_json:
        typer.echo(json.dumps(report))
        return 0
    for one in report["sources"]:
        typer.echo("\n".join(lines(one, report["vehicles"])))
    typer.echo(f"\n{_WORDING}" if report["sources"] else "No source has descriptors: only cardata does.")
    return 0


def bare() -> dict[str, Any]:
    """The report before there is any source: what every car may send."""
    from poller.sources.cardata.standing.features import wanted

    return {"sources": [{"name": "", "descriptors": [asdict(one) for one in wanted((), {})]}], "vehicles": {}}


def lines(source: dict[str, Any], titles: Mapping[str, str]) -> Iterator[str]:
    """One source's list, as a person reads it. `titles`: short VIN → what the owner calls the car."""
    wanted = source["descriptors"]
    vins = sorted({vin for one in wanted for vin in one["arrivals"]})
    vehicles = _heads(vins, titles)
    whose = f"Source {source['name']}: what" if source["name"] else "What"
    yield f"{whose} to tick in BMW's portal, for each car:"
    yield "your car, BMW CarData, Configure data stream. A new tick shows with the"
    yield "car's next report."
    yield from _features([one for one in wanted if one["tickable"]], vehicles)
    by_rest = [one for one in wanted if not one["tickable"]]
    if by_rest:
        yield ""
        yield "Only by REST: not in that list, and nothing to tick. The poller asks for"
        yield "them by itself; those with a star only if `descriptors` names them."
        yield from _features(by_rest, vehicles)
    yield ""
    if vehicles:
        yield _MARKS
    else:
        yield "No car is known yet: `poller run` asks for the first time."


def _heads(vins: list[str], titles: Mapping[str, str]) -> dict[str, str]:
    """Short VIN → the head of its column: the car's name, with the VIN where two have the same."""
    named = {vin: titles.get(vin, vin) for vin in vins}
    twice = Counter(named.values())
    return {vin: name if twice[name] == 1 else f"{name} {vin}" for vin, name in named.items()}


def _features(wanted: list[dict[str, Any]], vehicles: Mapping[str, str]) -> Iterator[str]:
    widths = {vin: max(_COLUMN, len(name) + 1) for vin, name in vehicles.items()}
    for feature, members in groupby(wanted, key=lambda one: one["feature"]):
        yield ""
        yield "".join(f"{name:<{widths[vin]}}" for vin, name in vehicles.items()) + feature
        for one in members:
            marks = (f"{_WORDS[one['arrivals'].get(vin, 'no')]:<{width}}" for vin, width in widths.items())
            star = "" if one["tickable"] or one["polled"] else " *"
            yield "".join(marks) + one["name"] + star
