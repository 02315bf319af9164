"""``poller dead-letters list|retry|drop``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from poller.cli import options
from poller.cli.speaking import reach
from poller.derive.alerts.words import count

app = typer.Typer(help="What was refused or not understood: list, retry, drop.")

Ids = Annotated[list[int] | None, typer.Argument(help="Numbers from `list`; none: all.", metavar="ID")]
Doomed = Annotated[list[int] | None, typer.Argument(help="Numbers from `list`; or --all.", metavar="ID")]
Sink = Annotated[
    str | None,
    typer.Option("--sink", help='Only this sink\'s; "" for answers in quarantine.', metavar="NAME"),
]


@app.command("list")
def list_letters(
    sink: Sink = None,
    config: options.Config = None,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> int:
    """Show what was set aside, and why."""
    report = reach(config, options.overrides(data_dir), "dead-letters-list", {"sink": sink})
    if as_json:
        typer.echo(json.dumps(report))
        return 0
    if not report["dead_letters"]:
        typer.echo("No dead letters.")
    for letter in report["dead_letters"]:
        place = letter["sink"] or "quarantine"
        typer.echo(f"{letter['id']:>6}  {letter['at']}  {place:<12} {letter['kind']} of {letter['vehicle']}")
        typer.echo(f"        {letter['reason']}")
    return 0


@app.command()
def retry(
    ids: Ids = None, sink: Sink = None, config: options.Config = None, data_dir: options.DataDir = None
) -> int:
    """Send refused records again; parse quarantined answers again."""
    arguments = {"ids": ids, "sink": sink}
    report = reach(config, options.overrides(data_dir), "dead-letters-retry", arguments)
    marked, parsed = count(report["marked"], "record"), count(report["parsed"], "answer")
    typer.echo(f"{marked} will be sent again, {parsed} understood now.")
    if report["still_malformed"]:
        still = count(report["still_malformed"], "answer")
        typer.echo(f"{still} still cannot be understood, and kept; to let go: `poller dead-letters drop`.")
    return 0


@app.command()
def drop(
    ids: Doomed = None,
    sink: Sink = None,
    everything: Annotated[bool, typer.Option("--all", help="Drop all, or all of --sink.")] = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Delete dead letters for good."""
    if not ids and not everything:
        raise typer.BadParameter("give the numbers to drop, or --all")
    arguments = {"ids": ids, "sink": sink}
    report = reach(config, options.overrides(data_dir), "dead-letters-drop", arguments)
    typer.echo(f"{report['dropped']} dropped.")
    return 0
