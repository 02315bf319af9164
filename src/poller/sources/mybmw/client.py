"""The calls of the app's API that read: lists, profile, state, charging settings (facts section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from poller.runtime.clock import Clock
from poller.sources.http import Call, Reply
from poller.sources.mybmw.auth import Auth
from poller.sources.mybmw.refusals import refusal
from poller.sources.mybmw.regions import Server, data_headers, state_query
from poller.sources.mybmw.tokens import Tokens
from poller.sources.mybmw.transport import Transport

_LIST: Final = "/eadrax-vcs/v5/vehicle-list"
_PROFILE: Final = "/eadrax-vcs/v5/vehicle-data/profile"
_STATE: Final = "/eadrax-vcs/v4/vehicles/state"
_CHARGING: Final = "/eadrax-crccs/v2/vehicles"


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
        return await self._ask("POST", _LIST, brand)

    async def profile(self, vin: str, brand: str) -> bytes:
        """What the vehicle is: model, drive train, software."""
        return await self._ask("GET", _PROFILE, brand, {"bmw-vin": vin})

    async def state(self, vin: str, brand: str) -> bytes:
        """The vehicle's state and what it can do."""
        return await self._ask("GET", _STATE, brand, {"bmw-vin": vin}, state_query(self._clock.now()))

    async def charging_settings(self, vin: str, brand: str, *, has_settings: bool) -> bytes:
        """Charging settings; `has_settings` is the capability ``isChargingSettingsEnabled``."""
        now = self._clock.now().replace(microsecond=0)
        return await self._ask(
            "GET",
            _CHARGING,
            brand,
            {"bmw-vin": vin, "bmw-current-date": now.isoformat()},
            {
                "fields": "charging-profile",
                "has_charging_settings_capabilities": str(has_settings).lower(),
            },
        )

    async def _ask(
        self,
        method: str,
        path: str,
        brand: str,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> bytes:
        tokens = await self._auth.tokens()
        reply = await self._send(method, path, brand, tokens, headers or {}, params or {})
        if reply.status == 401:
            tokens = await self._auth.tokens(rejected=tokens.access_token)
            reply = await self._send(method, path, brand, tokens, headers or {}, params or {})
        if reply.status != 200:
            raise refusal(
                reply.status,
                reply.headers,
                reply.body,
                self._clock.now(),
                login_hint=self._auth.login_hint,
            )
        return reply.body

    async def _send(
        self,
        method: str,
        path: str,
        brand: str,
        tokens: Tokens,
        headers: Mapping[str, str],
        params: Mapping[str, str],
    ) -> Reply:
        common = data_headers(
            tokens.device,
            brand,
            self._server.code,
            access_token=tokens.access_token,
            session=tokens.session,
        )
        return await self._transport.send(Call(method, path, {**common, **headers}, params))
