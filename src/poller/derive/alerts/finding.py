"""What a rule finds: the one thing that passes between rules and the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from poller.derive.alerts.rulebook import RuleName
from poller.vehicle.alert import Severity


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether a rule's trouble is there now. What is not known gives no finding.

    `holds`: True, False, or None: neither bad enough to raise nor well enough to clear (hysteresis).
    `since`: when it began, where the rule knows better than by when it was first found. `hold` and
    `clear_after`: seconds that it must be so before it is raised, or cleared. `stage`: words joined by
    ``+``; one that was not told of yet is told like a reminder, at once. `fresh`: False where the
    readings are too old to raise anything. In `text`, ``{span}`` stands for how long it has lasted.
    """

    rule: RuleName
    subject: str
    holds: bool | None
    title: str = ""
    text: str = ""
    severity: Severity = "warning"
    since: datetime | None = None
    hold: float = 0.0
    clear_after: float = 0.0
    stage: str = ""
    fresh: bool = True
    values: Mapping[str, Any] = field(default_factory=dict)
