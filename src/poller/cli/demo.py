"""``poller demo``: the daemon against the built-in simulator."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from poller.runtime.clock import Clock
    from poller.settings import Loaded
    from poller.simulator.garage import Garage
    from poller.simulator.scenario import Scenario

_SOURCE = "demo"
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

[sources.{source}]
type     = "mybmw"
username = "{user}"
base_url = "{cloud}"

# A demo begins with a week of history to deliver: that is no reason to be worried.
[sinks.files]
type = "json_files"
location = "none"
max_backlog_age = "10d"

[sinks.axiom]
type    = "axiom"
url     = "{axiom}"
dataset = "cars"
token   = "{token}"
max_backlog_age = "10d"

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
    scenario: Annotated[
        str | None,
        typer.Option(help="Play a bad day, such as internet-outage, or a TOML file.", metavar="SCENARIO"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Which lives the simulated cars lead; default: 1.", metavar="N")
    ] = None,
) -> int:
    """Try it without a car: the daemon against a simulator.

    Cloud and Axiom are simulated, the files are real. The past week is there at the start. Prints the
    page's address and runs until Ctrl-C; started again, it goes on.
    """
    from poller.simulator import scenario as scenarios

    told = scenarios.load(scenario) if scenario else None
    if told is not None:
        seed = told.seed if seed is None else seed
    with contextlib.suppress(KeyboardInterrupt):  # before the daemon takes signals
        asyncio.run(_demo(folder, listen, speed, 1 if seed is None else seed, told))
    typer.echo("The demo is over.")
    return 0


async def _demo(folder: Path, listen: str, speed: float, seed: int, scenario: Scenario | None) -> None:
    """Everything around the poller, then the poller itself, until it is told to stop."""
    from poller.simulator.axiom import FakeAxiom
    from poller.simulator.cloud import FakeCloud
    from poller.simulator.garage import demo_garage
    from poller.simulator.server import serve
    from poller.warp import rehearsal_clock

    typer.echo("Two simulated cars, their maker's cloud and Axiom; nothing leaves this machine.")
    clock = rehearsal_clock(speed, folder / "data")
    garage = demo_garage(seed)
    fake = FakeCloud(garage, clock, quota_per_day=scenario.quota_per_day if scenario else None)
    async with serve(fake) as cloud, serve(FakeAxiom(clock=clock)) as axiom:

        def ready(urls: list[str]) -> None:
            _announce(urls, folder, speed)
            if scenario is not None:
                told = [*scenario.story(), "", *scenario.play(fake).programme()]
                typer.echo("\n".join(["", *told, "", f"The cloud: {cloud}/_sim/state"]))

        again = _configured(folder, _config(listen, garage.vins, cloud, axiom))
        await _poll(again, garage, clock, ready)


async def _poll(
    again: Callable[[], Loaded], garage: Garage, clock: Clock, ready: Callable[[list[str]], None]
) -> None:
    """The past, the login, and the daemon."""
    from poller.cli.login import login_to
    from poller.daemon import run_daemon
    from poller.runtime import log
    from poller.simulator.login import REFRESH_TOKEN

    loaded = again()
    log.configure(loaded.settings.log.level, loaded.settings.log.format)
    typer.echo("Filling in the past, a week at most … ", nl=False)
    filled = await _fill(loaded, garage, clock)
    typer.echo(f"{filled} snapshots." if filled else "it is there.")
    await login_to(loaded, _SOURCE, refresh_token=REFRESH_TOKEN)
    await run_daemon(loaded, clock=clock, simulated=True, ready=ready, again=again)


async def _fill(loaded: Loaded, garage: Garage, clock: Clock) -> int:
    """Give the journal the past week, or what came since an earlier demo; the daemon finds it there."""
    from poller.app import policy_of
    from poller.journal.sqlite import SqliteJournal
    from poller.road import Road, source_context
    from poller.simulator.past import fill
    from poller.sources import BUILDERS

    settings = loaded.settings
    table = settings.sources[_SOURCE]
    journal = SqliteJournal(settings.data_dir / "journal.db", policy_of(settings), clock)
    try:
        await journal.open(Road.queued_names(settings))
        source = BUILDERS[table.type](_SOURCE, table, source_context(loaded, clock, journal))
        interval = timedelta(seconds=settings.poll.interval)
        return await fill(journal, source, garage, until=clock.now(), interval=interval)
    finally:
        await journal.close()


def _config(listen: str, vins: Sequence[str], cloud: str, axiom: str) -> str:
    from poller.simulator.axiom import TOKEN
    from poller.simulator.fleet import OTHER_NAME
    from poller.simulator.login import USER

    mini, other = vins
    return _CONFIG.format(
        listen=_free(listen), mini=mini, other=other, other_name=OTHER_NAME, source=_SOURCE, user=USER,
        cloud=cloud, axiom=axiom, token=TOKEN,
    )  # fmt: skip


def _configured(folder: Path, text: str) -> Callable[[], Loaded]:
    """Write the configuration, for the demo's user to look at; gives what reads it."""
    from poller.settings import load

    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.toml"
    config.write_text(text)
    config.chmod(0o600)
    # Variables are for real pollers: their tokens and tables must not get in here.
    return functools.partial(load, config, environ={})


def _announce(urls: list[str], folder: Path, speed: float) -> None:
    typer.echo()
    for page in urls[:1]:
        typer.echo(f"  The page       {page}")
        typer.echo(f"  Metrics        {page}metrics")
    typer.echo(f"  JSON files     {folder / 'data' / 'snapshots'}")
    typer.echo(f"  Configuration  {folder / 'config.toml'}")
    typer.echo()
    typer.echo(_pace(speed))
    typer.echo("Ctrl-C ends it; started again, it goes on.")


def _pace(speed: float) -> str:
    if speed == 1:
        return "Cars and poller run in real time."
    return f"The cars live {speed:g} times faster than real time, and are asked as much more often."


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
