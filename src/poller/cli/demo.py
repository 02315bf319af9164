"""``poller demo``: the daemon against the built-in simulator."""

from __future__ import annotations

import asyncio
import socket
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

_CONFIG = """\
# Written by `poller demo`. Everything here is simulated: two cars, their maker's cloud, and Axiom.
data_dir = "data"

[poll]
interval = "5m"
jitter   = "0s"

[web]
listen = "{listen}"

[log]
level = "warning"

[display]
units = "uk"
timezone = "Europe/London"

[vehicles.mini]
vin = "{mini}"

[vehicles.{other_name}]
vin = "{other}"

[sources.demo]
type     = "mybmw"
username = "{user}"
base_url = "{cloud}"

[sinks.files]
type = "json_files"
location = "none"

[sinks.axiom]
type    = "axiom"
url     = "{axiom}"
dataset = "cars"
token   = "{token}"

[sinks.prometheus]
type = "prometheus"
"""


def demo(
    folder: Annotated[
        Path, typer.Option("--folder", help="Where configuration, journal and files go.", metavar="DIR")
    ] = Path("poller-demo"),
    listen: Annotated[
        str, typer.Option(help="Address of the page; another port is taken if it is busy.", metavar="ADDRESS")
    ] = "127.0.0.1:9877",
    speed: Annotated[
        float, typer.Option(min=1, max=3600, help="How many times faster than real time runs.", metavar="N")
    ] = 60.0,
    seed: Annotated[int, typer.Option(help="Which lives the simulated cars lead.", metavar="N")] = 1,
) -> int:
    """Try it without a car: the daemon against a simulator.

    Cloud and Axiom are simulated, the files are real. Prints the page's address and runs until Ctrl-C.
    """
    asyncio.run(_demo(folder, listen, speed, seed))
    return 0


async def _demo(folder: Path, listen: str, speed: float, seed: int) -> None:
    from poller.daemon import run_daemon
    from poller.runtime import log
    from poller.runtime.clock import SystemClock
    from poller.settings import load
    from poller.simulator.axiom import TOKEN, FakeAxiom
    from poller.simulator.car import OTHER_NAME, demo_garage
    from poller.simulator.cloud import FakeCloud
    from poller.simulator.login import USER
    from poller.simulator.server import serve

    clock = SystemClock(speed, start=await _where_it_ended(folder))
    garage = demo_garage(seed)
    async with (
        serve(FakeCloud(garage, clock)) as cloud,
        serve(FakeAxiom(clock=clock)) as axiom,
    ):
        mini, other = garage.vins
        text = _CONFIG.format(
            listen=_free(listen), mini=mini, other=other, other_name=OTHER_NAME, user=USER, cloud=cloud,
            axiom=axiom, token=TOKEN,
        )  # fmt: skip
        config = _written(folder, text)
        loaded = load(config)
        log.configure(loaded.settings.log.level, loaded.settings.log.format)
        await _log_in(config)
        await run_daemon(
            loaded,
            clock=clock,
            simulated=True,
            ready=lambda urls: _announce(urls, folder, speed),
            again=lambda: load(config),
        )
    typer.echo("The demo is over.")


async def _where_it_ended(folder: Path) -> datetime | None:
    """The newest record of the demo before this one, which ran ahead of the time; None: begin now."""
    from poller.journal.base import Policy
    from poller.journal.sqlite import SqliteJournal
    from poller.runtime.clock import SystemClock

    path = folder / "data" / "journal.db"
    if not path.is_file():
        return None
    clock = SystemClock()
    journal = SqliteJournal(path, Policy(), clock)
    try:
        await journal.open(())
        newest = (await journal.stats()).newest_at
    finally:
        await journal.close()
    return newest if newest is not None and newest > clock.now() else None


def _written(folder: Path, text: str) -> Path:
    """The configuration of the demo, for its user to look at."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.toml"
    config.write_text(text)
    config.chmod(0o600)
    return config


async def _log_in(config: Path) -> None:
    from poller.cli.login import login_to
    from poller.settings import load
    from poller.simulator.login import REFRESH_TOKEN

    await login_to(load(config), "demo", refresh_token=REFRESH_TOKEN)


def _announce(urls: list[str], folder: Path, speed: float) -> None:
    for page in urls[:1]:
        typer.echo(f"The page      {page}")
        typer.echo(f"Metrics       {page}metrics")
    typer.echo(f"JSON files    {folder / 'data' / 'snapshots'}")
    typer.echo(f"Configuration {folder / 'config.toml'}")
    typer.echo(f"Two simulated cars, {speed:g} times faster than real time. Ctrl-C ends it.")


def _free(listen: str) -> str:
    """`listen`, or any free port of the same host where it is busy."""
    host, _, port = listen.rpartition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return f"{host}:0"
        except (ValueError, OverflowError):
            return listen  # the settings say what is wrong with it
    return listen
