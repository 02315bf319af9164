"""Files that a command writes of a car: nobody else can read them, and none takes another's place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO


def new_file(path: Path) -> IO[str]:
    """Open for writing, in UTF-8. Raises FileExistsError, OSError."""
    return open(path, "x", encoding="utf-8", opener=_private)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
