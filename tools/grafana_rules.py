"""The alerts as Grafana's own rules, as its file provisioning reads them.

Prometheus fires for each series that a query leaves, Grafana for each whose number is not 0. So a query
(A) is followed by an expression (B) that is 1 for every number, 0 included.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from alert import Rule
from promql import Pace

_HEAD = """\
# The alerts of deploy/prometheus/rules.yml as Grafana's own rules, for whom Grafana tells. Written by
# `make docs` from src/poller/vehicle/thresholds.py and the signal catalogue; not by hand.
apiVersion: 1
groups:
"""
#: Seconds between two evaluations, as prometheus.yml has it; a multiple of 10 is required.
_EVERY = 30
#: How far back Grafana says that it looks; an instant query of Prometheus decides for itself.
_RANGE = {"from": 600, "to": 0}
_FOUND = {"refId": "B", "type": "math", "expression": "is_number($A)"}


def text(rules: Sequence[Rule], pace: Pace) -> str:
    """The file: a group for each of Prometheus', in the folder of the dashboards."""
    shared = {name for name, count in Counter(rule.alert for rule in rules).items() if count > 1}
    groups = groupby(rules, lambda rule: rule.group)
    return _HEAD + "".join(
        f"  - orgId: 1\n    name: {name}\n    folder: Poller\n    interval: {_EVERY}s\n    rules:\n"
        + "\n".join(_rule(rule, pace, apart=rule.alert in shared) for rule in found)
        for name, found in groups
    )


def _rule(rule: Rule, pace: Pace, *, apart: bool) -> str:
    """One rule; `apart`: another has its name, which Grafana does not take in one folder."""
    labels = {"severity": rule.severity, **dict(rule.labels)}
    told = ", ".join(f"{name} {value}" for name, value in labels.items())
    title = f"{rule.alert} ({told})" if apart else rule.alert
    query = {"refId": "A", "expr": rule.expr, "instant": True, "range": False}
    lines = [
        f"      - uid: {_uid(rule.alert, labels if apart else {})}",
        f"        title: {_flow(title)}",
        "        condition: B",
        "        data:",
        f"          - {{refId: A, datasourceUid: prometheus, relativeTimeRange: {_flow(_RANGE)},",
        f"             model: {_flow(query)}}}",
        f"          - {{refId: B, datasourceUid: __expr__, model: {_flow(_FOUND)}}}",
        "        noDataState: OK",  # nothing found is what a rule hopes for
        "        execErrState: Error",
        f"        for: {pace.span(rule.lasts) if rule.lasts else '0s'}",
        f"        labels: {_flow(labels)}",
        "        annotations:",
        f"          summary: {_flow(_grafanas(rule.summary))}",
        f"          mend: {_flow(_grafanas(rule.mend))}",
    ]
    return "\n".join(lines) + "\n"


def _uid(alert: str, labels: dict[str, str]) -> str:
    """Of letters, digits and dashes, 40 at most: Grafana refuses others."""
    words = [*re.findall("[A-Z][a-z]+", alert), *labels.values()]
    return "-".join(word.lower().replace("_", "-") for word in words)


def _grafanas(template: str) -> str:
    """A text's template as Grafana has it: `$value` there is all numbers as one text."""
    return re.sub(r"\$value\b", "$values.A.Value", template)


def _flow(value: Any) -> str:
    """JSON, which is YAML too."""
    return json.dumps(value, ensure_ascii=False)
