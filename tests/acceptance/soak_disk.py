"""Disks of a test's own: a tmpfs to fill and to lock, an ext4 to break. For root on Linux."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

MIB = 2**20


class Disk:
    """A mounted file system; what other programs put there is called `ballast`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    @property
    def left(self) -> int:
        """Bytes that are free."""
        status = os.statvfs(self.folder)
        return status.f_bavail * status.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Take all room but `leave` bytes."""
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            while self.left > leave:
                file.write(bytes(min(65_536, max(4096, self.left - leave))))

    def free(self) -> None:
        """Give it back."""
        self._ballast.unlink(missing_ok=True)

    def lock(self, *, read_only: bool = True) -> None:
        """Let nobody write there, or let them again; OSError while somebody has a file open for writing."""
        option = f"remount,{'ro' if read_only else 'rw'}"
        done = subprocess.run(["mount", "-o", option, self.folder], capture_output=True, check=False)
        if done.returncode:
            raise OSError(done.stderr.decode())


class BreakableDisk(Disk):
    """An ext4 on a loop device, mounted to turn read-only at the first error, as most are."""

    def __init__(self, image: Path, folder: Path) -> None:
        super().__init__(folder)
        self._image = image

    def mount(self) -> None:
        """Check and mount it."""
        # 1: there were errors, and they are mended.
        if subprocess.run(["fsck.ext4", "-p", self._image], capture_output=True, check=False).returncode > 1:
            raise OSError("the file system cannot be mended")
        _mount("-o", "loop,errors=remount-ro", self._image, self.folder)

    def unmount(self) -> None:
        """As an owner does; OSError if somebody still uses it."""
        done = subprocess.run(["umount", self.folder], capture_output=True, check=False)
        if done.returncode:
            raise OSError(done.stderr.decode())

    def fail(self) -> None:
        """Let the kernel find an error: from now on nobody may write, whoever has a file open included."""
        found = subprocess.run(["findmnt", "-no", "SOURCE", self.folder], capture_output=True, check=True)
        device = Path(found.stdout.decode().strip()).name
        Path("/sys/fs/ext4", device, "trigger_fs_error").write_text("1")


def small_disk(folder: Path, size: int) -> Iterator[Disk]:
    """A tmpfs at `folder` for as long as the generator lives; skips where root cannot mount."""
    _require("mount")
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size},mode=0700", "poller-test", folder)
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def breakable_disk(folder: Path, size: int) -> Iterator[BreakableDisk]:
    """An ext4 below `folder` for as long as the generator lives; skips where there is none to be had."""
    _require("mount", "mkfs.ext4", "fsck.ext4", "findmnt")
    image, place = folder / "disk.img", folder / "disk"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], capture_output=True, check=True)
    disk = BreakableDisk(image, place)
    disk.mount()
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", place], check=False, capture_output=True)
        image.unlink()


def _require(*tools: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a disk takes root")
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        pytest.skip(f"no {missing[0]} on this machine")


def _mount(*arguments: str | Path) -> None:
    if subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let root mount")
