"""What sinks that lead to people know of alert records."""

from __future__ import annotations

from poller.sinks.base import Rendered
from poller.vehicle.alert import SEVERITIES, Severity


def is_severe(record: Rendered, least: Severity) -> bool:
    """Whether an alert is at least that severe; any other record is."""
    return record["kind"] != "alert" or SEVERITIES.index(record["severity"]) >= SEVERITIES.index(least)
