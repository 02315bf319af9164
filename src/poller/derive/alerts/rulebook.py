"""The rules by name: what each is about, how bad it can be, and how often it is told.

Settings, metrics and docs/alerts.md read this table; names are a contract with users.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from poller.vehicle.alert import Severity

CarRule = Literal[
    "window_open",
    "sunroof_open",
    "door_open",
    "hood_open",
    "trunk_open",
    "unlocked",
    "service_due",
    "check_control",
    "tire_pressure_low",
    "tire_pressure_high",
    "charge_low",
    "charging_finished",
    "target_reached",
    "charging_interrupted",
    "not_charging",
    "aux_battery_low",
    "software_changed",
]
DaemonRule = Literal[
    "no_fresh_data",
    "login_ends",
    "quota_nearly_spent",
    "sink_stuck",
    "dead_letters",
    "answers_not_understood",
    "disk_low",
    "journal_set_aside",
    "journal_vanished",
    "journal_full",
]
RuleName = Literal[CarRule, DaemonRule]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `when` stands in the docs; `twin`: Prometheus' alert on the same, "" if there is none.

    `reminds`: it is told again while it lasts; `event`: it is over as soon as it is told.
    """

    when: str
    severities: tuple[Severity, ...]
    twin: str = ""
    reminds: bool = False
    event: bool = False


_WARNING: tuple[Severity, ...] = ("warning",)
_INFO: tuple[Severity, ...] = ("info",)

RULES: Mapping[RuleName, Rule] = {
    "window_open": Rule("A window is open while the car is parked.", _WARNING, "CarOpen", reminds=True),
    "sunroof_open": Rule("So is the sunroof.", _WARNING, "CarOpen", reminds=True),
    "door_open": Rule("Or a door.", _WARNING, "CarOpen", reminds=True),
    "hood_open": Rule("Or the hood.", _WARNING, "CarOpen", reminds=True),
    "trunk_open": Rule("Or the trunk.", _WARNING, "CarOpen", reminds=True),
    "unlocked": Rule(
        "The car is parked, everything but windows is closed, and it is not locked.",
        _WARNING,
        "CarUnlocked",
        reminds=True,
    ),
    "service_due": Rule(
        "A service comes near (`info`), is close (`warning`), is overdue (`warning`): told at each step.",
        ("info", "warning"),
        "CarServiceDue, CarServiceOverdue",
    ),
    "check_control": Rule(
        "The car shows a message: low and medium are `info`, high is `warning`, critical `critical`.",
        ("info", "warning", "critical"),
        "CarMessage",
    ),
    "tire_pressure_low": Rule(
        "A tyre is below its target pressure; nearly flat is `critical`.",
        ("warning", "critical"),
        "CarTirePressureLow",
    ),
    "tire_pressure_high": Rule("A tyre is far above its target pressure.", _INFO, "CarTirePressureHigh"),
    "charge_low": Rule(
        "Little charge, at home (anywhere, if no `home` is set) and not plugged in. "
        "Of a car that also burns fuel only if `home` is set.",
        _WARNING,
        "CarChargeLow",
        reminds=True,
    ),
    "charging_finished": Rule("Charging is finished.", _INFO, event=True),
    "target_reached": Rule("Charging has reached the target that is set in the car.", _INFO, event=True),
    "charging_interrupted": Rule(
        "Charging stopped below the target, the cable is still in, and the car does not wait for its timer.",
        _WARNING,
    ),
    "not_charging": Rule(
        "Plugged in, below the target, and charging does not begin although no timer holds it back.",
        _WARNING,
    ),
    "aux_battery_low": Rule("The 12 V battery is weak.", _WARNING, "CarAuxBatteryLow"),
    "software_changed": Rule("The car has other software than before.", _INFO, event=True),
    "no_fresh_data": Rule(
        "A source brings nothing new, or less than it could, and why; `info` where nothing is wrong.",
        ("info", "warning"),
        "PollerNoFreshData, CarNotAnswering, CarSilent",
        reminds=True,
    ),
    "login_ends": Rule("A login ends soon, or has ended.", _WARNING, "PollerLoginEnds"),
    "quota_nearly_spent": Rule("The day's calls are nearly used up.", _WARNING, "PollerQuotaNearlySpent"),
    "sink_stuck": Rule("A sink takes no records.", _WARNING, "PollerSinkStuck", reminds=True),
    "dead_letters": Rule(
        "A sink refused records; told again when there are more.", _WARNING, "PollerDeadLetters"
    ),
    "answers_not_understood": Rule(
        "The maker sent what could not be understood; told again when there are more.",
        _WARNING,
        "PollerAnswersNotUnderstood",
    ),
    "disk_low": Rule("The disk of the journal is nearly full.", _WARNING, "PollerDiskLow", reminds=True),
    "journal_set_aside": Rule("A damaged journal was set aside and a new one begun.", ("critical",)),
    "journal_vanished": Rule(
        "The journal was moved or deleted under the running poller, and a new one begun.", ("critical",)
    ),
    "journal_full": Rule("The journal is full: new answers find no room.", ("critical",), reminds=True),
}


def key_of(rule: str, subject: str) -> str:
    """The name of an alert among those of one vehicle, or of the poller."""
    return f"{rule}.{subject}" if subject else rule
