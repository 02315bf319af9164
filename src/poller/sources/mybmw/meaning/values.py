"""BMW's values in our words: converters for the table. All are total: they never raise.

A converter gets what lies at its paths (None: nothing there) and gives what the catalogue wants.
None means absent; what it does not understand it gives back as it is, and the snapshot's builder
leaves it out and counts it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final

from poller.sources.mybmw.meaning.gcj02 import to_wgs84
from poller.sources.texts import clean, dimension, moment

Convert = Callable[..., object]

_ELECTRIC: Final = frozenset({"PLUGIN_HYBRID", "ELECTRIC", "ELECTRIC_WITH_RANGE_EXTENDER"})
_COMBUSTION: Final = frozenset(
    {"COMBUSTION", "PLUGIN_HYBRID", "ELECTRIC_WITH_RANGE_EXTENDER", "HYBRID", "MILD_HYBRID"}
)

CHARGING_STATES: Final[Mapping[str, str]] = {
    "CHARGING": "charging",
    "WAITING_FOR_CHARGING": "waiting",
    "COMPLETE": "complete",
    "FULLY_CHARGED": "complete",
    "FINISHED_FULLY_CHARGED": "complete",
    "FINISHED_NOT_FULL": "complete",
    "TARGET_REACHED": "target_reached",
    "INVALID": "not_charging",
    "NOT_CHARGING": "not_charging",
    "PLUGGED_IN": "not_charging",
    "DEFAULT": "not_charging",
    "ERROR": "error",
    "UNKNOWN": "unknown",
}
_OPENINGS: Final = {
    "CLOSED": False,
    "OPEN": True,
    "OPEN_TILT": True,
    "TILTED": True,
    "INTERMEDIATE": True,
    "INTERMEDIATE_TILT": True,
}
_LOCKS: Final = {
    "LOCKED": True,
    "SECURED": True,
    "SELECTIVE_LOCKED": False,
    "PARTIALLY_LOCKED": False,
    "UNLOCKED": False,
}
_SEVERITIES: Final = ("low", "medium", "high", "critical")
_SERVICE_STATES: Final = ("ok", "pending", "overdue")


# --- plain values -----------------------------------------------------------------------------


def number(value: object) -> int | float | None:
    """A finite number of a size that arithmetic survives, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if -1e9 < value < 1e9 and math.isfinite(value) else None


def quantity(value: object) -> object:
    """A number as it is; the catalogue's bounds decide."""
    return value if number(value) is None else number(value)


def positive(value: object) -> object:
    """A number for which BMW writes 0 when it has none."""
    return None if number(value) == 0 else quantity(value)


def flag(value: object) -> object:
    """A boolean as it is."""
    return value


def word(value: object) -> object:
    """A vendor's word in lower case."""
    return clean(value).lower() if isinstance(value, str) else value


def upper(value: object) -> str | None:
    """A vendor's word to compare with; None if it is none."""
    return clean(value).upper() if isinstance(value, str) else None


def label(value: object) -> object:
    """A text or a whole number, as text."""
    if isinstance(value, str):
        return clean(value) or None
    return None if isinstance(value, bool) else value


def one_of(words: Mapping[str, object]) -> Convert:
    """A converter for words with a meaning each; others come back as they are, in lower case."""

    def convert(value: object) -> object:
        name = upper(value)
        return value if name is None else words.get(name, name.lower())

    return convert


opening = one_of({**_OPENINGS, "INVALID": None, "UNKNOWN": None})
locked = one_of({**_LOCKS, "UNKNOWN": None})
charging_state = one_of(CHARGING_STATES)
armed = one_of({"ARMED": True, "NOT_ARMED": False})


# --- what the car is --------------------------------------------------------------------------


def brand(value: object) -> object:
    """bmw, mini or toyota; BMW calls the Supra a third party's."""
    name = upper(value)
    if name is None:
        return value
    return "toyota" if name == "DRITTKUNDE" else name.partition("_")[0].lower() or None


def steering(value: object) -> object:
    """The side of the steering wheel."""
    return ("left" if value else "right") if isinstance(value, bool) else None


def first_label(*values: object) -> object:
    """The first text there is."""
    return next((text for text in map(label, values) if isinstance(text, str)), None)


