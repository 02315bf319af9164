"""``poller vehicle status``: every vehicle as it was last heard of, and as bimmerconnected shows it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import typer

from poller.cli import options
from poller.cli.speaking import reach
from poller.cli.vehicle import addressed
from poller.cli.vehicle.addressed import the_one
from poller.errors import ConfigError
from poller.vehicle.display import Display, ago, service_words, words
from poller.vehicle.naming import goes_by
from poller.vehicle.records import Json, Record, parse_time, snapshot_of
from poller.vehicle.signals import GROUPS, signal_of, split_key
from poller.vehicle.snapshot import Reading, Snapshot, merge


def status(
    *,
    vehicle: Annotated[
        str | None,
        typer.Argument(
            help="Only this one: VIN in any case, its last seven, our name or the model.",
            metavar="VIN",
            show_default=False,
        ),
    ] = None,
    vin: addressed.Vin = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", "-j", help="Print JSON: a record a car and source, or as --format says."),
    ] = False,
    form: Annotated[
        Literal["bimmerconnected"] | None,
        typer.Option("--format", help="The JSON of `bimmerconnected status -j`, key by key."),
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(
            help="Read the captured answers in this folder, and no configuration.",
            metavar="DIR",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", help="With --answers: as if had at this time, not at its own.", metavar="TIME"),
    ] = None,
    region: Annotated[
        Literal["rest_of_world", "north_america", "china"] | None,
        typer.Option(help="With --answers: of the account; in China positions are converted."),
    ] = None,
    units: Annotated[
        Literal["metric", "imperial", "uk"] | None,
        typer.Option(help="Of table and --format; default: as [display] says; metric with --answers."),
    ] = None,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Show each vehicle as last heard of; asks nobody.

    The running poller asks; `poller once` does it now.
    """
    wanted = the_one(vehicle, vin)
    if answers is not None:
        from poller.cli.captures import report_on

        moment = None if at is None else options.moment("--at", at)
        report = report_on(answers, at=moment, region=region or "rest_of_world", units=units)
    else:
        _refuse(at=at, region=region)
        arguments = {"format": form, "units": units}
        report = {
            "problems": [],
            "passed_over": [],
            **reach(config, options.overrides(data_dir), "vehicles", arguments),
        }
    vehicles = _chosen(report["vehicles"], wanted) if wanted is not None else report["vehicles"]
    if form is not None:
        shown = [vehicle["library"] for vehicle in _newest(vehicles)]
        typer.echo(json.dumps(shown[0] if wanted is not None else shown))
    elif as_json:
        typer.echo(json.dumps([vehicle["record"] for vehicle in _side_by_side(vehicles)]))
    else:
        typer.echo("\n".join(_table(vehicles, report)))
    for problem in report["problems"]:
        print(f"poller: {problem}", file=sys.stderr)
    for other in report["passed_over"]:
        print(f"poller: passed over: {other}", file=sys.stderr)
    return int(bool(report["problems"]))


def _refuse(**given: str | None) -> None:
    """What has a meaning for captured answers only."""
    names = [name for name, value in given.items() if value is not None]
    if names:
        raise ConfigError(
            [f"--{name}: only with --answers" for name in names], hint="the journal knows when and where"
        )


def _chosen(vehicles: Sequence[Json], wanted: str) -> list[Json]:
    """The one that goes by this, as each source knows it. Raises ConfigError if it is none, or not one."""
    chosen = [vehicle for vehicle in vehicles if _goes_by(wanted, vehicle)]
    if not chosen:
        known = _called(vehicles)
        hint = f"known: {known}" if known else "nothing was heard of any vehicle yet"
        raise ConfigError([f"no vehicle is {wanted}"], hint=hint)
    if len({vehicle["record"]["vin"] for vehicle in chosen}) > 1:
        raise ConfigError([f"several vehicles are {wanted}"], hint=f"say which: {_called(chosen)}")
    return chosen


