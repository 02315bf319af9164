"""Remote services of one account: an order is checked, sent once, and followed to its end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from poller.errors import ArgumentRefused, CommandRefused, SourceUnavailable
from poller.runtime.clock import Clock
from poller.runtime.redact import VIN
from poller.sources.mybmw.client import InDoubt, MyBmwClient
from poller.sources.mybmw.finder import Finder
from poller.sources.mybmw.garage import Garage
from poller.sources.mybmw.remote.arguments import Arguments
from poller.sources.mybmw.remote.call import GenericCall
from poller.sources.mybmw.remote.car import Car, Json, read_car
from poller.sources.mybmw.remote.catalogue import AC_LIMIT, TRIGGERS, Trigger, idle, lack, not_told
from poller.sources.mybmw.remote.charging_profile import ChargingProfile
from poller.sources.mybmw.remote.charging_settings import ChargingSettings
from poller.sources.mybmw.remote.events import Events
from poller.sources.mybmw.remote.geocoder import Geocoder
from poller.sources.mybmw.remote.poi import Place, PoiWish
from poller.sources.mybmw.remote.search import Observer, Search
from poller.sources.mybmw.remote.views import VIEWS
from poller.sources.remote import Deadline
from poller.sources.texts import object_in
from poller.vehicle.command import CommandState, Order, Outcome

#: What an order says beyond its service; None: nothing.
_Wish = ChargingSettings | ChargingProfile | PoiWish | Observer | GenericCall | None

#: After these the car may be another than it was.
_DONE_PERHAPS: Final = frozenset({CommandState.EXECUTED, CommandState.TIMED_OUT, CommandState.UNKNOWN})
#: That BMW took it is no reason to tell an owner that the doors are locked.
_UNSPOKEN: Final = Outcome(
    CommandState.UNKNOWN,
    "BMW took it and named no event to ask about: it may or may not have been done. Look at the car.",
)
_PNG: Final = b"\x89PNG\r\n\x1a\n"
#: Reasons of an answer without a picture, or with one that is too large: the other views may be good.
_NO_PICTURE: Final = frozenset({"unavailable", "malformed"})


class RemoteServices:
    """Implements `sources.remote.Remote` with one account's client, vehicles and finder."""

    def __init__(
        self,
        name: str,
        *,
        client: MyBmwClient,
        garage: Garage,
        finder: Finder,
        geocoder: Geocoder,
        clock: Clock,
        china: bool,
    ) -> None:
        self._name = name
        self._client = client
        self._garage = garage
        self._geocoder = geocoder
        self._clock = clock
        self._events = Events(client, clock, garage.limit)
        self._search = Search(name, client=client, finder=finder, clock=clock, china=china)

    async def execute(self, order: Order, deadline: Deadline | None = None) -> Outcome:
        """As `Remote`."""
        deadline = deadline or Deadline(self._clock)
        wish = _read(order)
        car = await self._car(order.vin)
        if reason := lack(order.service, car):
            raise not_told(reason)
        if reason := idle(order.service, car):
            return Outcome(CommandState.IGNORED, reason)
        trigger = wish.trigger if isinstance(wish, GenericCall) else TRIGGERS[order.service]
        near = wish.near(car) if isinstance(wish, Observer) else None
        body = await self._body(wish, car)
        outcome = await self._told(car, trigger, body, deadline)
        if near is not None:
            outcome = await self._search.result(outcome, car, near)
        return replace(outcome, stale=trigger.changes and outcome.state in _DONE_PERHAPS)

    async def pictures(self, vin: str, views: Sequence[str]) -> Mapping[str, bytes]:
        """As `Remote`; one request for each."""
        if unknown := [view for view in views if view not in VIEWS]:
            raise ArgumentRefused(f"no such view: {', '.join(unknown)}", hint=f"views: {', '.join(VIEWS)}")
        listed, brand = await self._listed(vin)
        found: dict[str, bytes] = {}
        for view in views:
            picture = await self._picture(listed, brand, view)
            if picture is not None:
                found[view] = picture
        return found

    async def _car(self, vin: str) -> Car:
        listed, brand = await self._listed(vin)
        return read_car(listed, brand, await self._client.state(listed, brand))

    async def _listed(self, vin: str) -> tuple[str, str]:
        """The VIN as BMW spells it, and its brand."""
        for known, brand in (await self._garage.vehicles()).items():
            if known.upper() == vin.upper():
                return known, brand
        raise CommandRefused(
            "the account lists no such vehicle",
            hint="look at the VIN, and whether BMW's own app shows the car",
        )

    async def _body(self, wish: _Wish, car: Car) -> dict[str, Any]:
        """What is sent. Raises CommandRefused, SourceError."""
        match wish:
            case ChargingSettings():
                needs_limits = wish.ac_limit is not None and car.can(AC_LIMIT)
                wish.check(car, await self._details(car) if needs_limits else {})
                return wish.body()
            case ChargingProfile():
                details = await self._details(car)
                return wish.body(car.charging_profile, details.get("servicePack"))
            case PoiWish():
                return wish.body(await self._place(wish), car.vin)
            case GenericCall():
                return wish.body
            case _:
                return {}

    async def _details(self, car: Car) -> Json:
        has_settings = car.can("isChargingSettingsEnabled")
        return object_in(await self._client.charging_settings(car.vin, car.brand, has_settings=has_settings))

    async def _place(self, wish: PoiWish) -> Place:
        if isinstance(wish.where, str):
            return await self._geocoder.find(wish.where)
        return Place(*wish.where)

    async def _told(self, car: Car, trigger: Trigger, body: Json, deadline: Deadline) -> Outcome:
        """Send it, and follow it to its end.

        Raises SourceError or CommandRefused where the car was certainly not told.
        """
        path = await self._path(trigger.path, car)
        headers = {} if car.vin in path else {"bmw-vin": car.vin}
        try:
            reply = await self._client.order(
                path, car.brand, headers=headers, params=trigger.query, body=body, deadline=deadline
            )
            event_id = _event_in(reply)
        except InDoubt as error:
            return _in_doubt(error)
        if not event_id:
            return Outcome(CommandState.EXECUTED) if trigger.unspoken else _UNSPOKEN
        return await self._events.follow(event_id, car.brand)

    async def _path(self, template: str, car: Car) -> str:
        if any(named[0].upper() != car.vin.upper() for named in VIN.finditer(template)):
            raise ArgumentRefused(
                "the path names another vehicle", hint="write {vin} for the one that is meant"
            )
        path = template.replace("{vin}", quote(car.vin, safe=""))
        if "{gcid}" not in path:
            return path
        gcid = await self._client.gcid()
        if not gcid:
            raise CommandRefused(
                "the stored login does not say whose it is", hint=f"run `poller login {self._name}` again"
            )
        return path.replace("{gcid}", quote(gcid, safe=""))

    async def _picture(self, vin: str, brand: str, view: str) -> bytes | None:
        try:
            body = await self._client.picture(vin, brand, VIEWS[view])
        except SourceUnavailable as error:
            if error.reason in _NO_PICTURE:
                return None
            raise
        return body if body.startswith(_PNG) else None


