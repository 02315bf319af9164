"""``poller check``: the configuration, without asking anybody."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated

import typer

from poller.cli import options
from poller.disclosure import IN_WORDS
from poller.errors import ConfigError, JournalError
from poller.settings import Loaded, load
from poller.settings.writing import document, masked

Show = Annotated[bool, typer.Option("--show", help="Print every setting in force, secrets masked.")]


def check(
    config: options.Config = None,
    data_dir: options.DataDir = None,
    show: Show = False,
    as_json: options.Json = False,
) -> int:
    """Check the configuration and say what would run.

    The file is --config, else $POLLER_CONFIG, else ./config.toml if it has a [sources] table, else
    ~/.config/poller/config.toml, else /etc/poller/config.toml. All problems are named at once (exit 2).
    """
    try:
        loaded = load(config, overrides=options.overrides(data_dir))
    except ConfigError as error:
        if as_json:
            typer.echo(json.dumps({"ok": False, "problems": error.problems}))
        raise
    if as_json:
        typer.echo(json.dumps(report(loaded, left_behind(loaded))))
    elif show:
        typer.echo("\n".join(f"# {line}" for line in (_file(loaded), *loaded.warnings)))
        typer.echo(document(masked(loaded.settings)), nl=False)
    else:
        typer.echo("\n".join(summary(loaded, left_behind(loaded))))
    return 0


def left_behind(loaded: Loaded) -> dict[str, int]:
    """Sinks that the journal knows and the configuration does not (a rename?) → what waits for them."""
    from poller.journal.orphans import orphans

    try:
        return orphans(loaded.settings.data_dir / "journal.db", loaded.settings.sinks)
    except JournalError:
        return {}  # the journal of another user, say: this command is about the configuration


def report(loaded: Loaded, left: Mapping[str, int]) -> dict[str, object]:
    """What `check --json` prints; secrets are masked."""
    return {
        "ok": True,
        "file": str(loaded.path) if loaded.path else None,
        "warnings": loaded.warnings,
        "orphans": left,
        "settings": masked(loaded.settings),
    }


def summary(loaded: Loaded, left: Mapping[str, int]) -> Iterator[str]:
    """What would run, a line each."""
    settings = masked(loaded.settings)
    yield f"{_file(loaded)}: good"
    yield f"data     {settings['data_dir']}"
    listen, path = settings["web"]["listen"], settings["web"]["base_path"]
    for address in [listen] if isinstance(listen, str) else listen:
        yield f"page     {f'http://{address}{path}/' if address else 'none'}"
    for name, source in settings["sources"].items():
        interval = source["interval"] or settings["poll"]["interval"]
        yield f"source   {name}: {source['type']}, every {interval}"
    for name, vehicle in settings["vehicles"].items():
        yield f"vehicle  {name}: {vehicle['vin']}"
    for name, sink in settings["sinks"].items():
        shows = f"location {sink['location']}, VIN {sink['vin']}"
        yield f"sink     {name}: {sink['type']}, {IN_WORDS if sink['type'] == 'notify' else shows}"
    if not settings["sinks"]:
        yield "sink     none: snapshots stay in the journal"
    for name, waiting in left.items():
        mend = f"name a sink so again, or `poller sinks forget {name}`"
        yield f"orphan   {name}: {waiting} records wait for it, but there is no such sink: {mend}"
    for warning in loaded.warnings:
        yield f"warning  {warning}"


def _file(loaded: Loaded) -> str:
    return str(loaded.path) if loaded.path else "no configuration file, only variables"
