"""``poller resend`` and ``poller sinks forget``."""

from __future__ import annotations

from typing import Annotated

import typer

from poller.cli import options
from poller.cli.speaking import reach
from poller.derive.alerts.words import count
from poller.vehicle.records import rfc3339

app = typer.Typer(help="Sinks that left the configuration.")


@app.callback()
def _sinks() -> None:
    """Sinks that left the configuration."""


@app.command()
def forget(
    name: Annotated[str, typer.Argument(help="The sink's name.", metavar="NAME")],
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Let go of a sink that is not configured any more.

    Drops its place in the journal and its dead letters; records that other sinks want stay.
    """
    reach(config, options.overrides(data_dir), "forget-sink", {"sink": name})
    typer.echo(f"Sink {name} is forgotten.")
    return 0


def resend(
    sink: Annotated[str, typer.Option("--sink", help="The sink that gets records again.", metavar="NAME")],
    since: Annotated[
        str, typer.Option("--from", help="From this time on: 2026-11-21 or an RFC 3339 time.", metavar="T")
    ],
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Deliver records again, from a time on.

    They are marked as replayed.
    """
    arguments = {"sink": sink, "from": rfc3339(options.moment("--from", since))}
    report = reach(config, options.overrides(data_dir), "resend", arguments)
    typer.echo(f"{count(report['records'], 'record')} will be sent to {sink} again.")
    return 0
