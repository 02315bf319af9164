"""``poller demo``: the daemon against the built-in simulator."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import shlex
import socket
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poller.errors import ConfigError, JournalError, JournalLocked, PollerError

if TYPE_CHECKING:
    from poller.runtime.clock import Clock
    from poller.settings import Loaded
    from poller.simulator.cardata.telling import TellingCar
    from poller.simulator.garage import Garage
    from poller.simulator.scenario import Scenario
    from poller.sources.base import Source

_SOURCE = "demo"
_CARDATA = "cardata"
SPEED = 60.0
#: Real seconds until a login that is allowed by itself is asked about.
_LOGIN_SECONDS = 0.02
#: Real seconds until the car at CarData sends all it has: the poller listens by then.
_BURST_SECONDS = 2.0
#: How a configuration begins that a demo may write anew.
_OURS = "# Written by `poller demo`"
_CONFIG = """\
{ours}. Everything here is simulated: three cars, their maker's two clouds, and Axiom.
data_dir = "data"

[poll]
interval = "5m"
jitter   = "0s"

[web]
listen = "{listen}"

[log]
level = "info"

[display]
units = "uk"
timezone = "Europe/London"

[vehicles.mini]
vin = "{mini}"

[vehicles.{other_name}]
vin = "{other}"

[vehicles.{third_name}]
vin = "{third}"

[sources.{cardata}]
type       = "cardata"
client_id  = "{client}"
auth_url   = "{cloud}{prefix}"
api_url    = "{cloud}{prefix}"
stream_url = "{stream}"

[sources.{source}]
type     = "mybmw"
username = "{user}"
password = "{password}"
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
        str, typer.Option(help="Where configuration, journal and files go.", metavar="DIR")
    ] = "poller-demo",
    listen: Annotated[
        str, typer.Option(help="Address of the page; another port is taken if it is busy.", metavar="ADDRESS")
    ] = "127.0.0.1:9877",
    speed: Annotated[
        float, typer.Option(min=1, max=3600, help="How many times faster than real time runs.", metavar="N")
    ] = SPEED,
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
    if not folder:
        raise ConfigError(["--folder is empty: name a folder for the demo, such as poller-demo"])
    if told is not None:
        seed = told.seed if seed is None else seed
    address = _address(listen)
    rehearse(Path(folder), address, speed, 1 if seed is None else seed, told)
    return 0


def rehearse(
    folder: Path,
    address: tuple[str, int],
    speed: float = SPEED,
    seed: int = 1,
    scenario: Scenario | None = None,
) -> None:
    """The demo until a signal ends it. Raises PollerError if it cannot start."""
    with contextlib.suppress(KeyboardInterrupt):  # before the daemon takes signals
        asyncio.run(_demo(folder, address, speed, seed, scenario))
    typer.echo("The demo is over.")


async def _demo(
    folder: Path, address: tuple[str, int], speed: float, seed: int, scenario: Scenario | None
) -> None:
    """Everything around the poller, then the poller itself, until it is told to stop."""
    from poller.simulator.axiom import FakeAxiom
    from poller.simulator.cardata.cloud import FakeCarData
    from poller.simulator.cloud import FakeCloud
    from poller.simulator.fault import Fault
    from poller.simulator.garage import cardata_cars, demo_garage
    from poller.simulator.server import serve
    from poller.warp import rehearsal_clock

    with _owned(folder):  # a folder that cannot be used is refused before anything is said or served
        clock = rehearsal_clock(speed, folder / "data")
    garage = demo_garage(seed)
    # Nobody waits for a login that is allowed by itself.
    cardata = FakeCarData(
        cardata_cars(seed), clock, seed=seed, automatic=True, interval=_LOGIN_SECONDS * clock.rate
    )
    quota = scenario.quota_per_day if scenario else None
    fake = FakeCloud(garage, clock, quota_per_day=quota, cardata=cardata)
    async with (
        cardata.serve_stream() as stream,
        serve(fake) as cloud,
        serve(FakeAxiom(clock=clock)) as axiom,
    ):

        def ready(urls: list[str]) -> None:
            _announce(urls, address, folder, speed)
            # As if its owner looked into the app: the stream has more to say than REST's first answer.
            fake.faults.add(Fault(kind="burst", after=_BURST_SECONDS * clock.rate))
            if scenario is not None:
                told = [
                    *scenario.story(),
                    "",
                    *scenario.play(fake).programme(),
                    *_mended_by(scenario, folder),
                ]
                typer.echo("\n".join(["", *told, "", f"The cloud: {cloud}/_sim/state"]))

        def configured(address: tuple[str, int]) -> Callable[[], Loaded]:
            vins = (*garage.vins, *cardata.cars)
            return _configured(folder, _config(address, vins, cloud, stream, axiom))

        with _owned(folder):
            again = configured(_free(address))
        typer.echo("Three simulated cars, their maker's clouds and Axiom; nothing leaves this machine.")
        await _prepare(again(), garage, tuple(cardata.cars.values()), clock)
        try:
            await _poll(again, clock, ready)
        except PollerError as error:
            if not _is_busy(error.__cause__):
                raise
            # Another demo was quicker since we looked.
            await _poll(configured((address[0], 0)), clock, ready)


