"""Quota, stream and silences of a source in an owner's words: page and `poller status` say the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from poller.runtime.status import Condition, QuotaStatus, Silence, StreamStatus
from poller.web.display import ago

#: Writes a time that is to come, or that an event had.
When = Callable[[datetime], str]
#: A label and what stands beside it.
Line = tuple[str, str]

_CONDITIONS: Mapping[Condition, str] = {
    "refused": "refused",
    "no_network": "no network",
    "budget_spent": "calls spent",
    "stream_down": "stream down",
    "car_quiet": "car quiet",
}
_STATES = {
    "connecting": "connecting",
    "connected": "connected",
    "kicked": "another client keeps taking the connection",
    "refused": "refused",
    "no_network": "no network",
    "waiting": "not connected",
}


def condition_words(condition: Condition) -> str:
    """What an owner calls it; each is another."""
    return _CONDITIONS[condition]


def silence_words(silence: Silence) -> str:
    """The condition by name, whose it is, and the source's own words."""
    whose = f" ({silence.vehicle})" if silence.vehicle else ""
    return f"{condition_words(silence.condition)}{whose}: {silence.message}"


def quota_lines(quota: QuotaStatus, now: datetime, when: When) -> Iterator[Line]:
    """What is left of the day's calls, when the next poll may cost one, and where they went."""
    reserved = min(quota.reserve, quota.remaining)
    kept = f" ({reserved} kept in reserve)" if reserved else ""
    yield "calls left", f"{quota.remaining} of {quota.limit}{kept}"
    if quota.next_free_at is not None and quota.next_free_at > now:
        yield "next poll's call", when(quota.next_free_at)
    if quota.purposes:
        spent = sorted(quota.purposes.items(), key=lambda item: (-item[1], item[0]))
        yield "spent in 24 h", ", ".join(f"{count} {purpose}" for purpose, count in spent)


def stream_lines(stream: StreamStatus, now: datetime, when: When) -> Iterator[Line]:
    """Whether messages can arrive, when the last one did, and if not, why and when it is tried again."""
    since = f" since {when(stream.since)}" if stream.since is not None else ""
    yield "stream", _STATES[stream.state] + since + (", your own broker" if stream.own_broker else "")
    last = stream.last_message_at
    yield "last message", ago(last, now) if last is not None else "none yet"
    if stream.connected:
        return
    if stream.failure is not None:
        yield "why", stream.failure.message
    if stream.retry_at is not None and stream.retry_at > now:
        yield "next try", when(stream.retry_at)
