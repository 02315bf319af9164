"""Charge and charging: what is remembered from plug to unplug, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from poller.derive.alerts.body import Scene
from poller.derive.alerts.finding import Finding
from poller.derive.alerts.known import AT_HOME, Known
from poller.vehicle.thresholds import TELLING

#: The car, its timer or a wallbox holds back on purpose, or there is nothing left to do.
_ON_PURPOSE = ("waiting", "paused", "complete", "target_reached")
_DONE = ("complete", "target_reached")
_NEARLY = 1.0
#: A full car draws a little again to preheat: only a lower one begins a new charge.
_AGAIN = 5.0


@dataclass(frozen=True, slots=True)
class Plug:
    """One cable in the car. `charged`: it has charged; `done_at_percent`: what it had when it was done."""

    plugged: bool = False
    charging: bool = False
    charged: bool = False
    done_at_percent: float | None = None

    def to_json(self) -> dict[str, Any]:
        """For the state in the journal."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; nothing yet: not plugged in."""
        return cls(**raw)

    def after(self, known: Known) -> Self:
        """With what is known now; what the car does not say stays as it was."""
        plugged, charging = known.value("plugged"), known.value("charging")
        soc = known.number("soc_percent")
        done = self.done_at_percent
        if charging is True:
            if done is not None and soc is not None and soc <= done - _AGAIN:
                done = None
            return replace(self, plugged=True, charging=True, charged=True, done_at_percent=done)
        if plugged is False:
            return type(self)()
        if self.charging and charging is False and done is None and _is_done(known):
            done = soc if soc is not None else 100.0
        if plugged is True and charging is False:
            return replace(self, plugged=True, charging=False, done_at_percent=done)
        return self


def _target(known: Known) -> float:
    return known.number("soc_target_percent") or TELLING.soc_target_percent


def _is_done(known: Known) -> bool:
    soc = known.number("soc_percent")
    return known.text("charging_state") in _DONE or (soc is not None and soc >= _target(known) - _NEARLY)


def charging(scene: Scene, before: Plug, after: Plug) -> Iterator[Finding]:
    """What has ended since the last look, and what should charge and does not."""
    known = scene.known
    ended = before.charging and not after.charging and before.done_at_percent is None
    if ended and known.fresh("charging") and (after.done_at_percent is not None or _is_done(known)):
        yield _finished(scene)
    if "plugged" not in known.held or "charging" not in known.held:
        return
    soc = known.number("soc_percent")
    wanting = (
        after.plugged
        and not after.charging
        and after.done_at_percent is None
        and known.text("charging_state") not in _ON_PURPOSE
        and soc is not None
        and soc < _target(known) - _NEARLY
    )
    yield _idle(scene, "charging_interrupted", holds=wanting and after.charged)
    yield _idle(scene, "not_charging", holds=wanting and not after.charged)


def _finished(scene: Scene) -> Finding:
    known = scene.known
    soc, target = known.number("soc_percent"), known.number("soc_target_percent")
    values = {} if soc is None else {"soc_percent": soc}
    at = "" if soc is None else f" at {soc:.0f} %"
    reached = known.text("charging_state") == "target_reached" or (
        target is not None and target < 100 and soc is not None and soc >= target - _NEARLY
    )
    when = scene.display.clock(known.held["charging"].since)[:5]
    if reached:
        return Finding(
            "target_reached",
            "",
            holds=True,
            title=f"{scene.name} has reached its charging target",
            text=f"Charging stopped{at}, at {when}.",
            severity="info",
            values=values,
        )
    return Finding(
        "charging_finished",
        "",
        holds=True,
        title=f"{scene.name}: charging is finished",
        text=f"Charging ended{at}, at {when}.",
        severity="info",
        values=values,
    )


def _idle(scene: Scene, rule: Any, *, holds: bool) -> Finding:
    known = scene.known
    soc = known.number("soc_percent")
    values = {} if soc is None else {"soc_percent": soc}
    begun = rule == "charging_interrupted"
    if not holds:
        plugged = known.value("plugged")
        text = "It charges again." if known.value("charging") else (
            "It waits for its timer, or has enough." if plugged else "The cable is out."
        )  # fmt: skip
        return Finding(rule, "", holds=False, title=f"{scene.name}: charging is well again", text=text)
    error = " The car reports an error." if known.text("charging_state") == "error" else ""
    at = f"at {soc:.0f} % of {_target(known):.0f} %"
    text = (
        f"Charging stopped {{span}} ago {at}."
        if begun
        else f"Plugged in for {{span}}, {at}, and not charging."
    )
    return Finding(
        rule,
        "",
        holds=True,
        title=f"{scene.name}: charging {'was interrupted' if begun else 'does not begin'}",
        text=f"{text}{error} Look at cable, charger and tariff.",
        since=known.held["charging" if begun else "plugged"].since,
        hold=TELLING.charging_interrupted_for if begun else TELLING.not_charging_for,
        fresh=known.fresh("plugged", "charging"),
        values=values,
    )


def charge_low(scene: Scene) -> Iterator[Finding]:
    """Little charge where the car could be plugged in, and is not."""
    known, limit = scene.known, scene.limits.soc_percent
    soc, plugged = known.number("soc_percent"), known.value("plugged")
    if soc is None or plugged is None:
        return
    values = {"soc_percent": soc}
    if plugged or soc >= limit:
        well = plugged or soc >= limit + TELLING.soc_clear
        text = "It is plugged in." if plugged else f"It has {soc:.0f} % again."
        title = f"{scene.name}: charge is no concern any more"
        yield Finding("charge_low", "", holds=False if well else None, title=title, text=text, values=values)
        return
    away = known.value(AT_HOME) is not True if scene.limits.home else known.burns
    if known.parked_since is None or away:
        return
    yield Finding(
        "charge_low",
        "",
        holds=True,
        title=f"{scene.name} has only {soc:.0f} % and is not plugged in",
        text=f"The car is parked with {soc:.0f} % of its charge, and not plugged in.",
        since=max(known.parked_since, known.held["plugged"].since),
        hold=scene.limits.soc_for,
        fresh=known.fresh("soc_percent", "plugged"),
        values=values,
    )
