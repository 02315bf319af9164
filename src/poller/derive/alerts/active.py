"""What is raised and not over, as status, page and API show it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from poller.derive.alerts.ledger import Ledger
from poller.derive.alerts.words import filled
from poller.runtime.status import AlertStatus


def active(state: Mapping[str, Any], vehicle: str, now: datetime) -> Iterator[AlertStatus]:
    """The alerts in a deriver's or the watch's state, told or held back, the worst first."""
    ranks = ("critical", "warning", "info")
    episodes = sorted(Ledger.from_json(state).active(), key=lambda one: ranks.index(one.severity))
    for one in episodes:
        yield AlertStatus(
            vehicle=vehicle,
            rule=one.rule,
            subject=one.subject,
            severity=one.severity,
            raised_at=one.raised_at or now,
            title=one.title,
            text=filled(one.text, one.since, now),
        )
