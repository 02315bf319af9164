"""Pictures for the simulated slider captcha: stripes with a light gap. Needs Pillow."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final

from PIL import Image

#: JPEG works in squares of this many pixels; a gap that keeps to them keeps its edges.
_SQUARE: Final = 8
_WIDTH, _HEIGHT = 592, 360
_STRIPE: Final = 3 * _SQUARE
_COLOURS: Final = ((70, 96, 60), (120, 110, 80), (40, 60, 110))
_GAP: Final = (220, 230, 221)
_GAP_WIDTH, _GAP_HEIGHT = 64, 104
#: From the picture's left edge to the slider's.
_EDGE: Final = 26


def puzzle(below: Callable[[int], int]) -> tuple[bytes, float]:
    """A JPEG, and where its slider belongs as a share of its width. `below(n)`: any number under n."""
    image = Image.new("RGB", (_WIDTH, _HEIGHT))
    for x in range(0, _WIDTH, _STRIPE):
        image.paste(_COLOURS[below(len(_COLOURS))], (x, 0, x + _STRIPE, _HEIGHT))
    left = 2 * _GAP_WIDTH + _SQUARE * below((_WIDTH - 3 * _GAP_WIDTH) // _SQUARE)
    top = _SQUARE * below((_HEIGHT - _GAP_HEIGHT) // _SQUARE)
    image.paste(_GAP, (left, top, left + _GAP_WIDTH, top + _GAP_HEIGHT))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90, subsampling=0)
    return file.getvalue(), (left - _EDGE) / _WIDTH
