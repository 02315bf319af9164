"""Which vehicles an account has and what is known of them: on disk before anybody sees it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from poller.errors import JournalError, MalformedAnswer, SourceError
from poller.runtime import log
from poller.runtime.clock import Clock
from poller.sources.base import Answer, Memory, Quarantine
from poller.sources.cardata.cars.dossier import Dossier, dossier_of, ending
from poller.sources.cardata.cars.state import MAX_BODY, CarState
from poller.sources.cardata.rest.client import mappings_in
from poller.sources.cardata.rest.plan import Endpoint
from poller.sources.cardata.settings import KIND
from poller.sources.cardata.stream.inbox import StreamMessage
from poller.vehicle.records import milliseconds, parse_time, rfc3339

PRIMARY: Final = "PRIMARY"
#: Vehicles of which something is kept; an owner's broker can carry anything.
MOST: Final = 50
#: basicData of so many bytes is none: it is kept beside the car's state, and written with each message.
_MAX_BASIC: Final = 64 * 1024
#: A car that sends what nobody understands does so all day: one copy in an hour tells what it is.
_QUARANTINE_PAUSE: Final = 3600.0
#: BMW has refused a vehicle's data: it is left alone for so long.
_BAR: Final = timedelta(days=1)
#: An absence this short is a restart, not a gap to make good; we know when we last listened to one poll.
_BRIEF: Final = timedelta(minutes=10)
#: Facts that are times.
_TIMES: Final = ("mappings_at", "heard_until", "missed_until")
_VIN: Final = re.compile(r"[A-Z0-9]{17}")


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is kept of the account. `vins`: whose dossiers there are.

    `mappings`: VIN → mapping type, None until BMW has said; `mappings_at` None: to be asked for again.
    `heard_until`: when we last had the stream. `missed_until`: the end of the last gap that was long
    enough to miss something. `barred`: VIN → when BMW refused its data.
    """

    vins: tuple[str, ...] = ()
    mappings: Mapping[str, str] | None = None
    mappings_at: datetime | None = None
    heard_until: datetime | None = None
    missed_until: datetime | None = None
    barred: Mapping[str, datetime] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For the memory."""
        times = {name: getattr(self, name) for name in _TIMES}
        return {
            "vins": list(self.vins),
            "mappings": None if self.mappings is None else dict(self.mappings),
            **{name: None if at is None else rfc3339(at) for name, at in times.items()},
            "barred": {vin: rfc3339(at) for vin, at in self.barred.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> _Facts:
        """What `to_json` made; anything else is nothing known, which costs a call."""
        try:
            mappings = value["mappings"]
            return cls(
                vins=tuple(str(vin) for vin in value["vins"]),
                mappings=None if mappings is None else {str(vin): str(of) for vin, of in mappings.items()},
                **{name: parse_time(value[name]) for name in _TIMES if value[name] is not None},
                barred={str(vin): parse_time(at) for vin, at in value["barred"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            return cls()


class Garage:
    """Keeps facts and dossiers; what comes in is in the journal together with what it changes.

    A cancelled or failed journalling leaves what is shown as it was. What was not understood is in the
    journal like all else, and a copy of it in `quarantine`, where it is counted and seen.
    """

    def __init__(
        self, name: str, account: str, *, memory: Memory, quarantine: Quarantine, clock: Clock
    ) -> None:
        self._name = name
        self._account = account
        self._key = f"cars:{account}"
        self._memory = memory
        self._quarantine = quarantine
        self._clock = clock
        self._facts = _Facts()
        self._dossiers: dict[str, Dossier] = {}
        self._gap_seen: datetime | None = None
        #: VIN → when a message about it came, while we run; (VIN, reason) → last quarantine, steadily.
        self._heard: dict[str, datetime] = {}
        self._set_aside: dict[tuple[str, str], float] = {}
        self._turned_away = False
        self._lock = asyncio.Lock()
        self._logger = log.get("source", source=name)

    async def open(self) -> None:
        """Read what is kept, also what another instance kept meanwhile; asks nobody."""
        async with self._lock:
            self._facts = _Facts.from_json(await self._memory.recall(self._key) or {})
            read = [await self._recall(vin) for vin in self._facts.vins]
            self._dossiers = {dossier.vin: dossier for dossier in read if dossier is not None}

    # What is known.

    @property
    def mappings_at(self) -> datetime | None:
        """When BMW last said which vehicles there are; None: to be asked."""
        return self._facts.mappings_at

    @property
    def missed_until(self) -> datetime | None:
        """The end of the last gap in the stream that was long enough to miss something."""
        return self._facts.missed_until

    def dossier(self, vin: str) -> Dossier | None:
        """What is kept of a vehicle."""
        return self._dossiers.get(vin)

    def heard_at(self, vin: str) -> datetime | None:
        """When the stream last said anything of a vehicle, while we run."""
        return self._heard.get(vin)

    def vins(self, wanted: Sequence[str]) -> list[str]:
        """The vehicles to show: the `wanted` ones, or all that the account has as PRIMARY.

        Until BMW has said which there are, those that the stream told of.
        """
        if wanted:
            return list(wanted)
        mappings = self._facts.mappings
        if mappings is None:
            return sorted(self._dossiers)
        return [vin for vin, mapping in mappings.items() if mapping == PRIMARY]

    def not_ours(self, vin: str) -> bool:
        """Whether BMW has said that this account gets no data of the vehicle."""
        mappings, barred = self._facts.mappings, self._facts.barred.get(vin)
        if barred is not None and abs(self._clock.now() - barred) < _BAR:
            return True
        return mappings is not None and mappings.get(vin) != PRIMARY

    @property
    def strangers(self) -> list[str]:
        """The vehicles that are listed, and not as PRIMARY."""
        return [vin for vin, mapping in (self._facts.mappings or {}).items() if mapping != PRIMARY]

    # What comes in.

    async def take_messages(self, messages: Sequence[StreamMessage]) -> None:
        """Journal messages of the stream, then show what they say.

        What is no vehicle's is left out; what cannot be understood is journalled with the rest, and put into
        quarantine. Raises JournalError; taking them in once more then changes nothing.
        """
        batches: dict[str, list[StreamMessage]] = {}
        for message in messages:
            batches.setdefault(message.vin.strip().upper(), []).append(message)
        for vin, batch in batches.items():
            known = vin in self._dossiers
            if not _VIN.fullmatch(vin) or (not known and len(self._dossiers) >= MOST):
                self._turn_away(batch)
                continue
            async with self._lock:
                await self._take_batch(vin, batch)

    async def take_mappings(self, body: bytes) -> None:
        """Which vehicles there are. Raises JournalError; SourceError, once it is in the journal, if it is no
        such list.
        """
        now = milliseconds(self._clock.now())
        answer = Answer(self._name, KIND, "", now, {"mappings": body})
        async with self._lock:
            facts, problem = self._facts, None
            try:
                mappings = dict(list(mappings_in(body).items())[:MOST])
            except Exception as error:  # noqa: BLE001  # it is told below: a bug must not cost an answer
                problem = self._problem(error)
            else:
                facts = replace(facts, mappings=mappings, mappings_at=now)
            await self._memory.keep(answer, self._key, facts.to_json())
            self._facts = facts
            if problem is not None:
                await self._put_aside(answer, problem.message)
                raise problem

    async def take(self, vin: str, endpoint: Endpoint, bodies: Mapping[str, bytes]) -> None:
        """An answer about a vehicle. Raises JournalError; MalformedAnswer, once it is in the journal."""
        now = milliseconds(self._clock.now())
        answer = Answer(self._name, KIND, vin, now, dict(bodies))
        async with self._lock:
            before = await self._dossier(vin)
            try:
                after = _told(before, endpoint, bodies, now)
            except Exception as error:  # as in `take_mappings`
                problem = self._problem(error)
                await self._keep(answer, before)
                await self._put_aside(answer, problem.message)
                raise problem from error
            await self._keep(answer, replace(after, answered={**before.answered, endpoint: now}))

    async def none_there(self, vin: str, endpoint: Endpoint) -> None:
        """BMW has nothing of the kind, which is an answer too."""
        async with self._lock:
            dossier = await self._dossier(vin)
            answered = {**dossier.answered, endpoint: milliseconds(self._clock.now())}
            dossier = replace(dossier, answered=answered)
            with contextlib.suppress(JournalError):
                await self._memory.remember(self._dossier_key(vin), dossier.to_json())
            self._dossiers[vin] = dossier

    async def bar(self, vin: str) -> None:
        """BMW refuses this vehicle's data: leave it alone for a day, and ask which vehicles there are."""
        barred = {**self._facts.barred, vin: milliseconds(self._clock.now())}
        await self._note(barred=barred, mappings_at=None)

    async def listened(self, gap_ended_at: datetime | None, *, connected: bool) -> None:
        """How the stream stands now; `gap_ended_at` as `stream.Stream` has it."""
        changes: dict[str, Any] = {}
        if gap_ended_at is not None and gap_ended_at != self._gap_seen:
            if not self._is_restart(gap_ended_at):
                changes["missed_until"] = gap_ended_at
            self._gap_seen = gap_ended_at
        if connected:
            changes["heard_until"] = milliseconds(self._clock.now())
        await self._note(**changes)

    def _is_restart(self, gap_ended_at: datetime) -> bool:
        """Whether the gap is our own absence, and nothing can have been missed in it."""
        heard_until = self._facts.heard_until
        if self._gap_seen is not None:
            return False
        return heard_until is None or abs(gap_ended_at - heard_until) < _BRIEF

    async def _take_batch(self, vin: str, batch: Sequence[StreamMessage]) -> None:
        before = await self._dossier(vin)
        last = milliseconds(max(message.received_at for message in batch))
        after, spoiled = self._understood(before, batch, last)
        await self._keep(_answer(self._name, vin, last, batch), after)
        self._heard[vin] = last
        for reason, messages in spoiled.items():
            await self._put_aside(_answer(self._name, vin, last, messages), reason)

    def _understood(
        self, before: Dossier, batch: Sequence[StreamMessage], last: datetime
    ) -> tuple[Dossier, Mapping[str, Sequence[StreamMessage]]]:
        """The dossier with what the messages say; and those that say nothing, by what is wrong with them."""
        state = before.state
        spoiled: dict[str, list[StreamMessage]] = {}
        try:
            for message in batch:
                try:
                    state, _ = state.merge_stream(message.body, message.received_at)
                except MalformedAnswer as error:
                    spoiled.setdefault(error.message, []).append(message)
            after = replace(before, state=state)
            ended = ending(before.car(), after.car(), last)
        except Exception as bug:
            # A bug of ours must not cost the messages: at QoS 0 nobody sends them again.
            self._logger.exception("message.unparsable")
            return before, {f"internal error: {type(bug).__name__}": batch}
        return replace(after, ended=ended or before.ended), spoiled

    def _problem(self, error: Exception) -> SourceError:
        """Why an answer was not understood; a bug of ours is logged."""
        if isinstance(error, SourceError):
            return error
        self._logger.error("answer.unparsable", exc_info=error)
        return MalformedAnswer(f"internal error: {type(error).__name__}", hint="see the log")

    async def _put_aside(self, answer: Answer, reason: str) -> None:
        """Into quarantine; what is there for good must be few, and small."""
        now, place = self._clock.monotonic(), (answer.vin, reason)
        at = self._set_aside.get(place)
        small = sum(map(len, answer.bodies.values())) <= MAX_BODY
        if small and (at is None or now - at >= _QUARANTINE_PAUSE):
            await self._quarantine(answer, reason)
            self._set_aside[place] = now

    def _turn_away(self, batch: Sequence[StreamMessage]) -> None:
        """More vehicles than anybody has."""
        if not self._turned_away:
            self._turned_away = True
            self._logger.warning("message.turned_away", messages=len(batch), most_vehicles=MOST)

    async def _keep(self, answer: Answer, dossier: Dossier) -> None:
        """The only way in: the journal first."""
        vin = dossier.vin
        await self._memory.keep(answer, self._dossier_key(vin), dossier.to_json())
        self._dossiers[vin] = dossier
        if vin not in self._facts.vins:
            facts = replace(self._facts, vins=(*self._facts.vins, vin))
            if facts.mappings is not None and vin not in facts.mappings:
                # A new car, it seems.
                facts = replace(facts, mappings_at=None)
            await self._remember(facts)

    async def _dossier(self, vin: str) -> Dossier:
        """The vehicle's, from disk if need be, or an empty one."""
        return self._dossiers.get(vin) or await self._recall(vin) or Dossier(CarState(vin))

    async def _recall(self, vin: str) -> Dossier | None:
        kept = await self._memory.recall(self._dossier_key(vin))
        return None if kept is None else dossier_of(kept, vin)

    def _dossier_key(self, vin: str) -> str:
        return f"state:{self._account}:{vin}"

    async def _note(self, **changes: Any) -> None:
        async with self._lock:
            facts = replace(self._facts, **changes)
            if facts != self._facts:
                await self._remember(facts)

    async def _remember(self, facts: _Facts) -> None:
        """What cannot be written costs a call after the next restart, nothing else."""
        self._facts = facts
        with contextlib.suppress(JournalError):
            await self._memory.remember(self._key, facts.to_json())


def _answer(source: str, vin: str, received_at: datetime, batch: Sequence[StreamMessage]) -> Answer:
    bodies = {f"message-{number}": message.body for number, message in enumerate(batch, 1)}
    return Answer(source, KIND, vin, received_at, bodies)


def _told(dossier: Dossier, endpoint: Endpoint, bodies: Mapping[str, bytes], now: datetime) -> Dossier:
    """The dossier with what an answer says. Raises MalformedAnswer."""
    if endpoint == "basicData":
        if len(bodies[endpoint]) > _MAX_BASIC:
            raise MalformedAnswer("it is too long")
        return replace(dossier, basic=bodies[endpoint])
    if endpoint == "telematicData":
        state, _ = dossier.state.merge_rest(bodies[endpoint], now)
        return replace(dossier, state=state)
    return dossier
