"""The vehicle finder: the car was asked where it is, and BMW is asked what it said."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from poller.errors import CommandRefused, JournalError, SourceError
from poller.runtime import log
from poller.runtime.clock import Clock
from poller.sources.mybmw.client import MyBmwClient
from poller.sources.mybmw.finder import Finder
from poller.sources.mybmw.meaning.values import heading, latitude, longitude
from poller.sources.mybmw.remote.arguments import Arguments
from poller.sources.mybmw.remote.car import Car, Json, part
from poller.sources.mybmw.remote.events import told
from poller.sources.texts import clean, object_in
from poller.vehicle.command import CommandState, Found, Outcome
from poller.vehicle.privacy import short_vin

_UNLISTED: Final = "BMW lists this car as one that cannot be searched for (vehicleFinder)"


@dataclass(frozen=True, slots=True)
class Observer:
    """Where the owner stands: BMW wants to know before it tells where the car is."""

    position: tuple[float, float] | None = field(repr=False)

    @classmethod
    def read(cls, given: Json) -> Observer:
        """Raises ArgumentRefused."""
        arguments = Arguments(given, "observer_latitude", "observer_longitude")
        return cls(arguments.position("observer_latitude", "observer_longitude"))

    def near(self, car: Car) -> tuple[float, float]:
        """That, or where the car last said it was. Raises CommandRefused if nobody knows."""
        position = self.position or car.place
        if position is None:
            raise CommandRefused(
                "BMW tells where the car is only to who says where they are, and the car has not said",
                hint="give your own latitude and longitude; for cars before mid-2014, within about 2 km",
            )
        return position


class Search:
    """Fetches what a search brought, and remembers it for the snapshots that follow."""

    def __init__(self, name: str, *, client: MyBmwClient, finder: Finder, clock: Clock, china: bool) -> None:
        self._client = client
        self._finder = finder
        self._clock = clock
        self._china = china
        self._logger = log.get("source", source=name)

    async def result(self, sent: Outcome, car: Car, near: tuple[float, float]) -> Outcome:
        """`sent`, once it ended, with what was found; ERROR if BMW does not tell. Never raises."""
        outcome = await self._told(sent, car, near) if sent.state is CommandState.EXECUTED else sent
        if car.can("vehicleFinder"):
            return outcome
        return replace(outcome, reason=f"{outcome.reason} {_UNLISTED}.".strip())

    async def _told(self, sent: Outcome, car: Car, near: tuple[float, float]) -> Outcome:
        try:
            body = await self._client.event_position(sent.event_id, car.brand, near)
        except SourceError as error:
            return _lost(sent, error.message)
        answer = object_in(body)
        found = self._found(part(part(answer, "positionData"), "position"))
        if found is None:
            return _lost(sent, told(answer.get("errorDetails")) or "its answer holds no position")
        await self._remember(car.vin, body)
        return replace(sent, found=found)

    def _found(self, place: Json) -> Found | None:
        pair = place.get("latitude"), place.get("longitude"), self._china
        north, east = latitude(*pair), longitude(*pair)
        if not (isinstance(north, int | float) and isinstance(east, int | float)):
            return None
        direction, address = heading(place.get("heading")), place.get("formattedAddress")
        return Found(
            float(north),
            float(east),
            int(direction) % 360 if isinstance(direction, int | float) else None,
            (clean(address) or None) if isinstance(address, str) else None,
        )

    async def _remember(self, vin: str, body: bytes) -> None:
        try:
            await self._finder.remember(vin, body, self._clock.now())
        except (JournalError, ValueError, RecursionError) as error:
            # The owner has the position; it is only missing from the next snapshots.
            self._logger.warning("finder.unsaved", vehicle=short_vin(vin), reason=type(error).__name__)


def _lost(sent: Outcome, why: str) -> Outcome:
    reason = f"The car was searched for, but BMW did not tell where it is: {why}."
    return replace(sent, state=CommandState.ERROR, reason=reason)
