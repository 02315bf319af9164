"""Miles and gallons, which releases before 0.14 could ask BMW for; what is derived follows by itself."""

from __future__ import annotations

import json
from typing import Any

from poller.sources.library_json import DISTANCES, KM_PER_MILE, LITERS_PER_GALLON
from poller.vehicle.display import Units
from poller.vehicle.records import Json


def length(units: Units) -> str:
    """The unit of distances."""
    return "km" if units == "metric" else "mi"


def volume(units: Units) -> str:
    """The unit of fuel; the United Kingdom drives miles and fills litres."""
    return "gal" if units == "imperial" else "L"


def distance(km: float, units: Units) -> float:
    """Kilometres in these units, as whole as BMW sends them."""
    return km if units == "metric" else round(km / KM_PER_MILE)


def fuel_amount(liters: float, units: Units) -> float:
    """Litres in these units."""
    return round(liters / LITERS_PER_GALLON) if units == "imperial" else liters


def as_sent(state: Json, units: Units) -> Json:
    """BMW's state as ``data`` shows it: in miles and gallons, or as it came; BMW never sent British units."""
    return as_shown(state, units) if units == "imperial" else state


def as_shown(state: Json, units: Units) -> Json:
    """BMW's state as it would have been in these units; the same object where nothing changes."""
    if units == "metric":
        return state
    state = json.loads(json.dumps(state))
    for *path, key in DISTANCES:
        _convert(_table(state, *path), key, lambda km: distance(km, units))
    level = _table(state, "combustionFuelLevel")
    _convert(level, "remainingFuelLiters", lambda liters: fuel_amount(liters, units))
    services = state.get("requiredServices")
    for service in services if isinstance(services, list) else ():
        if isinstance(service, dict):
            _convert(service, "mileage", lambda km: distance(km, units))
    return state


def _convert(table: Json, key: str, convert: Any) -> None:
    value = table.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool):
        table[key] = convert(value)


def _table(value: Json, *path: str) -> Json:
    """The object at `path`, the same one and not a copy; an empty one if there is none."""
    inner: Any = value
    for key in path:
        inner = inner.get(key) if isinstance(inner, dict) else None
    return inner if isinstance(inner, dict) else {}
