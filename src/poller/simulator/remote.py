"""Remote services over HTTP: orders to cars, the events that tell what came of them, and a diary."""

from __future__ import annotations

import json
import math
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from poller.runtime.clock import Clock
from poller.simulator import china_login, posted, remote_bodies
from poller.simulator.fault import Fault, Kind
from poller.simulator.garage import Garage, LivingGarage
from poller.simulator.life.wishes import Command
from poller.simulator.login import GCID
from poller.simulator.refusals import bad_request, internal_error, not_found
from poller.vehicle.records import rfc3339

Handler = Callable[[Request], Awaitable[Response]]
EventStatus = Literal["INITIATED", "PENDING", "DELIVERED", "EXECUTED", "ERROR"]
_End = Literal["EXECUTED", "ERROR"] | None
_Read = Callable[[Mapping[str, Any]], Command | None]

_COMMANDS: Final = "/eadrax-vrccs/v4/presentation/remote-commands"
_EVENT_STATUS: Final = "/eadrax-vrccs/v3/presentation/remote-commands/eventStatus"
_CHARGING: Final = "/eadrax-crccs/v1/vehicles/{vin}"
_SEND_TO_CAR: Final = "/eadrax-dcs/v2/user/{gcid}/send-to-car"

#: Seconds from the order until an event is …; a car acts two seconds before all know of it.
_STEPS: Final[Mapping[EventStatus, float]] = {"INITIATED": 0, "PENDING": 1, "DELIVERED": 5}
_ACTS: Final = timedelta(seconds=8)
_ENDS: Final = 10.0
#: Orders that are remembered.
_KEPT: Final = 1000


def _always(command: Command | None) -> _Read:
    return lambda _body: command


#: Service → what becomes of its body; None: nothing that lasts.
_OF_CARS: Final[Mapping[str, _Read]] = {
    "light-flash": _always(None),
    "horn-blow": _always(None),
    "vehicle-finder": _always(None),
    "door-lock": _always(Command("lock")),
    "door-unlock": _always(Command("unlock")),
    "climate-now START": _always(Command("climate_start")),
    "climate-now STOP": _always(Command("climate_stop")),
}
_OF_CHARGING: Final[Mapping[str, _Read]] = {
    "start-charging": _always(Command("charge_start")),
    "stop-charging": _always(Command("charge_stop")),
    "charging-settings": remote_bodies.settings,
    "charging-profile": remote_bodies.profile,
}


@dataclass(frozen=True, slots=True)
class Event:
    """One order. `begun` on the steady clock; `end` None: the car never answers; `details`: why ERROR."""

    id: str
    vin: str
    service: str
    body: Mapping[str, Any]
    at: datetime
    begun: float
    end: _End
    details: str = ""

    @property
    def acts(self) -> datetime:
        """When the car does it, if it does."""
        return self.at + _ACTS

    def status(self, now: float) -> EventStatus:
        """How far it has got by then, on the steady clock."""
        since = now - self.begun
        if self.end is None:
            return "INITIATED" if since < _STEPS["PENDING"] else "PENDING"
        if since >= _ENDS:
            return self.end
        return [step for step, after in _STEPS.items() if since >= after][-1]

    def told(self, now: float) -> dict[str, str]:
        """What BMW says of it then."""
        status = self.status(now)
        return {"eventStatus": status, **({"details": self.details} if status == "ERROR" else {})}


