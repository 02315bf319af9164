"""``poller status``."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from poller.cli import options
from poller.cli.speaking import reach


def status(
    config: options.Config = None,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
    health: Annotated[
        bool, typer.Option("--health", help="Only say whether all is well (exit 0 or 1).")
    ] = False,
) -> int:
    """Show how sources, vehicles and sinks stand."""
    report = reach(config, options.overrides(data_dir), "status")
    reasons: list[str] = report["reasons"]
    if as_json:
        typer.echo(json.dumps(report))
    elif health:
        typer.echo("ready" if not reasons else "\n".join(reasons))
    else:
        for line in lines(report):
            typer.echo(line)
    return int(bool(reasons)) if health else 0


def lines(report: dict[str, Any]) -> list[str]:
    """The report as a person reads it, in 80 columns."""
    out = ["All well." if not report["reasons"] else "Needs attention:"]
    out += [f"  - {reason}" for reason in report["reasons"]]
    for source in report["sources"]:
        out.append(f"source {source['name']} ({source['kind']}): {source['state']}")
        out.append(f"  last success {source['last_success_at'] or 'never'}")
        out.append(f"  next poll    {source['next_poll_at'] or '-'}")
    for sink in report["sinks"]:
        state = "live" if sink["live"] else f"{sink['backlog']} waiting, {sink['dead_letters']} dead letters"
        out.append(f"sink {sink['name']} ({sink['kind']}): {state}")
        if sink["held"]:
            out.append(f"  held: {sink['held']}")
    journal = report["journal"]
    out.append(f"journal {journal['size'] / 2**20:.1f} MiB, {journal['disk_free'] / 2**30:.1f} GiB free")
    for name, backlog in journal["orphans"]:
        out.append(
            f"  sink {name} is not configured any more ({backlog} records): `poller sinks forget {name}`"
        )
    return out
