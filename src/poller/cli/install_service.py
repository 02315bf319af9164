"""``poller install-service``: poller as a service of systemd, and away with it again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from poller.cli.wording import wrapped
from poller.errors import PollerError
from poller.service import plan
from poller.service.machine import Machine, require_root, require_session
from poller.service.place import installed, require_visible
from poller.service.plan import CONFIG, SECRETS, Service
from poller.service.steps import Step
from poller.service.units import Extra

User = Annotated[bool, typer.Option("--user", help="For this account alone, without root.")]
Now = Annotated[bool, typer.Option("--now", help="Start it too, now and at each boot.")]
With = Annotated[
    list[Extra] | None,
    typer.Option("--with", help="Also this drop-in: command-source or encrypted-secrets.", metavar="DROP-IN"),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done; nothing changes.")]
Remove = Annotated[bool, typer.Option("--remove", help="Take the service away; configuration and data stay.")]


def install_service(
    *,
    user: User = False,
    now: Now = False,
    extras: With = None,
    dry_run: DryRun = False,
    remove: Remove = False,
) -> int:
    """Make this poller a service of systemd, or renew it.

    Prints what it is going to do, then does it: with --dry-run it stops there, and needs no root. The
    service runs as a user of its own, reads /etc/poller/config.toml, and keeps its data in
    /var/lib/poller; a configuration that is there is kept. Drop-ins:
    command-source gives the programs of such sources what the sandbox denies them;
    encrypted-secrets says that the files in /etc/poller/secrets are encrypted.
    """
    machine = Machine()
    version = machine.systemd_version()
    service = _service(machine, version, user=user, dry_run=dry_run)
    try:
        steps = plan.removing(service) if remove else _installing(service, extras or (), now=now)
        does = "take the service away" if remove else f"make poller a service of systemd {version}"
        typer.echo(f"{'This would' if dry_run else 'Going to'} {does} (ok: is so already):")
        _carry_out(steps, dry_run=dry_run)
        if not dry_run:
            typer.echo("\n".join(_removed(service) if remove else _next(service, now=now)))
        elif not remove:
            typer.echo("\n".join(wrapped(_beforehand(service, now=now))))
    except PermissionError as error:
        raise PollerError(f"{error.filename} is closed to this account", hint="do it with sudo") from error
    return 0


def _installing(service: Service, extras: Sequence[Extra], *, now: bool) -> list[Step]:
    found = installed()
    if not service.home:
        require_visible(found)
    return plan.installing(service, found.executable, extras, now=now)


def _service(machine: Machine, version: int, *, user: bool, dry_run: bool) -> Service:
    if not user:
        if not dry_run:
            require_root()
        return Service(machine, version)
    require_session(os.environ)
    home = Path.home()
    config = os.environ.get("XDG_CONFIG_HOME") or home / ".config"
    return Service(machine, version, home=str(home), config=str(config))


def _carry_out(steps: Sequence[Step], *, dry_run: bool) -> None:
    """Print all steps, then take those that are not done."""
    todo = [step for step in steps if not step.done()]
    for step in steps:
        if step in todo:
            typer.echo(f"  -> {step.order} {step.thing}".rstrip())
            if step.why:
                typer.echo(f"       {step.why}")
        elif step.thing:
            typer.echo(f"  ok {step.thing}")
    if dry_run:
        typer.echo("Nothing was done (--dry-run)." if todo else "Nothing is to be done.")
        return
    for step in todo:
        try:
            step.act()
        except OSError as error:
            words = f"could not {step.order} {step.thing}".rstrip()
            raise PollerError(f"{words}: {error.strerror}") from error
    typer.echo("Done." if todo else "Nothing was to be done.")


def _beforehand(service: Service, *, now: bool) -> Iterator[str]:
    """What the steps do not say to somebody who thinks about it."""
    yield plan.runs_as(service)
    if plan.without_source(service):
        yield "It would not be started: there is no source in its configuration yet."
    elif not now and not service.active:
        yield "It would not be started: that takes --now."
    yield "`--remove --dry-run` shows how it goes again."


def _next(service: Service, *, now: bool) -> Iterator[str]:
    """What to type after this."""
    systemctl = " ".join(service.systemctl)
    if plan.without_source(service):
        where = f"{service.config}/poller/config.toml" if service.home else f"{CONFIG} --force"
        if now:
            yield "Not started: there is no source in the configuration yet."
        yield f"Next: poller init -o {where}"
        yield f"then: poller install-service --now{' --user' * bool(service.home)}"
        return
    if not service.active:
        yield f"Next: {systemctl} enable --now poller"
    yield f"Look: {systemctl} status poller"
    if service.home:
        yield "Runs while you are logged in; for always: sudo loginctl enable-linger $USER"
        return
    yield f"Secrets: one file each, such as {SECRETS}/sinks__axiom__token"
    yield "Commands without root: sudo usermod -aG poller $USER, then log in again"


def _removed(service: Service) -> Iterator[str]:
    yield "Left where they are, with the commands that delete them for good:"
    for what, deleting in plan.left(service).items():
        yield f"  {what}: {deleting}"
