"""What `poller install-service` writes and runs, on an imagined machine below a folder."""

from __future__ import annotations

import grp
import os
import stat
from pathlib import Path

import pytest

from poller.cli.install_service import _beforehand as beforehand
from poller.cli.install_service import _carry_out as carry_out_and_say
from poller.errors import PollerError
from poller.service import plan, units
from poller.service.machine import Machine
from poller.service.place import Installed, require_visible
from poller.service.plan import Service
from poller.service.units import Extra

POLLER = Path("/opt/poller/bin/poller")
#: The one group that a file made here may have without root.
OURS = grp.getgrgid(os.getegid()).gr_name
SOURCE = '[sources.dumps]\ntype = "recorded"\ndirectory = "/srv/dumps"\n'


class Imagined:
    """A machine's commands: notes what ran, fails what is said to."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.failing = {"is-active", "is-enabled", "getent"}
        self.stale = False
        self.version = "systemd 257 (257.9-1)\n+PAM"

    def __call__(self, words) -> str:
        self.ran.append(" ".join(words))
        if "show" in words:
            return "yes\n" if self.stale else "no\n"
        if self.failing & set(words):
            raise PollerError("no")
        if "enable" in words:
            self.failing -= {"is-active", "is-enabled"}
        if "groupadd" in words:
            self.failing -= {"getent"}
        return self.version

    def changes(self) -> list[str]:
        """What ran and was no question."""
        asked = ("show", "getent", "is-active", "is-enabled", "--version")
        return [line for line in self.ran if not any(word in line for word in asked)]


@pytest.fixture
def commands() -> Imagined:
    return Imagined()


@pytest.fixture
def machine(tmp_path, commands) -> Machine:
    for folder in ("run/systemd/system", "etc/systemd/system"):
        (tmp_path / folder).mkdir(parents=True)
    return Machine(tmp_path, commands)


def carry_out(steps) -> list[str]:
    """Do it as the command does; the steps that were to be taken."""
    todo = [step for step in steps if not step.done()]
    for step in todo:
        step.act()
    return [step.order for step in todo]


def service(machine, version=257) -> Service:
    return Service(machine, version, group=OURS)


def install(machine, *extras, now=False, version=257) -> list[str]:
    return carry_out(plan.installing(service(machine, version), POLLER, extras, now=now))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_fresh_machine_gets_group_folders_a_beginning_and_the_unit(machine, commands) -> None:
    install(machine)
    assert mode(machine.at("/etc/poller")) == 0o750
    assert mode(machine.at("/etc/poller/secrets")) == 0o700
    assert mode(machine.at("/etc/poller/config.toml")) == 0o640
    unit = machine.at("/etc/systemd/system/poller.service")
    assert unit.read_text() == units.text("poller.service")
    assert mode(unit) == 0o644
    changes = commands.changes()
    assert changes[0] == f"groupadd --system {OURS}"
    assert f"chgrp {OURS} {machine.at('/etc/poller/config.toml')}" in changes
    assert changes[-1] == "systemctl daemon-reload"


def test_a_second_time_there_is_nothing_to_do(machine, commands) -> None:
    install(machine, Extra.COMMAND_SOURCE)
    commands.ran.clear()
    assert install(machine) == []
    assert commands.changes() == []


def test_a_beginning_without_a_source_is_not_started(machine, commands) -> None:
    install(machine, now=True)
    assert plan.without_source(service(machine))
    assert not [line for line in commands.changes() if "enable" in line]


def test_with_a_source_it_is_started_once_and_restarted_when_the_unit_changed(machine, commands) -> None:
    install(machine)
    machine.at("/etc/poller/config.toml").write_text(SOURCE)
    install(machine, now=True)
    assert commands.changes()[-1] == "systemctl enable --now poller.service"
    assert install(machine, now=True) == []
    words = carry_out(plan.installing(service(machine), Path("/srv/poller/bin/poller"), (), now=True))
    assert words[-1] == "run `systemctl restart poller.service`"


def test_a_configuration_that_is_there_is_only_opened_to_the_group(machine) -> None:
    config = machine.at("/etc/poller/config.toml")
    config.parent.mkdir()
    config.write_text(SOURCE)
    config.chmod(0o600)
    install(machine)
    assert (config.read_text(), mode(config)) == (SOURCE, 0o640)
    config.chmod(0o644)
    install(machine)
    assert mode(config) == 0o644


@pytest.mark.parametrize(("version", "there"), [(252, False), (253, False), (254, True), (257, True)])
def test_growing_pauses_are_for_a_systemd_that_knows_them(machine, version, there) -> None:
    install(machine, version=version)
    assert machine.at("/etc/systemd/system/poller.service.d/backoff.conf").exists() is there


def test_an_extra_comes_when_asked_for_stays_and_is_brought_up_to_date(machine) -> None:
    path = machine.at("/etc/systemd/system/poller.service.d/command-source.conf")
    install(machine)
    assert not path.exists()
    install(machine, Extra.COMMAND_SOURCE)
    path.write_text("# Written by `poller install-service`, an older version\n")
    install(machine)
    assert path.read_text() == units.text("command-source.conf")


def test_it_goes_and_leaves_configuration_and_data(machine, commands) -> None:
    install(machine, *Extra)
    own = machine.at("/etc/systemd/system/poller.service.d/override.conf")
    own.write_text("[Service]\n")
    carry_out(plan.removing(service(machine)))
    assert "systemctl disable --now poller.service" in commands.ran
    assert [path.name for path in machine.at("/etc/systemd/system/poller.service.d").iterdir()] == [own.name]
    assert not machine.at("/etc/systemd/system/poller.service").exists()
    assert machine.at("/etc/poller/config.toml").exists()
    assert carry_out(plan.removing(service(machine))) == []


def test_with_nothing_of_the_owners_its_folder_goes_too(machine) -> None:
    install(machine)
    carry_out(plan.removing(service(machine)))
    assert list(machine.at("/etc/systemd/system").iterdir()) == []


def test_an_account_gets_a_unit_of_its_own(machine, commands) -> None:
    own = Service(machine, 252, home="/home/alice", config="/home/alice/.config")
    carry_out(plan.installing(own, Path("/home/alice/poller/bin/poller"), (), now=True))
    unit = machine.at("/home/alice/.config/systemd/user/poller.service").read_text()
    assert "ExecStart=/home/alice/poller/bin/poller run --config %E/poller/config.toml" in unit
    assert commands.changes() == ["systemctl --user daemon-reload"]
    assert not machine.at("/etc/poller").exists()


def test_the_unit_runs_the_poller_that_wrote_it() -> None:
    assert "ExecStart=/srv/x/bin/poller run" in units.unit(Path("/srv/x/bin/poller"))


@pytest.mark.parametrize("path", ["/srv/my cars/bin/poller", "/srv/50%/bin/poller", "/srv/$HOME/poller"])
def test_a_path_that_a_unit_cannot_name_is_refused(path) -> None:
    with pytest.raises(PollerError, match="cannot be named"):
        units.unit(Path(path))


def test_a_machine_without_systemd_is_refused(tmp_path, commands) -> None:
    with pytest.raises(PollerError, match="not run by systemd"):
        Machine(tmp_path, commands).systemd_version()


def test_the_version_is_systemds(machine) -> None:
    assert machine.systemd_version() == 257


@pytest.fixture
def opt(tmp_path) -> Path:
    """A poller that everybody may read; the folders that pytest makes are root's alone."""
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/tmp"):  # noqa: S108 - pytest's own is below
            folder.chmod(0o755)
    executable = tmp_path / "bin/poller"
    executable.parent.mkdir()
    executable.parent.chmod(0o755)
    executable.write_text("#!\n")
    executable.chmod(0o755)
    return executable


