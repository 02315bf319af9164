"""A QR code in a terminal: black on white whatever the theme, because phones read no other."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from itertools import zip_longest
from typing import TextIO

from poller.web.qrcode import as_squares

#: Light squares around the code; without them it is not found on a dark terminal.
_BORDER = 2
#: Of the 256 fixed colours, which no theme changes: black on white.
_PAINT, _PLAIN = "\x1b[38;5;16;48;5;231m", "\x1b[0m"
#: (above, below) of two squares in one character, dark ones being 1.
_BLOCKS = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}


def qr_code(text: str) -> list[str]:
    """Lines to print, all of the same width."""
    rows = as_squares(text, _BORDER)
    blank = (0,) * len(rows[0])
    return [
        _PAINT + "".join(_BLOCKS[pair] for pair in zip(above, below, strict=True)) + _PLAIN
        for above, below in zip_longest(rows[::2], rows[1::2], fillvalue=blank)
    ]


def shown_on(stream: TextIO, lines: list[str], environ: Mapping[str, str] = os.environ) -> bool:
    """Whether `stream` is a terminal that can show these lines."""
    if not stream.isatty() or environ.get("TERM", "dumb") == "dumb":
        return False
    try:
        "".join(lines).encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    width = len(lines[0]) - len(_PAINT) - len(_PLAIN)
    return shutil.get_terminal_size().columns >= width
