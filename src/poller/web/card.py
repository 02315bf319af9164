"""One vehicle as the page shows it: a pure function from what is known to what is written.

A value *looks old* when it may well be wrong by now: nobody could be asked for longer than the
source allows, or the car itself has not spoken of it for a day (for what changes by itself: an hour).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from poller.runtime.status import DaemonStatus
from poller.vehicle.fleet import VehicleView
from poller.vehicle.signals import POSITIONS, SIGNALS, Signal, signal_of, split_key
from poller.vehicle.snapshot import Reading, Value
from poller.web.display import Display, ago, since, span, words
from poller.web.model import asked_at, reported_at, shown

Tone = Literal["", "good", "warn", "bad"]

_DAY = 86400.0
_HOUR = 3600.0
#: What changes without anybody touching the car.
_LIVELY = frozenset(
    [
        "charging", "charging_state", "charging_power_watts", "charging_remaining_seconds",
        "charging_end_at", "charging_start_at", "moving", "climate_state", "climate_end_at",
    ]
)  # fmt: skip
#: A reading this much older than the car's newest gets its own age.
_LAGS = 15 * 60.0
#: Below this share of its target a tyre is called low.
_LOW_TYRE = 0.85
_GROUPS = {
    "driving": "Driving",
    "battery": "Battery and charging",
    "body": "Doors, windows, locks",
    "climate": "Climate",
    "service": "Service and messages",
    "tires": "Tyres",
    "vehicle": "Vehicle",
}


@dataclass(frozen=True, slots=True)
class Gauge:
    """Charge or fuel: a bar of `percent` (None: no bar), its text, and a mark at `target` percent."""

    name: str
    percent: float | None
    text: str
    range: str
    target: float | None
    tone: Tone
    old: bool
    age: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the card. `age` is said where it differs from the car's newest report."""

    label: str
    text: str
    tone: Tone = ""
    old: bool = False
    age: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Readings that belong together, for the unfolded list."""

    title: str
    facts: Sequence[Fact]


@dataclass(frozen=True, slots=True)
class Card:
    """A vehicle. `stale` says why everything on the card is old ("": it is not)."""

    slug: str
    title: str
    subtitle: str
    chips: Sequence[Fact]
    freshness: str
    stale: str
    gauges: Sequence[Gauge]
    facts: Sequence[Fact]
    groups: Sequence[Group]


def card_of(view: VehicleView, slug: str, status: DaemonStatus, display: Display) -> Card:
    """The vehicle at `status.now`."""
    return _CardMaker(view, slug, status, display).card()


class _CardMaker:
    def __init__(self, view: VehicleView, slug: str, status: DaemonStatus, display: Display) -> None:
        self._view = view
        self._slug = slug
        self._status = status
        self._now = status.now
        self._display = display
        self._readings = shown(view)
        self._reported = reported_at(view)
        self._stale = self._why_stale()

    def card(self) -> Card:
        model = str(self._value("model") or "")
        brand = str(self._value("brand") or "")
        if brand and model and not model.lower().startswith(brand.lower()):
            model = f"{_brand(brand)} {model}"
        subtitle = [model or _brand(brand), str(self._value("year") or "")]
        return Card(
            slug=self._slug,
            title=self._slug,
            subtitle=" · ".join(part for part in subtitle if part),
            chips=list(self._chips()),
            freshness=self._freshness(),
            stale=self._stale,
            gauges=list(self._gauges()),
            facts=list(self._facts()),
            groups=list(self._groups()),
        )

    # what is known, and how old it is

    def _value(self, key: str) -> Value | None:
        entry = self._readings.get(key)
        return None if entry is None else entry[0].value

    def _number(self, key: str) -> float | None:
        value = self._value(key)
        return float(value) if isinstance(value, int | float) else None

    def _moment(self, key: str) -> datetime | None:
        value = self._value(key)
        return value if isinstance(value, datetime) else None

    def _under(self, key: str) -> dict[str, Value]:
        """dimension → value of all readings of a signal."""
        split = ((*split_key(name), entry[0].value) for name, entry in self._readings.items())
        return {dimension: value for name, dimension, value in split if name == key and dimension}

    def _fact(self, label: str, text: str, keys: Sequence[str], tone: Tone = "") -> Fact:
        """A fact drawn from these readings: as old as the oldest of them."""
        found = [(key, *self._readings[key]) for key in keys if key in self._readings]
        old = any(self._is_old(key, reading) for key, reading, _ in found)
        oldest = min((reading.observed_at for _, reading, _ in found if reading.observed_at), default=None)
        source = found[0][2] if found else ""
        return Fact(label, text, tone, old, self._lag(oldest), source)

    def _is_old(self, key: str, reading: Reading) -> bool:
        if self._stale:
            return True
        if reading.observed_at is None:
            return False
        limit = _HOUR if split_key(key)[0] in _LIVELY else _DAY
        return since(reading.observed_at, self._now) > limit

    def _lag(self, observed: datetime | None) -> str:
        if observed is None or self._reported is None or since(observed, self._reported) < _LAGS:
            return ""
        return ago(observed, self._now)

    def _why_stale(self) -> str:
        limits = {source.name: source.allowed_age for source in self._status.sources}
        marks = self._view.sources.items()
        if any(
            name in limits and mark.last_success_at and since(mark.last_success_at, self._now) <= limits[name]
            for name, mark in marks
        ):
            return ""
        asked = asked_at(self._view)
        if not any(name in limits for name, _ in marks):
            return "No source asks for this car any more; this is what was last known."
        if asked is None:
            return "No answer yet."
        return f"No answer for {span(since(asked, self._now))}; this is what was last known."

    def _freshness(self) -> str:
        asked = asked_at(self._view)
        parts = []
        if self._reported is not None:
            parts.append(f"car reported {ago(self._reported, self._now)}")
        if asked is not None:
            parts.append(f"we asked {ago(asked, self._now)}")
        if self._view.sources and all(mark.up is False for mark in self._view.sources.values()):
            parts.append("the last try failed")
        return " · ".join(parts)

    # what is written

    def _chips(self) -> Iterator[Fact]:
        if self._value("moving"):
            yield self._fact("", "Driving", ["moving"], "good")
        if self._value("charging"):
            yield self._fact("", "Charging", ["charging"], "good")
        elif self._value("plugged"):
            state = self._value("charging_state")
            waiting = state if state in ("waiting", "paused", "complete", "target_reached", "error") else ""
            text = "Plugged in" + (f", {words(str(waiting))}" if waiting else "")
            yield self._fact("", text, ["plugged"], "bad" if waiting == "error" else "")
        if self._value("locked") is False:
            state = self._value("lock_state")
            text = words(str(state)) if state not in (None, "unknown") else "unlocked"
            yield self._fact("", text.capitalize(), ["locked"], "warn")

    def _gauges(self) -> Iterator[Gauge]:
        charge, fuel = self._number("soc_percent"), self._number("fuel_percent")
        liters = self._number("fuel_liters")
        both = charge is not None and (fuel is not None or liters is not None)
        if charge is not None:
            reach = ("range_electric_km",) if both else ("range_electric_km", "range_total_km")
            target = self._number("soc_target_percent")
            tone: Tone = "warn" if charge < 15 else "good"
            yield self._gauge("Charge", "soc_percent", charge, f"{charge:.0f} %", reach, target, tone)
        if fuel is not None or liters is not None:
            reach = ("range_fuel_km",) if both else ("range_fuel_km", "range_total_km")
            text = self._display.volume(liters) if liters is not None else f"{fuel:.0f} %"
            key = "fuel_liters" if liters is not None else "fuel_percent"
            tone = "warn" if fuel is not None and fuel < 12 else ""
            yield self._gauge("Fuel", key, fuel, text, reach, None, tone)

    def _gauge(
        self,
        name: str,
        key: str,
        percent: float | None,
        text: str,
        reach: Sequence[str],
        target: float | None,
        tone: Tone,
    ) -> Gauge:
        fact = self._fact(name, text, [key], tone)
        km = next((number for k in reach if (number := self._number(k)) is not None), None)
        distance = "" if km is None else self._display.distance(km)
        return Gauge(name, percent, text, distance, target, tone, fact.old, fact.age)

    def _facts(self) -> Iterator[Fact]:
        makers: Sequence[Callable[[], Fact | None]] = (
            self._charging, self._climate, self._locks, self._openings, self._messages,
            self._service, self._tyres, self._mileage,
        )  # fmt: skip
        for make in makers:
            if (fact := make()) is not None:
                yield fact

    def _charging(self) -> Fact | None:
        start = self._moment("charging_start_at")
        if self._value("charging"):
            parts = []
            if (watts := self._number("charging_power_watts")) is not None:
                parts.append(f"{watts / 1000:.1f} kW")
            if (end := self._moment("charging_end_at")) is not None:
                parts.append(f"done {self._at(end)}")
            if (target := self._number("soc_target_percent")) is not None:
                parts.append(f"up to {target:.0f} %")
            keys = ["charging", "charging_power_watts", "charging_end_at"]
            return self._fact("Charging", ", ".join(parts) or "yes", keys, "good")
        if start is not None:
            return self._fact("Charging", f"starts {self._at(start)}", ["charging_start_at"])
        return None

    def _climate(self) -> Fact | None:
        state = self._value("climate_state")
        if state in (None, "inactive", "standby", "unknown"):
            return None
        end = self._moment("climate_end_at")
        text = f"{words(str(state))}" + (f" until {self._at(end)}" if end else "")
        return self._fact("Climate", text, ["climate_state", "climate_end_at"])

    def _locks(self) -> Fact | None:
        locked, state = self._value("locked"), self._value("lock_state")
        if locked is None:
            return None
        text = words(str(state)) if state not in (None, "unknown") else ("locked" if locked else "unlocked")
        return self._fact("Locks", text, ["locked"], "good" if locked else "warn")

    def _openings(self) -> Fact | None:
        open_: list[str] = []
        keys: list[str] = []
        for key, noun in (("door_open", "door"), ("window_open", "window")):
            for position, value in self._under(key).items():
                keys.append(f"{key}.{position}")
                if value:
                    open_.append(f"{words(position)} {noun}")
        for key in ("hood_open", "trunk_open", "sunroof_open"):
            if key in self._readings:
                keys.append(key)
                if self._value(key):
                    open_.append(key.removesuffix("_open"))
        if not keys:
            return None
        if not open_:
            return self._fact("Doors and windows", "all closed", keys, "good")
        return self._fact("Doors and windows", "open: " + ", ".join(open_), keys, "warn")

    def _messages(self) -> Fact | None:
        found = self._under("check_control")
        if not found:
            return None
        ranks = ("critical", "high", "medium", "low", "unknown")
        ordered = sorted(found.items(), key=lambda item: ranks.index(str(item[1])))
        text = ", ".join(f"{words(name)} ({value})" for name, value in ordered)
        tone: Tone = "bad" if ordered[0][1] in ("critical", "high") else "warn"
        return self._fact("Messages", text, [f"check_control.{name}" for name, _ in ordered], tone)

    def _service(self) -> Fact | None:
        states, dates, ways = (
            self._under(key) for key in ("service_state", "service_due_at", "service_due_km")
        )
        names = {**states, **dates, **ways}
        if not names:
            return None
        rank = {"overdue": 0, "pending": 1}

        def urgency(name: str) -> tuple[int, float]:
            due = dates.get(name)
            return rank.get(str(states.get(name)), 2), due.timestamp() if isinstance(due, datetime) else 9e12

        name = min(names, key=urgency)
        due, km = dates.get(name), ways.get(name)
        parts = [self._display.month(due)] if isinstance(due, datetime) else []
        if isinstance(km, int | float):
            parts.append(f"in {self._display.distance(km)}" if km >= 0 else "by distance")
        state = str(states.get(name, ""))
        if state in rank:
            parts.insert(0, state)
        tone: Tone = "bad" if state == "overdue" else "warn" if state == "pending" else ""
        keys = [f"{key}.{name}" for key in ("service_state", "service_due_at", "service_due_km")]
        return self._fact("Next service", f"{words(name)}: {', '.join(parts) or state}", keys, tone)

    def _tyres(self) -> Fact | None:
        found, targets = self._under("tire_pressure_kpa"), self._under("tire_pressure_target_kpa")
        if not found:
            return None
        low = []
        for position, value in found.items():
            target = targets.get(position)
            if isinstance(value, int | float) and isinstance(target, int | float) and value < _LOW_TYRE * target:
                low.append(words(position))
        texts = [
            self._display.pressure(value)
            for position in POSITIONS
            if isinstance(value := found.get(position), int | float)
        ]
        unit = texts[0].rpartition(" ")[2] if texts else ""
        text = " · ".join(text.rpartition(" ")[0] for text in texts) + f" {unit}"
        text += f"; low: {', '.join(low)}" if low else ""
        return self._fact("Tyres", text, [f"tire_pressure_kpa.{p}" for p in found], "warn" if low else "")

    def _mileage(self) -> Fact | None:
        km = self._number("odometer_km")
        return None if km is None else self._fact("Mileage", self._display.distance(km), ["odometer_km"])

    def _groups(self) -> Iterator[Group]:
        """Everything, in the catalogue's order."""
        order = {signal.key: place for place, signal in enumerate(SIGNALS)}
        facts: dict[str, list[Fact]] = {}
        for key in sorted(self._readings, key=lambda key: (order[split_key(key)[0]], key)):
            signal = signal_of(key)
            if signal is not None:
                facts.setdefault(signal.group, []).append(self._detail(key, signal))
        for group, title in _GROUPS.items():
            if group in facts:
                yield Group(title, facts[group])

    def _detail(self, key: str, signal: Signal) -> Fact:
        reading, source = self._readings[key]
        dimension = split_key(key)[1]
        label = f"{signal.label}, {words(dimension)}" if dimension else signal.label
        age = ago(reading.observed_at, self._now) if reading.observed_at else ""
        text = self._display.value(signal, reading.value, self._now)
        return Fact(label, text, "", self._is_old(key, reading), age, source)

    def _at(self, moment: datetime) -> str:
        return f"at {self._display.moment(moment, self._now)}"


def _brand(brand: str) -> str:
    """Makers shout or whisper; ``bmw`` and ``mini`` are written in capitals."""
    return brand.upper() if len(brand) <= 4 else brand.capitalize()
