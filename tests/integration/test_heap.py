"""Freed memory goes back to the system, also the second time."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

#: Blocks of their own, which go back when they are freed, before and after one of that size was freed once.
_PROGRAM = """
import ctypes
from poller.runtime.heap import keep_small

class Numbers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "abcdefghij"]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Numbers
keep_small()
taken = bytearray(10_000_000)
del taken
before = libc.mallinfo2().d
taken = bytearray(9_000_000)
print(libc.mallinfo2().d - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc 2.33")
def test_a_big_block_never_becomes_a_hole_in_the_heap() -> None:
    """By itself glibc keeps blocks of a size that was freed once on the heap from then on."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) == 1
