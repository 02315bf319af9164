"""Where the vehicle finder saw a car last: remembered, and a body of the answers that follow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from poller.sources.base import Memory
from poller.sources.texts import moment
from poller.vehicle.records import dumps, rfc3339

#: The body's name: ``{"at": when it was had, "reply": the finder's own answer}``.
BODY: Final = "vehicle_finder"
#: For so long it is of interest: a car that drove on has reported since.
_KEEP: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Found:
    """A position as the finder gave it, unchecked; `at` is our clock."""

    at: datetime
    latitude: Any
    longitude: Any
    heading: Any
    address: Any


class Finder:
    """One account's: what the last search of each vehicle brought."""

    def __init__(self, account: str, memory: Memory) -> None:
        self._account = account
        self._memory = memory
        #: By VIN; read once, for every poll asks.
        self._held: dict[str, Mapping[str, Any] | None] = {}

    def open(self) -> None:
        """What another remembered meanwhile counts from now on."""
        self._held.clear()

    async def remember(self, vin: str, reply: bytes, at: datetime) -> None:
        """Keep the finder's answer. Raises JournalError, ValueError if it is no JSON."""
        held = {"at": rfc3339(at), "reply": json.loads(reply)}
        dumps(held).encode()  # what cannot be written again is refused now
        await self._memory.remember(self._key(vin), held)
        self._held[vin] = held

    async def body(self, vin: str, now: datetime) -> bytes | None:
        """What belongs into an answer that is had now. Raises JournalError."""
        if vin not in self._held:
            self._held[vin] = await self._memory.recall(self._key(vin))
        held = self._held[vin]
        at = None if held is None else moment(held.get("at"))
        return dumps(held).encode() if at is not None and now - at < _KEEP else None

    def _key(self, vin: str) -> str:
        return f"finder:{self._account}:{vin}"


def found_in(bodies: Mapping[str, bytes], state: Mapping[str, Any]) -> Found | None:
    """The finder's position, if it is newer than what the car has reported by itself."""
    if BODY not in bodies:
        return None
    try:
        held = json.loads(bodies[BODY])
        at = moment(held["at"])
        place = held["reply"]["positionData"]["position"]
        found = None if at is None else _found(at, place)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    reported = moment(state.get("lastUpdatedAt")) or moment(state.get("lastFetched"))
    newer = found is not None and (reported is None or found.at > reported)
    return found if newer else None


def _found(at: datetime, place: Mapping[str, Any]) -> Found:
    return Found(
        at, place["latitude"], place["longitude"], place.get("heading"), place.get("formattedAddress")
    )
