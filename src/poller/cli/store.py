"""``poller backup`` and ``poller salvage``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from poller.cli import options
from poller.cli.speaking import load_and_log
from poller.errors import PollerError
from poller.settings import Loaded


def backup(
    file: Annotated[Path, typer.Argument(help="Where to write the copy.", metavar="FILE")],
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Copy the journal to FILE; a running daemon is not disturbed."""
    from poller.journal.salvage import backup as copy

    loaded = load_and_log(config, options.overrides(data_dir))
    if file.exists():
        raise PollerError(f"{file} exists already", hint="choose another name")
    copy(loaded.settings.data_dir / "journal.db", file)
    typer.echo(f"Journal copied to {file}.")
    return 0


def salvage(
    file: Annotated[Path, typer.Argument(help="A journal that was set aside.", metavar="FILE")],
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Take back what is readable of a broken journal.

    Stop the daemon first.
    """
    typer.echo(asyncio.run(_salvage(load_and_log(config, options.overrides(data_dir)), file)))
    return 0


async def _salvage(loaded: Loaded, file: Path) -> str:
    from poller.app import App
    from poller.journal.salvage import salvage as take_back

    app = App(loaded)
    try:
        await app.open()
        taken = await take_back(file, app.journal)
    finally:
        await app.close()
    return f"{taken.records} records and {taken.answers} answers taken back, {taken.lost} could not be read."
