"""The folder and files a journal lives in: local disk, private, set aside when damaged."""

from __future__ import annotations

import os
import re
import shlex
from datetime import datetime
from pathlib import Path
from typing import Final

from poller.errors import JournalError
from poller.runtime.atomic import sync_folder

#: File systems on which SQLite's shared memory or locks do not hold what they promise.
_NETWORK: Final = frozenset(
    ["nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "9p", "fuse.sshfs", "fuse.rclone", "davfs"]
)
#: What belongs to a database file, the file itself first.
SUFFIXES: Final = ("", "-wal", "-shm")
#: Between the name of a damaged journal and the time at which it was set aside.
_CORRUPT: Final = ".corrupt-"
#: Where services keep their data: of theirs nobody else becomes the owner.
_OF_SERVICES: Final = Path("/var/lib")
_SERVICE_HINT: Final = "run this with sudo, or start the service: its group can speak to it"


def prepare_folder(folder: Path, mounts: Path = Path("/proc/mounts")) -> None:
    """Make the folder, for its owner only. Raises JournalError where a journal must not live."""
    try:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(folder.parent)
    except OSError as error:
        own = "choose another data_dir, or create it for this user"
        raise JournalError(
            f"the data directory {folder} cannot be made or entered: {error.strerror}",
            hint=_SERVICE_HINT if folder.is_relative_to(_OF_SERVICES) else own,
        ) from error
    _refuse_somebody_elses(folder)
    kind = filesystem_of(folder.resolve(), mounts)
    if kind in _NETWORK:
        raise JournalError(
            f"the data directory {folder} lies on a network file system ({kind})",
            hint="put data_dir on a local disk; sinks may write to the network",
        )


def _refuse_somebody_elses(folder: Path) -> None:
    """Raise JournalError where another user's folder or files are in the way; its hint mends that."""
    uid, gid = os.geteuid(), os.getegid()
    for path in (folder, folder / "poller.lock", folder / "journal.db"):
        if path.exists() and path.stat().st_uid != uid and not os.access(path, os.W_OK):
            own = f"chown -R {uid}:{gid} {shlex.quote(str(folder))}, or choose another data_dir"
            raise JournalError(
                f"{path} belongs to uid {path.stat().st_uid}, and uid {uid} may not write it",
                hint=_SERVICE_HINT if folder.is_relative_to(_OF_SERVICES) else own,
            )


def filesystem_of(folder: Path, mounts: Path = Path("/proc/mounts")) -> str | None:
    """The type of the file system that holds `folder`, or None where the system does not tell."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    best, kind = -1, None
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        mounted = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[1]))
        depth = len(mounted.parts)
        # A later mount on the same place covers the earlier one.
        if folder.is_relative_to(mounted) and depth >= best:
            best, kind = depth, fields[2]
    return kind


def create_private(path: Path) -> bool:
    """Make sure that `path` is there and 0600, whatever the umask; True if it is new.

    An existing file is not opened: closing it would let go of SQLite's own locks on it.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        path.chmod(0o600)
        return False
    sync_folder(path.parent)
    return True


def set_aside(path: Path, now: datetime) -> Path:
    """Rename a damaged journal with what belongs to it; gives its new path."""
    stem = path.with_name(f"{path.name}{_CORRUPT}{now:%Y%m%dT%H%M%SZ}")
    target, count = stem, 1
    while target.exists():
        count += 1
        target = stem.with_name(f"{stem.name}-{count}")
    for suffix in reversed(SUFFIXES):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(target.with_name(target.name + suffix))
    sync_folder(path.parent)
    return target


def damaged_beside(path: Path) -> list[str]:
    """Names of the journals that were set aside and still lie there, oldest first."""
    found = path.parent.glob(f"{path.name}{_CORRUPT}*")
    return sorted(file.name for file in found if not file.name.endswith(SUFFIXES[1:]))


def size_of(path: Path) -> int:
    """Bytes that the database takes on disk, write-ahead log included."""
    total = 0
    for suffix in SUFFIXES[:2]:
        try:
            total += path.with_name(path.name + suffix).stat().st_size
        except FileNotFoundError:
            continue
    return total


def free_beside(path: Path) -> int:
    """Bytes that this user may still write on the disk of `path`."""
    status = os.statvfs(path.parent)
    return status.f_bavail * status.f_frsize
