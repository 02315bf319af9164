"""``poller alerts``: what is raised and not over; `poller alerts test` is in `alerts_test`."""

from __future__ import annotations

import json

import typer

from poller.cli import options
from poller.cli.alerts_test import send_sample
from poller.cli.speaking import reach
from poller.cli.wording import wrapped
from poller.vehicle.display import ago
from poller.vehicle.records import Json, parse_time

app = typer.Typer(help="What is raised and not over.")


@app.callback(invoke_without_command=True)
def alerts(
    context: typer.Context,
    config: options.Config = None,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> int:
    """List the alerts that are raised and not over, about cars and about the poller itself.

    Exit code 0 whether there are any or not.
    """
    if context.invoked_subcommand is not None:
        return 0
    report = reach(config, options.overrides(data_dir), "status")
    found: list[Json] = report["alerts"]
    if as_json:
        typer.echo(json.dumps({"alerts": found}))
        return 0
    for alert in found:
        raised = ago(parse_time(alert["raised_at"]), parse_time(report["now"]))
        typer.echo(f"{alert['severity']:<8}  {alert['title']} ({raised})")
        typer.echo("\n".join(wrapped([f"{'':<8}  {alert['text']}"])))
    if not found:
        typer.echo("No alerts.")
    return 0


app.command("test")(send_sample)
