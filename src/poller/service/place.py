"""Where this poller is installed, and whether a service with the unit's sandbox can start it there."""

from __future__ import annotations

import stat
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import poller
from poller.errors import PollerError

#: What ProtectHome and PrivateTmp take out of the service's sight.
HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108 - to refuse them
_ELSEWHERE = """\
install it where every account can read it, then run that one:
    python3 -m venv /opt/poller && /opt/poller/bin/pip install .
    /opt/poller/bin/poller install-service
  or, for this account alone: poller install-service --user"""


@dataclass(frozen=True, slots=True)
class Installed:
    """The command, and everything that must be readable for it to start."""

    executable: Path
    needs: tuple[Path, ...]


def installed() -> Installed:
    """The poller that runs now. Raises PollerError if it has no command of its own (run from a checkout)."""
    executable = Path(sysconfig.get_path("scripts")) / "poller"
    if not executable.is_file():
        raise PollerError(f"there is no {executable}: poller is not installed here", hint=_ELSEWHERE)
    # The interpreter of a virtual environment is a link to one that may lie in somebody's home.
    package = Path(poller.__file__).parent
    return Installed(executable, (executable, Path(sys.executable).resolve(), package))


def require_visible(found: Installed, hidden: Sequence[Path] = HIDDEN) -> None:
    """Raises PollerError if the service could not see a part of it, or not read it."""
    for path in found.needs:
        if any(path.resolve().is_relative_to(folder) for folder in hidden):
            raise PollerError(
                f"the service cannot see {path}: its sandbox hides home folders", hint=_ELSEWHERE
            )
        for closed in _closed(path):
            raise PollerError(
                f"the service cannot read {closed}: only root can", hint=f"chmod -R a+rX {closed}"
            )


def _closed(path: Path) -> Iterator[Path]:
    """What on the way to `path`, itself included, is closed to others; outermost first."""
    yield from (part for part in reversed((path, *path.parents)) if not _open_to_others(part))


def _open_to_others(path: Path) -> bool:
    mode = path.stat().st_mode
    wanted = stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
    return bool(mode & wanted)
