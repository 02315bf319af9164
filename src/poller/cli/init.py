"""``poller init``: a few questions, and a configuration that only its owner can read."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from poller.errors import PollerError
from poller.runtime.atomic import write_atomic
from poller.settings.writing import document
from poller.sources.mybmw.settings import Region

_HEADER = """\
# Written by `poller init`. Every setting: docs/configuration.md; `poller check` checks this file.
"""

Output = Annotated[Path, typer.Option("--output", "-o", help="The file to write.", metavar="PATH")]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]


def init(output: Output = Path("config.toml"), force: Force = False) -> int:
    """Ask a few questions and write a configuration (mode 0600).

    Passwords are asked for hidden; leave one empty to give it as an environment variable.
    """
    if output.exists() and not force:
        raise PollerError(
            f"{output} exists already", hint="choose another --output, or --force to replace it"
        )
    later: list[str] = []
    tree = {"sources": _ask_source(later), "sinks": _ask_sinks(later)}
    try:
        output.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(output, (_HEADER + document(tree)).encode(), mode=0o600)
    except OSError as error:
        raise PollerError(f"{output} cannot be written: {error.strerror}") from error
    typer.echo(f"Written: {output}")
    for variable in later:
        typer.echo(f"Left out, to be given as a variable: {variable}")
    typer.echo(f"Next: poller check --config {shlex.quote(str(output))}")
    return 0


def _ask_source(later: list[str]) -> dict[str, Any]:
    typer.echo("mybmw: the app's API, which BMW closed to third parties (CarData comes with a later version)")
    typer.echo("command: a program that prints JSON; recorded: a folder of captured answers")
    match _ask_choice("Source", ("mybmw", "command", "recorded")):
        case "mybmw":
            return {"bmw": _ask_mybmw(later)}
        case "command":
            line = typer.prompt("Program and arguments", value_proc=_words)
            return {"loop": {"type": "command", "command": line}}
        case _:
            return {"dumps": {"type": "recorded", "directory": _ask_text("Folder")}}


def _ask_mybmw(later: list[str]) -> dict[str, Any]:
    table = {
        "type": "mybmw",
        "username": _ask_text("User name (e-mail address)"),
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
