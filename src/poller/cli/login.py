"""``poller login SOURCE``."""

from __future__ import annotations

import asyncio
import getpass
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from poller.cli import options
from poller.cli.login_desk import Desk
from poller.cli.qrcode import qr_code, shown_on
from poller.cli.speaking import load_and_log, service_socket
from poller.errors import ConfigError, LoginRequired, PollerError
from poller.runtime.clock import Clock, SystemClock
from poller.settings import Loaded
from poller.sources.device import ByDevice, Code, log_in
from poller.vehicle.display import since, span

#: Codes shown to somebody who does not enter one: half an hour of BMW's.
_CODES = 6
#: Seconds between two words that it still waits.
_REMIND = 60.0


def login(
    source: Annotated[str, typer.Argument(help="The source's name in the configuration.", metavar="SOURCE")],
    captcha_token: Annotated[
        str | None, typer.Option(help="mybmw: a solved captcha; good for one login.", metavar="T")
    ] = None,
    refresh_token: Annotated[
        bool, typer.Option("--refresh-token", help="mybmw: ask for a refresh token and take it over.")
    ] = False,
    take_over: Annotated[
        Path | None, typer.Option(help="mybmw: take over a .bimmer_connected.json file.", metavar="FILE")
    ] = None,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Log in to a source; a running daemon takes it up.

    cardata shows a code and an address (as a QR code too), and waits until you have allowed it there.
    mybmw asks for a solved captcha, or takes one of the options; in China it asks for nothing.
    """
    if captcha_token is not None and not captcha_token.strip():
        raise ConfigError(["the captcha token is empty"])
    # What is logged on the way is said here in words.
    overrides = options.overrides(data_dir, "error")
    if (door := service_socket(config, overrides)) is not None:
        if take_over is not None:
            hint = "stop the service first, then do it as root"
            raise PollerError("--take-over names a file that the service cannot see", hint=hint)
        token = _asked_for(refresh_token)
        done = login_at(door, source, captcha_token=captcha_token, refresh_token=token)
    else:
        loaded = load_and_log(config, overrides)
        given = {"--captcha-token": captcha_token, "--refresh-token": refresh_token, "--take-over": take_over}
        if isinstance(_source(loaded, source, SystemClock()), ByDevice):
            kind = loaded.settings.sources[source].type
            _refuse([option for option, value in given.items() if value], source, kind)
        token = _asked_for(refresh_token)
        done = login_to(loaded, source, captcha_token=captcha_token, refresh_token=token, take_over=take_over)
    try:
        typer.echo(asyncio.run(done))
    except KeyboardInterrupt:
        typer.echo("\nStopped. No login was made.", err=True)
        return 1
    return 0


async def login_to(
    loaded: Loaded,
    name: str,
    *,
    captcha_token: str | None = None,
    refresh_token: str | None = None,
    take_over: Path | None = None,
) -> str:
    """Log in by a code, with what is given, or ask for what is missing; gives what to print.

    Raises PollerError.
    """
    clock = SystemClock()
    source = _source(loaded, name, clock)
    await source.open()
    try:
        if isinstance(source, ByDevice):
            return await _by_device(source, name, clock)
        gcid = _ask_for_gcid() if refresh_token and source.needs_gcid else None
        if source.captcha_page is not None and not (captcha_token or refresh_token or take_over):
            password = getattr(loaded.settings.sources[name], "password", None)
            captcha_token = _ask_for_captcha(source.captcha_page, name, has_password=password is not None)
        done: str = await source.login(
            captcha_token=captcha_token, refresh_token=refresh_token, gcid=gcid, takeover=take_over
        )
        return done
    finally:
        await source.close()


async def login_at(
    door: Path, name: str, *, captcha_token: str | None = None, refresh_token: str | None = None
) -> str:
    """As `login_to`, done by the daemon behind the control socket `door`. Raises PollerError."""
    from poller.web.control import ControlClient

    clock = SystemClock()
    desk = Desk(ControlClient(door), name, clock)
    standing = await desk.begin(captcha_token=captcha_token, refresh_token=refresh_token)
    if standing["state"] == "asks_gcid":
        standing = await desk.begin(refresh_token=refresh_token, gcid=_ask_for_gcid())
    elif standing["state"] == "asks":
        page, has_password = str(standing["captcha_page"]), bool(standing["has_password"])
        standing = await desk.begin(captcha_token=_ask_for_captcha(page, name, has_password=has_password))
    return str(standing["text"]) if standing["state"] == "done" else await _by_device(desk, name, clock)


def _source(loaded: Loaded, name: str, clock: Clock) -> Any:
    from poller.journal.place import prepare_folder
    from poller.road import source_context
    from poller.sources import BUILDERS
    from poller.sources.base import NoMemory

    settings = loaded.settings.sources.get(name)
    if settings is None:
        known = ", ".join(loaded.settings.sources)
        raise ConfigError([f"no source named {name} in {loaded.path}"], hint=f"known: {known}")
    prepare_folder(loaded.settings.data_dir)
    source = BUILDERS[settings.type](name, settings, source_context(loaded, clock, NoMemory()))
    if not (isinstance(source, ByDevice) or hasattr(source, "login")):
        raise ConfigError([f"source {name} ({settings.type}) needs no login"])
    return source


def _refuse(given: list[str], name: str, kind: str) -> None:
    if given:
        raise ConfigError(
            [f"{', '.join(given)}: not for source {name}, whose type is {kind}"],
            hint=f"run `poller login {name}` alone: it shows a code to allow on any device",
        )


async def _by_device(source: ByDevice, name: str, clock: Clock) -> str:
    prompt = _Prompt(name, clock)
    try:
        return await log_in(source, prompt.show, _CODES)
    finally:
        prompt.close()


class _Prompt:
    """Shows codes on the terminal, and says now and then that it still waits."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._reminder: asyncio.Task[None] | None = None

    def show(self, code: Code, why: LoginRequired | None) -> None:
        """Print what to do with `code`; `why` there is another one."""
        self.close()
        if why is not None:
            typer.echo(f"\n{why.message[:1].upper()}{why.message[1:]}. Here is a new one.")
        else:
            typer.echo(f"Log in to {self._name}: open this address on any device and allow the code there.")
        typer.echo(f"\n  {code.url_complete}\n")
        drawn = qr_code(code.url_complete)
        if shown_on(sys.stdout, drawn):
            typer.echo("\n".join(drawn), color=True)
            typer.echo()
        typer.echo(f"  code {code.user_code}, good for {self._left(code)}\n")
        typer.echo("Waiting for you to allow it; Ctrl-C gives up.")
        self._reminder = asyncio.create_task(self._remind(code))

    def close(self) -> None:
        """No more words."""
        if self._reminder is not None:
            self._reminder.cancel()

    async def _remind(self, code: Code) -> None:
        while True:
            await self._clock.sleep(_REMIND)
            typer.echo(f"Still waiting; the code is good for another {self._left(code)}.")

    def _left(self, code: Code) -> str:
        return span(since(self._clock.now(), code.expires_at))


def _asked_for(refresh_token: bool) -> str | None:  # noqa: FBT001 - the flag, as it was given
    return _ask_hidden("Refresh token", "type it, or pipe it in") if refresh_token else None


def _ask_for_gcid() -> str:
    typer.echo("In China a refresh token works only with its account's gcid; the program that holds the one")
    typer.echo("has the other, bimmer_connected in ~/.bimmer_connected.json.")
    return _ask_hidden("gcid", "type it, or pipe both in, a line each")


def _ask_for_captcha(page: str, name: str, *, has_password: bool) -> str:
    if not has_password:
        # A solved captcha is good for one login; it must not be spent on one that cannot work.
        raise ConfigError(
            [f"sources.{name}: a login by captcha needs the password"],
            hint=f"set `password` under [sources.{name}], or use --refresh-token or --take-over",
        )
    typer.echo("BMW asks for a captcha at the first login. Open this page, solve it, copy the token:")
    typer.echo(f"\n  {page}\n")
    return _ask_hidden("Token", "paste it, or give --captcha-token, --refresh-token or --take-over")


def _ask_hidden(what: str, instead: str) -> str:
    """What is typed, or comes through a pipe. Raises ConfigError if that is nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            text: str = typer.prompt(what, hide_input=True, default="", show_default=False)
    except getpass.GetPassWarning:
        typer.echo()
        text = sys.stdin.readline()  # a pipe, which echoes nothing
    if not text.strip():
        raise ConfigError([f"the {what[:1].lower()}{what[1:]} is empty"], hint=instead)
    return text.strip()
