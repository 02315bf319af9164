"""Files that are whole or not there: temp file, fsync, rename, fsync of the folder.

Names are plain strings here: a Path puts each name it ever had among Python's interned words, from
where they go late (3.11) or never (3.12), and a name for every record adds up.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def write_atomic(path: Path | str, data: bytes, mode: int = 0o600) -> None:
    """Replace `path` with `data`; after return it survives power loss. OSError as the system has it.

    The folder must exist. A crash leaves the old file, or at worst a hidden ``.…tmp`` beside it.
    """
    folder, name = os.path.split(path)
    temporary = f"{folder or '.'}/.{name}.{secrets.token_hex(4)}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        # No file object: each call that it makes besides lets another thread in between.
        try:
            _write(descriptor, data)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)  # noqa: PTH105 - see above
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108 - see above
        raise
    sync_folder(folder or ".")


def _write(descriptor: int, data: bytes) -> None:
    """All of it: one call writes up to where the disk is full."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def sync_folder(folder: Path | str) -> None:
    """Make a rename or a new file in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