def test_a_poller_that_the_service_can_read_is_taken(opt) -> None:
    require_visible(Installed(opt, (opt,)), hidden=())


def test_a_poller_in_a_home_is_refused_with_what_to_do(opt) -> None:
    with pytest.raises(PollerError, match="cannot see") as caught:
        require_visible(Installed(opt, (opt,)), hidden=(opt.parent,))
    assert "/opt/poller" in caught.value.hint
    assert "--user" in caught.value.hint


def test_a_poller_behind_a_link_into_a_home_is_refused(opt, tmp_path) -> None:
    (tmp_path / "home").mkdir()
    hidden = tmp_path / "home/python"
    opt.rename(hidden)
    opt.symlink_to(hidden)
    with pytest.raises(PollerError, match="cannot see"):
        require_visible(Installed(opt, (opt,)), hidden=(tmp_path / "home",))


def test_a_poller_that_only_root_can_read_is_refused(opt) -> None:
    opt.parent.chmod(0o700)
    with pytest.raises(PollerError, match="only root can") as caught:
        require_visible(Installed(opt, (opt,)), hidden=())
    assert caught.value.hint == f"chmod -R a+rX {opt.parent}"


def test_a_unit_of_somebody_else_is_neither_replaced_nor_removed(machine, commands) -> None:
    unit = machine.at("/etc/systemd/system/poller.service")
    unit.write_text("[Unit]\nDescription=polls the printers\n")
    for do in (lambda: install(machine), lambda: carry_out(plan.removing(service(machine)))):
        with pytest.raises(PollerError, match="was not written by"):
            do()
    assert "printers" in unit.read_text()
    assert commands.changes() == []


def test_what_was_killed_before_systemd_read_the_unit_is_made_good(machine, commands) -> None:
    install(machine)
    commands.ran.clear()
    commands.stale = True
    install(machine)
    assert "systemctl daemon-reload" in commands.changes()


def test_a_dry_run_says_as_whom_it_runs_where_its_data_are_and_whether_it_would_start(machine) -> None:
    """The steps say what is written; this is what somebody wants to know before he agrees to them."""
    told = " ".join(beforehand(service(machine), now=True))
    assert "a user of its own" in told
    assert "/var/lib/poller" in told
    assert "not be started: there is no source" in told
    machine.at("/etc/poller").mkdir()
    machine.at("/etc/poller/config.toml").write_text(SOURCE)
    assert "that takes --now" in " ".join(beforehand(service(machine), now=False))
    assert "not be started" not in " ".join(beforehand(service(machine), now=True))
    mine = Service(machine, 257, home="/home/me", config="/home/me/.config")
    assert "as you while you are logged in; its data are in /home/me/.local/share/poller" in " ".join(
        beforehand(mine, now=True)
    )


@pytest.mark.parametrize("dry_run", [True, False])
def test_what_is_said_is_marked_once_and_fits_a_terminal(machine, capsys, dry_run) -> None:
    steps = plan.installing(service(machine), POLLER, (), now=True)
    todo = [step for step in steps if not step.done()]
    carry_out_and_say(steps, dry_run=dry_run)
    said = capsys.readouterr().out.splitlines()
    assert len([line for line in said if line.startswith("  -> ")]) == len(todo)
    assert [line for line in said if len(line) > 80] == []
    carry_out_and_say(plan.installing(service(machine), POLLER, (), now=True), dry_run=False)
    assert ("->" in capsys.readouterr().out) is dry_run


def test_every_step_says_what_it_is_for_where_its_name_does_not(machine) -> None:
    steps = plan.installing(service(machine), POLLER, list(Extra), now=True)
    assert [step.thing for step in steps if not step.why] == ["/etc/poller (0750, group " + OURS + ")"]
