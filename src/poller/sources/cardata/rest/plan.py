"""Where the next REST calls go: few as they are, each must buy something that the stream does not bring.

Pure: what is known comes in, the calls to make now come out, each with the word that says what for.
A call that was tried is in the ledger's standing, answered or not, so nothing is tried twice in a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, get_args

from poller.sources.cardata.rest.ledger import WINDOW, Spent, Standing
from poller.vehicle.privacy import short_vin

Endpoint = Literal[
    "mappings", "basicData", "telematicData", "chargingHistory", "chargingSettings", "tyreDiagnosis", "image"
]
#: What a call is for, in order of urgency; the ledger keeps it. One word belongs to one endpoint.
Purpose = Literal[
    "vehicles",  # which vehicles there are
    "set-up",  # the first values of a vehicle
    "catch-up",  # after a gap in the stream: nothing is sent again
    "identity",  # what the vehicle is
    "trip-end",  # a trip has just ended: the car has reported
    "charge-end",  # so has a charge
    "rest-only",  # descriptors that the stream never brings
    "polling",  # no stream
    "sessions",  # charging sessions as BMW has them
    "charging-places",  # location-based charging settings
    "tyres",
    "image",
]

#: The purposes of telematicData.
TELEMATIC: Final = ("set-up", "catch-up", "trip-end", "charge-end", "rest-only", "polling")

#: Never oftener, however many calls there are: BMW's server only repeats what the car last sent.
_SHORTEST: Final = timedelta(minutes=10)
#: With the stream at work, what only REST brings (lock, services, check-control) may be this old.
_REST_ONLY: Final = timedelta(hours=6)
#: The stream is given this long to come back before polling takes its place.
STREAM_GONE: Final = timedelta(hours=2)
#: What polling by the clock takes of the calls that are not reserved; the rest is for what happens.
_BY_CLOCK: Final = 0.8
#: The stream must have held this long before what it missed is asked for.
_STREAM_SETTLED: Final = timedelta(minutes=2)
#: A call that failed is not made again before; each failure doubles it, up to the longest.
_AFTER_TRY: Final = timedelta(minutes=15)
_AFTER_TRIES: Final = timedelta(hours=2)
#: Time for the car's last report to reach BMW's server.
_SETTLING: Final = timedelta(minutes=2)
#: An end that was seen so long ago is news no more.
_NEWS: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Slow:
    """What changes seldom: how long an answer is good for, and how long to wait after a try in vain."""

    endpoint: Endpoint
    purpose: Purpose
    keep: timedelta
    retry: timedelta = timedelta(days=1)


_VEHICLES: Final = _Slow("mappings", "vehicles", timedelta(days=7), timedelta(hours=1))
_IDENTITY: Final = _Slow("basicData", "identity", timedelta(days=30), timedelta(hours=2))
_EXTRAS: Final = (
    _Slow("chargingHistory", "sessions", timedelta(days=1)),
    _Slow("tyreDiagnosis", "tyres", timedelta(days=7)),
    _Slow("chargingSettings", "charging-places", timedelta(days=7)),
    _Slow("image", "image", timedelta(days=365)),
)
#: Position in this list: what goes first when there is not enough for all.
_ORDER: Final[Sequence[Purpose]] = get_args(Purpose)


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """One call to make now. `vin` is "" for the account's. `routine`: leave the reserve alone."""

    endpoint: Endpoint
    vin: str
    purpose: Purpose
    routine: bool


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one vehicle.

    `answered`: when BMW last answered each endpoint, also by "there is none". `missed_until`: the end
    of the last gap in the stream that was long enough to miss something, ours after a restart
    included. `ended`: what ended last, and when. `extras`: endpoints that this vehicle has a use for,
    beside telematicData and basicData.
    """

    vin: str
    answered: Mapping[Endpoint, datetime] = field(default_factory=dict)
    missed_until: datetime | None = None
    ended: tuple[Literal["trip", "charge"], datetime] | None = None
    extras: frozenset[Endpoint] = frozenset()


@dataclass(frozen=True, slots=True)
class StreamKnown:
    """How the stream stands: `wanted` by the settings, `up` and since when it is up or down."""

    wanted: bool
    up: bool = False
    since: datetime | None = None


def plan(
    now: datetime,
    standing: Standing,
    stream: StreamKnown,
    vehicles: Sequence[Known],
    mappings_at: datetime | None,
) -> tuple[PlannedCall, ...]:
    """The calls to make now, the most urgent first; none if nothing is left for them, or too early.

    `mappings_at`: when BMW last said which vehicles there are. Set-up and catch-up may use the
    reserve; the other calls of a vehicle stay within its share of what is not reserved.
    """
    desk = _Desk(now, standing, stream, max(1, len(vehicles)))
    wanted = desk.of_account(mappings_at)
    for known in sorted(vehicles, key=_longest_unasked):
        wanted += desk.of_vehicle(known)
    # The sort is stable: for one purpose, the vehicle that waits longest stays first.
    wanted.sort(key=lambda call: (call.routine, _ORDER.index(call.purpose)))
    return _affordable(wanted, standing)


def pace(now: datetime, standing: Standing, vehicles: int) -> timedelta | None:
    """How long to wait between two routine calls for one of so many vehicles; None: no such calls.

    As even as 24 hours allow with room for what happens; slower when little is left for the rest of the
    UTC day, or until the first call of the last 24 hours comes free.
    """
    allowance = standing.limit - standing.reserve
    if allowance <= 0 or standing.routine_left <= 0:
        return None
    tomorrow = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    rest_of_day = (tomorrow - now) * vehicles / max(1, allowance - standing.used_today)
    comes_free = standing.calls[0].at + WINDOW - now if standing.calls else timedelta()
    return max(even_pace(standing, vehicles), rest_of_day, comes_free * vehicles / standing.routine_left)


def even_pace(standing: Standing, vehicles: int) -> timedelta:
    """`pace` as it is on a day on which nothing happens."""
    allowance = max(1, standing.limit - standing.reserve)
    return max(timedelta(days=1) * vehicles / (allowance * _BY_CLOCK), _SHORTEST)


class _Desk:
    """One round of planning: what all vehicles have in common."""

    def __init__(self, now: datetime, standing: Standing, stream: StreamKnown, vehicles: int) -> None:
        self._now = now
        self._standing = standing
        self._stream = stream
        self._pace = pace(now, standing, vehicles)
        self._share = max(1, (standing.limit - standing.reserve) // vehicles)
        #: Catch-ups of one vehicle a day that may use the reserve: half of it stays for what may come.
        self._recoveries = standing.reserve // (2 * vehicles)

    def of_account(self, mappings_at: datetime | None) -> list[PlannedCall]:
        """The list of vehicles, if it is missing or old."""
        spent = self._spent("")
        if not self._is_due(_VEHICLES, mappings_at, spent):
            return []
        first = mappings_at is None and _last(spent, ("vehicles",)) is None
        return [PlannedCall("mappings", "", "vehicles", routine=not first)]

    def of_vehicle(self, known: Known) -> list[PlannedCall]:
        """What this vehicle needs: telematicData, what it is, else at most one other call."""
        spent = self._spent(short_vin(known.vin))
        calls = []
        if (purpose := self._telematic(known, spent)) is not None:
            calls.append(self._call(known.vin, "telematicData", purpose, spent))
        if self._is_due(_IDENTITY, known.answered.get("basicData"), spent):
            calls.append(self._call(known.vin, "basicData", "identity", spent))
        if not calls:
            calls = [
                self._call(known.vin, slow.endpoint, slow.purpose, spent)
                for slow in _EXTRAS
                if slow.endpoint in known.extras
                and self._is_due(slow, known.answered.get(slow.endpoint), spent)
            ][:1]
        within_share = sum(call.routine for call in spent) < self._share
        return [call for call in calls if within_share or not call.routine]

    def _call(self, vin: str, endpoint: Endpoint, purpose: Purpose, spent: Sequence[Spent]) -> PlannedCall:
        """Set-up may use the reserve once a day, catch-up a few times, the rest never."""
        before = sum(call.ours and call.purpose == purpose for call in spent)
        allowed = {"set-up": 1, "identity": 1, "catch-up": self._recoveries}.get(purpose, 0)
        return PlannedCall(endpoint, vin, purpose, routine=before >= allowed)

    def _telematic(self, known: Known, spent: Sequence[Spent]) -> Purpose | None:
        answered, tried = known.answered.get("telematicData"), _last(spent, TELEMATIC)
        if answered is None:
            return "set-up" if tried is None or self._on_pace(tried) else None
        if tried is not None and self._age(tried) < _pause(answered, spent):
            return None
        if self._has_missed(known, answered):
            return "catch-up"
        if known.ended is not None and self._is_news(known.ended[1], answered):
            return "trip-end" if known.ended[0] == "trip" else "charge-end"
        return self._by_time(answered)

    def _has_missed(self, known: Known, answered: datetime) -> bool:
        since = self._stream.since
        if not self._stream.up or since is None or known.missed_until is None:
            return False
        return answered < known.missed_until and self._age(since) >= _STREAM_SETTLED

    def _is_news(self, ended: datetime, answered: datetime) -> bool:
        return answered < ended + _SETTLING <= self._now <= ended + _NEWS

    def _by_time(self, answered: datetime) -> Purpose | None:
        if not self._on_pace(answered):
            return None
        stream = self._stream
        gone = not stream.up and stream.since is not None and self._age(stream.since) >= STREAM_GONE
        if gone or not stream.wanted:
            return "polling"
        return "rest-only" if self._age(answered) >= _REST_ONLY else None

    def _is_due(self, slow: _Slow, answered: datetime | None, spent: Sequence[Spent]) -> bool:
        if answered is not None and self._age(answered) < slow.keep:
            return False
        tried = _last(spent, (slow.purpose,))
        return tried is None or self._age(tried) >= slow.retry

    def _on_pace(self, last: datetime) -> bool:
        return self._pace is not None and self._age(last) >= self._pace

    def _age(self, moment: datetime) -> timedelta:
        """How old; what lies ahead was set by a clock that was wrong, and is as old as it is far."""
        return abs(self._now - moment)

    def _spent(self, vehicle: str) -> list[Spent]:
        return [call for call in self._standing.calls if call.vehicle == vehicle]


def _pause(answered: datetime, spent: Sequence[Spent]) -> timedelta:
    """How long to wait after a try: BMW may be out of order for days, and the calls must outlast that."""
    later = answered + timedelta(seconds=1)
    failures = sum(call.ours and call.purpose in TELEMATIC and call.at > later for call in spent)
    doublings: int = min(max(failures - 1, 0), 10)
    return min(_AFTER_TRY * (1 << doublings), _AFTER_TRIES)


def _affordable(wanted: Sequence[PlannedCall], standing: Standing) -> tuple[PlannedCall, ...]:
    """As many of the first as there are calls for."""
    made: list[PlannedCall] = []
    for call in wanted:
        left = standing.routine_left if call.routine else standing.remaining
        if len(made) < left:
            made.append(call)
    return tuple(made)


def _longest_unasked(known: Known) -> datetime:
    return known.answered.get("telematicData", datetime.min.replace(tzinfo=UTC))


def _last(spent: Sequence[Spent], purposes: Sequence[str]) -> datetime | None:
    """When we last tried a call for one of these, within the day that the ledger looks back."""
    return max((call.at for call in spent if call.ours and call.purpose in purposes), default=None)
