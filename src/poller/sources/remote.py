"""The seam to a source that can be told to do something: on the command line only, never over HTTP.

Arguments of an order, by service; all others take none::

    vehicle_finder     observer_latitude, observer_longitude: degrees, both or neither; default: where
                       the car itself last said it was
    charging_settings  target_soc: 20..100 in steps of 5; ac_limit: amperes, one that the car offers;
                       at least one of the two
    charging_profile   charging_mode: IMMEDIATE_CHARGING, DELAYED_CHARGING or NO_ACTION, in any case;
                       precondition_climate: true or false; at least one of the two
    send_poi           latitude, longitude, or address: a street address that the geocoder is asked
                       about; beside them, as texts: name, street, postal_code, city, country
    call               path: of the maker's API, or the last word of a remote command's (``light-flash``);
                       ``{vin}`` and ``{gcid}`` in it are filled in; params: texts; body: a JSON object
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, runtime_checkable

from poller.errors import CommandRefused
from poller.runtime.clock import Clock
from poller.vehicle.command import Order, Outcome

#: Real seconds from an order to its sending, at most.
FRESH: Final = 60.0


@runtime_checkable
class Remote(Protocol):
    """A source whose cars take orders."""

    async def execute(self, order: Order, deadline: Deadline | None = None) -> Outcome:
        """Check what the car can do, send the order once, and follow it to its end (four minutes at most).

        `deadline`: of the owner's order; without, it begins to run now. Nothing is sent after it.
        Carried out at most once, whatever goes wrong. Raises only where the car was certainly not told:
        CommandRefused (vehicle, capability, state, geocoder, deadline), ArgumentRefused (the order makes
        no sense), SourceError if the maker could not be asked or refused us. Once it was sent, whatever
        is or is not known of it is in the Outcome.
        """
        ...

    async def pictures(self, vin: str, views: Sequence[str]) -> Mapping[str, bytes]:
        """View (lower case, as bimmer_connected names them: ``frontside``) → PNG.

        A view of which the maker gives no picture, or something that is no PNG, is left out. Raises
        CommandRefused for a view or a vehicle that there is not, SourceError.
        """
        ...


class Deadline:
    """When an order is no longer sent: counted from its making, `waited` real seconds before this is made.

    On a slow line it takes minutes to learn what the car can do, and a machine may be put to sleep over
    it, when its steady clock stands. Whoever gave the order may have gone away by then: a car must not
    open behind their back.
    """

    def __init__(self, clock: Clock, *, waited: float = 0.0) -> None:
        self._clock = clock
        self._fresh = FRESH - waited
        self._steady, self._wall = clock.monotonic(), clock.now()

    def check(self) -> None:
        """Raise CommandRefused if it may not be sent any more; the clock that is ahead counts."""
        steady = self._clock.monotonic() - self._steady
        wall = (self._clock.now() - self._wall).total_seconds()
        if max(steady, wall) / self._clock.rate >= self._fresh:
            raise CommandRefused(
                f"it could not be sent within {FRESH:.0f} s, and was not sent any more",
                hint="BMW, the line to it or this machine is slow just now: order again if it is wanted",
            )
