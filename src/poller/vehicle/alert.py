"""An alert: what an owner is told, and the record that carries it (docs/records.md has the shape).

An alert is raised, perhaps reminded of, and cleared; its episode is known by rule, subject and
`raised_at`. An *event* (charging is finished) is raised once and over at once: it is never cleared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from poller.vehicle.records import Record, parse_time, record_id, rfc3339

AlertState = Literal["raised", "reminded", "cleared"]
Severity = Literal["info", "warning", "critical"]

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to tell. `vin` "": about the poller itself; `source`: whose snapshot led to it, or "".

    `subject`: which window, tyre, service, message, sink or source; "" where the rule has only one.
    `told_at`: when it was told, which quiet hours put off. `reminder`: the how-manieth. `title` and
    `text` are fit for any reader: the owner's words, units and time zone, no position, no VIN.
    `values`: the numbers behind them, metric, units in the names.
    """

    rule: str
    state: AlertState
    severity: Severity
    subject: str
    raised_at: datetime
    told_at: datetime
    title: str
    text: str
    vin: str = ""
    source: str = ""
    cleared_at: datetime | None = None
    reminder: int = 0
    event: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)


def alert_record(alert: Alert) -> Record:
    """The record of an alert; told twice it is the same one, each reminder is one of its own."""
    raised_at = rfc3339(alert.raised_at)
    body: dict[str, Any] = {
        "rule": alert.rule,
        "state": alert.state,
        "severity": alert.severity,
        "subject": alert.subject,
        "raised_at": raised_at,
        "title": alert.title,
        "text": alert.text,
        "values": dict(alert.values),
    }
    if alert.cleared_at is not None:
        body["cleared_at"] = rfc3339(alert.cleared_at)
    if alert.reminder:
        body["reminder"] = alert.reminder
    if alert.event:
        body["event"] = True
    what = (alert.source, alert.vin, alert.rule, alert.subject, raised_at)
    return Record(
        id=record_id("alert", *what, alert.state, str(alert.reminder)),
        kind="alert",
        vin=alert.vin,
        source=alert.source,
        received_at=alert.told_at,
        observed_at=None,
        body=body,
    )


def alert_of(record: Record) -> Alert:
    """The alert that `alert_record` made this record from. KeyError, ValueError if it is none."""
    body = record.body
    cleared_at = body.get("cleared_at")
    return Alert(
        rule=body["rule"],
        state=body["state"],
        severity=body["severity"],
        subject=body["subject"],
        raised_at=parse_time(body["raised_at"]),
        told_at=record.received_at,
        title=body["title"],
        text=body["text"],
        vin=record.vin,
        source=record.source,
        cleared_at=parse_time(cleared_at) if cleared_at else None,
        reminder=body.get("reminder", 0),
        event=body.get("event", False),
        values=body["values"],
    )