def software_version(*values: object) -> object:
    """``07/2021.50`` as the car shows it, from month, year, step and the model year.

    The year takes its century from the model year, the step loses its first digit.
    """
    parts = [value for value in map(number, values) if isinstance(value, int)]
    if len(parts) < 4:
        return None
    month, year, step, model_year = parts
    if not (1 <= month <= 12 and 0 <= year <= 99 and 1900 <= model_year <= 2199):
        return None
    return f"{month:02d}/{str(model_year)[:2]}{year:02d}.{str(step)[1:]}"


# --- energy -----------------------------------------------------------------------------------


def electric(convert: Convert) -> Convert:
    """Only for cars with a traction battery; first path: the drive train. Unknown ones are believed."""

    def converted(drive_train: object, *values: object) -> object:
        return None if _kind(drive_train) == (False, True) else convert(*values)

    return converted


def fuel(drive_train: object, value: object, liters: object) -> object:
    """Only for cars with a tank: electric ones send made-up fuel too. Unknown: if there are litres."""
    has_tank = _kind(drive_train)[1]
    if has_tank is None:
        has_tank = number(liters) is not None
    return quantity(value) if has_tank else None


def range_fuel(drive_train: object, fuel_reach: object, electric_reach: object, liters: object) -> object:
    """The range on fuel. For a plug-in hybrid BMW sends the sum, so the electric part is taken off."""
    tank, battery = number(fuel_reach), number(electric_reach)
    name = upper(drive_train)
    if name == "PLUGIN_HYBRID":
        return None if tank is None or battery is None else max(0, tank - battery)
    has_battery, has_tank = _kind(drive_train)
    if has_tank is None:
        # Sum or part? Only a car without any electric range leaves no doubt.
        return tank if battery is None and number(liters) is not None else None
    return tank if has_tank or has_battery is None else None


def range_total(drive_train: object, fuel_reach: object, electric_reach: object, liters: object) -> object:
    """The range on all there is; never ``state.range``, which means something else per car."""
    tank, battery = number(fuel_reach), number(electric_reach)
    name = upper(drive_train)
    if name == "PLUGIN_HYBRID":
        return tank
    if name == "ELECTRIC_WITH_RANGE_EXTENDER":
        parts = [part for part in (tank, battery) if part is not None]
        return sum(parts) if parts else None
    has_battery, has_tank = _kind(drive_train)
    if has_tank is None:
        if battery is None:
            return tank if number(liters) is not None else None
        return battery if tank is None else None
    return battery if has_battery else tank


def is_charging(status: object) -> object:
    """Whether it is charging; absent for words that we do not know."""
    state = charging_state(status)
    return state == "charging" if state in CHARGING_STATES.values() and state != "unknown" else None


def charging_remaining(status: object, minutes: object) -> object:
    """Seconds left; BMW sends the last minutes for days after unplugging."""
    left = number(minutes)
    if is_charging(status) is not True:
        return None
    return minutes if left is None else left * 60


def charging_end(status: object, minutes: object, reported: object) -> object:
    """The end by the car's own report: it does not creep forward with every poll."""
    left, since = charging_remaining(status, minutes), moment(reported)
    seconds = number(left)
    if seconds is None or since is None or not 0 <= seconds <= 30 * 86400:
        return None
    return since + timedelta(seconds=seconds)


def charging_start(
    status: object, hour: object, minute: object, received_at: datetime, zone: tzinfo
) -> object:
    """While waiting: the next start of the charging window, which BMW gives in the car's local time."""
    face = _face(hour, minute)
    if charging_state(status) != "waiting" or face is None:
        return None
    today = received_at.astimezone(zone).date()
    # Compared in UTC: two times in one zone are compared by their faces, wrong when the clocks change.
    starts = (datetime.combine(today + timedelta(days=n), face, zone).astimezone(UTC) for n in (0, 1))
    return next((start for start in starts if start >= received_at), None)


def inverse(value: object) -> object:
    """The opposite of a boolean."""
    return not value if isinstance(value, bool) else None


def first_quantity(*values: object) -> object:
    """The first that is a number; else the first that is anything, to be counted."""
    there = [value for value in values if value is not None]
    return next((value for value in there if number(value) is not None), there[0] if there else None)


