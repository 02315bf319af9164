"""Which steps install the service, and which take it away again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from poller.service import steps, units
from poller.service.machine import BACKOFF_SINCE, Machine
from poller.service.steps import Step
from poller.service.units import Extra

GROUP: Final = "poller"
UNIT: Final = "poller.service"
CONFIG: Final = "/etc/poller/config.toml"
SECRETS: Final = "/etc/poller/secrets"
_DROP_INS: Final[Mapping[str, str]] = {
    "backoff": "pauses between restarts that grow, up to five minutes",
    Extra.COMMAND_SOURCE: "what the programs of command sources need",
    Extra.ENCRYPTED_SECRETS: "the secrets are encrypted",
}


@dataclass(frozen=True, slots=True)
class Service:
    """A service to be: of the machine, or of an account if `home` is set (then `config` is its folder of
    configurations). `executable`: what it runs; `group`: who may use its socket.
    """

    machine: Machine
    version: int
    home: str = ""
    config: str = ""
    group: str = field(default=GROUP)

    @property
    def unit(self) -> str:
        """The file of its unit."""
        return f"{self.config}/systemd/user/{UNIT}" if self.home else f"/etc/systemd/system/{UNIT}"

    def drop_in(self, name: str) -> str:
        """The file of a drop-in."""
        return f"{self.unit}.d/{name}.conf"

    @property
    def systemctl(self) -> list[str]:
        """The command that speaks to its systemd."""
        return ["systemctl", "--user"] if self.home else ["systemctl"]

    @property
    def active(self) -> bool:
        """Whether it runs now."""
        return self.machine.succeeds(*self.systemctl, "--quiet", "is-active", UNIT)


def installing(service: Service, executable: Path, extras: Collection[Extra], *, now: bool) -> list[Step]:
    """Everything that is to be as it should be; `now`: started, and with the machine from now on."""
    files = _files(service, executable, extras)
    begin = [] if service.home else _ground(service)
    plan = [*begin, *files, _reload(service, files)]
    if now and not without_source(service):
        plan.append(_start(service, files))
    return plan


def removing(service: Service) -> list[Step]:
    """The service stopped and its units gone; configuration, secrets, data and group stay."""
    unit = service.machine.at(service.unit)
    words = [*service.systemctl, "disable", "--now", UNIT]
    stop = steps.command(service.machine, words, lambda: not unit.exists())
    paths = [service.unit, *(service.drop_in(name) for name in ("backoff", *Extra))]
    files = [steps.remove_file(service.machine, path) for path in paths]
    return [stop, *files, _reload(service, files)]


def runs_as(service: Service) -> str:
    """As whom it runs and where its data are, before it is installed."""
    if service.home:
        return f"It runs as you while you are logged in; its data are in {service.home}/.local/share/poller."
    return "It runs as a user of its own that systemd makes; its data are in /var/lib/poller, for root alone."


def left(service: Service) -> Mapping[str, str]:
    """What `removing` leaves: what it is → how it goes for good."""
    if service.home:
        return {
            "the configuration": f"rm -r {service.config}/poller",
            "journal and logins": f"rm -r {service.home}/.local/share/poller",
        }
    return {
        "configuration and secrets": "rm -r /etc/poller",
        "journal, logins, files": "rm -r /var/lib/poller /var/lib/private/poller",
        "the group": f"groupdel {service.group}",
    }


def without_source(service: Service) -> bool:
    """Whether it could not start: the configuration is not there, or is still the one that we begin."""
    if service.home:
        return not service.machine.at(f"{service.config}/poller/config.toml").exists()
    config = service.machine.at(CONFIG)
    return not config.exists() or config.read_text("utf-8") == units.text("config.toml")


def _ground(service: Service) -> list[Step]:
    machine, group = service.machine, service.group
    starter = units.text("config.toml")
    return [
        steps.make_group(machine, group),
        steps.make_folder(machine, "/etc/poller", 0o750, group),
        steps.make_folder(machine, SECRETS, 0o700, why="one file for each secret, for root alone"),
        steps.begin_file(machine, CONFIG, starter, 0o640, group),
    ]


def _files(service: Service, executable: Path, extras: Collection[Extra]) -> list[Step]:
    drop_ins: list[str] = ["backoff"] if service.version >= BACKOFF_SINCE else []
    # Asked for once, an extra stays, and is brought up to date.
    drop_ins += [
        extra for extra in Extra if extra in extras or service.machine.at(service.drop_in(extra)).exists()
    ]
    unit = units.unit(executable, user=bool(service.home))
    return [
        steps.write_file(service.machine, service.unit, unit, f"it runs {executable}"),
        *(
            steps.write_file(
                service.machine, service.drop_in(name), units.text(f"{name}.conf"), _DROP_INS[name]
            )
            for name in drop_ins
        ),
    ]


def _reload(service: Service, files: Collection[Step]) -> Step:
    # Killed before it was read: the files are there, and systemd does not know them.
    show = [*service.systemctl, "show", "--property=NeedDaemonReload", "--value", UNIT]
    settled = all(step.done() for step in files) and "yes" not in service.machine.said(*show)
    words = [*service.systemctl, "daemon-reload"]
    return steps.command(service.machine, words, lambda: settled, "so that systemd reads the units anew")


def _start(service: Service, files: Collection[Step]) -> Step:
    changed = not all(step.done() for step in files)
    systemctl = service.systemctl
    if changed and service.active:
        words = [*systemctl, "restart", UNIT]
        return steps.command(service.machine, words, lambda: False, "it runs by the former unit still")
    running = service.active and service.machine.succeeds(*systemctl, "--quiet", "is-enabled", UNIT)
    return steps.command(
        service.machine,
        [*systemctl, "enable", "--now", UNIT],
        lambda: running,
        "starts it: now, and at each boot",
    )
