"""The command line: one function per command, registered here; errors become exit codes."""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Sequence

import typer
from typer.core import TyperGroup
from typer.models import CommandInfo

from poller import __version__
from poller.cli import (
    alerts,
    check,
    deadletters,
    demo,
    descriptors,
    doctor,
    export,
    init,
    install_service,
    login,
    privacy,
    run_daemon,
    simulate,
    sinks,
    status,
    store,
    vehicle,
)
from poller.cli.wording import Worded
from poller.errors import PollerError


def _exit(code: int | None, **_: object) -> None:
    """What a command returns is its exit code."""
    raise typer.Exit(code or 0)


app = typer.Typer(
    result_callback=_exit,
    name="poller",
    cls=Worded,
    help="Polls your BMW or MINI and hands each snapshot to files, Axiom and Prometheus.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)


def _version(show: bool) -> None:  # noqa: FBT001  # typer's callback signature
    if show:
        typer.echo(f"poller {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(  # noqa: FBT001  # a flag is what it is
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    pass


app.command()(run_daemon.run)
app.command()(run_daemon.once)
app.command()(check.check)
app.command()(doctor.doctor)
app.command()(descriptors.descriptors)
app.command()(init.init)
app.command()(install_service.install_service)
app.command()(demo.demo)
app.command()(status.status)
app.add_typer(alerts.app, name="alerts")
app.command()(login.login)
app.command()(simulate.simulate)
app.add_typer(vehicle.app, name="vehicle")
app.add_typer(deadletters.app, name="dead-letters")
app.add_typer(sinks.app, name="sinks")
app.command()(sinks.resend)
app.command()(store.backup)
app.command()(export.export)
app.command()(store.salvage)
app.command()(privacy.privacy)


@functools.cache
def _command(name: str) -> TyperGroup:
    """The command line with the command or group of that name, or with all if there is none.

    Typer reads every signature of what it is given: a tenth of a short command's time.
    """
    part = copy.copy(app)
    part.registered_commands = [known for known in app.registered_commands if _name_of(known) == name]
    part.registered_groups = [known for known in app.registered_groups if known.name == name]
    found = part.registered_commands or part.registered_groups
    command = typer.main.get_command(part if found else app)
    if not isinstance(command, TyperGroup):
        raise TypeError("there is more than one command")
    return command


def _name_of(command: CommandInfo) -> str:
    return command.name or typer.main.get_command_name(getattr(command.callback, "__name__", ""))


def run(arguments: Sequence[str]) -> int:
    """Run one command and give its exit code, as docs/operating/commands.md has them."""
    try:
        _command(next(iter(arguments), ""))(list(arguments))
    except PollerError as error:
        print_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def print_error(error: PollerError) -> None:
    """The message, and what to do, to stderr."""
    print(f"poller: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)
