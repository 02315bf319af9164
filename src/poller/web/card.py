"""One vehicle as the page shows it: a pure function from what is known to what is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from poller.runtime.status import OrderStatus
from poller.vehicle.display import Display, ago, service_words, words
from poller.vehicle.signals import GROUPS, POSITIONS, SIGNALS, Signal, signal_of, split_key
from poller.vehicle.thresholds import CAR
from poller.web.known import Fact, Known, Tone
from poller.web.orders import Ordered, shown_orders

_LOW_FUEL = 12
_MESSAGE_RANKS = ("critical", "high", "medium", "low", "unknown")
_ORDER = {signal.key: place for place, signal in enumerate(SIGNALS)}


@dataclass(frozen=True, slots=True)
class Gauge:
    """Charge or fuel: a bar of `percent` (None: no bar), its text, and a mark at `target` percent.

    `range` may be of another age than `amount`.
    """

    amount: Fact
    percent: float | None
    range: Fact | None
    target: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Readings that belong together, for the unfolded list."""

    title: str
    facts: Sequence[Fact]


@dataclass(frozen=True, slots=True)
class Card:
    """A vehicle. `stale` says why nothing on the card can be relied on ("": it can).

    `shared`: its readings came from several sources or by several ways, so each names its own.
    """

    slug: str
    title: str
    subtitle: str
    freshness: Sequence[str]
    stale: str
    shared: bool
    chips: Sequence[Fact]
    gauges: Sequence[Gauge]
    facts: Sequence[Fact]
    groups: Sequence[Group]
    orders: Sequence[Ordered]


def card_of(
    known: Known, display: Display, *, slug: str, named: bool, orders: Sequence[OrderStatus] = ()
) -> Card:
    """The vehicle's card; it is titled by its `slug` if the owner `named` it, else by its model."""
    model, year = _model(known), str(known.value("year") or "")
    title = slug if named or not model else model
    subtitle = [part for part in (model, year, slug) if part and part != title]
    facts = [
        _charging(known, display),
        _climate(known, display),
        _locks(known),
        _openings(known),
        _messages(known),
        _service(known, display),
        _tyres(known, display),
        _mileage(known, display),
    ]
    return Card(
        slug=slug,
        title=title,
        subtitle=" · ".join(subtitle),
        freshness=known.freshness(),
        stale=known.stale,
        shared=known.mixed,
        chips=list(_chips(known)),
        gauges=list(_gauges(known, display)),
        facts=[fact for fact in facts if fact is not None],
        groups=list(_groups(known, display)),
        orders=list(shown_orders(orders, known.now, display)),
    )


def _model(known: Known) -> str:
    model, brand = str(known.value("model") or ""), str(known.value("brand") or "")
    # Makers shout or whisper: "bmw", "TOYOTA".
    brand = brand.upper() if len(brand) <= 4 else brand.capitalize()
    return model if model.lower().startswith(brand.lower()) else f"{brand} {model}".strip()


def _chips(known: Known) -> Iterator[Fact]:
    if known.value("moving"):
        yield known.fact("", "Driving", ["moving"], "good")
    if known.value("charging"):
        yield known.fact("", "Charging", ["charging"], "good")
    elif known.value("plugged"):
        state = known.token("charging_state")
        told = f", {words(state)}" if state and state not in ("charging", "not_charging") else ""
        tone: Tone = "bad" if state == "error" else ""
        yield known.fact("", f"Plugged in{told}", ["plugged", *(["charging_state"] if told else [])], tone)
    if known.value("locked") is False:
        yield known.fact("", words(known.token("lock_state") or "unlocked").capitalize(), ["locked"], "warn")


def _gauges(known: Known, display: Display) -> Iterator[Gauge]:
    charge, percent, liters = (known.number(key) for key in ("soc_percent", "fuel_percent", "fuel_liters"))
    burns = percent is not None or liters is not None

    def reach(own: str, *, alone: bool) -> Fact | None:
        for key in (own, "range_total_km") if alone else (own,):
            if (km := known.number(key)) is not None:
                return known.fact("Range", display.distance(km), [key])
        return None

    if charge is not None:
        tone: Tone = "warn" if charge < CAR.soc_percent else "good"
        amount = known.fact("Charge", f"{charge:.0f} %", ["soc_percent"], tone)
        target = known.number("soc_target_percent")
        yield Gauge(amount, charge, reach("range_electric_km", alone=not burns), target)
    if burns:
        key = "fuel_percent" if liters is None else "fuel_liters"
        text = f"{percent:.0f} %" if liters is None else display.volume(liters)
        tone = "warn" if percent is not None and percent < _LOW_FUEL else ""
        yield Gauge(
            known.fact("Fuel", text, [key], tone), percent, reach("range_fuel_km", alone=charge is None)
        )


def _charging(known: Known, display: Display) -> Fact | None:
    if known.value("charging"):
        watts, end = known.number("charging_power_watts"), known.moment("charging_end_at")
        target = known.number("soc_target_percent")
        power = "" if watts is None else f"{watts / 1000:.1f} kW"
        until = "" if target is None else f"to {target:.0f} %"
        done = "" if end is None else f"done {_at(end, known, display)}"
        text = ", ".join(part for part in (f"{power} {until}".strip(), done) if part)
        return known.fact("Charging", text or "yes", ["charging", "charging_power_watts", "charging_end_at"])
    start = known.moment("charging_start_at")
    if start is None:
        return None
    return known.fact("Charging", f"starts {_at(start, known, display)}", ["charging_start_at"])