def _called(vehicles: Sequence[Json]) -> str:
    """Their names and models, for people."""
    models = {vehicle["vehicle"]: "" for vehicle in vehicles}
    models |= {vehicle["vehicle"]: f" ({model})" for vehicle in vehicles if (model := _model(vehicle))}
    return ", ".join(sorted(f"{name}{model}" for name, model in models.items()))


def _model(vehicle: Json) -> str:
    return str(vehicle["record"]["readings"].get("model", ""))


def _goes_by(wanted: str, vehicle: Json) -> bool:
    vin = vehicle["record"]["vin"]
    return goes_by(wanted, vin=vin, slug=vehicle["vehicle"], model=_model(vehicle))


def _side_by_side(vehicles: Sequence[Json]) -> list[Json]:
    """What several sources know of a vehicle, one behind the other, the newest first."""
    newest = sorted(vehicles, key=lambda one: str(one["record"]["received_at"]), reverse=True)
    vins = list(dict.fromkeys(vehicle["record"]["vin"] for vehicle in vehicles))
    return sorted(newest, key=lambda one: vins.index(one["record"]["vin"]))


def _newest(vehicles: Sequence[Json]) -> list[Json]:
    """One entry a vehicle, where several sources know it."""
    newest: dict[str, Json] = {}
    for vehicle in _side_by_side(vehicles):
        newest.setdefault(vehicle["record"]["vin"], vehicle)
    return list(newest.values())


def _table(vehicles: Sequence[Json], report: Json) -> Iterator[str]:
    """For people: a paragraph a vehicle, a line a reading."""
    display = Display(report["units"], ZoneInfo(report["timezone"]))
    now = parse_time(report["now"])
    if not vehicles:
        yield "Nothing was heard of any vehicle yet: `poller once` asks now."
    for number, vin in enumerate(dict.fromkeys(vehicle["record"]["vin"] for vehicle in vehicles)):
        if number:
            yield ""
        of_it = [vehicle for vehicle in vehicles if vehicle["record"]["vin"] == vin]
        yield from _paragraph([_snapshot(vehicle["record"]) for vehicle in of_it], of_it[0], display, now)


def _paragraph(
    snapshots: Sequence[Snapshot], vehicle: Json, display: Display, now: datetime
) -> Iterator[str]:
    readings = {key: reading for key, (reading, _) in merge(snapshots).items()}
    model = readings.get("model")
    title = f" ({model.value})" if model is not None else ""
    yield f"{vehicle['vehicle']}{title}, VIN {vehicle['record']['vin']}"
    received = max(snapshot.received_at for snapshot in snapshots)
    reported = [snapshot.observed_at for snapshot in snapshots if snapshot.observed_at is not None]
    said = f", the car reported {ago(max(reported), now)}" if reported else ""
    yield f"  heard {ago(received, now)}{said}"
    groups = {heading: list(_lines(group, readings, display, now)) for group, heading in GROUPS.items()}
    width = max((len(label) for lines in groups.values() for label, _ in lines), default=0)
    for heading, lines in groups.items():
        if lines:
            yield f"  {heading}"
            yield from (f"    {label:<{width}}  {value}" for label, value in lines)


def _lines(
    group: str, readings: dict[str, Reading], display: Display, now: datetime
) -> Iterator[tuple[str, str]]:
    """Label and value of each reading of a group."""
    for key, reading in readings.items():
        signal = signal_of(key)
        if signal is not None and signal.group == group:
            named = service_words if signal.key.startswith("service_") else words
            label = f"{signal.label} {named(split_key(key)[1] or '')}".rstrip()
            yield label, display.value(signal, reading.value, now)


def _snapshot(record: dict[str, Any]) -> Snapshot:
    """A record's snapshot, from its JSON."""
    observed = record.get("observed_at")
    body: Json = {key: record[key] for key in ("readings", "reading_times") if key in record}
    return snapshot_of(
        Record(
            record["id"],
            record["kind"],
            record["vin"],
            record["source"],
            parse_time(record["received_at"]),
            parse_time(observed) if observed else None,
            body,
        )
    )
