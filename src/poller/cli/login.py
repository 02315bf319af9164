"""``poller login SOURCE``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from poller.cli import options
from poller.cli.speaking import load_and_log
from poller.errors import ConfigError, PollerError
from poller.settings import Loaded


def login(
    source: Annotated[str, typer.Argument(help="The source's name in the configuration.", metavar="SOURCE")],
    captcha_token: Annotated[
        str | None, typer.Option(help="A solved captcha; good for one login.", metavar="T")
    ] = None,
    refresh_token: Annotated[
        bool, typer.Option("--refresh-token", help="Ask for a refresh token and take it over.")
    ] = False,
    take_over: Annotated[
        Path | None, typer.Option(help="Take over a .bimmer_connected.json file.", metavar="FILE")
    ] = None,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Log in to a source; a running daemon picks it up by itself."""
    loaded = load_and_log(config, options.overrides(data_dir))
    token = typer.prompt("Refresh token", hide_input=True) if refresh_token else None
    done = login_to(loaded, source, captcha_token=captcha_token, refresh_token=token, take_over=take_over)
    typer.echo(asyncio.run(done))
    return 0


async def login_to(
    loaded: Loaded,
    name: str,
    *,
    captcha_token: str | None = None,
    refresh_token: str | None = None,
    take_over: Path | None = None,
) -> str:
    """Log in with what is given, or ask for a captcha; one line fit to print. Raises PollerError."""
    source = _source(loaded, name)
    await source.open()
    try:
        if not (captcha_token or refresh_token or take_over):
            password = getattr(loaded.settings.sources[name], "password", None)
            captcha_token = _ask_for_captcha(source, name, has_password=password is not None)
        done: str = await source.login(
            captcha_token=captcha_token, refresh_token=refresh_token, takeover=take_over
        )
        return done
    finally:
        await source.close()


def _source(loaded: Loaded, name: str) -> Any:
    from poller.journal.place import prepare_folder
    from poller.road import source_context
    from poller.runtime.clock import SystemClock
    from poller.sources import BUILDERS
    from poller.sources.base import NoMemory

    settings = loaded.settings.sources.get(name)
    if settings is None:
        known = ", ".join(loaded.settings.sources)
        raise PollerError(f"no source named {name} in {loaded.path}", hint=f"known: {known}")
    prepare_folder(loaded.settings.data_dir)
    source = BUILDERS[settings.type](name, settings, source_context(loaded, SystemClock(), NoMemory()))
    if not hasattr(source, "login"):
        raise PollerError(f"source {name} ({settings.type}) needs no login")
    return source


def _ask_for_captcha(source: Any, name: str, *, has_password: bool) -> str:
    if not has_password:
        # A solved captcha is good for one login; it must not be spent on one that cannot work.
        raise ConfigError(
            [f"sources.{name}: a login by captcha needs the password"],
            hint=f"set `password` under [sources.{name}], or use --refresh-token or --take-over",
        )
    typer.echo("BMW asks for a captcha at the first login. Open this page, solve it, copy the token:")
    typer.echo(f"\n  {source.captcha_page}\n")
    token: str = typer.prompt("Token", hide_input=True)
    return token.strip()
