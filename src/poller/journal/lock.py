"""One poller per data directory: a lock that dies with its process."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path

from poller.errors import JournalLocked


class DirectoryLock:
    """An exclusive ``flock`` on ``poller.lock``, which names its owner.

    The file stays; only the lock counts. So an owner that was killed leaves nothing to clear up.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "poller.lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises JournalLocked naming the owner."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode())
        except BlockingIOError as error:
            owner = _named(descriptor)
            os.close(descriptor)
            raise _locked(self._path.parent, owner) from error
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go; may be called twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _named(descriptor: int) -> list[str]:
    """Process and host; who has just taken the lock may still be writing his name."""
    for _ in range(50):
        if owner := os.pread(descriptor, 300, 0).decode("utf-8", "replace").split():
            return owner
        time.sleep(0.01)
    return []


def _locked(folder: Path, owner: list[str]) -> JournalLocked:
    process = owner[0] if owner else "unknown"
    host = owner[1] if len(owner) > 1 else "this host"
    return JournalLocked(
        f"another poller (process {process} on {host}) owns the data directory {folder}",
        hint="stop it first, or give this one another data_dir",
    )