def first_flag(*values: object) -> object:
    """The first that is a boolean; else the first that is anything, to be counted."""
    there = [value for value in values if value is not None]
    return next((value for value in there if isinstance(value, bool)), there[0] if there else None)


def ac_limited(active: object, unlimited: object) -> object:
    """Whether the AC limit holds; the charging settings tell the opposite."""
    return first_flag(active, inverse(unlimited))


# --- body, climate, place ---------------------------------------------------------------------


def sunroof(state: object, kind: object) -> object:
    """A roof that is no convertible's top counts as a sunroof."""
    return None if _is_top(kind) else opening(state)


def convertible_top(state: object, kind: object) -> object:
    """The top of a convertible."""
    return opening(state) if _is_top(kind) else None


def climate_end(seconds: object, fetched: object, reported: object) -> object:
    """When the climate stops, to the second: BMW counts the seconds from its own fetch of the state."""
    left, since = number(seconds), moment(fetched) or moment(reported)
    if left is None or since is None or not 0 < left < 7 * 86400:
        return None
    return (since + timedelta(seconds=left)).replace(microsecond=0)


def latitude(north: object, east: object, china: object = False) -> object:  # noqa: FBT002  # a path's value
    """Only as a pair, only on this planet, and not the null island; in China converted."""
    pair = _position(north, east, china)
    return pair[0] if pair else None


def longitude(north: object, east: object, china: object = False) -> object:  # noqa: FBT002  # as above
    """As `latitude`."""
    pair = _position(north, east, china)
    return pair[1] if pair else None


def heading(value: object, north: object = None, east: object = None) -> object:
    """Degrees; -1 is none, and there is none on the null island. Nor is it counted: it is personal."""
    degrees = None if number(north) == 0 == number(east) else number(value)
    return degrees if degrees is not None and 0 <= degrees <= 360 else None


def season(value: object) -> object:
    """The tyre's season; the codes that were seen."""
    return {2: "summer", 4: "winter"}.get(value, value) if isinstance(value, int) else value


# --- lists: dimension → value -----------------------------------------------------------------


def per_type(convert: Convert, worst: Sequence[str] = ()) -> Convert:
    """A converter for a list's columns, the first being the type; of two of one type the worst counts."""

    def converted(types: Sequence[object], *columns: Sequence[object]) -> dict[str, object]:
        values: dict[str, object] = {}
        for index, kind in enumerate(types):
            name = dimension(kind)
            value = convert(*(column[index] for column in columns))
            if name is None or value is None:
                continue
            if name not in values or _rank(value, worst) > _rank(values[name], worst):
                values[name] = value
        return values

    return converted


def severity(value: object) -> object:
    """OK is no message."""
    name = word(value)
    return None if name == "ok" else name


check_controls = per_type(severity, _SEVERITIES)
service_states = per_type(word, _SERVICE_STATES)
service_dates = per_type(moment)
service_distances = per_type(positive)


def _face(hour: object, minute: object) -> time | None:
    """A time of day from its two numbers."""
    if not isinstance(hour, int) or not isinstance(minute, int):
        return None
    return time(hour, minute) if 0 <= hour < 24 and 0 <= minute < 60 else None


def _kind(drive_train: object) -> tuple[bool | None, bool | None]:
    """(has a traction battery, has a tank); None where the drive train says nothing that we know."""
    name = upper(drive_train)
    if name not in _ELECTRIC | _COMBUSTION:
        return None, None
    return name in _ELECTRIC, name in _COMBUSTION


def _is_top(kind: object) -> bool:
    name = upper(kind) or ""
    return "TOP" in name or "CONVERTIBLE" in name


def _position(north: object, east: object, china: object) -> tuple[int | float, int | float] | None:
    lat, lon = number(north), number(east)
    if lat is None or lon is None or (lat == 0 and lon == 0):
        return None
    if not (abs(lat) <= 90 and abs(lon) <= 180):
        return None
    return to_wgs84(lat, lon) if china is True else (lat, lon)


def _rank(value: object, worst: Sequence[str]) -> int:
    return worst.index(value) if isinstance(value, str) and value in worst else -1
