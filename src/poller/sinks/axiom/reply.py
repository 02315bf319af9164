"""What Axiom's reply to a request means. Pure; sources of the facts: docs/sinks/axiom.md."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from poller.errors import BatchRefused, SinkMisconfigured, SinkUnavailable
from poller.runtime.quoted import quoted
from poller.sinks.base import Settlement
from poller.sinks.http import asked_until
from poller.vehicle.records import parse_time

#: A rate limit is counted by the minute: no reset is believed that lies further away, in seconds.
RATE_CAP = 300.0
#: The monthly limit is probed at most once an hour: somebody may have raised it.
QUOTA_PROBE = 3600.0
_EPOCH = re.compile(r"\d{1,15}")
_HINTS = {
    401: "the token is unknown or has expired: make a new one and set it",
    403: "the token may not ingest into this dataset, or url names another region's domain",
    404: "the dataset does not exist, or url is wrong",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP reply; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def trace(self) -> str:
        """What Axiom's support asks for."""
        return re.sub(r"[^\w-]", "", self.headers.get("x-axiom-trace-id", ""))[:64]


def settle(reply: Reply, times: Sequence[str], now: datetime) -> Settlement:
    """What became of the events with these `_time`s. Raises SinkError as `QueuedSink.deliver` says."""
    match reply.status:
        case status if 200 <= status < 300:
            return _settle_accepted(reply, times)
        case 400 | 413 | 422:
            raise BatchRefused(_message(reply), sent=len(times))
        case 429:
            raise SinkUnavailable(_message(reply), until=_rate_reset(reply, now), reason="rate_limited")
        case 430:
            raise SinkUnavailable(
                _message(reply),
                until=_quota_reset(reply, now),
                reason="rate_limited",
                hint="the month's ingest volume is used up; nothing is lost, the journal keeps it",
            )
        case 408 | 425:
            raise SinkUnavailable(_message(reply), reason="timeout")
        case status if status >= 500:
            raise SinkUnavailable(
                _message(reply), until=asked_until(reply.headers, now, RATE_CAP), reason="server"
            )
        case status:
            hint = _HINTS.get(status, "is url the address of an ingest endpoint?")
            raise SinkMisconfigured(_message(reply), hint=hint)


def warnings(reply: Reply) -> Iterator[tuple[str, str]]:
    """(code, text) of what a locked schema made of events that were stored."""
    summary = _object(reply)
    for message in _objects((summary or {}).get("messages")):
        code = quoted(str(message.get("code", "")))[:80]
        yield code, quoted(str(message.get("msg", "")))


def _settle_accepted(reply: Reply, times: Sequence[str]) -> Settlement:
    """Only what the summary confirms is done: 200 alone says nothing."""
    summary = _object(reply)
    ingested, failed = _count(summary, "ingested"), _count(summary, "failed")
    if summary is None or ingested is None or failed is None:
        hint = "if this stays: is url the address of an ingest endpoint?"
        raise SinkUnavailable(f"HTTP {reply.status} without a readable summary", reason="server", hint=hint)
    sent = len(times)
    if ingested + failed < sent:
        raise SinkUnavailable(f"only {ingested + failed} of {sent} events were taken", reason="server")
    if not failed:
        return Settlement(sent)
    failures = list(_objects(summary.get("failures")))
    rejected = _match(failures, times)
    if len(rejected) == failed:
        return Settlement(sent, rejected)
    reason = quoted(str(failures[0].get("error", ""))) if failures else "the server did not say why"
    raise BatchRefused(f"refused {failed} of {sent} events: {reason}", sent=sent)


def _match(failures: Sequence[Mapping[str, Any]], times: Sequence[str]) -> dict[int, str]:
    """Position → reason; empty unless the failures' times tell for certain which events are meant."""
    positions: dict[datetime, list[int]] = {}
    for position, text in enumerate(times):
        positions.setdefault(parse_time(text), []).append(position)
    reasons: dict[datetime, list[str]] = {}
    for failure in failures:
        try:
            moment = parse_time(str(failure.get("timestamp")))
        except ValueError:
            return {}
        reasons.setdefault(moment, []).append(quoted(str(failure.get("error", ""))))
    rejected: dict[int, str] = {}
    for moment, errors in reasons.items():
        at = positions.get(moment, [])
        if len(at) != len(errors):
            return {}
        rejected.update(zip(at, errors, strict=True))
    return rejected


def _rate_reset(reply: Reply, now: datetime) -> datetime | None:
    reset = _epoch(reply.headers.get("x-ratelimit-reset")) or asked_until(reply.headers, now, RATE_CAP)
    if reset is None or reset <= now:
        return None
    return min(reset, now + timedelta(seconds=RATE_CAP))


def _quota_reset(reply: Reply, now: datetime) -> datetime:
    next_probe = now + timedelta(seconds=QUOTA_PROBE)
    reset = _epoch(reply.headers.get("x-ingestlimit-reset"))
    return min(reset, next_probe) if reset is not None and reset > now else next_probe


def _epoch(text: str | None) -> datetime | None:
    if text is None or not _EPOCH.fullmatch(text):
        return None
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _message(reply: Reply) -> str:
    body = _object(reply)
    words = (body.get("message") or body.get("error")) if body else None
    text = quoted(str(words)) if words else ""
    return f"HTTP {reply.status}: {text}" if text else f"HTTP {reply.status}"


def _object(reply: Reply) -> dict[str, Any] | None:
    """The body if it is a JSON object and says so: a login page is HTML, whatever its status."""
    if "json" not in reply.headers.get("content-type", ""):
        return None
    try:
        body = json.loads(reply.body)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def _count(summary: Mapping[str, Any] | None, key: str) -> int | None:
    value = (summary or {}).get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
