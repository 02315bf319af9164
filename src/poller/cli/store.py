"""``poller backup`` and ``poller salvage``."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poller.cli import options
from poller.cli.speaking import load_and_log, service_socket, socket_despite
from poller.errors import ConfigError, JournalError, PollerError
from poller.settings import Loaded
from poller.vehicle.display import size

if TYPE_CHECKING:
    from poller.journal.salvage import Salvaged


def backup(
    file: Annotated[Path, typer.Argument(help="Where to write the copy; a new file.", metavar="FILE")],
    with_logins: Annotated[
        bool, typer.Option("--with-logins", help="Also write FILE.logins.tar: logins, installation key.")
    ] = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Copy the journal to FILE; a daemon may be running.

    The copy holds full VINs and positions, the logins are passwords: only you can read them.
    """
    from poller.journal.backup import archive
    from poller.journal.backup import backup as copy

    folder = _folder(config, data_dir)
    if os.path.lexists(file):  # known before the smaller part is written
        raise PollerError(f"{file} exists already", hint="choose another name")
    logins = file.with_name(f"{file.name}.logins.tar")
    if with_logins:
        archive(folder, _logins(), logins)
    try:
        copy(folder / "journal.db", file, _progress() if sys.stderr.isatty() else None)
    except BaseException:
        if with_logins:
            logins.unlink(missing_ok=True)
        raise
    typer.echo(f"Journal copied to {file} ({size(file.stat().st_size)}).")
    if with_logins:
        typer.echo(f"Logins and installation key are in {logins}.")
    return 0


def _folder(config: Path | None, data_dir: Path | None) -> Path:
    """Where the journal lies; the configuration is not needed where it is known without."""
    from poller.web.control import ControlClient

    if data_dir is not None:
        return data_dir
    try:
        folder = load_and_log(config).settings.data_dir
    except ConfigError:
        # Secrets that only the service is given, say: the running one knows where it keeps its data.
        door = socket_despite(config, {})
        if door is None:
            raise
        return Path(ControlClient(door).call("status")["journal"]["path"]).parent
    if not os.path.lexists(folder) and service_socket(config, {}):
        # Without root, data_dir is not the service's; and its group may operate it, not take all it knows.
        words = "the running poller is a service, and its journal is its own"
        raise PollerError(words, hint="run this with sudo")
    return folder


def _logins() -> tuple[str, ...]:
    from poller.road import KEY_FILE
    from poller.sources.login_file import FOLDER

    return FOLDER, KEY_FILE


def _progress() -> Callable[[int, int], None]:
    """Says on the terminal how much is copied; checking it comes after."""

    def tell(left: int, total: int) -> None:
        done = f"copied {100 * (total - left) // max(1, total)} %"
        print(f"\r{done if left else 'checking the copy'.ljust(20)}", end="", file=sys.stderr, flush=True)
        if not left:
            print("\r", end="", file=sys.stderr)

    return tell


def salvage(
    file: Annotated[Path, typer.Argument(help="A journal that was set aside.", metavar="FILE")],
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Take back what is readable of a broken journal.

    Stop the daemon first. Exits 1 if there were records and none could be read.
    """
    taken = asyncio.run(_salvage(load_and_log(config, options.overrides(data_dir)), file))
    counts = f"{taken.records} records and {taken.answers} answers taken back"
    typer.echo(f"{counts}, {taken.lost} could not be read.")
    return 1 if taken.lost and not taken.records else 0


async def _salvage(loaded: Loaded, file: Path) -> Salvaged:
    from poller.app import App
    from poller.journal.salvage import salvage as take_back

    app = App(loaded)
    try:
        await app.open()
        taken = await take_back(file, app.journal)
        # Notes that what came back waits only from now on, whenever the daemon is started.
        with suppress(JournalError):
            for delivery in app.road.deliveries.values():
                await delivery.refresh()
        return taken
    finally:
        await app.close()
