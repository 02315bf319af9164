"""Doors, windows, locks and tyres."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from poller.derive.alerts.finding import Finding
from poller.derive.alerts.known import Known
from poller.derive.alerts.rulebook import RuleName
from poller.derive.alerts.settings import CarAlerts
from poller.derive.alerts.words import capital, listed
from poller.vehicle.alert import Severity
from poller.vehicle.display import Display, words
from poller.vehicle.signals import WINDOW_POSITIONS
from poller.vehicle.thresholds import CAR, TELLING


@dataclass(frozen=True, slots=True)
class Scene:
    """What a rule looks at. `name`: the car's; `raised`: since when alerts of this car are raised, by key."""

    known: Known
    limits: CarAlerts
    display: Display
    name: str
    raised: Mapping[str, datetime]


#: Rule → what stands open; a signal with positions, or one without.
_OPENINGS: Mapping[RuleName, tuple[str, str]] = {
    "window_open": ("window_open", "window"),
    "sunroof_open": ("sunroof_open", "sunroof"),
    "door_open": ("door_open", "door"),
    "hood_open": ("hood_open", "hood"),
    "trunk_open": ("trunk_open", "trunk"),
}


def openings(scene: Scene) -> Iterator[Finding]:
    """What stands open while the car is parked; all windows are one alert, so are all doors."""
    for rule, (key, noun) in _OPENINGS.items():
        known = scene.known
        keys = [key] if key in known.held else [f"{key}.{p}" for p in WINDOW_POSITIONS]
        keys = [one for one in keys if one in known.held]
        if keys:
            yield _opening(scene, rule, noun, keys)


def _opening(scene: Scene, rule: RuleName, noun: str, keys: Sequence[str]) -> Finding:
    known = scene.known
    standing = [key for key in keys if known.value(key) is True]
    begun = scene.raised.get(rule)
    if begun is not None and known.driven_since(begun):
        return _driven(scene, rule)
    if not standing or known.parked_since is None:
        text = f"{_all(noun, len(keys))} closed again."
        title = f"{scene.name}: the {noun}{'s are' if len(keys) > 1 else ' is'} closed"
        return Finding(rule, "", holds=False, title=title, text=text)
    locked = known.value("locked") is True
    positions = [key.partition(".")[2] for key in standing]
    what = _what(noun, positions)
    verb = "have" if len(standing) > 1 else "has"
    how = "although the car is locked" if locked else "while the car is parked"
    since = max(known.parked_since, min(known.held[key].since for key in standing))
    return Finding(
        rule,
        "",
        holds=True,
        title=f"{scene.name}: {_a(noun, len(standing))} open",
        text=f"{capital(what)} {verb} been open for {{span}} {how}.",
        since=since,
        hold=_open_hold(scene, locked=locked),
        stage="+".join(sorted(filter(None, positions))),
        fresh=known.fresh(*standing),
        values={"positions": list(filter(None, positions)), "locked": locked},
    )


def _open_hold(scene: Scene, *, locked: bool) -> float:
    """Locked while it drives is no car that somebody has left: in a traffic jam it takes longer to tell."""
    known, limits = scene.known, scene.limits
    if not locked:
        return limits.open_for
    perhaps_driving = known.text("lock_state") == "locked" and known.value("moving") is None
    return max(limits.open_locked_for, CAR.parked_after) if perhaps_driving else limits.open_locked_for


def _driven(scene: Scene, rule: RuleName) -> Finding:
    title = f"{scene.name} is on the road again"
    return Finding(rule, "", holds=False, title=title, text="It is being driven again.")


def _all(noun: str, number: int) -> str:
    return f"All {noun}s are" if number > 1 else f"The {noun} is"


def _a(noun: str, number: int) -> str:
    if noun not in ("window", "door"):
        return f"the {noun} is"
    return f"a {noun} is" if number == 1 else f"{number} {noun}s are"


