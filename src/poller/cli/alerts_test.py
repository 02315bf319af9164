"""``poller alerts test``, registered by `cli.alerts`: better known before it matters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import typer

from poller.cli import options
from poller.cli.speaking import reach
from poller.errors import ConfigError
from poller.settings import load


def send_sample(
    config: options.Config = None, data_dir: options.DataDir = None, as_json: options.Json = False
) -> int:
    """Send a sample through each channel, and say what came of it.

    Every sink that leads to a person: notify (each of its addresses), webhook, mqtt. It goes past the
    queue, the quiet hours and the least severity; nothing is kept of it.
    """
    overrides = options.overrides(data_dir)
    report = reach(config, overrides, "alerts-test", {"sinks": _in_the_file(config, overrides)})
    if as_json:
        typer.echo(json.dumps(report))
        return int(report["exit_code"])
    for tried in report["channels"]:
        where = f"{tried['sink']}, {tried['channel']}" if tried["channel"] else tried["sink"]
        typer.echo(f"BAD  {where}: {tried['error']}" if tried["error"] else f"ok   {where}: it was taken")
        if tried["hint"]:
            typer.echo(f"     → {tried['hint']}")
    if report.get("unread"):
        typer.echo(f"not tried: {', '.join(report['unread'])}")
        typer.echo("     → the running poller has not read the file since it changed: reload it")
    return int(report["exit_code"])


def _in_the_file(config: Path | None, overrides: Mapping[str, str]) -> list[str]:
    """The sinks that are configured now; the running poller may not know them yet."""
    try:
        return list(load(config, overrides=overrides).settings.sinks)
    except ConfigError:
        return []  # the running poller has another, or we may not read it
