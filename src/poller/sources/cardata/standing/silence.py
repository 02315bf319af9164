"""Why a CarData account brings nothing new, or less than it could: five states, each with its own words.

Pure: how everything stands comes in, what an owner should know comes out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from poller.runtime.status import Failure, Silence, StreamStatus
from poller.sources.cardata.cars.state import CarState
from poller.sources.cardata.meaning.catalogue import CATALOGUE
from poller.sources.cardata.rest.ledger import Standing
from poller.sources.cardata.rest.plan import STREAM_GONE
from poller.sources.cardata.stream.words import Cause

#: A car without a new value for so long is quiet.
QUIET: Final = timedelta(hours=6)
#: A stream that is being connected for longer than this is down.
_CONNECTING: Final = timedelta(minutes=2)
#: Descriptors that bear the time at which BMW was asked, not the car's.
_ASKED_AT: Final = "vehicle.powertrain.electric.battery.serviceDemand."
#: Time for BMW to send by stream what it gives by REST, before that counts as missing.
_ON_ITS_WAY: Final = timedelta(minutes=10)
_TICK: Final = (
    'if that goes on, choose the attributes under "Configure data stream" in BMW\'s portal (your car, BMW '
    "CarData), for this car too; `poller descriptors` lists them"
)
_FEED: Final = (
    "if that goes on, look whether the program that feeds your broker is connected to BMW, and whether "
    "`stream_topic` is where it puts its messages"
)
_PARKED: Final = (
    "nothing needs doing: a parked car is silent for days; locking or unlocking it wakes it. If it was "
    "driven since, `poller doctor` looks why"
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What BMW refuses, in words for an owner, and since when, where that is known."""

    message: str
    hint: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class CarHeard:
    """One vehicle, by its short VIN: its newest value, and what BMW refuses for it.

    `unstreamed_at`: when it reported what REST has told, and the stream, although connected, has not.
    """

    vehicle: str
    newest_at: datetime | None = None
    refused: Refusal | None = None
    unstreamed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """How everything stands at `now`.

    `refused`: what BMW refuses the whole account: the login, a scope of it, a container; `login_lost`:
    whether that leaves nothing. `offline`: REST's last call met no network. `failing`: why it failed for
    other reasons than those, and since when. `rest`: whether REST may be asked at all.
    `stream`: None if there is none by the settings. `works`: whether the stream is
    connected, or REST has answered as lately as its pace allows.
    """

    now: datetime
    standing: Standing
    works: bool
    stream: StreamStatus | None = None
    rest: bool = True
    refused: Sequence[Refusal] = ()
    login_lost: bool = False
    offline: Failure | None = None
    failing: Failure | None = None
    cars: Sequence[CarHeard] = ()


def silences(situation: Situation) -> tuple[Silence, ...]:
    """What is true of the five states, in their order; one that another explains is left out.

    refused, no_network, budget_spent, stream_down, car_quiet.
    """
    found = list(_refused(situation))
    if situation.login_lost:
        return tuple(found)
    no_network = list(_no_network(situation))
    found += [*no_network, *_budget_spent(situation)]
    if not no_network:
        found += [*_rest_fails(situation), *_stream_down(situation)]
    found += _stream_idle(situation)
    return (*found, *_car_quiet(situation, all_well=not found))


def newest(state: CarState) -> datetime | None:
    """The newest time of a value, the car's own or, where it gave none, our receiving it by stream."""
    times = [
        held.timestamp or held.received_at
        for name, held in state.held.items()
        if not name.startswith(_ASKED_AT) and (held.timestamp is not None or held.via == "stream")
    ]
    return max(times, default=None)


def unstreamed(state: CarState, since: datetime) -> datetime | None:
    """The newest time at which the car measured what the stream, connected `since` then, should have brought
    and REST has.
    """
    times = [
        held.timestamp
        for name, held in state.held.items()
        if held.via == "rest"
        and held.timestamp is not None
        and (known := CATALOGUE.get(name)) is not None
        and known.streamable
        and since < held.timestamp <= held.received_at - _ON_ITS_WAY
    ]
    return max(times, default=None)


def is_down(stream: StreamStatus, now: datetime) -> bool:
    """Whether the stream is not connected, and not merely being connected again."""
    if stream.connected:
        return False
    fresh = stream.since is None or abs(now - stream.since) < _CONNECTING
    return not (stream.state == "connecting" and fresh)


