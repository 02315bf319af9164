"""``poller simulate``: only the maker's cloud, to rehearse against."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from poller.runtime.clock import SystemClock
from poller.simulator.garage import Garage

_SNIPPET = """\
The simulated cloud listens at {url} until it is stopped (Ctrl-C).

  user            {user}
  password        {password}
  refresh token   {token}
  captcha token   any text, each once

For config.toml:

[sources.simulated]
type     = "mybmw"
username = "{user}"
password = "{password}"
base_url = "{url}"
"""


def simulate(
    answers: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Serve the captured answers of this folder, not moving cars."
        ),
    ] = None,
    listen: Annotated[str, typer.Option(help="Loopback address and port; port 0: any.")] = "127.0.0.1:0",
    seed: Annotated[int, typer.Option(help="The cars' luck: same seed, same lives.")] = 1,
    speed: Annotated[float, typer.Option(min=0.001, help="Let the cars' time run this much faster.")] = 1.0,
) -> None:
    """Serve a simulated MyBMW cloud on loopback, with two cars or with captured answers."""
    from poller.simulator.cloud import FakeCloud
    from poller.simulator.server import serve_until_stopped, split_address

    try:
        host, port = split_address(listen)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--listen") from error
    cloud = FakeCloud(_garage(answers, seed), SystemClock(speed))
    try:
        asyncio.run(serve_until_stopped(cloud, _announce, host, port))
    except OSError as error:
        typer.echo(f"cannot listen on {listen}: {error.strerror}; choose another --listen", err=True)
        raise typer.Exit(1) from error


def _garage(answers: Path | None, seed: int) -> Garage:
    if answers is None:
        from poller.simulator.car import CarGarage, demo_cars

        return CarGarage(demo_cars(seed))
    from poller.simulator.folder import FolderGarage

    try:
        return FolderGarage(answers)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="--answers") from error


def _announce(url: str) -> None:
    from poller.simulator.login import PASSWORD, REFRESH_TOKEN, USER

    typer.echo(_SNIPPET.format(url=url, user=USER, password=PASSWORD, token=REFRESH_TOKEN))
