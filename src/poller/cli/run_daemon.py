"""``poller run`` and ``poller once``."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Iterator
from typing import Any

import typer

from poller.cli import options
from poller.cli.speaking import load_and_log, reach
from poller.cli.wording import wrapped
from poller.derive.alerts.words import count


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

    What shows the newest state (prometheus, the state of mqtt) is left to `poller run`.
    Exit code 0: good; 1: something failed; 3: a human must log in.
    """
    report = reach(config, options.overrides(data_dir, log_level), "once")
    if as_json:
        typer.echo(json.dumps(report))
    else:
        typer.echo("\n".join(wrapped(_lines(report))))
    return int(report["exit_code"])


def _lines(report: dict[str, Any]) -> Iterator[str]:
    """How it went, for people."""
    for source in report["sources"]:
        yield from _source_line(source).splitlines()
    for sink in report["sinks"]:
        yield from _sink_line(sink).splitlines()
    if report.get("idle"):
        yield f"not shown: the newest state at {', '.join(report['idle'])}: only `poller run` does that"


def _source_line(source: dict[str, Any]) -> str:
    line = f"source {source['name']}: {source['good']} snapshot{'s' * (source['good'] != 1)}"
    if source.get("error"):
        line += f", failed: {source['error']}"
    if source.get("hint"):
        line += f"\n  {source['hint']}"
    return "\n  ".join([line, *source["silences"]])


def _sink_line(sink: dict[str, Any]) -> str:
    waiting = f"{count(sink['backlog'], 'record')} waiting" if sink["backlog"] else ""
    if sink["error"]:
        parts = [f"sink {sink['name']}: {waiting or 'failed'}: {sink['error']}", sink.get("hint")]
        return "\n  ".join(part for part in parts if part)
    # A daemon that was started before an update does not tell whether it tried.
    well = "everything delivered" if sink.get("tried", True) else "nothing to deliver"
    return f"sink {sink['name']}: {f'{waiting}: not delivered yet' if waiting else well}"
