"""``poller run`` and ``poller once``."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import typer

from poller.cli import options
from poller.cli.speaking import load_and_log, reach


def run(
    config: options.Config = None,
    data_dir: options.DataDir = None,
    log_level: options.LogLevel = None,
    speed: options.Speed = 1.0,
) -> int:
    """Run the daemon in the foreground until SIGTERM or Ctrl-C."""
    from poller.daemon import run_daemon
    from poller.settings import load

    given = options.overrides(data_dir, log_level)
    loaded = load_and_log(config, given)
    daemon = run_daemon(loaded, speed=speed, again=lambda: load(config, overrides=given), ready=_begun)
    asyncio.run(daemon)
    return 0


def _begun(_addresses: list[str]) -> None:
    # What is built by now stays, as what was imported: looking through it for garbage costs at every poll.
    gc.collect(1)
    gc.freeze()


def once(
    config: options.Config = None,
    data_dir: options.DataDir = None,
    log_level: options.LogLevel = None,
    as_json: options.Json = False,
) -> int:
    """Poll everything now, deliver, and exit.

    Exit code 0: good; 1: something failed; 3: a human must log in.
    """
    report = reach(config, options.overrides(data_dir, log_level), "once")
    if as_json:
        typer.echo(json.dumps(report))
    else:
        for source in report["sources"]:
            typer.echo(_source_line(source))
        for sink in report["sinks"]:
            typer.echo(_sink_line(sink))
    return int(report["exit_code"])


def _source_line(source: dict[str, Any]) -> str:
    line = f"source {source['name']}: {source['good']} snapshot{'s' * (source['good'] != 1)}"
    if source.get("error"):
        line += f", failed: {source['error']}"
    if source.get("hint"):
        line += f"\n  {source['hint']}"
    return "\n  ".join([line, *source["silences"]])


def _sink_line(sink: dict[str, object]) -> str:
    if not sink["backlog"]:
        return f"sink {sink['name']}: everything delivered"
    return f"sink {sink['name']}: {sink['backlog']} records waiting: {sink['error'] or 'not delivered yet'}"
