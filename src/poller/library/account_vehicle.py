"""A vehicle of an account: how it stood when it was last asked about, and what it can be told to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from poller.library.remote_services import RemoteServices
from poller.library.vehicle import Capabilities, Vehicle
from poller.library.words import VehicleViewDirection
from poller.vehicle.answer import Answer

if TYPE_CHECKING:
    from poller.library.account import Account

    class _Shown(Vehicle, Capabilities):  # type: ignore[misc]  # so that its attributes have types
        pass

else:
    _Shown = object


class AccountVehicle(_Shown):
    """Has every attribute of `Vehicle`, and of its `Capabilities`, as of the last answer.

    `last` is that answer's vehicle itself, which does not change any more; `answer` what BMW sent.
    """

    account: Account
    remote_services: RemoteServices
    answer: Answer
    last: Vehicle

    def __init__(self, account: Account, answer: Answer, last: Vehicle) -> None:
        self.account = account
        self.remote_services = RemoteServices(answer.vin, account.execute)
        self.update(answer, last)

    def update(self, answer: Answer, last: Vehicle) -> None:
        """Show a newer answer."""
        self.answer, self.last = answer, last

    async def get_vehicle_state(self) -> None:
        """Ask how it stands, for this vehicle alone. Raises SourceError."""
        await self.account.get_vehicle_state(self.last.vin)

    async def get_vehicle_image(self, direction: VehicleViewDirection) -> bytes:
        """A picture, in PNG. Raises CommandRefused if BMW has none from there, SourceError."""
        return await self.account.picture(self.last.vin, direction.name.lower())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.last.name or 'unnamed'}, VIN …{self.last.vin[-7:]}>"

    def __getattr__(self, name: str) -> Any:
        if name == "last":  # asked for before there is an answer, as copying does
            raise AttributeError(name)
        here = self.last if hasattr(self.last, name) else self.last.capabilities
        return getattr(here, name)
