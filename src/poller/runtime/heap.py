"""What glibc does with memory that was freed: give it back, for we run for months."""

from __future__ import annotations

import contextlib
import ctypes
from typing import Final

#: From glibc's malloc.h; its own defaults, which it otherwise raises as it sees fit.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_BYTES: Final = 128 * 1024


def keep_small() -> None:
    """Keep the heap from growing around holes, some kilobytes a day; does nothing where there is no glibc.

    One heap for all threads: only one of them runs at a time anyway.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, _BYTES), (_TRIM_THRESHOLD, _BYTES)):
            mallopt(option, value)