def _climate(known: Known, display: Display) -> Fact | None:
    state, end = known.token("climate_state"), known.moment("climate_end_at")
    if state in ("", "inactive", "standby"):
        return None
    text = words(state) + (f" until {display.moment(end, known.now)}" if end else "")
    return known.fact("Climate", text, ["climate_state", "climate_end_at"])


def _locks(known: Known) -> Fact | None:
    locked = known.value("locked")
    if locked is None:
        return None
    text = words(known.token("lock_state")) or ("locked" if locked else "unlocked")
    return known.fact("Locks", text, ["locked", "lock_state"], "" if locked else "warn")


def _openings(known: Known) -> Fact | None:
    parts = {
        f"{key}.{position}": (f"{words(position)} {noun}", value)
        for key, noun in (("door_open", "door"), ("window_open", "window"))
        for position, value in known.under(key).items()
    }
    for noun in ("hood", "trunk", "sunroof"):
        if (value := known.value(f"{noun}_open")) is not None:
            parts[f"{noun}_open"] = (noun, value)
    if not parts:
        return None
    standing_open = [name for name, value in parts.values() if value]
    text = f"open: {', '.join(standing_open)}" if standing_open else "all closed"
    return known.fact("Doors, windows", text, list(parts), "warn" if standing_open else "")


def _messages(known: Known) -> Fact | None:
    found = sorted(known.under("check_control").items(), key=lambda item: _MESSAGE_RANKS.index(str(item[1])))
    if not found:
        return None
    tone: Tone = "bad" if found[0][1] in ("critical", "high") else "warn"
    text = ", ".join(f"{words(name)} ({severity})" for name, severity in found)
    return known.fact("Messages", text, [f"check_control.{name}" for name, _ in found], tone)


def _service(known: Known, display: Display) -> Fact | None:
    """The most urgent of them: overdue, then pending, then the nearest date."""
    states, dates = known.under("service_state"), known.under("service_due_at")
    ways = known.under("service_due_km")
    names = {**states, **dates, **ways}
    if not names:
        return None
    ranks: dict[object, int] = {"overdue": 0, "pending": 1}

    def urgency(name: str) -> tuple[int, float]:
        due = dates.get(name)
        return ranks.get(states.get(name), 2), due.timestamp() if isinstance(due, datetime) else float("inf")

    name = min(names, key=urgency)
    state, due, km = states.get(name), dates.get(name), ways.get(name)
    when = [display.month(due)] if isinstance(due, datetime) else []
    if isinstance(km, int | float) and km >= 0:
        when.append(f"in {display.distance(km)}")
    text = f"{service_words(name)} {' or '.join(when)}".strip() + (f" ({state})" if state in ranks else "")
    tones: dict[object, Tone] = {"overdue": "bad", "pending": "warn"}
    keys = [f"{key}.{name}" for key in ("service_state", "service_due_at", "service_due_km")]
    return known.fact("Next service", text, keys, tones.get(state, ""))


def _tyres(known: Known, display: Display) -> Fact | None:
    found = _numbers(known, "tire_pressure_kpa")
    targets = _numbers(known, "tire_pressure_target_kpa")
    if not found:
        return None
    low = [
        words(position)
        for position, kpa in found.items()
        if 100 * kpa < CAR.tire_pressure_percent * targets.get(position, 0.0)
    ]
    unit = display.pressure(0).rpartition(" ")[2]
    axles = []
    for axle in ("front", "rear"):
        pair = [
            display.pressure(found[p]).removesuffix(f" {unit}")
            for p in POSITIONS
            if p in found and p.startswith(axle)
        ]
        if pair:
            axles.append(f"{axle} {' / '.join(pair)}")
    text = f"{', '.join(axles)} {unit}" + (f"; {', '.join(low)} low" if low else "")
    return known.fact("Tyres", text, [f"tire_pressure_kpa.{p}" for p in found], "warn" if low else "")


def _numbers(known: Known, key: str) -> dict[str, float]:
    found = known.under(key).items()
    return {position: float(value) for position, value in found if isinstance(value, int | float)}


def _mileage(known: Known, display: Display) -> Fact | None:
    km = known.number("odometer_km")
    return None if km is None else known.fact("Mileage", display.distance(km), ["odometer_km"])


def _groups(known: Known, display: Display) -> Iterator[Group]:
    """Everything, in the catalogue's order."""
    facts: dict[str, list[Fact]] = {}
    for key in sorted(known.readings, key=lambda key: (_ORDER[split_key(key)[0]], key)):
        signal = signal_of(key)
        if signal is not None:
            facts.setdefault(signal.group, []).append(_detail(known, display, key, signal))
    for group, title in GROUPS.items():
        if group in facts:
            yield Group(title, facts[group])


def _detail(known: Known, display: Display, key: str, signal: Signal) -> Fact:
    reading, _ = known.readings[key]
    dimension = split_key(key)[1]
    named = service_words if signal.key.startswith("service_") else words
    return Fact(
        label=f"{signal.label}, {named(dimension)}" if dimension else signal.label,
        text=display.value(signal, reading.value, known.now),
        old=known.is_old(key, reading),
        age=ago(reading.observed_at, known.now) if reading.observed_at else "",
        source=known.came_from(key),
    )


def _at(moment: datetime, known: Known, display: Display) -> str:
    return f"at {display.moment(moment, known.now)}"
