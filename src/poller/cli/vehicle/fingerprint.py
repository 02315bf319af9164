"""``poller vehicle fingerprint``: the answers without persons, in a folder, for a bug report."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from poller.cli import options
from poller.cli.new_file import new_file
from poller.cli.speaking import load_and_log, reach
from poller.errors import ConfigError, PollerError

Files = Iterable[tuple[str, str]]


def fingerprint(
    *,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--directory",
            "-o",
            help="A new folder; default: vehicle_fingerprint/<date_time>.",
            metavar="DIR",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="All answers from then on, not only the newest: 2026-11-21.", metavar="TIME"),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All answers that the journal has.")] = False,
    answers: Annotated[
        Path | None,
        typer.Option(
            help="Of the captures in this folder; no configuration is needed.",
            metavar="DIR",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Write what BMW answered, without who and where.

    For a bug report: VINs, positions, addresses, names and tokens are replaced. What could not be
    understood is in it too. Look through it before you send it.
    """
    if answers is not None and (since is not None or everything):
        raise ConfigError(["--answers: not with --since or --all"], hint="a folder is taken whole")
    folder = directory or Path("vehicle_fingerprint", f"{datetime.now():%Y-%m-%d_%H-%M-%S}")  # noqa: DTZ005  # the name is for the person at this machine
    if os.path.lexists(folder):
        raise PollerError(f"{folder} exists already", hint="choose another folder with --directory")
    moment = None if since is None else options.moment("--since", since)
    if everything:
        moment = datetime.min.replace(tzinfo=UTC)
    overrides = options.overrides(data_dir)
    if answers is not None:
        count, replaced = _of_folder(answers, folder)
    elif moment is not None:
        count, replaced = _of_past(config, overrides, moment, folder)
    else:
        report = reach(config, overrides, "fingerprint")
        count, replaced = _write(folder, report["files"].items()), report["replaced"]
    if not count:
        raise PollerError("there is no answer of a vehicle yet", hint="`poller once` asks for one now")
    typer.echo(f"Fingerprint written to {folder}: {count} files.")
    typer.echo(f"Replaced: {replaced}.")
    typer.echo("Look through it before you send it; then it belongs, packed, to your report.")
    return 0


def _of_folder(answers: Path, folder: Path) -> tuple[int, str]:
    from poller.fingerprint.anonymous import Anonymiser
    from poller.fingerprint.from_folder import Folder
    from poller.fingerprint.readme import summary

    made = Folder(answers, Anonymiser())
    count = _write(folder, made.written())
    if not count:
        raise ConfigError([f"{answers} holds no captured answers"], hint="JSON files, or texts")
    return count, summary(made.anonymiser.replaced)


def _of_past(
    config: Path | None, overrides: Mapping[str, str], moment: datetime, folder: Path
) -> tuple[int, str]:
    """Too much for one answer of the daemon: read beside it, as `poller export` does."""
    from poller.fingerprint.from_journal import bundle_hiding, since
    from poller.fingerprint.readme import summary
    from poller.journal.past import Past

    settings = load_and_log(config, overrides).settings
    past = Past(settings.data_dir / "journal.db")
    vins = {*past.vins(), *settings.names}
    made = bundle_hiding(vins, settings.sources.values())
    count = _write(folder, made.written(lambda: since(past, moment)))
    if past.unreadable:  # it was read twice
        print(f"poller: {past.unreadable // 2} answers are damaged and could not be read", file=sys.stderr)
    return count, summary(made.anonymiser.replaced)


def _write(folder: Path, files: Files) -> int:
    """How many were written; the folder is made with the first, and only its owner can read it."""
    count = 0
    try:
        for name, text in files:
            path = folder / name
            if not count:
                folder.parent.mkdir(parents=True, exist_ok=True)
                folder.mkdir(mode=0o700)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with new_file(path) as file:
                file.write(text)
            count += 1
    except OSError as error:
        raise PollerError(f"{error.filename} cannot be written: {error.strerror}") from error
    return count
