"""``poller vehicle image``: the maker's pictures of the car, as files."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from poller.cli import options
from poller.cli.vehicle import addressed
from poller.cli.vehicle.addressed import Addressed
from poller.errors import PollerError
from poller.runtime.atomic import write_atomic
from poller.sources.mybmw.remote.views import VIEWS

#: Anybody may see a drawing of the model.
_MODE: Final = 0o644


def image(
    *,
    vehicle: addressed.Vehicle = None,
    directory: Annotated[
        Path,
        typer.Option("--directory", "-o", help="Where the files go; made if need be.", metavar="DIR"),
    ] = Path(),
    vin: addressed.Vin = None,
    source: addressed.Account = None,
    as_json: addressed.Json = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Write twelve pictures of the car as PNG files.

    A file that is there is replaced.
    """
    if directory.exists() and not directory.is_dir():
        raise typer.BadParameter(f"--directory: {directory} is no folder")
    whom = Addressed.of(vehicle, vin, source, config, data_dir)
    report = whom.ask("vehicle-pictures", views=list(VIEWS))
    pictures = report["pictures"]
    written = [str(_write(directory / f"{view}.png", pictures[view])) for view in VIEWS if view in pictures]
    if as_json:
        typer.echo(json.dumps({"files": written}))
    elif written:
        typer.echo("\n".join(written))
        count = "1 file" if len(written) == 1 else f"{len(written)} files"
        place = "this folder" if directory == Path() else directory
        typer.echo(f"Pictures of {report['title']} written to {place}: {count}.")
    missing = [view for view in VIEWS if view not in pictures]
    if missing:
        print(f"poller: the maker gave no PNG picture of {', '.join(missing)}", file=sys.stderr)
    return int(not written)


def _write(path: Path, picture: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, base64.b64decode(picture), _MODE)
    except OSError as error:
        raise PollerError(f"{path} cannot be written: {error.strerror}") from error
    return path
