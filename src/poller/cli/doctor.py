"""``poller doctor``: the live counterpart of ``poller check``."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from poller import __released__
from poller.cli import options
from poller.cli.speaking import load_and_log, reach
from poller.settings import Loaded
from poller.vehicle.records import parse_time
from poller.web.display import size

_LOW_DISK = 200 * 2**20


def doctor(config: options.Config = None, data_dir: options.DataDir = None) -> int:
    """Ask every source and sink once; look at disk and clock."""
    loaded = load_and_log(config, options.overrides(data_dir), warn=False)
    report = reach(config, options.overrides(data_dir), "once")
    findings = [*machine(loaded), *road(report)]
    for good, line in findings:
        typer.echo(f"{'ok  ' if good else 'BAD '} {line}")
    return max(int(report["exit_code"]), int(not all(good for good, _ in findings)))


def machine(loaded: Loaded) -> list[tuple[bool, str]]:
    """Disk and clock, as (good, line)."""
    now = datetime.now(UTC)
    clock = (now >= parse_time(__released__), f"clock: {now:%Y-%m-%d %H:%M} UTC")
    return [_disk(loaded.settings.data_dir), clock]


def _disk(folder: Path) -> tuple[bool, str]:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return False, f"disk: {folder} cannot be looked at: {error.strerror}"
    return free > _LOW_DISK, f"disk: {size(free)} free at {folder}"


def road(report: dict[str, Any]) -> list[tuple[bool, str]]:
    """Sources and sinks after one poll, as (good, line)."""
    found = []
    for source in report["sources"]:
        text = _words(source) or f"snapshots: {source['good']}"
        found.append((not source["error"], f"source {source['name']}: {text}"))
    for sink in report["sinks"]:
        text = _words(sink) or "delivered"
        found.append((not sink["error"], f"sink {sink['name']}: {text}"))  # as above
    return found


def _words(part: dict[str, Any]) -> str:
    """What is wrong with a source or sink, and what to do; empty if nothing is."""
    return " – ".join(word for word in (part["error"], part.get("hint")) if word)