class Remote:
    """All remote services of one account; whoever serves them sees to login, quota and faults.

    `take` gives the fault that was ordered for a command, and counts it. `changed` is called when a
    car has been told something.
    """

    def __init__(
        self,
        garage: Garage,
        clock: Clock,
        take: Callable[[Kind, str, str], Fault | None],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.diary: deque[Event] = deque(maxlen=_KEPT)
        self._garage = garage
        self._clock = clock
        self._take = take
        self._changed = changed

    def routes(self, members_only: Callable[[Handler], Handler]) -> list[Route]:
        """Where they are reached, by those who are logged in."""
        handlers = {
            _EVENT_STATUS: self._status,
            f"{_COMMANDS}/eventPosition": self._position,
            f"{_COMMANDS}/{{service}}": self._command,
            f"{_CHARGING}/{{service}}": self._charging,
            _SEND_TO_CAR: self._destination,
        }
        return [Route(path, members_only(handler), methods=["POST"]) for path, handler in handlers.items()]

    def listed(self) -> list[dict[str, Any]]:
        """As JSON, the oldest first: what was ordered of which car, and its ``eventStatus``."""
        now = self._clock.monotonic()
        return [
            {
                "at": rfc3339(event.at),
                "vin": event.vin,
                "service": event.service,
                "body": event.body,
                **event.told(now),
            }
            for event in self.diary
        ]

    async def _command(self, request: Request) -> Response:
        service, vin = request.path_params["service"], request.headers.get("bmw-vin", "")
        if service == "climate-now":
            action = request.query_params.get("action")
            if action not in ("START", "STOP"):
                return bad_request()
            service = f"{service} {action}"
        return await self._order(request, vin, service, _OF_CARS.get(service))

    async def _charging(self, request: Request) -> Response:
        service = request.path_params["service"]
        return await self._order(request, request.path_params["vin"], service, _OF_CHARGING.get(service))

    async def _order(self, request: Request, vin: str, service: str, read: _Read | None) -> Response:
        """Tell a car what `read` makes of the body; the answer names the event."""
        if read is None or not self._knows(vin):
            return not_found()
        try:
            body = await posted.json_object(request)
            command = read(body)
        except ValueError:
            return bad_request()
        now = self._clock.now()
        end, details = self._outcome(vin, service, command, request.url.path, now + _ACTS)
        steady = self._clock.monotonic()
        event = Event(str(uuid.uuid4()), vin, service, body, now, steady, end, details)
        self.diary.append(event)
        self._changed()
        return JSONResponse({"creationTime": rfc3339(now), "eventId": event.id})

    def _outcome(
        self, vin: str, service: str, command: Command | None, path: str, acts: datetime
    ) -> tuple[_End, str]:
        """How it will end, and if badly, why; a car that obeys has been told by then."""
        if self._take("command_unanswered", path, vin) is not None:
            return None, ""
        if self._take("command_error", path, vin) is not None:
            return "ERROR", "The vehicle could not do it."
        if not isinstance(self._garage, LivingGarage):
            return "EXECUTED", ""
        details = self._garage.obey(vin, service, command, acts)
        return ("ERROR" if details else "EXECUTED"), details

    async def _status(self, request: Request) -> Response:
        event = self._event(request)
        if event is None:
            return not_found()
        return JSONResponse(event.told(self._clock.monotonic()))

    async def _position(self, request: Request) -> Response:
        event = self._event(request)
        if event is None:
            return not_found()
        if not all(_is_number(request.headers.get(name)) for name in ("latitude", "longitude")):
            return bad_request()
        found = None
        if event.service == "vehicle-finder" and event.status(self._clock.monotonic()) == "EXECUTED":
            found = self._found(event)
        if found is None:
            error = {"title": "No position", "description": "The vehicle has not told where it is."}
            return JSONResponse({"positionData": None, "errorDetails": error})
        return JSONResponse({"positionData": {"status": "OK", "position": found}, "errorDetails": None})

    def _found(self, event: Event) -> Mapping[str, Any] | None:
        """Where the car was when it was asked, or where a captured one says that it is."""
        if isinstance(self._garage, LivingGarage):
            location = self._garage.location(event.vin, event.acts)
        else:
            state = json.loads(self._garage.state(event.vin, event.acts) or b"{}")
            location = (state.get("state") or {}).get("location") or {}
        if not location.get("coordinates"):
            return None
        address = (location.get("address") or {}).get("formatted")
        return {
            **location["coordinates"],
            "formattedAddress": address,
            "heading": location.get("heading"),
        }

    async def _destination(self, request: Request) -> Response:
        if request.path_params["gcid"] not in (GCID, china_login.GCID):
            return not_found()
        try:
            body = await posted.json_object(request)
            vin, place = remote_bodies.destination(body)
        except ValueError:
            return bad_request()
        if vin != request.headers.get("bmw-vin") or not self._knows(vin):
            return not_found()
        if not place["formattedAddress"]:
            return internal_error()  # as BMW does
        now, long_ago = self._clock.now(), self._clock.monotonic() - _ENDS
        self.diary.append(Event("", vin, "send-to-car", body, now, long_ago, "EXECUTED"))
        return Response(status_code=201)

    def _event(self, request: Request) -> Event | None:
        wanted = request.query_params.get("eventId")
        return next((event for event in self.diary if wanted and event.id == wanted), None)

    def _knows(self, vin: str) -> bool:
        return self._garage.state(vin, self._clock.now()) is not None


def _is_number(text: str | None) -> bool:
    try:
        return math.isfinite(float(text or ""))
    except ValueError:
        return False
