"""Where the slider of the login in China belongs: the light gap in its picture (facts section 4).

The one importer of Pillow, which comes with the extra ``[china]``: import it late.
"""

from __future__ import annotations

import io
from typing import Final

from PIL import Image, ImageChops

#: A gap is a block of this many pixels (across, down) of this colour, each channel this near.
BLOCK: Final = (15, 75)
COLOUR: Final = (220, 230, 221)
_NEARNESS: Final = 15
#: From the left edge of the picture to that of the slider.
OFFSET: Final = 26
#: BMW's have a fifth of a million; unpacking more than this is not worth a login.
_MOST_PIXELS: Final = 4_000_000
#: The library knows forty more, among them one that other programs are started for (EPS).
_FORMATS: Final = ("PNG", "JPEG", "GIF", "WEBP")


def gap_position(picture: bytes) -> str | None:
    """How far to move the slider, as a share of the picture's width ("0.81"); None if there is no gap.

    ValueError if it is no picture, or a huge one.
    """
    try:
        with Image.open(io.BytesIO(picture), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > _MOST_PIXELS:
                raise ValueError("a huge picture")
            light = _light(image.convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError("no picture") from error
    left = _first_block(light, width)
    return None if left is None else str(round((left - OFFSET) / width, 2))


def _light(image: Image.Image) -> bytes:
    """A byte for each pixel, row by row: not 0 where it has the gap's colour."""
    red, green, blue = map(_near, image.split(), COLOUR)
    return ImageChops.darker(ImageChops.darker(red, green), blue).tobytes()


def _near(band: Image.Image, wanted: int) -> Image.Image:
    return band.point([255 * (abs(value - wanted) <= _NEARNESS) for value in range(256)])


def _first_block(light: bytes, width: int) -> int | None:
    """The left edge of the first block, in the order of reading."""
    across, down = BLOCK
    # How many light pixels stand above one another, down to the current row.
    piled = [0] * width
    for row in range(0, len(light), width):
        beside = 0
        for x in range(width):
            piled[x] = piled[x] + 1 if light[row + x] else 0
            beside = beside + 1 if piled[x] >= down else 0
            if beside == across:
                return x - across + 1
    return None