def _read(order: Order) -> _Wish:
    """The order's arguments. Raises ArgumentRefused."""
    match order.service:
        case "charging_settings":
            return ChargingSettings.read(order.arguments)
        case "charging_profile":
            return ChargingProfile.read(order.arguments)
        case "send_poi":
            return PoiWish.read(order.arguments)
        case "vehicle_finder":
            return Observer.read(order.arguments)
        case "call":
            return GenericCall.read(order.arguments)
        case _:
            Arguments(order.arguments)
            return None


def _event_in(reply: bytes) -> str:
    """The event to follow; "" where BMW names none. Raises InDoubt if its answer was not understood."""
    try:
        answer = json.loads(reply) if reply.strip() else {}
        event_id = answer.get("eventId") or ""
    except (ValueError, RecursionError, AttributeError):
        event_id = None
    if not isinstance(event_id, str):
        raise InDoubt("BMW's answer was not understood", reason="malformed")
    return event_id


def _in_doubt(error: InDoubt) -> Outcome:
    state = CommandState.TIMED_OUT if error.reason == "timeout" else CommandState.UNKNOWN
    return Outcome(
        state,
        f"It was sent, but how it went is not known ({error.message}): it may or may not have been done, "
        "and is not sent again. Look at the car before you repeat it.",
    )
