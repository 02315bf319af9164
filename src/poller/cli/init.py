"""``poller init``: a few questions, and a configuration that only its owner can read."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic import TypeAdapter, ValidationError

from poller.errors import ConfigError, PollerError
from poller.runtime.atomic import write_atomic
from poller.settings.writing import document
from poller.sources.cardata.settings import ClientId
from poller.sources.mybmw.settings import Region

_HEADER = """\
# Written by `poller init`. Every setting: docs/configuration.md; `poller check` checks this file.
"""

_WITH_LOGIN = ("cardata", "mybmw")
_WHERE_CLIENT_ID = """\
The client id comes from BMW's portal: log in at the BMW or MINI site of your
country, then your car, BMW CarData, Technical access, "Create CarData client".
There, tick the subscription of the API, wait a minute, then that of the stream."""

Output = Annotated[Path, typer.Option("--output", "-o", help="The file to write.", metavar="PATH")]
Simulated = Annotated[
    tuple[str, str] | None,
    typer.Option(
        help="Write it for `poller simulate`: its auth_url and stream_url, as it prints them.",
        metavar="URL URL",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]


def init(output: Output = Path("config.toml"), force: Force = False, simulated: Simulated = None) -> int:
    """Ask a few questions and write a configuration.

    The file is for its owner only (0600). Passwords are asked for hidden; leave one empty to give it
    as an environment variable.
    """
    if output.exists() and not force:
        raise PollerError(
            f"{output} exists already", hint="choose another --output, or --force to replace it"
        )
    later: list[str] = []
    try:
        sources = _ask_source(later) if simulated is None else _simulated(*simulated)
        tree = {"sources": sources, "sinks": _ask_sinks(later)}
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        raise ConfigError(
            ["nobody is here to answer"],
            hint="run it on a terminal, or write the file: docs/configuration.md",
        ) from None
    try:
        output.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(output, (_HEADER + document(tree)).encode(), mode=0o600)
    except OSError as error:
        raise PollerError(f"{output} cannot be written: {error.strerror}") from error
    typer.echo(f"Written: {output}")
    for variable in later:
        typer.echo(f"Left out, to be given as a variable: {variable}")
    for word, command in zip(("Next:", "then:", "then:"), _commands(tree["sources"]), strict=False):
        typer.echo(f"{word} poller {command} --config {shlex.quote(str(output))}")
    return 0


def _commands(sources: dict[str, Any]) -> list[str]:
    """What to type after this."""
    logins = [f"login {name}" for name, table in sources.items() if table["type"] in _WITH_LOGIN]
    return ["check", *logins, "run"]


def _ask_source(later: list[str]) -> dict[str, Any]:
    typer.echo("cardata: BMW's own interface for owners, in Europe and the UK")
    typer.echo("mybmw: the app's API, which BMW closed to third parties in 2025")
    typer.echo("command: a program that prints JSON; recorded: a folder of captured answers")
    match _ask_choice("Source", ("cardata", "mybmw", "command", "recorded")):
        case "cardata":
            return {"home": _ask_cardata()}
        case "mybmw":
            return {"bmw": _ask_mybmw(later)}
        case "command":
            line = typer.prompt("Program and arguments", value_proc=_words)
            return {"loop": {"type": "command", "command": line}}
        case _:
            return {"dumps": {"type": "recorded", "directory": _ask_text("Folder")}}


def _simulated(login: str, stream: str) -> dict[str, Any]:
    from poller.simulator.cardata.login import CLIENT_ID

    addresses = {"auth_url": login, "api_url": login, "stream_url": stream}
    return {"home": {"type": "cardata", "client_id": CLIENT_ID, **addresses}}


def _ask_cardata() -> dict[str, Any]:
    typer.echo(_WHERE_CLIENT_ID)
    client_id = typer.prompt("Client id", value_proc=_client_id)
    return {"type": "cardata", "client_id": client_id}


def _ask_mybmw(later: list[str]) -> dict[str, Any]:
    table = {
        "type": "mybmw",
        "username": _ask_text("User name (e-mail address; in China 86 and the phone number)"),
        "region": _ask_choice("Region", get_args(Region)),
    }
    return table | _ask_secret(
        "password", "POLLER_SOURCES__BMW__PASSWORD (only for `poller login bmw`)", later
    )


def _ask_sinks(later: list[str]) -> dict[str, Any]:
    sinks: dict[str, Any] = {}
    if typer.confirm("Write JSON files?", default=True):
        sinks["files"] = {"type": "json_files"}
    if typer.confirm("Serve Prometheus metrics?", default=True):
        sinks["prometheus"] = {"type": "prometheus"}
    if typer.confirm("Send to Axiom?", default=False):
        axiom = {"type": "axiom", "dataset": _ask_text("Axiom dataset")}
        sinks["axiom"] = axiom | _ask_secret("token", "AXIOM_TOKEN", later)
    return sinks


def _ask_secret(key: str, variable: str, later: list[str]) -> dict[str, str]:
    """The secret's key and value; nothing if it was left to `variable`, which `later` then names."""
    prompt = f"{key.capitalize()} (hidden; empty: set a variable instead)"
    secret = typer.prompt(prompt, hide_input=True, default="", show_default=False)
    if secret:
        return {key: secret}
    later.append(variable)
    return {}


def _ask_text(prompt: str) -> str:
    text: str = typer.prompt(prompt, value_proc=_some_text)
    return text


def _ask_choice(prompt: str, choices: Sequence[str]) -> str:
    """One of `choices`; the first is the default."""

    def chosen(text: str) -> str:
        if text not in choices:
            raise typer.BadParameter(f"choose one of {', '.join(choices)}")
        return text

    text: str = typer.prompt(f"{prompt} ({', '.join(choices)})", default=choices[0], value_proc=chosen)
    return text


def _client_id(text: str) -> str:
    try:
        return TypeAdapter[str](ClientId).validate_python(text)
    except ValidationError as error:
        said = error.errors(include_input=False, include_url=False)[0]["msg"]
        raise typer.BadParameter(said.removeprefix("Value error, ")) from error


def _some_text(text: str) -> str:
    if not text.strip():
        raise typer.BadParameter("write something")
    return text.strip()


def _words(line: str) -> list[str]:
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise typer.BadParameter(f"quotes do not match: {error}") from error
    if not words:
        raise typer.BadParameter("name a program")
    return words
