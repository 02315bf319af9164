"""``poller simulate``: only the maker's cloud, to rehearse against."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from poller.errors import ConfigError, PollerError
from poller.runtime.clock import SystemClock

if TYPE_CHECKING:
    from poller.simulator.garage import Garage
    from poller.simulator.scenario import Scenario

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
    scenario: Annotated[
        str | None,
        typer.Option(help="Play a bad day: a shipped one by its name, or a TOML file.", metavar="SCENARIO"),
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(help="Serve the captured answers in this folder instead of moving cars.", metavar="DIR"),
    ] = None,
    cars: Annotated[
        Literal["two", "all"] | None,
        typer.Option(help="Two cars, or one of every kind; default: two.", metavar="two|all"),
    ] = None,
    quota: Annotated[
        int | None, typer.Option(min=1, help="Calls a day that the cloud allows; default: any.", metavar="N")
    ] = None,
    listen: Annotated[
        str, typer.Option(help="Loopback address and port; port 0 takes any.", metavar="ADDRESS")
    ] = "127.0.0.1:0",
    seed: Annotated[
        int | None, typer.Option(help="Which lives the simulated cars lead; default: 1.", metavar="N")
    ] = None,
    speed: Annotated[
        float, typer.Option(min=1, max=3600, help="How many times faster than real time runs.", metavar="N")
    ] = 1.0,
) -> int:
    """Serve only the simulated cloud, to rehearse against.

    On loopback, until Ctrl-C. Prints its address, the account, and the source to configure; with
    --scenario also what to look at, and what goes wrong when once a poller has its first answer.
    """
    from poller.simulator.cloud import FakeCloud
    from poller.simulator.scenario import FINE, load
    from poller.simulator.server import serve_until_stopped, split_address

    told = FINE if scenario is None else load(scenario)
    try:
        host, port = split_address(listen)
        garage = _garage(told, answers, cars, seed)
    except (OSError, ValueError) as error:
        raise ConfigError([str(error)]) from error
    cloud = FakeCloud(garage, SystemClock(speed), quota_per_day=quota or told.quota_per_day)

    def begin() -> None:
        typer.echo("\n".join(["", "It has begun.", *told.play(cloud).programme()]))

    def announce(url: str) -> None:
        _announce(url, told.story() if scenario else ())
        if scenario:
            cloud.at_first_state(begin)

    try:
        asyncio.run(serve_until_stopped(cloud, announce, host, port))
    except OSError as error:
        raise PollerError(
            f"cannot listen on {listen}: {error.strerror}", hint="choose another port, or 0 for any"
        ) from error
    return 0


def _garage(told: Scenario, answers: Path | None, cars: str | None, seed: int | None) -> Garage:
    """What stands in the garage: as the command line says, else as the scenario does.

    Raises ConfigError for options that contradict each other, OSError and ValueError for answers that
    cannot be read.
    """
    moving = cars is not None or seed is not None
    if moving and answers is not None:
        raise ConfigError(
            ["--answers serves captured answers, and --cars and --seed are about cars that move"],
            hint="leave out the one or the others",
        )
    answers = None if moving else answers or told.answers
    if answers is not None:
        from poller.simulator.folder import FolderGarage

        return FolderGarage(answers)
    from poller.simulator.garage import all_cars_garage, demo_garage

    make = all_cars_garage if (cars or told.cars) == "all" else demo_garage
    return make(told.seed if seed is None else seed)


def _announce(url: str, story: Sequence[str]) -> None:
    from poller.simulator.login import PASSWORD, REFRESH_TOKEN, USER

    typer.echo(_SNIPPET.format(url=url, user=USER, password=PASSWORD, token=REFRESH_TOKEN))
    if story:
        typer.echo("\n".join(story))
        typer.echo(f"\nWhat is going on now: {url}/_sim/faults")
        typer.echo("It begins with the first answer: when a poller is told how a car stands.")
