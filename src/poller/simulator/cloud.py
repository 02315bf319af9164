"""A MyBMW cloud in miniature: the login, all that is known of reading, and remote services, over HTTP."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Receive, Scope, Send

from poller.runtime.clock import Clock
from poller.simulator.cardata.cloud import PREFIX, FakeCarData
from poller.simulator.fault import Fault, Kind
from poller.simulator.faults import Faults
from poller.simulator.garage import Garage
from poller.simulator.login import GCID, Login
from poller.simulator.pictures import picture
from poller.simulator.quota import Quota, until_midnight
from poller.simulator.refusals import not_found, quota_spent, unauthorized
from poller.simulator.remote import Handler, Remote
from poller.simulator.server import Door
from poller.vehicle.records import rfc3339

_BRANDS = ("bmw", "mini", "toyota")

_Answer = Callable[[Request], bytes | dict[str, Any] | list[Any] | None]


class FakeCloud:
    """An ASGI app: one account, the vehicles of a garage; everything follows `clock`.

    `quota_per_day`: the calls to the gateway that each device has until midnight UTC; None: any.
    `cardata`: an account of CarData's beside it, below ``/cardata``, which takes the same orders.
    `requests` counts what was asked, by path, refused and spoiled requests included; `remote.diary`
    holds what cars were told. Control over HTTP: ``GET /_sim/state``, and ``GET``, ``POST``,
    ``DELETE /_sim/faults`` (see `fault.Fault`).
    """

    def __init__(
        self,
        garage: Garage,
        clock: Clock,
        *,
        token_lifetime: float = 3600.0,
        quota_per_day: int | None = None,
        cardata: FakeCarData | None = None,
    ) -> None:
        self.requests: Counter[str] = Counter()
        self.clock = clock
        self.login = Login(clock, token_lifetime)
        self._garage = garage
        self._told = False
        self._at_first_state: list[Callable[[], None]] = []
        self._quota = Quota(quota_per_day)
        self.cardata = cardata
        moments: dict[Kind, Callable[[Fault], None]] = {"login_refused": lambda _: self.login.end_sessions()}
        self.faults = Faults(self._gateway, clock, moments | dict(cardata.moments if cardata else {}))
        if cardata is not None:
            cardata.obey(self.faults)
        self.remote = Remote(garage, clock, self.faults.take, self._hurry)
        self._inside = Starlette(routes=self._routes())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if not scope["path"].startswith("/_sim/"):
            self.requests[scope["path"]] += 1
        await self.faults(scope, receive, send)
        if self._told or (self.cardata is not None and self.cardata.told):
            calls, self._at_first_state = self._at_first_state, []
            for call in calls:
                call()

    def at_first_state(self, call: Callable[[], None]) -> None:
        """Call this once, as soon as somebody has been told how a car stands."""
        self._at_first_state.append(call)

    async def attend(self, door: Door) -> None:
        """Shut the door while it is ordered that nobody listens."""
        await self.faults.attend(door)

    async def _gateway(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What stands before all data: the quota."""
        now = self.clock.now()
        device = Headers(scope=scope).get("x-user-agent", "")
        if scope["path"].startswith("/eadrax-") and not self._quota.spend(device, now):
            await quota_spent(until_midnight(now))(scope, receive, send)
        else:
            await self._inside(scope, receive, send)

    def _routes(self) -> list[BaseRoute]:
        data: Mapping[tuple[str, str], _Answer] = {
            ("POST", "/eadrax-vcs/v5/vehicle-list"): self._list,
            ("GET", "/eadrax-vcs/v4/vehicles"): self._old_list,
            ("GET", "/eadrax-vcs/v5/vehicle-data/profile"): self._profile,
            ("GET", "/eadrax-vcs/v4/vehicles/state"): self._state,
            ("GET", "/eadrax-crccs/v2/vehicles"): self._charging,
            ("GET", "/eadrax-ics/v5/presentation/vehicles/images"): self._picture,
        }
        routes = [
            Route(path, self._for_members(answer), methods=[method])
            for (method, path), answer in data.items()
        ]
        control = [
            Route("/_sim/state", self._control_state),
            Route("/_sim/faults", self._control_faults, methods=["GET", "POST", "DELETE"]),
        ]
        cardata = [Mount(PREFIX, routes=self.cardata.routes())] if self.cardata else []
        remote = self.remote.routes(self._members_only)
        return [*self.login.routes(), *routes, *remote, *control, *cardata]

    def _for_members(self, answer: _Answer) -> Handler:
        async def respond(request: Request) -> Response:
            body = answer(request)
            if body is None:
                return not_found()
            if isinstance(body, bytes):
                kind = "image/png" if body.startswith(b"\x89PNG") else "application/json"
                return Response(body, media_type=kind)
            return JSONResponse(body)

        return self._members_only(respond)

    def _members_only(self, handler: Handler) -> Handler:
        async def respond(request: Request) -> Response:
            return await handler(request) if self.login.admits(request) else unauthorized()

        return respond

    def _hurry(self) -> None:
        """A car was told something, and may report sooner than it would have."""
        if self.cardata is not None:
            self.cardata.streaming.hurry()

    def _list(self, request: Request) -> dict[str, Any]:
        entries = self._garage.mappings(_brand(request))
        return {"gcid": GCID, "mappingInfos": [dict(e) for e in entries]}

    def _old_list(self, request: Request) -> list[Any]:
        """The list of the app's earlier versions, profiles included."""
        return [
            {
                "vin": entry["vin"],
                "mappingInfo": {key: value for key, value in entry.items() if key != "vin"},
                "appVehicleType": entry.get("vehicleMappingType", "CONNECTED"),
                "attributes": self._old_attributes(entry["vin"]),
            }
            for entry in self._garage.mappings(_brand(request))
        ]

    def _old_attributes(self, vin: str) -> dict[str, Any]:
        profile = json.loads(self._garage.profile(vin) or b"{}")
        return {**profile, "lastFetched": rfc3339(self.clock.now()), "a4aType": "NOT_SUPPORTED"}

    def _profile(self, request: Request) -> bytes | None:
        return self._garage.profile(_vin(request))

    def _state(self, request: Request) -> bytes | None:
        state = self._garage.state(_vin(request), self.clock.now())
        self._told = self._told or state is not None
        return state

    def _charging(self, request: Request) -> bytes | None:
        return self._garage.charging(_vin(request), self.clock.now())

    def _picture(self, request: Request) -> bytes | None:
        vin = _vin(request)
        known = self._garage.profile(vin) is not None
        return picture(vin, request.query_params.get("carView", "")) if known else None

    async def _control_state(self, _request: Request) -> Response:
        now = self.clock.now()
        vehicles = {brand: [entry["vin"] for entry in self._garage.mappings(brand)] for brand in _BRANDS}
        return JSONResponse(
            {
                "now": rfc3339(now),
                "speed": self.clock.rate,
                "requests": dict(self.requests),
                "quota": self._quota.listed(now),
                "vehicles": vehicles,
                "commands": self.remote.listed(),
                "faults": self.faults.listed(),
                **({"cardata": self.cardata.listed()} if self.cardata else {}),
            }
        )

    async def _control_faults(self, request: Request) -> Response:
        return await self.faults.control(request)


def _brand(request: Request) -> str:
    # android(<build>);<brand>;<app version>;<region>
    brand = request.headers.get("x-user-agent", "").partition(";")[2].partition(";")[0].lower()
    return brand if brand in _BRANDS else ""


def _vin(request: Request) -> str:
    return request.headers.get("bmw-vin", "")