def _refused(situation: Situation) -> Iterator[Silence]:
    told = set()
    stream = situation.stream
    account = list(situation.refused)
    if stream is not None and _is_refused_the_login(stream) and stream.failure is not None:
        account.append(Refusal(stream.failure.message, stream.failure.hint, stream.since))
    refusals = [("", refusal) for refusal in account]
    refusals += [(car.vehicle, car.refused) for car in situation.cars if car.refused is not None]
    for vehicle, refusal in refusals:
        if (vehicle, refusal.message) not in told and ("", refusal.message) not in told:
            told.add((vehicle, refusal.message))
            yield Silence("refused", refusal.message, refusal.hint, refusal.since, vehicle)


def _is_refused_the_login(stream: StreamStatus) -> bool:
    """Whether BMW lets our login not in; a broker of the owner's has a login of its own."""
    refused = stream.state == "refused" and not stream.own_broker
    return refused and stream.failure is not None and stream.failure.reason != Cause.TOPIC.value


def _no_network(situation: Situation) -> Iterator[Silence]:
    stream, failure = situation.stream, situation.offline
    if stream is not None and stream.state == "no_network":
        failure = stream.failure or failure
    if failure is not None and not (stream is not None and stream.connected):
        yield Silence("no_network", failure.message, failure.hint, failure.at)


def _rest_fails(situation: Situation) -> Iterator[Silence]:
    """BMW's server is there, and gives nothing: with the stream at work nothing else would show it."""
    failure, stream = situation.failing, situation.stream
    if failure is not None:
        goes_on = stream is not None and stream.connected
        rest = "; the stream goes on, what only REST brings grows old" if goes_on else ""
        yield Silence("no_network", failure.message + rest, failure.hint, failure.at)


def _budget_spent(situation: Situation) -> Iterator[Silence]:
    standing = situation.standing
    if standing.routine_left > 0 or not situation.rest:
        return
    free_at = max(filter(None, (standing.next_free_at, standing.blocked_until)), default=None)
    again = f"the next call comes free at {_written(free_at)}" if free_at else "calls come free by themselves"
    since = standing.calls[-1].at if standing.calls else None
    yield Silence("budget_spent", _spent(standing), f"nothing needs doing: {again}", since)


def _spent(standing: Standing) -> str:
    if standing.blocked_by == "lost":
        return "the record of today's calls was lost, so none is made until the next UTC day"
    if standing.blocked_by == "refused":
        return f"BMW says that the day's calls are spent; we have made {standing.used_24h} in 24 hours"
    kept = f" but for {standing.reserve} kept for set-up and recovery" if standing.reserve else ""
    return f"the {standing.limit} calls that BMW allows in 24 hours are spent{kept}"


def _stream_down(situation: Situation) -> Iterator[Silence]:
    stream = situation.stream
    if stream is None or not is_down(stream, situation.now) or _is_refused_the_login(stream):
        return
    failure = stream.failure
    what = failure.message if failure else "the stream is not connected"
    hint = failure.hint if failure else None
    yield Silence("stream_down", f"{what}; {_meanwhile(situation, stream)}", hint, stream.since)


def _meanwhile(situation: Situation, stream: StreamStatus) -> str:
    """What REST does while the stream is down."""
    if not situation.rest:
        return "nothing takes its place: REST cannot be asked"
    if situation.standing.routine_left <= 0:
        return "nothing takes its place: REST's calls are spent"
    if situation.failing is not None:
        return "nothing takes its place: REST fails too"
    gone = stream.since is not None and abs(situation.now - stream.since) >= STREAM_GONE
    if gone or stream.state == "refused":
        return "REST is polled in its place, as often as its calls allow"
    return "if that lasts for two hours, REST is polled in its place"


def _stream_idle(situation: Situation) -> Iterator[Silence]:
    """Connected, and not what it should be: nobody may take that for a quiet car."""
    stream = situation.stream
    if stream is None or not stream.connected:
        return
    if stream.failure is not None:
        yield Silence("stream_down", stream.failure.message, stream.failure.hint, stream.since)
    for car in situation.cars:
        if car.unstreamed_at is not None:
            what = f"the car reported at {_written(car.unstreamed_at)}, and the stream brought nothing of it"
            hint = _FEED if stream.own_broker else _TICK
            yield Silence("stream_down", what, hint, car.unstreamed_at, car.vehicle)


def _car_quiet(situation: Situation, *, all_well: bool) -> Iterator[Silence]:
    if not situation.works:
        return
    works = "all works, and " if all_well else ""
    for car in situation.cars:
        since = car.newest_at
        if car.refused is None and since is not None and situation.now - since >= QUIET:
            yield Silence(
                "car_quiet",
                f"{works}the car has sent nothing new since {_written(since)}",
                _PARKED,
                since,
                car.vehicle,
            )


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
