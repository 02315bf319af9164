"""What is to be done, one step after another; each knows whether it is done already."""

from __future__ import annotations

import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from poller.errors import PollerError
from poller.runtime.atomic import write_atomic
from poller.service.machine import Machine

#: How every unit and drop-in of ours begins.
MARK: Final = "# Written by `poller install-service"


@dataclass(frozen=True, slots=True)
class Step:
    """One change: `order` done to `thing`. `why`: what for, where that is not plain.

    `thing` "": nothing is to be said of it once it is done.
    """

    order: str
    thing: str
    done: Callable[[], bool]
    act: Callable[[], object]
    why: str = ""


def make_group(machine: Machine, group: str) -> Step:
    """A group of the system."""
    return Step(
        "add",
        f"the group {group}",
        lambda: machine.succeeds("getent", "group", group),
        lambda: machine.run(["groupadd", "--system", group]),
        "its members may use the service's commands",
    )


def make_folder(machine: Machine, path: str, mode: int, group: str = "", why: str = "") -> Step:
    """A folder with that mode and, if named, that group."""
    folder = machine.at(path)
    owner = f", group {group}" if group else ""

    def act() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _own(machine, folder, mode, group)

    return Step(
        "make",
        f"{path} ({mode:04o}{owner})",
        lambda: folder.is_dir() and _owned(folder, mode, group),
        act,
        why,
    )


def write_file(machine: Machine, path: str, text: str, why: str = "") -> Step:
    """A file with that text, readable by all; another text of ours is replaced.

    Raises PollerError if what is there is somebody else's.
    """
    file = machine.at(path)
    require_ours(file, path)

    def act() -> None:
        if not file.parent.is_dir():
            file.parent.mkdir(parents=True)
            file.parent.chmod(0o755)  # whatever the umask of a sudo says
        write_atomic(file, text.encode(), 0o644)

    return Step("replace" if file.exists() else "write", path, lambda: _reads(file) == text, act, why)


def begin_file(machine: Machine, path: str, text: str, mode: int, group: str) -> Step:
    """A file that belongs to the owner: written if it is not there, else only opened to the group."""
    file = machine.at(path)
    if file.exists():
        return Step(
            f"let the group {group} read",
            path,
            lambda: _owned(file, mode, group) or bool(file.stat().st_mode & stat.S_IROTH),
            lambda: _own(machine, file, mode, group),
            "the service reads it as that group",
        )

    def act() -> None:
        write_atomic(file, text.encode(), mode)
        _own(machine, file, mode, group)

    return Step("write", path, lambda: False, act, "a first one without a source: `poller init` makes yours")


def require_ours(file: Path, path: str) -> None:
    """Raises PollerError for a file that says nothing of having been written here."""
    if not (_reads(file) or MARK).startswith(MARK):
        hint = f"look at it; if it is not needed, move it away: mv {path} {path}.before"
        raise PollerError(f"{path} was not written by `poller install-service`", hint=hint)


def remove_file(machine: Machine, path: str) -> Step:
    """A file of ours, and its folder if nothing else is in there and it is a drop-in's.

    Raises PollerError if it is somebody else's.
    """
    file = machine.at(path)
    require_ours(file, path)

    def act() -> None:
        file.unlink()
        if file.parent.name.endswith(".d") and not any(file.parent.iterdir()):
            file.parent.rmdir()

    return Step(f"remove {path}", "", lambda: not file.exists(), act)


def command(machine: Machine, words: Sequence[str], done: Callable[[], bool], why: str = "") -> Step:
    """A command of the machine."""
    return Step(f"run `{' '.join(words)}`", "", done, lambda: machine.run(words), why)


def _own(machine: Machine, path: Path, mode: int, group: str) -> None:
    path.chmod(mode)
    if group:
        machine.run(["chgrp", group, str(path)])


def _owned(path: Path, mode: int, group: str) -> bool:
    return stat.S_IMODE(path.stat().st_mode) == mode and (not group or _group_of(path) == group)


def _group_of(path: Path) -> str:
    try:
        return path.group()
    except KeyError:  # of a group that is gone
        return ""


def _reads(file: Path) -> str | None:
    try:
        return file.read_text("utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PollerError(f"{file} cannot be read: {error.strerror}") from error
