"""A MyBMW cloud in miniature: login, vehicle lists, profile, state and charging settings over HTTP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from poller.runtime.clock import Clock
from poller.simulator.faults import Faults
from poller.simulator.garage import Garage
from poller.simulator.login import Login

_BRANDS = ("bmw", "mini", "toyota")

_Answer = Callable[[Request], bytes | dict[str, Any] | None]


class FakeCloud:
    """An ASGI app: one account, the vehicles of a garage.

    `requests` counts what was asked, by path, refused and spoiled requests included. Control over
    HTTP: ``GET /_sim/state``, ``POST`` and ``DELETE /_sim/faults`` (see `faults.Fault`).
    """

    def __init__(self, garage: Garage, clock: Clock, *, token_lifetime: float = 3600.0) -> None:
        self.requests: Counter[str] = Counter()
        self.login = Login(clock, token_lifetime)
        self._garage = garage
        self._clock = clock
        self.faults = Faults(Starlette(routes=self._routes()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if not scope["path"].startswith("/_sim/"):
            self.requests[scope["path"]] += 1
        await self.faults(scope, receive, send)

    def _routes(self) -> list[Route]:
        data = {
            ("POST", "/eadrax-vcs/v5/vehicle-list"): self._list,
            ("GET", "/eadrax-vcs/v5/vehicle-data/profile"): self._profile,
            ("GET", "/eadrax-vcs/v4/vehicles/state"): self._state,
            ("GET", "/eadrax-crccs/v2/vehicles"): self._charging,
        }
        routes = [
            Route(path, self._for_members(answer), methods=[method])
            for (method, path), answer in data.items()
        ]
        control = [
            Route("/_sim/state", self._control_state),
            Route("/_sim/faults", self._control_faults, methods=["POST", "DELETE"]),
        ]
        return [*self.login.routes(), *routes, *control]

    def _for_members(self, answer: _Answer) -> Callable[[Request], Awaitable[Response]]:
        async def respond(request: Request) -> Response:
            if not self.login.admits(request):
                return JSONResponse(
                    {"statusCode": 401, "message": "Access token is missing or expired."}, 401
                )
            body = answer(request)
            if body is None:
                return JSONResponse({"statusCode": 404, "message": "Resource not found"}, 404)
            if isinstance(body, bytes):
                return Response(body, media_type="application/json")
            return JSONResponse(body)

        return respond

    def _list(self, request: Request) -> dict[str, Any]:
        # android(<build>);<brand>;<app version>;<region>
        brand = request.headers.get("x-user-agent", "").partition(";")[2].partition(";")[0].lower()
        entries = self._garage.mappings(brand) if brand in _BRANDS else ()
        return {"gcid": "00000000-0000-0000-0000-000000000000", "mappingInfos": [dict(e) for e in entries]}

    def _profile(self, request: Request) -> bytes | None:
        return self._garage.profile(_vin(request))

    def _state(self, request: Request) -> bytes | None:
        return self._garage.state(_vin(request), self._clock.now())

    def _charging(self, request: Request) -> bytes | None:
        return self._garage.charging(_vin(request), self._clock.now())

    async def _control_state(self, _request: Request) -> Response:
        vehicles = {brand: [entry["vin"] for entry in self._garage.mappings(brand)] for brand in _BRANDS}
        return JSONResponse(
            {"requests": dict(self.requests), "vehicles": vehicles, "faults": self.faults.listed()}
        )

    async def _control_faults(self, request: Request) -> Response:
        return await self.faults.control(request)


def _vin(request: Request) -> str:
    return request.headers.get("bmw-vin", "")
