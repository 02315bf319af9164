"""The seam to a source that can be told to do something: on the command line only, never over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from poller.vehicle.command import Order, Outcome, Service


@runtime_checkable
class Remote(Protocol):
    """A source whose cars take orders."""

    async def offered(self, vin: str) -> Mapping[Service, str]:
        """Service → why this car does not do it, "" where it does; asks the maker. Raises SourceError."""
        ...

    async def execute(self, order: Order) -> Outcome:
        """Check what the car can do, send the order once, and follow it to its end (minutes).

        Never sent twice, whatever goes wrong. Raises CommandRefused before anything was sent:
        capability, arguments, state; SourceError if the maker could not be asked or refused us.
        """
        ...

    async def pictures(self, vin: str, views: Sequence[str]) -> Mapping[str, bytes]:
        """View (lower case, as bimmer_connected names them: ``frontside``) → PNG. Raises SourceError."""
        ...
