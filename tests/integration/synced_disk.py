"""A disk whose power may go at any moment: what of it would last, by what was synced and nothing else.

POSIX promises this much: a file's content lasts once the file was synced, its name once its folder was.
What real file systems do besides is luck. SQLite syncs in C and is not seen here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class SyncedDisk:
    """Watches `os.fsync` and renames below `root`; what is there at the beginning lasts.

    `torn`: names that were given to content not synced yet, so that a cut could leave half a file under
    them. `failure`, when set, is raised by every sync of a file.
    """

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.torn: list[str] = []
        self.failure: OSError | None = None
        self._root = root
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        for path in (root, *root.rglob("*")):
            self._note(path)
        self._sync = os.fsync
        patch.setattr(os, "fsync", self._watched_sync)
        for name in ("replace", "rename"):
            patch.setattr(os, name, self._watched_rename(getattr(os, name)))

    def content(self, path: Path) -> bytes | None:
        """What would be in the file after a cut now; None: it would not be there."""
        inode = self._inode(path)
        return None if inode is None else self._contents.get(inode, b"")

    def named(self, path: Path) -> bool:
        """Whether a file or folder of this name would be there after a cut now."""
        return self._inode(path) is not None

    def _inode(self, path: Path) -> int | None:
        inode: int | None = self._root.stat().st_ino
        for part in path.relative_to(self._root).parts:
            if inode is None:
                return None
            inode = self._names.get(inode, {}).get(part)
        return inode

    def _watched_sync(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        if self.failure is not None and stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise self.failure
        self._sync(descriptor)
        if path.is_relative_to(self._root):
            self._note(path)

    def _watched_rename(self, rename: Callable[..., None]) -> Callable[..., None]:
        def watched(source: Any, target: Any, **options: Any) -> None:
            path = Path(source)
            if path.is_file() and self._contents.get(path.stat().st_ino) != path.read_bytes():
                self.torn.append(Path(target).name)
            rename(source, target, **options)

        return watched

    def _note(self, path: Path) -> None:
        """The content of a file, or the names in a folder, last from now on."""
        if path.is_dir():
            with os.scandir(path) as entries:
                self._names[path.stat().st_ino] = {entry.name: entry.inode() for entry in entries}
        elif path.is_file():
            self._contents[path.stat().st_ino] = path.read_bytes()
