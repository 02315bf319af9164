"""``poller doctor``: the live counterpart of ``poller check``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from poller import __released__
from poller.cli import options
from poller.cli.speaking import load_and_log, reach
from poller.cli.wording import wrapped
from poller.settings import Loaded
from poller.sources.findings import Finding
from poller.vehicle.display import size
from poller.vehicle.records import parse_time

_LOW_DISK = 200 * 2**20
_MARKS = {"ok": "ok  ", "warn": "warn", "bad": "BAD "}


def doctor(
    config: options.Config = None, data_dir: options.DataDir = None, as_json: options.Json = False
) -> int:
    """Look at your data's whole way, and name what mends it.

    Disk, clock, every source and every sink. Of a CarData source: DNS, TLS, login, scopes, mapping,
    container, and which descriptors have come; that costs two of the day's calls at most. Other
    sources are polled once.
    """
    loaded = load_and_log(config, options.overrides(data_dir), warn=False)
    report = reach(config, options.overrides(data_dir), "doctor")
    findings = [*map(asdict, machine(loaded)), *report["findings"]]
    bad = any(finding["level"] == "bad" for finding in findings)
    exit_code = max(int(report["exit_code"]), int(bad))
    if as_json:
        typer.echo(json.dumps({"findings": findings, "calls": report["calls"], "exit_code": exit_code}))
    else:
        typer.echo("\n".join(wrapped(lines(findings, report["calls"]))))
    return exit_code


def lines(findings: list[dict[str, Any]], calls: int) -> Iterator[str]:
    """A line each, and another one for what mends it."""
    for finding in findings:
        yield f"{_MARKS[finding['level']]} {finding['subject']}: {finding['text']}"
        if finding["mend"]:
            yield f"     → {finding['mend']}"
    yield f"{calls} of the day's REST calls {'was' if calls == 1 else 'were'} spent on this."


def machine(loaded: Loaded) -> list[Finding]:
    """Disk and clock."""
    now = datetime.now(UTC)
    right = now >= parse_time(__released__)
    mend = None if right else "set this machine's clock: it is older than this release"
    return [
        _disk(loaded.settings.data_dir),
        Finding("ok" if right else "bad", "clock", f"{now:%Y-%m-%d %H:%M} UTC", mend),
    ]


def _disk(folder: Path) -> Finding:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        text = f"{folder} cannot be looked at: {error.strerror}"
        return Finding("bad", "disk", text, "look at `data_dir`, and who may enter it")
    good = free > _LOW_DISK
    mend = None if good else "make room, or choose another `data_dir`"
    return Finding("ok" if good else "bad", "disk", f"{size(free)} free at {folder}", mend)
