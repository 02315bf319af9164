"""The machine that a service is installed on: its files below a root, and its commands."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from poller.errors import PollerError

#: Runs a command to its end and gives its stdout; raises PollerError if it fails.
Run = Callable[[Sequence[str]], str]
#: From this version on a service's restarts can come ever later.
BACKOFF_SINCE = 254
_NO_SYSTEMD = "run `poller run` from what starts services here, or in a container"


def run_command(words: Sequence[str]) -> str:
    """Run one of the machine's own commands. Raises PollerError with what it said."""
    done = subprocess.run(list(words), capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode:
        said = done.stderr.strip() or f"exit code {done.returncode}"
        raise PollerError(f"`{' '.join(words)}` failed: {said}")
    return done.stdout


class Machine:
    """Files below `root` ("/" but in tests) and commands by `run`."""

    def __init__(self, root: Path = Path("/"), run: Run = run_command) -> None:
        self._root = root
        self.run = run

    def at(self, path: str) -> Path:
        """Where that absolute path really lies."""
        return self._root / path.removeprefix("/")

    def succeeds(self, *words: str) -> bool:
        """Whether a command ends well."""
        try:
            self.run(words)
        except PollerError:
            return False
        return True

    def said(self, *words: str) -> str:
        """What a command says; "" if it fails."""
        try:
            return self.run(words)
        except PollerError:
            return ""

    def systemd_version(self) -> int:
        """The running systemd's. Raises PollerError if this machine is not run by one."""
        if not self.at("/run/systemd/system").is_dir():  # sd_booted(3)
            raise PollerError("this machine is not run by systemd", hint=_NO_SYSTEMD)
        said = re.match(r"systemd (\d+)", self.run(["systemctl", "--version"]))
        if said is None:
            raise PollerError("systemctl does not tell its version", hint="look at `systemctl --version`")
        return int(said[1])


def require_root() -> None:
    """Raises PollerError for anybody else."""
    if os.geteuid() != 0:
        raise PollerError(
            "a service of the machine is installed by root",
            hint="use `sudo` with the full path of poller, or --user for a service of your own account",
        )


def require_session(environ: Mapping[str, str]) -> None:
    """Raises PollerError for root, and where the account's own systemd cannot be reached."""
    if os.geteuid() == 0:
        raise PollerError("--user is for an account, not for root", hint="leave --user out")
    if not Path(environ.get("XDG_RUNTIME_DIR") or "/nonexistent", "systemd").is_dir():
        raise PollerError(
            "this account's own systemd does not answer",
            hint="log in as that user (`su` and `sudo` are not enough), or install the service as root",
        )
