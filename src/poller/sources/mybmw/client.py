"""The calls of the app's API: lists, profile, state, charging settings, pictures, orders (facts 7 and 10)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Mapping
from dataclasses import replace
from typing import Any, Final

from poller.errors import SourceUnavailable
from poller.runtime.clock import Clock
from poller.sources.http import Call, Reply
from poller.sources.mybmw.login.auth import Auth
from poller.sources.mybmw.login.tokens import Tokens
from poller.sources.mybmw.refusals import refusal
from poller.sources.mybmw.regions import Server, data_headers, state_query
from poller.sources.mybmw.transport import Transport
from poller.sources.remote import Deadline

_LIST: Final = "/eadrax-vcs/v5/vehicle-list"
_PROFILE: Final = "/eadrax-vcs/v5/vehicle-data/profile"
_STATE: Final = "/eadrax-vcs/v4/vehicles/state"
_CHARGING: Final = "/eadrax-crccs/v2/vehicles"
_PICTURE: Final = "/eadrax-ics/v5/presentation/vehicles/images"
_EVENT_STATUS: Final = "/eadrax-vrccs/v3/presentation/remote-commands/eventStatus"
_EVENT_POSITION: Final = "/eadrax-vrccs/v4/presentation/remote-commands/eventPosition"

_OK: Final = (200,)
_ANY_SUCCESS: Final = range(200, 300)


class InDoubt(SourceUnavailable):
    """An order went out and no answer came: it may or may not have been carried out."""


class MyBmwClient:
    """Asks for one thing at a time and gives its body exactly as received; understands nothing.

    Every call raises SourceError: LoginRequired after a 401 that one refresh did not mend,
    RateLimited, SourceBlocked, or SourceUnavailable once three tries at a transient fault failed.
    """

    def __init__(self, *, server: Server, auth: Auth, transport: Transport, clock: Clock) -> None:
        self._server = server
        self._auth = auth
        self._transport = transport
        self._clock = clock

    async def vehicle_list(self, brand: str) -> bytes:
        """The account's vehicles of one brand."""
        return await self._ask(brand, Call("POST", _LIST))

    async def profile(self, vin: str, brand: str) -> bytes:
        """What the vehicle is: model, drive train, software."""
        return await self._ask(brand, Call("GET", _PROFILE, {"bmw-vin": vin}))

    async def state(self, vin: str, brand: str) -> bytes:
        """The vehicle's state and what it can do."""
        query = state_query(self._clock.now())
        return await self._ask(brand, Call("GET", _STATE, {"bmw-vin": vin}, query))

    async def charging_settings(self, vin: str, brand: str, *, has_settings: bool) -> bytes:
        """Charging settings; `has_settings` is the capability ``isChargingSettingsEnabled``."""
        now = self._clock.now().replace(microsecond=0)
        headers = {"bmw-vin": vin, "bmw-current-date": now.isoformat()}
        query = {
            "fields": "charging-profile",
            "has_charging_settings_capabilities": str(has_settings).lower(),
        }
        return await self._ask(brand, Call("GET", _CHARGING, headers, query))

    async def picture(self, vin: str, brand: str, view: str) -> bytes:
        """A drawing of the vehicle as PNG; `view` as BMW names it (``carView``)."""
        headers = {"accept": "image/png", "bmw-app-vehicle-type": "connected", "bmw-vin": vin}
        return await self._ask(brand, Call("GET", _PICTURE, headers, {"carView": view, "toCrop": "true"}))

    async def gcid(self) -> str:
        """The account's number; "" if the login does not say."""
        return (await self._auth.tokens()).gcid

    async def order(
        self,
        path: str,
        brand: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str],
        body: Mapping[str, Any],
        deadline: Deadline,
    ) -> bytes:
        """Tell a vehicle something; after a 401, which did nothing, once more.

        Raises InDoubt if it may have been carried out, any other SourceError if it was not;
        CommandRefused if the deadline was over before the first byte of it could be written.
        """

        async def send(call: Call) -> Reply:
            written = False

            def look() -> None:
                nonlocal written
                deadline.check()
                written = True

            try:
                return await self._transport.send_once(replace(call, last_look=look))
            except SourceUnavailable as error:
                if written:
                    raise InDoubt(error.message, reason=error.reason) from error
                deadline.check()  # where that is over too, it is what the owner must hear
                raise

        call = Call("POST", path, headers, params, json=body)
        return await self._ask(brand, call, send=send, good=_ANY_SUCCESS)

    async def event_status(self, event_id: str, brand: str) -> bytes:
        """How an order is getting on; one try."""
        call = Call("POST", _EVENT_STATUS, params={"eventId": event_id})
        return await self._ask(brand, call, send=self._transport.send_once)

    async def event_position(self, event_id: str, brand: str, observer: tuple[float, float]) -> bytes:
        """Where a vehicle was found; `observer`: latitude and longitude of who wants to know."""
        headers = {"latitude": str(observer[0]), "longitude": str(observer[1])}
        return await self._ask(brand, Call("POST", _EVENT_POSITION, headers, {"eventId": event_id}))

    async def _ask(
        self,
        brand: str,
        call: Call,
        *,
        send: Callable[[Call], Awaitable[Reply]] | None = None,
        good: Container[int] = _OK,
    ) -> bytes:
        send = send or self._transport.send
        tokens = await self._auth.tokens()
        reply = await send(self._signed(call, brand, tokens))
        if reply.status == 401:
            tokens = await self._auth.tokens(rejected=tokens.access_token)
            reply = await send(self._signed(call, brand, tokens))
        if reply.status not in good:
            raise refusal(
                reply.status,
                reply.headers,
                reply.body,
                self._clock.now(),
                login_hint=self._auth.login_hint,
            )
        return reply.body

    def _signed(self, call: Call, brand: str, tokens: Tokens) -> Call:
        common = data_headers(
            tokens.device,
            brand,
            self._server.code,
            access_token=tokens.access_token,
            session=tokens.session,
        )
        return replace(call, headers={**common, **call.headers})
