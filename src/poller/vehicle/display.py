"""Numbers and times in an owner's words: his units, his time zone. Records stay metric and UTC."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Literal

from poller.vehicle.signals import Kind, Signal
from poller.vehicle.snapshot import Value

Units = Literal["metric", "imperial", "uk"]

_KM_PER_MILE = 1.609344
_LITERS_PER_GALLON = 3.785411784  # the American one: with "uk" fuel stays in litres
_KPA_PER_PSI = 6.894757


def span(seconds: float) -> str:
    """A length of time to a person's precision: ``45 s``, ``17 min``, ``2 h 5 min``, ``3 days``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if minutes and hours < 6:
        return f"{hours} h {minutes} min"
    return f"{hours} h" if hours < 48 else f"{(hours + 12) // 24} days"


def since(then: datetime, now: datetime) -> float:
    """Seconds from `then` to `now`; never negative, for a clock may have been set back."""
    return max(0.0, (now - then).total_seconds())


def ago(then: datetime, now: datetime) -> str:
    """``12 min ago``, or ``just now`` within five seconds."""
    age = since(then, now)
    return "just now" if age < 5 else f"{span(age)} ago"


def size(count: float) -> str:
    """Bytes to a person's precision, in binary units: ``512 B``, ``3.4 MiB``, ``2 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{_short(count)} {unit}"
        count /= 1024
    return f"{_short(count)} TiB"


def words(token: str) -> str:
    """``target_reached`` → ``target reached``."""
    return token.replace("_", " ")


#: Services whose name in the catalogue says nothing to an owner.
_SERVICES = {"oil": "engine oil", "vehicle_tuv": "general inspection", "tuv": "general inspection"}


def service_words(name: str) -> str:
    """A service by the name that owners have for it: ``vehicle_tuv`` → ``general inspection``."""
    return _SERVICES.get(name, words(name))


@dataclass(frozen=True, slots=True)
class Display:
    """How the page speaks: `units`, and the `timezone` of all its times."""

    units: Units
    timezone: tzinfo

    def distance(self, km: float) -> str:
        """Kilometres in → ``12,345 km`` or ``7,671 mi``."""
        return f"{km:,.0f} km" if self.units == "metric" else f"{km / _KM_PER_MILE:,.0f} mi"

    def volume(self, liters: float) -> str:
        """Litres in → ``35 l`` or ``9.2 gal`` (US)."""
        return f"{liters / _LITERS_PER_GALLON:.1f} gal" if self.units == "imperial" else f"{_short(liters)} l"

    def pressure(self, kpa: float) -> str:
        """Kilopascals in → ``2.4 bar`` or ``35 psi``."""
        return f"{kpa / 100:.1f} bar" if self.units == "metric" else f"{kpa / _KPA_PER_PSI:.0f} psi"

    def clock(self, moment: datetime) -> str:
        """``14:02:05`` where the owner lives."""
        return f"{moment.astimezone(self.timezone):%H:%M:%S}"

    def moment(self, moment: datetime, now: datetime) -> str:
        """As short as is clear: ``14:02`` within half a day, ``Thu 14:02`` within six, ``21 Nov 2026``."""
        local = moment.astimezone(self.timezone)
        today = now.astimezone(self.timezone).date()
        if local.date() == today or abs(moment - now) < timedelta(hours=12):
            return f"{local:%H:%M}"
        if abs(local.date() - today) < timedelta(days=7):
            return f"{local:%a %H:%M}"
        return f"{local.day} {local:%b %Y}"

    def month(self, moment: datetime) -> str:
        """``Mar 2027``: cars name services by the month."""
        return f"{moment.astimezone(self.timezone):%b %Y}"

    def value(self, signal: Signal, value: Value, now: datetime) -> str:
        """Any signal's value, by its kind and unit."""
        if signal.kind is Kind.BOOL:
            return "yes" if value else "no"
        if isinstance(value, datetime):
            return self.month(value) if signal.key == "service_due_at" else self.moment(value, now)
        if signal.kind is Kind.NUMBER and isinstance(value, int | float):
            return self._number(signal.unit or "", value)
        return words(str(value)) if signal.kind is Kind.ENUM else str(value)

    def _number(self, unit: str, value: float) -> str:
        special: dict[str, Callable[[float], str]] = {
            "km": self.distance,
            "l": self.volume,
            "kPa": self.pressure,
            "s": span,
            "W": lambda watts: f"{watts / 1000:.1f} kW",
            "degrees": _degrees,
        }
        return special[unit](value) if unit in special else f"{_short(value)} {unit}"


def _degrees(number: float) -> str:
    """To a metre on the ground: ``48.17718°``; a heading has no decimals: ``121°``."""
    return f"{number:.5f}".rstrip("0").removesuffix(".") + "°"


def _short(number: float) -> str:
    """One decimal where it says something: ``12.6``, ``35``, not ``35.0``."""
    return f"{number:.1f}".removesuffix(".0") if abs(number) < 100 else f"{number:.0f}"
