"""What a vehicle can be told to do, by the library's names for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from poller.library.words import ChargingMode
from poller.vehicle.command import Order, Outcome, Service

#: What `sources.remote` calls the members of a place.
_PLACE: Final = {"lat": "latitude", "lon": "longitude"}


@dataclass(frozen=True, slots=True)
class PointOfInterest:
    """A place to drive to, in degrees; the rest is for the driver to read."""

    lat: float
    lon: float
    name: str | None = None
    street: str | None = None
    postal_code: str | None = None
    city: str | None = None
    country: str | None = None


class RemoteServices:
    """Orders to one vehicle; each waits until the car has done it, four minutes at most.

    Nothing is sent twice. All raise CommandRefused if the car was not told (it cannot do that, or not
    now), CommandFailed if it was told and did not do it or did not say so in time, SourceError if BMW
    could not be asked. An order that changes the car's state asks for the new one afterwards.
    """

    def __init__(self, vin: str, execute: Callable[[Order], Awaitable[Outcome]]) -> None:
        self._vin = vin
        self._execute = execute

    async def trigger_remote_light_flash(self) -> Outcome:
        """Flash the headlights."""
        return await self._order("light_flash")

    async def trigger_remote_horn(self) -> Outcome:
        """Sound the horn."""
        return await self._order("horn")

    async def trigger_remote_door_lock(self) -> Outcome:
        """Lock the doors."""
        return await self._order("lock")

    async def trigger_remote_door_unlock(self) -> Outcome:
        """Unlock the doors."""
        return await self._order("unlock")

    async def trigger_remote_air_conditioning(self) -> Outcome:
        """Start heating or cooling."""
        return await self._order("climate_start")

    async def trigger_remote_air_conditioning_stop(self) -> Outcome:
        """Stop heating or cooling."""
        return await self._order("climate_stop")

    async def trigger_remote_vehicle_finder(self) -> Outcome:
        """Find the car: `Outcome.found`, and the vehicle's location, say where."""
        return await self._order("vehicle_finder")

    async def trigger_charge_start(self) -> Outcome:
        """Start charging; IGNORED where no charger is connected."""
        return await self._order("charge_start")

    async def trigger_charge_stop(self) -> Outcome:
        """Stop charging; IGNORED where it does not charge."""
        return await self._order("charge_stop")

    async def trigger_charging_settings_update(
        self, target_soc: int | None = None, ac_limit: int | None = None
    ) -> Outcome:
        """Set the target (percent, 20 to 100 by fives), the limit (amperes, one that is offered), or both."""
        return await self._order("charging_settings", target_soc=target_soc, ac_limit=ac_limit)

    async def trigger_charging_profile_update(
        self,
        charging_mode: ChargingMode | str | None = None,
        precondition_climate: bool | None = None,  # noqa: FBT001  # the library's signature
    ) -> Outcome:
        """Set when it charges, whether it heats or cools for a departure, or both."""
        mode = None if charging_mode is None else str(charging_mode)
        return await self._order(
            "charging_profile", charging_mode=mode, precondition_climate=precondition_climate
        )

    async def trigger_send_poi(self, poi: PointOfInterest | Mapping[str, Any]) -> Outcome:
        """Send a place to the navigation; a mapping has the names of a `PointOfInterest`, else TypeError."""
        place = poi if isinstance(poi, PointOfInterest) else PointOfInterest(**poi)
        return await self._order(
            "send_poi", **{_PLACE.get(name, name): value for name, value in asdict(place).items()}
        )

    async def trigger_remote_service(
        self,
        service_id: str,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """Any other call of BMW's: `service_id` is a path or a command's last word (``light-flash``).

        `params` is its query, `data` its JSON body.
        """
        return await self._order("call", path=service_id, params=params, body=data)

    async def _order(self, service: Service, **arguments: Any) -> Outcome:
        given = {name: value for name, value in arguments.items() if value is not None}
        return await self._execute(Order(self._vin, service, given))
