"""Services, messages, the 12 V battery and software."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Literal

from poller.derive.alerts.body import Scene
from poller.derive.alerts.finding import Finding
from poller.derive.alerts.words import capital, count
from poller.vehicle.alert import Severity
from poller.vehicle.display import words
from poller.vehicle.records import parse_time, rfc3339
from poller.vehicle.thresholds import CAR, DAY, TELLING

_MESSAGES: Mapping[str, Severity] = {"high": "warning", "critical": "critical"}
#: What is a name already, and how others are spelt.
_NAMES = {"oil": "engine oil", "vehicle_tuv": "general inspection", "tuv": "general inspection"}

_Stage = Literal["far", "near", "overdue", ""]


def services(scene: Scene) -> Iterator[Finding]:
    """Each service by date and by distance, whichever comes first. Old readings count: dates do not age."""
    known = scene.known
    names = {n for key in ("service_state", "service_due_at", "service_due_km") for n in known.under(key)}
    for name in sorted(names):
        due_at = known.text(f"service_due_at.{name}")
        due_km = known.number(f"service_due_km.{name}")
        state = known.text(f"service_state.{name}")
        yield _service(scene, name, parse_time(due_at) if due_at else None, due_km, state)


def _service(scene: Scene, name: str, due_at: datetime | None, due_km: float | None, state: str) -> Finding:
    days = None if due_at is None else (due_at - scene.known.now).total_seconds() / DAY
    stage = _stage(scene, days, due_km, state)
    service = _NAMES.get(name, words(name))
    values = {
        **({"service_due_at": rfc3339(due_at)} if due_at else {}),
        **({"service_due_km": due_km} if due_km is not None else {}),
    }
    if not stage:
        band = due_km is not None and due_km <= scene.limits.service_km[0] + TELLING.service_km_clear
        return Finding(
            "service_due",
            name,
            holds=None if band else False,
            title=f"{scene.name}: the service is done",
            text=f"{capital(service)} is not due for a while.",
            clear_after=CAR.service_for,
            values=values,
        )
    return Finding(
        "service_due",
        name,
        holds=True,
        title=f"{scene.name}: a service is {'overdue' if stage == 'overdue' else 'due'}",
        text=_when(scene, service, days, due_km, stage),
        severity="info" if stage == "far" else "warning",
        hold=CAR.service_for,
        stage=stage,
        values=values,
    )


def _stage(scene: Scene, days: float | None, km: float | None, state: str) -> _Stage:
    known = [pair for pair in ((days, scene.limits.service_days), (km, scene.limits.service_km))
             if pair[0] is not None]  # fmt: skip
    if state == "overdue" or any(left is not None and left <= 0 for left, _ in known):
        return "overdue"
    if any(left is not None and left <= near for left, (_, near) in known):
        return "near"
    if any(left is not None and left <= far for left, (far, _) in known):
        return "far"
    return "far" if state == "pending" and not known else ""


def _when(scene: Scene, service: str, days: float | None, km: float | None, stage: str) -> str:
    if stage == "overdue":
        return f"{capital(service)} is overdue. Make an appointment."
    parts = []
    if days is not None and days <= scene.limits.service_days[0]:
        parts.append(f"in {count(max(1, round(days)), 'day')}")
    if km is not None and km <= scene.limits.service_km[0]:
        parts.append(f"in {scene.display.distance(km)}")
    return f"{capital(service)} is due {' or '.join(parts) or 'soon'}. Make an appointment."


def messages(scene: Scene) -> Iterator[Finding]:
    """What the car's own display says."""
    for name, held in sorted(scene.known.under("check_control").items()):
        told = words(name)
        if not held.value:
            yield Finding(
                "check_control",
                name,
                holds=False,
                title=f"{scene.name}: a message is gone",
                text=f"The car does not show “{told}” any more.",
                clear_after=CAR.message_for,
            )
            continue
        severity = _MESSAGES.get(str(held.value), "info")
        yield Finding(
            "check_control",
            name,
            holds=True,
            title=f"{scene.name} shows a message",
            text=f"The car says: {told} ({held.value}). Its display and handbook say what it means.",
            severity=severity,
            since=held.since,
            hold=CAR.message_for,
            stage=severity,
            fresh=scene.known.fresh(f"check_control.{name}"),
            values={"check_control": held.value},
        )


def aux_battery(scene: Scene) -> Iterator[Finding]:
    """The 12 V battery, with which a car can no longer be opened when it is empty."""
    volts = scene.known.number("aux_battery_volts")
    if volts is None:
        return
    limit = scene.limits.aux_battery_volts
    if volts >= limit:
        well = volts >= limit + TELLING.aux_battery_clear_volts
        yield Finding(
            "aux_battery_low",
            "",
            holds=False if well else None,
            title=f"{scene.name}: the 12 V battery is well again",
            text=f"The 12 V battery has {volts:.1f} V.",
            values={"aux_battery_volts": volts},
        )
        return
    yield Finding(
        "aux_battery_low",
        "",
        holds=True,
        title=f"{scene.name}: the 12 V battery is weak",
        text=f"The 12 V battery has only {volts:.1f} V. Drive for an hour, or charge it.",
        hold=CAR.aux_battery_for,
        fresh=scene.known.fresh("aux_battery_volts"),
        values={"aux_battery_volts": volts},
    )


def software(scene: Scene, source: str, seen: dict[str, str]) -> Iterator[Finding]:
    """Other software than before, as the first source that told of it spells it; `seen` is updated."""
    version = scene.known.text("software_version")
    if not version or scene.known.held["software_version"].source != source:
        return
    if not seen:
        seen.update(source=source, version=version)
    elif seen["source"] == source and seen["version"] != version:
        text = f"It was {seen['version']} and is {version} now."
        seen["version"] = version
        yield Finding(
            "software_changed",
            "",
            holds=True,
            title=f"{scene.name} has new software",
            text=text,
            severity="info",
            values={"software_version": version},
        )
