"""``poller simulate``: only the maker's cloud, to rehearse against."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from poller.errors import ConfigError, PollerError
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
        typer.Option(help="Serve the captured answers in this folder instead of moving cars.", metavar="DIR"),
    ] = None,
    listen: Annotated[
        str, typer.Option(help="Loopback address and port; port 0 takes any.", metavar="ADDRESS")
    ] = "127.0.0.1:0",
    seed: Annotated[int, typer.Option(help="Which lives the simulated cars lead.", metavar="N")] = 1,
    speed: Annotated[
        float, typer.Option(min=1, max=3600, help="How many times faster than real time runs.", metavar="N")
    ] = 1.0,
) -> int:
    """Serve only the simulated cloud, to rehearse against.

    On loopback, until Ctrl-C. Prints its address, the account, and the source to configure.
    """
    from poller.simulator.cloud import FakeCloud
    from poller.simulator.server import serve_until_stopped, split_address

    try:
        host, port = split_address(listen)
        garage = _garage(answers, seed)
    except (OSError, ValueError) as error:
        raise ConfigError([str(error)]) from error
    cloud = FakeCloud(garage, SystemClock(speed))
    try:
        asyncio.run(serve_until_stopped(cloud, _announce, host, port))
    except OSError as error:
        raise PollerError(
            f"cannot listen on {listen}: {error.strerror}", hint="choose another port, or 0 for any"
        ) from error
    return 0


def _garage(answers: Path | None, seed: int) -> Garage:
    if answers is None:
        from poller.simulator.car import demo_garage

        return demo_garage(seed)
    from poller.simulator.folder import FolderGarage

    return FolderGarage(answers)


def _announce(url: str) -> None:
    from poller.simulator.login import PASSWORD, REFRESH_TOKEN, USER

    typer.echo(_SNIPPET.format(url=url, user=USER, password=PASSWORD, token=REFRESH_TOKEN))