async def _prepare(loaded: Loaded, garage: Garage, cars: Sequence[TellingCar], clock: Clock) -> None:
    """The past and the logins."""
    from poller.cli.login import login_to
    from poller.runtime import log
    from poller.simulator.login import REFRESH_TOKEN

    log.configure(loaded.settings.log.level, loaded.settings.log.format)
    typer.echo("Filling in the past, a week at most …")
    filled = await _fill(loaded, garage, cars, clock)
    typer.echo(f"{filled} snapshots." if filled else "It is there.")
    await login_to(loaded, _SOURCE, refresh_token=REFRESH_TOKEN)
    await _log_in_to_cardata(loaded, clock)


async def _log_in_to_cardata(loaded: Loaded, clock: Clock) -> None:
    """As `poller login` does it, on the demo's clock; the simulator presses the button by itself."""
    from poller.road import source_context
    from poller.sources import BUILDERS
    from poller.sources.base import NoMemory

    table = loaded.settings.sources[_CARDATA]
    source: Any = BUILDERS[table.type](_CARDATA, table, source_context(loaded, clock, NoMemory()))
    await source.open()
    try:
        await source.finish_login(await source.begin_login())
    finally:
        await source.close()


async def _poll(again: Callable[[], Loaded], clock: Clock, ready: Callable[[list[str]], None]) -> None:
    from poller.daemon import run_daemon

    await run_daemon(again(), clock=clock, simulated=True, ready=ready, again=again)


async def _fill(loaded: Loaded, garage: Garage, cars: Sequence[TellingCar], clock: Clock) -> int:
    """Give the journal the past week, or what came since an earlier demo; the daemon finds it there."""
    from poller.app import policy_of
    from poller.journal.sqlite import SqliteJournal
    from poller.road import Road, source_context
    from poller.simulator import past
    from poller.simulator.cardata import past as cardata_past
    from poller.sources import BUILDERS

    settings = loaded.settings
    journal = SqliteJournal(settings.data_dir / "journal.db", policy_of(settings), clock)

    def source(name: str) -> Source:
        table = settings.sources[name]
        return BUILDERS[table.type](name, table, source_context(loaded, clock, journal))

    until, interval = clock.now(), timedelta(seconds=settings.poll.interval)
    try:
        await journal.open(Road.queued_names(settings))
        filled = await past.fill(journal, source(_SOURCE), garage, until=until, interval=interval)
        # Its states are large: a third as many keep the start short.
        more = cardata_past.fill(journal, source(_CARDATA), cars, until=until, interval=3 * interval)
        return filled + await more
    finally:
        await journal.close()


def _config(address: tuple[str, int], vins: Sequence[str], cloud: str, stream: str, axiom: str) -> str:
    from poller.simulator.axiom import TOKEN
    from poller.simulator.cardata.cloud import PREFIX
    from poller.simulator.cardata.login import CLIENT_ID
    from poller.simulator.fleet import CARDATA_NAME, OTHER_NAME
    from poller.simulator.login import PASSWORD, USER

    mini, other, third = vins
    return _CONFIG.format(
        ours=_OURS, listen=_written(address), mini=mini, other=other, other_name=OTHER_NAME, third=third,
        third_name=CARDATA_NAME, source=_SOURCE, cardata=_CARDATA, client=CLIENT_ID, prefix=PREFIX,
        stream=stream, user=USER, password=PASSWORD, cloud=cloud, axiom=axiom, token=TOKEN,
    )  # fmt: skip