def _what(noun: str, positions: Sequence[str]) -> str:
    named = [words(position) for position in positions if position]
    if not named:
        return f"the {noun}"
    return f"the {listed(named)} {noun}{'s' if len(named) > 1 else ''}"


def unlocked(scene: Scene) -> Iterator[Finding]:
    """Parked, shut, and not locked; while a door, hood or trunk is open somebody is busy there."""
    known = scene.known
    locked = known.value("locked")
    if locked is None:
        return
    begun = scene.raised.get("unlocked")
    if locked:
        yield Finding("unlocked", "", holds=False, title=f"{scene.name} is locked", text="It is locked now.")
        return
    if known.parked_since is None or (begun is not None and known.driven_since(begun)):
        yield _driven(scene, "unlocked")
        return
    doors = [held.value for held in known.under("door_open").values()]
    if any([*doors, known.value("hood_open"), known.value("trunk_open")]):
        yield Finding("unlocked", "", holds=None)
        return
    yield Finding(
        "unlocked",
        "",
        holds=True,
        title=f"{scene.name} is not locked",
        text="The car has been parked and not locked for {span}.",
        since=max(known.parked_since, known.held["locked"].since),
        hold=scene.limits.unlocked_for,
        fresh=known.fresh("locked"),
    )


def tires(scene: Scene) -> Iterator[Finding]:
    """Tyres off their target: all that are low are one alert."""
    known = scene.known
    shares: dict[str, float] = {}
    for position in known.under("tire_pressure_kpa"):
        pressure = known.number(f"tire_pressure_kpa.{position}")
        target = known.number(f"tire_pressure_target_kpa.{position}")
        if pressure is not None and target:
            shares[position] = 100 * pressure / target
    if not shares:
        return
    low, high = scene.limits.tire_pressure_percent, CAR.tire_pressure_high_percent
    band = TELLING.tire_pressure_clear_percent
    yield _tires(scene, "tire_pressure_low", shares, {p for p, s in shares.items() if s < low},
                 well=all(share >= low + band for share in shares.values()))  # fmt: skip
    yield _tires(scene, "tire_pressure_high", shares, {p for p, s in shares.items() if s > high},
                 well=all(share <= high - band for share in shares.values()))  # fmt: skip


def _tires(
    scene: Scene, rule: RuleName, shares: Mapping[str, float], off: set[str], *, well: bool
) -> Finding:
    known, display = scene.known, scene.display
    if not off:
        text = "All tyres have about the pressure that they should have."
        title = f"{scene.name}: tyre pressure is well again"
        return Finding(rule, "", holds=False if well else None, title=title, text=text)
    positions = sorted(off)

    def pressure(kind: str, position: str) -> str:
        return display.pressure(known.number(f"tire_pressure{kind}_kpa.{position}") or 0)

    low = rule == "tire_pressure_low"
    flat = low and any(shares[position] < TELLING.tire_flat_percent for position in off)
    tell = [f"{words(p)} {pressure('', p)} instead of {pressure('_target', p)}" for p in positions]
    severity: Severity = "critical" if flat else ("warning" if low else "info")
    mend = "Pump it up before you drive." if flat else "Pump it up, and look for a leak if it comes back."
    state = "a tyre is nearly flat" if flat else f"tyre pressure is {'low' if low else 'high'}"
    return Finding(
        rule,
        "",
        holds=True,
        title=f"{scene.name}: {state}",
        text=f"{capital(listed(tell))}." + (f" {mend}" if low else " Let some air out, once they are cold."),
        severity=severity,
        hold=CAR.tire_pressure_for,
        stage="+".join([*positions, *(["flat"] if flat else [])]),
        fresh=known.fresh(*(f"tire_pressure_kpa.{position}" for position in positions)),
        values={
            "positions": positions,
            "tire_pressure_kpa": {p: known.number(f"tire_pressure_kpa.{p}") for p in positions},
            "tire_pressure_target_kpa": {p: known.number(f"tire_pressure_target_kpa.{p}") for p in positions},
        },
    )
