"""The library's JSON as one reader may have it: positions and VINs hang on many of its keys."""

from __future__ import annotations

import re
from typing import Any, Final

from poller.runtime.redact import PERSONAL_KEYS, plain
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import Json

#: Names as `plain` spells them.
#: Where the car is, wherever it stands: in ``vehicle_location``, and in BMW's own objects below ``data``.
_COORDINATES: Final = frozenset({"latitude", "longitude", "lat", "lon", "lng"})
_PLACES: Final = frozenset({"location", "remoteserviceposition", "coordinates", "position"})
#: Words that tell the place more closely than a rounded position.
_ADDRESSES: Final = PERSONAL_KEYS - _COORDINATES - {"heading"}


def shown(vehicle: Json, vin: str, rendering: Rendering) -> Json:
    """`vehicle` (see `keys.vehicle_json`) under this reader's `location` and `vin`; the input stays as it is.

    ``none`` takes places, headings and addresses away, ``rounded`` rounds coordinates and takes
    addresses away. Another VIN stands wherever the real one did, in names and in texts.
    """
    if rendering.location == "exact" and rendering.vin == "full":
        return vehicle
    other = None
    if rendering.vin != "full" and vin:
        other = re.compile(re.escape(vin), re.IGNORECASE), rendering.shown_vin(vin)
    kept: Json = _walk(vehicle, rendering, other)
    return kept


_Vin = tuple[re.Pattern[str], str]


def _walk(value: Any, rendering: Rendering, vin: _Vin | None) -> Any:
    if isinstance(value, dict):
        return {_spelt(key, vin): _member(plain(key), item, rendering, vin) for key, item in value.items()}
    if isinstance(value, list):
        return [_walk(item, rendering, vin) for item in value]
    return _spelt(value, vin) if isinstance(value, str) else value


def _member(key: str, value: Any, rendering: Rendering, vin: _Vin | None) -> Any:
    """A member of an object, judged by its name; what may not be seen becomes null."""
    if rendering.location == "none" and (key in _COORDINATES or key in _PLACES or key == "heading"):
        return None
    if rendering.location != "exact" and key in _ADDRESSES:
        return None
    if key in _COORDINATES:
        return _coarse(value, rendering)
    return _walk(value, rendering, vin)


def _coarse(value: Any, rendering: Rendering) -> Any:
    if rendering.location == "exact":
        return value
    # A text, or whatever else stands for a coordinate, cannot be rounded.
    return rendering.coarse("latitude_degrees", value) if isinstance(value, int | float) else None


def _spelt(text: str, vin: _Vin | None) -> str:
    return text if vin is None else vin[0].sub(vin[1], text)
