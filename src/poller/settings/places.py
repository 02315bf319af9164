"""Where things are when nobody says: the configuration file, the data directory, the time zone."""

from __future__ import annotations

import contextlib
import difflib
import errno
import grp
import os
import re
import shlex
import stat
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_CONTAINER_SECRETS = Path("/run/secrets")
_ETC = Path("/etc")
#: The configuration of the machine's service, and where such a service keeps its data.
SYSTEM_CONFIG = _ETC / "poller/config.toml"
SYSTEM_DATA = Path("/var/lib/poller")
#: Where the image says that its configuration lies.
_CONTAINER_CONFIG = "/config/"
_HAS_SOURCES = re.compile(r"(?m)^\s*\[?\s*[\"']?sources\b")


@dataclass(frozen=True, slots=True)
class Found:
    """The file to read, if any; a ``./config.toml`` that is not ours; where else was looked."""

    path: Path | None
    passed_over: Path | None = None
    looked: tuple[Path, ...] = ()


def find_file(config: Path | None, environ: Mapping[str, str], cwd: Path) -> Found:
    """The first of: `config`, ``$POLLER_CONFIG``, ours in `cwd`, in the home directory, in /etc.

    The first two are taken as they are, so that a missing one is an error and not passed over.
    """
    named = config or environ.get("POLLER_CONFIG")
    if named:
        return Found(cwd / expand_home(str(named), environ))
    here = cwd / "config.toml"
    # Not Path.is_file, which fails in a folder that is closed to us.
    passed_over = here if os.path.isfile(here) and not _is_ours(here) else None  # noqa: PTH113
    home = home_directory(environ)
    others = ([home / ".config/poller/config.toml"] if home else []) + [SYSTEM_CONFIG]
    looked = (here, *others)
    path = next((path for path in looked if path != passed_over and os.path.lexists(path)), None)
    if path is None and is_closed(SYSTEM_CONFIG) and not any(map(_is_source, environ)):
        path = SYSTEM_CONFIG  # to be reported: "no configuration" would be wrong
    return Found(path, passed_over, looked)


def _is_source(name: str) -> bool:
    return name.startswith("POLLER_SOURCES__")


def is_closed(path: Path) -> bool:
    """Whether we may not even know if `path` is there."""
    try:
        path.lstat()
    except OSError as error:
        return error.errno == errno.EACCES
    return False


def _is_ours(path: Path) -> bool:
    # By its text, not by parsing: a broken file of ours is to be reported, not passed over.
    try:
        return bool(_HAS_SOURCES.search(path.read_text("utf-8-sig", errors="replace")))
    except OSError:
        return True


def home_directory(environ: Mapping[str, str]) -> Path | None:
    """``$HOME``, if it is a full path."""
    home = environ.get("HOME", "")
    return Path(home) if home.startswith("/") else None


def expand_home(text: str, environ: Mapping[str, str]) -> Path:
    """`text` as a path, a leading ``~/`` replaced."""
    home = home_directory(environ)
    return home / text[2:] if text.startswith("~/") and home else Path(text)


def secret_folders(environ: Mapping[str, str]) -> list[Path]:
    """Where secret files lie, later ones win: a container's folder, then ``$CREDENTIALS_DIRECTORY``."""
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    return [_CONTAINER_SECRETS, *([Path(credentials)] if credentials else [])]


def unreadable(path: Path, environ: Mapping[str, str], shown: str | None = None) -> str:
    """Why this user may not read `path`, and what lets him: for one line of a message.

    `shown` stands for a path that must not be shown.
    """
    shut = next(
        (folder for folder in reversed(path.absolute().parents) if not os.access(folder, os.X_OK)), path
    )
    uid, gid = os.geteuid(), os.getegid()
    name = shown or shlex.quote(str(shut))
    try:
        if shut.stat().st_uid == uid:
            mend = f"chmod u+rX {name}"
        elif _in_container(path, environ) or shut.absolute().parent.stat().st_uid == uid:
            mend = f"chown {uid}:{gid} {name}"
        else:
            mend = _way_in(shut.stat())
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return f"cannot be read by uid {uid}: {mend}"


def _in_container(path: Path, environ: Mapping[str, str]) -> bool:
    """Whether `path` is mounted into a container, so that it is for this one user."""
    image = environ.get("POLLER_CONFIG", "").startswith(_CONTAINER_CONFIG)
    return image or path.is_relative_to(_CONTAINER_SECRETS)


def _way_in(shut: os.stat_result) -> str:
    """How to read what belongs to somebody else, who shall keep it."""
    needed = stat.S_IXGRP if stat.S_ISDIR(shut.st_mode) else stat.S_IRGRP
    if not shut.st_mode & needed or shut.st_gid == 0:  # nobody shall join the group of root
        return "run it with sudo"
    try:
        group = grp.getgrgid(shut.st_gid).gr_name
    except KeyError:
        return "run it with sudo"
    return (
        "run it with sudo, or join the group that owns it: "
        f"`sudo usermod -aG {shlex.quote(group)} $USER`, then log in again"
    )


def default_data_dir(environ: Mapping[str, str], *, system: bool) -> Path | None:
    """``$STATE_DIRECTORY`` (systemd), with `system` /var/lib/poller, else below the home directory."""
    if state := environ.get("STATE_DIRECTORY", "").split(":")[0]:
        return Path(state)
    if system:
        return SYSTEM_DATA
    data = environ.get("XDG_DATA_HOME", "")
    home = home_directory(environ)
    if data.startswith("/"):
        return Path(data) / "poller"
    return home / ".local/share/poller" if home else None


def system_zone(environ: Mapping[str, str], etc: Path = _ETC) -> str:
    """The system's time zone by name: ``$TZ``, /etc/localtime's target, /etc/timezone; "" if none tells."""
    names = [environ.get("TZ", "").removeprefix(":")]
    with contextlib.suppress(OSError):
        names.append(str((etc / "localtime").readlink()).rpartition("zoneinfo/")[2])
    with contextlib.suppress(OSError):
        names.append((etc / "timezone").read_text("ascii", errors="replace").strip())
    return next((name for name in names if name and is_zone(name)), "")


def is_zone(name: str) -> bool:
    """Whether the time zone database of this machine has `name`; UTC needs none."""
    if name == "UTC":
        return True
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # OSError: "Europe" is a folder
        return False
    return True


def near_zone(name: str) -> str | None:
    """A time zone that is spelt nearly so."""
    zones = {zone.lower(): zone for zone in zoneinfo.available_timezones()}
    near = difflib.get_close_matches(name.lower().replace(" ", "_"), zones, n=1)
    return zones[near[0]] if near else None
