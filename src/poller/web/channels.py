"""Quota, stream and silences of a source in an owner's words: page and `poller status` say the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from poller.runtime.status import Condition, QuotaStatus, Silence, StreamStatus
from poller.vehicle.display import ago, since, span

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
#: What a call was for, as docs/sources/cardata.md has it.
PURPOSES: Mapping[str, str] = {
    "vehicles": "the list of vehicles",
    "container": "the container",
    "set-up": "first values",
    "catch-up": "after a gap in the stream",
    "identity": "what the car is",
    "trip-end": "after a trip",
    "charge-end": "after a charge",
    "rest-only": "what only REST brings",
    "polling": "instead of the stream",
    "sessions": "charging sessions",
    "charging-places": "charging places",
    "tyres": "tyres",
    "image": "the car's picture",
    "doctor": "`poller doctor`",
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


def silence_title(silence: Silence) -> str:
    """The condition by name, and whose it is."""
    whose = f" ({silence.vehicle})" if silence.vehicle else ""
    return condition_words(silence.condition) + whose


def silence_words(silence: Silence, now: datetime) -> str:
    """Its title, for how long, and the source's own words; no time of day, which would want a time zone."""
    lasting = f", for {span(since(silence.since, now))}" if silence.since is not None else ""
    return f"{silence_title(silence)}{lasting}: {silence.message}"


def login_refused(state: str, silences: Iterable[Silence]) -> bool:
    """Whether a source's login is not taken, whatever time it has left; for one car more may be lacking."""
    return state == "login_required" or any(
        silence.condition == "refused" and not silence.vehicle for silence in silences
    )


def quota_lines(quota: QuotaStatus, now: datetime, when: When) -> Iterator[Line]:
    """What is left of the day's calls, when the next poll may cost one, and where they went."""
    reserved = min(quota.reserve, quota.remaining)
    kept = f" ({reserved} kept in reserve)" if reserved else ""
    yield "calls left", f"{quota.remaining} of {quota.limit}{kept}"
    if quota.next_free_at is not None and quota.next_free_at > now:
        yield "next poll's call", when(quota.next_free_at)
    if quota.purposes:
        spent = sorted(quota.purposes.items(), key=lambda item: (-item[1], item[0]))
        yield "spent in 24 h", ", ".join(f"{PURPOSES.get(purpose, purpose)} {n}" for purpose, n in spent)


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
