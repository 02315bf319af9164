"""BMW CarData's REST API in miniature: quota, containers, paged lists, every error on order."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from poller.runtime.clock import Clock
from poller.simulator.cardata.errors import error
from poller.simulator.cardata.quota import AccountQuota, Day
from poller.simulator.cardata.shelf import Shelf
from poller.simulator.pictures import picture
from poller.vehicle.records import parse_time

#: The account of a request's access token, or the name of the error that its token gets.
Admission = Callable[[Request], str]
#: (VIN, descriptors, when) → descriptor → {"timestamp", "unit", "value"}, all text or None.
CarData = Callable[[str, Sequence[str], datetime], Mapping[str, Mapping[str, str | None]]]
#: (since, until) → the charging sessions that began in that time.
Sessions = Callable[[datetime, datetime], Sequence[Mapping[str, Any]]]
MappingShape = Literal["array", "object", "wrapper"]

_VIN: Final = re.compile(r"[A-HJ-NPR-Z0-9]{17}")
_PREFIX: Final = "/customers/"


@dataclass(frozen=True, slots=True)
class Vehicle:
    """One vehicle of the account. `sessions`: its charging history, `settings`: its charging places.

    A history is a list, or made when asked for. `page`: entries of a list in one answer.
    """

    vin: str
    mapping: Literal["PRIMARY", "SECONDARY"] = "PRIMARY"
    basic: Mapping[str, Any] = field(default_factory=dict)
    sessions: Sequence[Mapping[str, Any]] | Sessions = ()
    settings: Sequence[Mapping[str, Any]] = ()
    tyres: Mapping[str, Any] = field(default_factory=dict)
    has_image: bool = True
    page: int = 2


@dataclass(slots=True)
class _Ordered:
    shape: str
    path: str
    left: int | None
    after: int


class FakeRest:
    """The routes of facts section 2.1. `admits` tells the account, or an error's name ("CU-102").

    `requests` counts what was asked, by method and path, refused requests included; `quota.made` has
    what was let in. `order` spoils what comes next, and so does `ordered`: path → name of an error, or
    None. Calls over the quota are refused before all else. `unmapped` are the vehicles that the account
    is no longer the main user of.
    """

    def __init__(
        self,
        vehicles: Sequence[Vehicle],
        data: CarData,
        clock: Clock,
        *,
        admits: Admission,
        per_day: int = 50,
        day: Day = "utc",
        shelf: Shelf | None = None,
        mapping_shape: MappingShape = "array",
    ) -> None:
        self.requests: Counter[str] = Counter()
        self.quota = AccountQuota(per_day, day)
        self.shelves: defaultdict[str, Shelf] = defaultdict(Shelf)
        if shelf is not None:
            self.shelves.default_factory = lambda: shelf
        self.mapping_shape: MappingShape = mapping_shape
        self.ordered: Callable[[str], str | None] = lambda _path: None
        self.unmapped: set[str] = set()
        self._vehicles = {vehicle.vin: vehicle for vehicle in vehicles}
        self._data = data
        self._clock = clock
        self._admits = admits
        self._orders: list[_Ordered] = []

    def order(self, shape: str, *, path: str = _PREFIX, count: int | None = 1, after: int = 0) -> None:
        """Answer the next `count` requests (None: all) whose path begins so with a shape of `errors`.

        The first `after` of them are spared.
        """
        self._orders.append(_Ordered(shape, path, count, after))

    def clear(self) -> None:
        """Back to normal."""
        self._orders.clear()

    def routes(self) -> list[Route]:
        """Where the API is reached."""
        vehicle = "/customers/vehicles/{vin}"
        return [
            self._route("GET", "/customers/vehicles/mappings", self._mappings),
            self._route("GET", f"{vehicle}/basicData", self._of_vehicle(_basic)),
            self._route("GET", f"{vehicle}/telematicData", self._of_vehicle(self._telematic)),
            self._route("GET", f"{vehicle}/chargingHistory", self._of_vehicle(_history)),
            self._route("GET", f"{vehicle}/locationBasedChargingSettings", self._of_vehicle(_places)),
            self._route("GET", f"{vehicle}/smartMaintenanceTyreDiagnosis", self._of_vehicle(_tyres)),
            self._route("GET", f"{vehicle}/image", self._of_vehicle(_image)),
            self._route("GET", "/customers/containers", self._containers),
            self._route("POST", "/customers/containers", self._create),
            self._route("GET", "/customers/containers/{container}", self._container),
            self._route("DELETE", "/customers/containers/{container}", self._delete),
        ]

    def _route(self, method: str, path: str, answer: Callable[[Request, str], Awaitable[Response]]) -> Route:
        async def respond(request: Request) -> Response:
            return await self._gateway(request, answer)

        return Route(path, respond, methods=[method])

    async def _gateway(
        self, request: Request, answer: Callable[[Request, str], Awaitable[Response]]
    ) -> Response:
        """What stands before all data: orders, token, quota, version."""
        path = request.url.path.removeprefix(request.scope.get("root_path", ""))
        self.requests[f"{request.method} {path}"] += 1
        account = self._admits(request)
        if account.startswith("CU-") or account in ("plain 401", "fault 401"):
            return error(account)
        if not self.quota.spend(account, self._clock.now()):
            return error("CU-429")
        if (shape := self._ordered(path) or self.ordered(request.url.path)) is not None:
            return error(shape)
        if request.headers.get("x-version") != "v1":
            return error("CU-400")
        return await answer(request, account)

    def _ordered(self, path: str) -> str | None:
        for order in self._orders:
            if order.left != 0 and path.startswith(order.path):
                if order.after:
                    order.after -= 1
                    continue
                order.left = None if order.left is None else order.left - 1
                return order.shape
        return None

    def _of_vehicle(
        self, answer: Callable[[Request, Vehicle], Response]
    ) -> Callable[[Request, str], Awaitable[Response]]:
        async def respond(request: Request, _account: str) -> Response:
            vin = request.path_params["vin"]
            if not _VIN.fullmatch(vin):
                return error("CU-120")
            vehicle = self._vehicles.get(vin)
            if vehicle is None or self._mapping(vehicle) != "PRIMARY":
                return error("CU-104")
            return answer(request, vehicle)

        return respond

    async def _mappings(self, _request: Request, _account: str) -> Response:
        entries = [
            {"vin": vin, "mappedSince": "2026-05-01T10:00:00.000Z", "mappingType": self._mapping(vehicle)}
            for vin, vehicle in self._vehicles.items()
        ]
        match self.mapping_shape:
            case "object":
                return JSONResponse(entries[0])
            case "wrapper":
                return JSONResponse({"mappings": entries})
        return JSONResponse(entries)

    def _mapping(self, vehicle: Vehicle) -> str:
        return "SECONDARY" if vehicle.vin in self.unmapped else vehicle.mapping

    def _telematic(self, request: Request, vehicle: Vehicle) -> Response:
        name = request.query_params.get("containerId")
        if name is None:
            return error("CU-400")
        # Whoever may not have another's container is told the same as if there were none.
        kept = self.shelves[self._admits(request)].find(name)
        if isinstance(kept, str):
            return error(kept)
        data = self._data(vehicle.vin, kept.descriptors, self._clock.now())
        return JSONResponse({"telematicData": data})

    async def _containers(self, _request: Request, account: str) -> Response:
        return JSONResponse(self.shelves[account].listed(self._clock.now()))

    async def _create(self, request: Request, account: str) -> Response:
        try:
            body = await request.json()
        except ValueError:
            return error("CU-400")
        made = self.shelves[account].add(body, self._clock.now())
        return error(made) if isinstance(made, str) else JSONResponse(made.detailed(), 201)

    async def _container(self, request: Request, account: str) -> Response:
        kept = self.shelves[account].find(request.path_params["container"])
        return error(kept) if isinstance(kept, str) else JSONResponse(kept.detailed())

    async def _delete(self, request: Request, account: str) -> Response:
        said = self.shelves[account].delete(request.path_params["container"], self._clock.now())
        return error(said) if said else Response(status_code=204)


def _basic(_request: Request, vehicle: Vehicle) -> Response:
    return JSONResponse(dict(vehicle.basic))


def _tyres(_request: Request, vehicle: Vehicle) -> Response:
    return JSONResponse(dict(vehicle.tyres))


def _image(_request: Request, vehicle: Vehicle) -> Response:
    shown = picture(vehicle.vin, "VehicleStatus") if vehicle.has_image else None
    return error("CU-126") if shown is None else Response(shown, media_type="image/png")


def _history(request: Request, vehicle: Vehicle) -> Response:
    """Sessions that began between ``from`` and ``to``; the reply's field is ``next_token``."""
    try:
        start, end = (parse_time(request.query_params[name]) for name in ("from", "to"))
    except (KeyError, ValueError):
        return error("CU-400")
    known = vehicle.sessions(start, end) if callable(vehicle.sessions) else vehicle.sessions
    found = [entry for entry in known if start.timestamp() <= entry["startTime"] < end.timestamp()]
    return _page(request, found, "next_token", vehicle.page)


def _places(request: Request, vehicle: Vehicle) -> Response:
    if not vehicle.settings:
        return error("CU-127")
    return _page(request, vehicle.settings, "nextToken", vehicle.page)


def _page(request: Request, entries: Sequence[Mapping[str, Any]], field_name: str, size: int) -> Response:
    token = request.query_params.get("nextToken")
    try:
        first = int(base64.urlsafe_b64decode(token)) if token else 0
    except (binascii.Error, ValueError):
        return error("CU-125")
    body: dict[str, Any] = {"data": [dict(entry) for entry in entries[first : first + size]]}
    if first + size < len(entries):
        body[field_name] = base64.urlsafe_b64encode(str(first + size).encode()).decode()
    return Response(json.dumps(body), media_type="application/json")
