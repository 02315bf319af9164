"""``poller export``: the journal's past for another database."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Literal

import typer

from poller.cli import options
from poller.cli.new_file import new_file
from poller.cli.speaking import load_and_log
from poller.errors import ConfigError, PollerError

if TYPE_CHECKING:
    from poller.export.openmetrics import Exported
    from poller.settings import Loaded
    from poller.sinks.prometheus import VehicleCollector

_LABEL = re.compile(r"([a-z_][a-z0-9_]*)=(.+)")
#: What every series of a car has already.
_TAKEN = {"vehicle", "source", "signal", "position", "service", "message"}


def export(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write to this new file, not to stdout.", metavar="FILE"),
    ] = None,
    form: Annotated[
        Literal["openmetrics"], typer.Option("--format", help="openmetrics: for Prometheus and others.")
    ] = "openmetrics",
    since: Annotated[
        str | None,
        typer.Option("--from", help="From this time on: 2026-11-21 or an RFC 3339 time.", metavar="T"),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="Up to this time, with it; default: all.", metavar="T")
    ] = None,
    step: Annotated[
        str, typer.Option(help="A sample at each change and at least so often; 5m is what graphs bridge.")
    ] = "5m",
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label", help="Add this label to every series; may be repeated.", metavar="NAME=VALUE"
        ),
    ] = None,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Write the cars' past as /metrics would have shown it.

    Reads the journal beside a running daemon. `promtool tsdb create-blocks-from openmetrics` makes blocks
    for Prometheus of it.
    """
    from poller.export.openmetrics import export as write
    from poller.journal.history import History

    _ = form  # the only one yet
    problems: list[str] = []
    first, last = _moment("--from", since, problems), _moment("--to", until, problems)
    seconds, labels = _seconds(step, problems), _labels(label or [], problems)
    if problems:
        raise ConfigError(problems)
    loaded = load_and_log(config, options.overrides(data_dir))
    history = History(loaded.settings.data_dir / "journal.db")
    try:
        with _opened(output) as to:
            done = write(history.snapshots(first, last), collector(loaded), to, step=seconds, labels=labels)
    except BrokenPipeError:
        # Whoever read it has had enough. Nothing must be flushed at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    print(_summary(done, history.unreadable), file=sys.stderr)
    return int(history.unreadable > 0)


def collector(loaded: Loaded) -> VehicleCollector:
    """What turns vehicles into samples, as the configured prometheus sink does: same names, same privacy."""
    from poller.road import installation_key
    from poller.runtime.clock import SystemClock
    from poller.sinks.prometheus import VehicleCollector
    from poller.sinks.settings import PrometheusSettings
    from poller.vehicle.privacy import Rendering

    settings = loaded.settings
    found = (sink for sink in settings.sinks.values() if isinstance(sink, PrometheusSettings))
    sink = next(found, PrometheusSettings(type="prometheus"))
    key = installation_key(settings.data_dir) if sink.vin == "hash" else b""
    rendering = Rendering(settings.names, sink.location, sink.vin, key)
    # An age by today's clock would withhold the whole past.
    return VehicleCollector("export", rendering, SystemClock(), sink.model_copy(update={"max_age": 0.0}))


@contextmanager
def _opened(output: Path | None) -> Iterator[IO[str]]:
    """Stdout, or a new file that goes again if it is not finished."""
    if output is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    try:
        with new_file(output) as file:
            try:
                yield file
                file.flush()
            except BaseException:
                output.unlink(missing_ok=True)
                raise
    except FileExistsError as error:
        raise PollerError(f"{output} exists already", hint="choose another name") from error
    except OSError as error:
        raise PollerError(f"{output} cannot be written: {error.strerror}") from error


def _summary(done: Exported, unreadable: int) -> str:
    if done.first is None or done.last is None:
        return "There is no snapshot in that time."
    words = f"{done.samples:,} samples from {done.snapshots:,} snapshots of {done.vehicles} vehicles, "
    words += f"{done.first:%Y-%m-%d %H:%M} to {done.last:%Y-%m-%d %H:%M} UTC."
    return words + (f" {unreadable} records could not be read." if unreadable else "")


def _moment(option: str, text: str | None, problems: list[str]) -> datetime | None:
    try:
        return None if text is None else options.moment(option, text)
    except ConfigError as error:
        problems += error.problems
        return None


def _seconds(text: str, problems: list[str]) -> float:
    from poller.runtime.quantities import seconds

    try:
        if (given := seconds(text)) >= 1:
            return given
        problems.append("--step: one second at least")
    except ValueError as error:
        problems.append(f"--step: {error}")
    return 1.0


def _labels(given: list[str], problems: list[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for text in given:
        match = _LABEL.fullmatch(text)
        if match is None:
            problems.append(f"--label: cannot read {text!r}: write job=poller")
        elif match[1] in _TAKEN or match[1].startswith(("vehicle_", "__")):
            problems.append(f"--label: {match[1]} is a label of its own: choose another name")
        else:
            labels[match[1]] = match[2]
    return labels
