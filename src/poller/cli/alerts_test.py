"""``poller alerts test``, registered by `cli.alerts`: better known before it matters."""

from __future__ import annotations

import json

import typer

from poller.cli import options
from poller.cli.speaking import reach


def send_sample(
    config: options.Config = None, data_dir: options.DataDir = None, as_json: options.Json = False
) -> int:
    """Send a sample through each channel, and say what came of it.

    Every sink that leads to a person: notify (each of its addresses), webhook, mqtt. It goes past the
    queue, the quiet hours and the least severity; nothing is kept of it.
    """
    report = reach(config, options.overrides(data_dir), "alerts-test")
    if as_json:
        typer.echo(json.dumps(report))
        return int(report["exit_code"])
    for tried in report["channels"]:
        where = f"{tried['sink']}, {tried['channel']}" if tried["channel"] else tried["sink"]
        typer.echo(f"BAD  {where}: {tried['error']}" if tried["error"] else f"ok   {where}: it was taken")
        if tried["hint"]:
            typer.echo(f"     → {tried['hint']}")
    return int(report["exit_code"])
