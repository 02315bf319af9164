"""Folders that others may enter as far as they may read the files."""

from __future__ import annotations

from pathlib import Path

from poller.runtime.atomic import sync_folder


def make_folders(folder: Path, file_mode: int) -> None:
    """Make `folder` and what is missing above it, durably. OSError as the system has it."""
    if folder.is_dir():
        return
    make_folders(folder.parent, file_mode)
    folder.mkdir(exist_ok=True)
    # Not left to the umask: the owner of the settings said who may read.
    folder.chmod(folder_mode(file_mode))
    sync_folder(folder.parent)


def folder_mode(file_mode: int) -> int:
    """0640 → 0750: who may read the files may list their folders; we ourselves must write in them."""
    return 0o700 | file_mode | (file_mode & 0o444) >> 2