@contextlib.contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """Make the folder, and keep other pollers out of it meanwhile.

    Raises ConfigError for a folder with somebody's own configuration, PollerError for one that cannot be
    used, JournalLocked where another demo runs.
    """
    from poller.journal.lock import DirectoryLock
    from poller.journal.place import prepare_folder

    lock = DirectoryLock(folder / "data")
    try:
        _refuse_foreign(folder / "config.toml")
        prepare_folder(folder / "data")
        lock.acquire()
        yield
    except JournalLocked as error:
        raise JournalLocked(error.message, hint="stop it first, or choose another --folder") from error
    except JournalError as error:
        raise PollerError(error.message, hint="choose another --folder") from error
    except OSError as error:
        raise PollerError(
            f"--folder {folder} cannot be used: {error.strerror}", hint="choose another --folder"
        ) from error
    finally:
        lock.release()


def _refuse_foreign(config: Path) -> None:
    try:
        text = config.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return
    if not text.startswith(_OURS):
        raise ConfigError(
            [f"{config} was not written by `poller demo`, which would overwrite it"],
            hint="choose another --folder",
        )


def _configured(folder: Path, text: str) -> Callable[[], Loaded]:
    """Write the configuration, for the demo's user to look at; gives what reads it."""
    from poller.settings import load

    config = folder / "config.toml"
    config.write_text(text)
    config.chmod(0o600)
    # Variables are for real pollers: their tokens and tables must not get in here.
    return functools.partial(load, config, environ={})


def _announce(urls: list[str], asked: tuple[str, int], folder: Path, speed: float) -> None:
    _, port = asked
    typer.echo()
    for page in urls[:1]:
        if port and not page.endswith(f":{port}/"):
            typer.echo(f"  {port} is busy, so:")
        typer.echo(f"  The page       {page}")
        typer.echo(f"  Metrics        {page}metrics")
    typer.echo(f"  JSON files     {folder / 'data' / 'snapshots'}")
    typer.echo(f"  Configuration  {folder / 'config.toml'}")
    typer.echo(f"  Other commands {_command('status', folder)}")
    typer.echo()
    typer.echo(_pace(speed))
    typer.echo("Ctrl-C ends it; started again, it goes on.")


def _command(words: str, folder: Path) -> str:
    """Another command about this demo, to be pasted into a shell."""
    command = f"poller {words} --config {shlex.quote(str(folder / 'config.toml'))}"
    if "POLLER_DATA_DIR" in os.environ:  # for that command it counts, as it does not for the demo
        command += f" --data-dir {shlex.quote(str(folder / 'data'))}"
    return command


def _mended_by(scenario: Scenario, folder: Path) -> list[str]:
    """Where a login dies: the line that mends it."""
    commands = {
        "login_refused": f"login {_SOURCE} --captcha-token anything",
        "login_lost": f"login {_CARDATA}",
    }
    needed = {fault.kind for fault in scenario.faults} & commands.keys()
    lines = [f"To log in: {_command(commands[kind], folder)}" for kind in sorted(needed)]
    return ["", *lines] if lines else []


def _pace(speed: float) -> str:
    if speed == 1:
        return "Cars and poller run in real time."
    return (
        f"The cars live {speed:g} times faster than real time, and are asked as much more often;\n"
        "page and files show their time, log lines carry real time."
    )


def _address(listen: str) -> tuple[str, int]:
    """Host and port of `--listen`. Raises ConfigError for what is no address of this machine alone."""
    from poller.simulator.server import split_address

    try:
        return split_address(listen)
    except ValueError as error:
        raise ConfigError(
            [f"--listen: {error}"],
            hint="to look at it from another machine, run there: ssh -L 9877:127.0.0.1:9877 SERVER",
        ) from error


def _free(address: tuple[str, int]) -> tuple[str, int]:
    """`address`, or any free port of the same host where it is busy. Raises PollerError for others."""
    host, _ = address
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if _is_busy(error):
                return host, 0
            raise PollerError(
                f"--listen: cannot listen on {_written(address)}: {error.strerror}",
                hint="choose another port above 1023, or 0 for any, such as --listen 127.0.0.1:0",
            ) from error
    return address


def _is_busy(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EADDRINUSE


def _written(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
