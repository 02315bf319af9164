"""``poller simulate``: only the maker's cloud, to rehearse against."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from poller.errors import ConfigError, PollerError
from poller.runtime.clock import SystemClock

if TYPE_CHECKING:
    from poller.simulator.cardata.cloud import FakeCarData
    from poller.simulator.cloud import FakeCloud
    from poller.simulator.garage import Garage
    from poller.simulator.scenario import Scenario

Address = tuple[str, int]

_ADDRESS = """\
The simulated BMW listens at {url} until it is stopped (Ctrl-C).
"""
_CARDATA_LOGIN = """\
CarData: `poller login` shows a code; enter it here{automatic}
  login page      {url}{prefix}/oneid/link
"""
_MYBMW_LOGIN = """\
MyBMW: `poller login` takes
  user            {user}
  password        {password}
  refresh token   {token}
  captcha token   any text, each once
With region = "china" it takes
  user            {china_user}
  password        {china_password}
  refresh token   {china_token}
  gcid            {china_gcid}
"""
_REMOTE = """\
Remote services (`poller vehicle …`) are answered, and cars that move obey them.
What was ordered: {url}/_sim/state
"""
_CARDATA_INIT = """\
A configuration for it: poller init --simulated {url}{prefix} {stream}
"""
_CARDATA_TABLE = """\
[sources.home]
type       = "cardata"
client_id  = "{client}"
auth_url   = "{url}{prefix}"
api_url    = "{url}{prefix}"
stream_url = "{stream}"
"""
_MYBMW_TABLE = """\
[sources.simulated]
type     = "mybmw"
username = "{user}"
password = "{password}"
base_url = "{url}"
"""


def simulate(
    *,
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
        int | None,
        typer.Option(min=1, help="Calls a day; default: 50 of CarData, any of MyBMW.", metavar="N"),
    ] = None,
    allow_logins: Annotated[
        bool, typer.Option("--allow-logins", help="Allow each CarData login at once, without its page.")
    ] = False,
    listen: Annotated[
        str, typer.Option(help="Loopback address and port; port 0 takes any.", metavar="ADDRESS")
    ] = "127.0.0.1:0",
    stream: Annotated[
        str, typer.Option(help="The same for CarData's stream.", metavar="ADDRESS")
    ] = "127.0.0.1:0",
    seed: Annotated[
        int | None, typer.Option(help="Which lives the simulated cars lead; default: 1.", metavar="N")
    ] = None,
    speed: Annotated[
        float, typer.Option(min=1, max=3600, help="How many times faster than real time runs.", metavar="N")
    ] = 1.0,
) -> int:
    """Serve only the simulated cloud, to rehearse against.

    On loopback, until Ctrl-C. Prints its address, the accounts, and the sources to configure; with
    --scenario also what to look at, and, after a poller's first answer, what goes wrong when.
    """
    from poller.simulator.cloud import FakeCloud
    from poller.simulator.scenario import FINE, load
    from poller.simulator.server import split_address

    told = FINE if scenario is None else load(scenario)
    try:
        addresses = split_address(listen), split_address(stream)
        garage = _garage(told, answers, cars, seed)
    except (OSError, ValueError) as error:
        raise ConfigError([str(error)]) from error
    clock = SystemClock(speed)
    cardata = _cardata(garage, clock, per_day=quota, seed=seed or told.seed, automatic=allow_logins)
    cloud = FakeCloud(garage, clock, quota_per_day=quota or told.quota_per_day, cardata=cardata)

    def begin() -> None:
        typer.echo("\n".join(["", "It has begun.", *told.play(cloud).programme()]))

    def announce(url: str, stream_url: str) -> None:
        _announce(url, stream_url, told.story() if scenario else (), automatic=allow_logins)
        if scenario:
            cloud.at_first_state(begin)

    asyncio.run(_serve(cloud, addresses, announce))
    return 0


async def _serve(
    cloud: FakeCloud, addresses: tuple[Address, Address], announce: Callable[[str, str], None]
) -> None:
    """Cloud and stream until a signal; `announce` gets their URLs, of the stream "" where there is none."""
    from poller.simulator.server import serve_until_stopped

    web, broker = addresses
    async with AsyncExitStack() as stack:
        stream_url = ""
        if cloud.cardata is not None:
            with _listening(broker):
                stream_url = await stack.enter_async_context(cloud.cardata.serve_stream(*broker))
        with _listening(web):
            await serve_until_stopped(cloud, lambda url: announce(url, stream_url), *web)


@contextmanager
def _listening(address: Address) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PollerError(
            f"cannot listen on {address[0]}:{address[1]}: {error.strerror}",
            hint="choose another port, or 0 for any",
        ) from error


def _cardata(
    garage: Garage, clock: SystemClock, *, per_day: int | None, seed: int, automatic: bool
) -> FakeCarData | None:
    """The same cars at CarData; captured answers of the app's cloud are none of CarData's."""
    from poller.simulator.cardata.cloud import FakeCarData
    from poller.simulator.garage import CarGarage

    if not isinstance(garage, CarGarage):
        return None
    cars = tuple(garage.cars.values())
    return FakeCarData(cars, clock, seed=seed, per_day=per_day or 50, automatic=automatic)


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


def _announce(url: str, stream: str, story: Sequence[str], *, automatic: bool) -> None:
    from poller.simulator import china_login as china
    from poller.simulator.cardata.cloud import PREFIX
    from poller.simulator.cardata.login import CLIENT_ID
    from poller.simulator.login import PASSWORD, REFRESH_TOKEN, USER

    values = {
        "url": url, "stream": stream, "prefix": PREFIX, "client": CLIENT_ID, "user": USER,
        "password": PASSWORD, "token": REFRESH_TOKEN, "china_user": china.USER,
        "china_password": china.PASSWORD, "china_token": china.REFRESH_TOKEN, "china_gcid": china.GCID,
        "automatic": ", or wait: it allows by itself" if automatic else ' and press "Allow"',
    }  # fmt: skip
    logins = (_CARDATA_LOGIN, _MYBMW_LOGIN, _REMOTE, _CARDATA_INIT) if stream else (_MYBMW_LOGIN, _REMOTE)
    tables = (_CARDATA_TABLE, _MYBMW_TABLE) if stream else (_MYBMW_TABLE,)
    which = "Or in a config.toml of your own, one of them or both:\n" if stream else "For config.toml:\n"
    typer.echo("\n".join(part.format(**values) for part in (_ADDRESS, *logins, which, *tables)))
    if story:
        typer.echo("\n".join(story))
        typer.echo(f"\nWhat is going on now: {url}/_sim/faults")
        typer.echo("It begins with the first answer: when a poller is told how a car stands.")
