"""Positions of cars in China: BMW sends them in the coordinates that the law there asks for.

GCJ-02 moves a point by some hundred metres; the way back is found by going forward again and again.
"""

from __future__ import annotations

from math import cos, pi, sin, sqrt
from typing import Final

#: The ellipsoid of Krasovsky: major axis in metres, and the square of its eccentricity.
_AXIS: Final = 6378245.0
_FLATTENING: Final = 1 / 298.3
_ECCENTRICITY: Final = _FLATTENING * (2 - _FLATTENING)
#: Outside this box (longitudes, latitudes) nothing is moved.
_BOX: Final = ((72.004, 137.8347), (0.8293, 55.8271))
_CLOSE: Final = 1e-6
#: Three do inside; at the box's edge some points swing for ever.
_STEPS: Final = 20


def to_wgs84(latitude: float, longitude: float) -> tuple[float, float]:
    """The position, in degrees, as satellites give it; unchanged outside China."""
    if not _in_china(latitude, longitude):
        return latitude, longitude
    north, east = latitude, longitude
    for _ in range(_STEPS):
        shifted = _to_gcj02(north, east)
        off_north, off_east = shifted[0] - latitude, shifted[1] - longitude
        north, east = north - off_north, east - off_east
        if abs(off_north) < _CLOSE and abs(off_east) < _CLOSE:
            break
    return north, east


def _in_china(latitude: float, longitude: float) -> bool:
    (west, east), (south, north) = _BOX
    return west <= longitude <= east and south <= latitude <= north


def _to_gcj02(latitude: float, longitude: float) -> tuple[float, float]:
    if not _in_china(latitude, longitude):
        return latitude, longitude
    x, y = longitude - 105.0, latitude - 35.0
    radians = latitude * pi / 180
    root = 1 - _ECCENTRICITY * sin(radians) ** 2
    north = _north(x, y) * 180 / (_AXIS * (1 - _ECCENTRICITY) / (root * sqrt(root)) * pi)
    east = _east(x, y) * 180 / (_AXIS / sqrt(root) * cos(radians) * pi)
    return latitude + north, longitude + east


def _north(x: float, y: float) -> float:
    """Metres to the north."""
    plain = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * sqrt(abs(x))
    waves = 20 * sin(6 * x * pi) + 20 * sin(2 * x * pi)
    waves += 20 * sin(y * pi) + 40 * sin(y / 3 * pi)
    waves += 160 * sin(y / 12 * pi) + 320 * sin(y * pi / 30)
    return plain + waves * 2 / 3


def _east(x: float, y: float) -> float:
    """Metres to the east."""
    plain = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * sqrt(abs(x))
    waves = 20 * sin(6 * x * pi) + 20 * sin(2 * x * pi)
    waves += 20 * sin(x * pi) + 40 * sin(x / 3 * pi)
    waves += 150 * sin(x / 12 * pi) + 300 * sin(x / 30 * pi)
    return plain + waves * 2 / 3
