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
        typer.Option("--directory", help="Where the files go.", metavar="DIR", exists=True, file_okay=False),
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
    whom = Addressed.of(vehicle, vin, source, config, data_dir)
    pictures = whom.ask("vehicle-pictures", views=list(VIEWS))["pictures"]
    written = [str(_write(directory / f"{view}.png", pictures[view])) for view in VIEWS if view in pictures]
    if as_json:
        typer.echo(json.dumps({"files": written}))
    else:
        typer.echo("\n".join(written))
    missing = [view for view in VIEWS if view not in pictures]
    if missing:
        print(f"poller: the maker has no picture of {', '.join(missing)}", file=sys.stderr)
    return int(not written)


def _write(path: Path, picture: str) -> Path:
    try:
        write_atomic(path, base64.b64decode(picture), _MODE)
    except OSError as error:
        raise PollerError(f"{path} cannot be written: {error.strerror}") from error
    return path
