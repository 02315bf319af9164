"""One alerting rule, before Prometheus and Grafana have it in their own words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Rule:
    """One alerting rule. `when` says in the docs when it fires; rules of one alert stand together."""

    group: Literal["poller", "cars"]
    alert: str
    severity: Literal["critical", "warning", "info"]
    expr: str
    lasts: float
    when: str
    summary: str
    mend: str
    labels: tuple[tuple[str, str], ...] = ()
