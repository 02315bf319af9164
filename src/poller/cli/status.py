"""``poller status``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from poller.cli import options
from poller.cli.speaking import reach
from poller.vehicle.records import parse_time
from poller.web.display import ago, size

#: Times to come within this are shown without their day.
_SOON = timedelta(hours=12)


def status(
    config: options.Config = None,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
    health: Annotated[
        bool, typer.Option("--health", help="Only say whether all is well (exit 0 or 1).")
    ] = False,
) -> int:
    """Show how vehicles, sources and sinks stand."""
    report = reach(config, options.overrides(data_dir), "status")
    reasons: list[str] = list(report["reasons"])
    if health and not report["running"]:
        reasons.insert(0, "no poller is running")
    if as_json:
        typer.echo(json.dumps(report))
    elif health:
        typer.echo("\n".join(reasons) or "ready")
    else:
        typer.echo("\n".join(lines(report)))
    return int(bool(reasons)) if health else 0


def lines(report: dict[str, Any]) -> Iterator[str]:
    """The report as a person reads it."""
    now = parse_time(report["now"])
    if not report["running"]:
        yield "No poller is running; this is what its journal knows."
    elif not report["reasons"]:
        failing = any(_trouble(station, report) for station in (*report["sources"], *report["sinks"]))
        yield "Ready, but not everything works:" if failing else "All is well."
    yield from (f"! {reason}" for reason in report["reasons"] if report["running"])
    for vehicle in report["vehicles"]:
        yield f"vehicle {vehicle['vehicle']}: {_vehicle(vehicle, now)}"
    for source in report["sources"]:
        next_poll = f", next poll {_when(source['next_poll_at'], now)}" if source["next_poll_at"] else ""
        last = _when(source["last_success_at"], now)
        state = source["state"].replace("_", " ")
        yield f"source {source['name']} ({source['kind']}): {state}, last answer {last}{next_poll}"
        yield from _trouble(source, report)
    for sink in report["sinks"]:
        yield f"sink {sink['name']} ({sink['kind']}): {_sink(sink, now, running=report['running'])}"
        yield from _trouble(sink, report)
    yield from _journal(report["journal"])


def _vehicle(vehicle: dict[str, Any], now: datetime) -> str:
    parts = [vehicle["model"]] if vehicle.get("model") else []
    parts.append(f"car reported {_when(vehicle.get('observed_at'), now)}")
    return ", ".join(parts)


def _trouble(station: dict[str, Any], report: dict[str, Any]) -> list[str]:
    """What fails now at a source or a sink, and the mend; nothing if a reason at the top has said it."""
    failure = station["failure"]
    well = station["up"] is not False if "up" in station else station["state"] in {"ok", "starting"}
    if well or failure is None or any(failure["message"] in reason for reason in report["reasons"]):
        return []
    return [f"  {text}" for text in (failure["message"], failure["hint"]) if text]


def _sink(sink: dict[str, Any], now: datetime, *, running: bool) -> str:
    if sink["held"]:
        return f"HELD: {sink['held']}; {sink['backlog']} records waiting"
    if sink["live"]:
        return "live"
    text = f"{sink['backlog']} records waiting"
    if sink["last_success_at"]:
        text += f", last delivery {_when(sink['last_success_at'], now)}"
    elif running:
        text += ", nothing delivered since the start"
    return text + (f", {sink['dead_letters']} dead letters" if sink["dead_letters"] else "")


def _journal(journal: dict[str, Any]) -> Iterator[str]:
    yield f"journal: {size(journal['size'])}, {size(journal['disk_free'])} free on its disk"
    if journal["quarantined"]:
        yield f"  {journal['quarantined']} answers could not be understood: `poller dead-letters list`"
    for name, backlog in journal["orphans"]:
        yield f"  sink {name} left the configuration with {backlog} records: `poller sinks forget {name}`"


def _when(moment: str | None, now: datetime) -> str:
    if moment is None:
        return "never"
    then = parse_time(moment)
    if then <= now:
        return ago(then, now)
    # A time of day alone would be taken for today's: a source that is blocked is asked a day later.
    return f"at {then.astimezone():{'%H:%M:%S' if then - now < _SOON else '%Y-%m-%d %H:%M'}}"
