"""The MyBMW account as a source: asks for state and charging settings, keeps the rest in mind."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic_core import from_json

from poller.errors import ConfigError, RateLimited, SourceError, SourceUnavailable
from poller.runtime import log
from poller.sources.base import Answer, LoginState, SourceContext, Target
from poller.sources.mybmw.client import MyBmwClient
from poller.sources.mybmw.finder import BODY, Finder
from poller.sources.mybmw.garage import Garage, chosen
from poller.sources.mybmw.login.auth import Auth, Way
from poller.sources.mybmw.login.china.login import ChinaLogin
from poller.sources.mybmw.login.oauth_login import OAuthLogin
from poller.sources.mybmw.login.server import LoginServer
from poller.sources.mybmw.login.tokens import Takeover, TokenFile, read_takeover
from poller.sources.mybmw.meaning.parse import parse
from poller.sources.mybmw.regions import SERVERS
from poller.sources.mybmw.remote.geocoder import Geocoder
from poller.sources.mybmw.remote.service import RemoteServices
from poller.sources.mybmw.settings import MyBmwSettings
from poller.sources.mybmw.transport import Limits, Transport
from poller.sources.remote import Deadline
from poller.sources.texts import object_in
from poller.vehicle.command import Order, Outcome
from poller.vehicle.privacy import short_vin
from poller.vehicle.records import milliseconds
from poller.vehicle.snapshot import Snapshot

KIND: Final = "mybmw"
_NONE_LISTED: Final = "look at `username`, `region` and `vins`, and whether BMW's own app shows the car"


class MyBmwSource:
    """One MyBMW account. Implements `sources.base.Source` and `sources.remote.Remote`.

    A poll of an electric car costs two requests, of another one; lists and profiles are asked for
    once a day.
    """

    kind = KIND
    lists_vehicles = True

    def __init__(
        self, name: str, settings: MyBmwSettings, context: SourceContext, *, limits: Limits | None = None
    ) -> None:
        self.name = name
        self.account = account_key(settings)
        self._settings = settings
        self._context = context
        self._server = SERVERS[settings.region]
        clock = context.clock
        limits = limits or Limits()
        self._transport = Transport(self._server.host, base_url=settings.base_url, clock=clock, limits=limits)
        self._way = self._way_in()
        self._auth = Auth(
            name,
            way=self._way,
            account=self.account,
            file=TokenFile(context.directory, self.account),
            clock=clock,
            last_word=limits.last_word,
        )
        self._client = MyBmwClient(
            server=self._server, auth=self._auth, transport=self._transport, clock=clock
        )
        self._garage = Garage(name, self.account, client=self._client, memory=context.memory, clock=clock)
        self._finder = Finder(self.account, context.memory)
        self._remote = RemoteServices(
            name,
            client=self._client,
            garage=self._garage,
            finder=self._finder,
            geocoder=Geocoder(settings.geocoder),
            clock=clock,
            china=settings.region == "china",
        )
        self._without_charging: set[str] = set()
        self._unlisted: set[str] = set()
        self._logger = log.get("source", source=name)

    @property
    def captcha_page(self) -> str | None:
        """Where a human solves the captcha for `login`; None where it needs no human, as in China."""
        return self._server.captcha_page

    @property
    def needs_gcid(self) -> bool:
        """Whether `login` takes a refresh token only together with its account's gcid."""
        return self._way.needs_gcid

    async def open(self) -> None:
        """Make the HTTP client; asks nobody. Again: what others remembered meanwhile counts."""
        self._finder.open()
        await self._transport.open()

    async def close(self) -> None:
        """Let a refresh in flight finish, then drop connections; may be called twice."""
        await self._auth.close()
        await self._transport.close()

    def login_state(self) -> LoginState:
        """The stored login, from disk."""
        return self._auth.state()

    @property
    def told_to_wait(self) -> RateLimited | None:
        """A wait that BMW asked for with a part of an answer, or an order's end: it failed nothing."""
        return self._garage.told_to_wait

    async def login(
        self,
        *,
        captcha_token: str | None = None,
        refresh_token: str | None = None,
        gcid: str | None = None,
        session_id: str | None = None,
        takeover: Path | None = None,
    ) -> str:
        """Log in and store the login; gives one line to print.

        By user name and password, with a captcha token (single use) where there is a `captcha_page`;
        or from a refresh token (with the `gcid` where that is needed, and another program's session
        if it is younger than two weeks); or from another program's ``.bimmer_connected.json``. Raises
        LoginRequired if BMW refuses, ConfigError if something needed is missing, another SourceError
        if BMW could not be asked.
        """
        taken = None
        if refresh_token:
            since = self._context.clock.now() if session_id else None
            taken = Takeover(refresh_token.strip(), (gcid or "").strip(), session_id, since)
        if takeover is not None:
            try:
                taken = await read_takeover(takeover)
            except ValueError as error:
                raise ConfigError([str(error)]) from error
        await self._auth.login(captcha_token=captcha_token, taken=taken)
        return f"Logged in: source {self.name}, region {self._settings.region}. The login is stored."

    async def targets(self) -> Sequence[Target]:
        """The account's vehicles that the settings ask for. Raises SourceError."""
        # Met where it cost no snapshot; the server's word holds for the account all the same.
        if (told := self.told_to_wait) is not None:
            raise told
        vehicles = await self._garage.vehicles()
        vins = chosen(vehicles, self._settings.vins)
        self._name_unlisted(vins)
        if not vins:
            raise SourceUnavailable("the account lists no vehicle that is asked for", hint=_NONE_LISTED)
        return [Target(vin) for vin in vins]

    async def fetch(self, target: Target) -> Answer:
        """State, profile (from the cache) and charging settings (if the car has any) of one vehicle.

        Only a failing state raises: without the other two the answer is what there is.
        """
        brand = await self._garage.brand(target.vin)
        bodies = {"state": await self._client.state(target.vin, brand)}
        received_at = milliseconds(self._context.clock.now())
        profile = await self._garage.profile(target.vin, brand)
        if profile is not None:
            bodies["profile"] = profile
        found = await self._finder.body(target.vin, received_at)
        if found is not None:
            bodies[BODY] = found
        charging = await self._charging_settings(target.vin, brand, bodies["state"])
        if charging is not None:
            bodies["charging_settings"] = charging
        return Answer(self.name, KIND, target.vin, received_at, bodies)

    def stored(self, _answer: Answer) -> None:
        """Nothing to forget: the next poll asks anew."""

    def parse(self, answer: Answer) -> Snapshot:
        """Understand an answer; no I/O. Raises only MalformedAnswer."""
        return parse(answer, self._context.timezone, china=self._settings.region == "china")

    async def execute(self, order: Order, deadline: Deadline | None = None) -> Outcome:
        """Tell a vehicle something."""
        return await self._remote.execute(order, deadline)

    async def pictures(self, vin: str, views: Sequence[str]) -> Mapping[str, bytes]:
        """Drawings of a vehicle."""
        return await self._remote.pictures(vin, views)

    async def _charging_settings(self, vin: str, brand: str, state: bytes) -> bytes | None:
        plan, has_settings = charging_capabilities(state)
        if not (plan or has_settings):
            return None
        try:
            body = await self._client.charging_settings(vin, brand, has_settings=has_settings)
        except SourceError as error:
            if isinstance(error, RateLimited):
                self._garage.limit(error)
            if vin not in self._without_charging:
                self._without_charging.add(vin)
                self._logger.warning(
                    "charging_settings.unavailable", reason=error.reason, vehicle=short_vin(vin)
                )
            return None
        if vin in self._without_charging:
            self._without_charging.remove(vin)
            self._logger.info("charging_settings.recovered", vehicle=short_vin(vin))
        return body

    def _name_unlisted(self, vins: Sequence[str]) -> None:
        listed = {vin.upper() for vin in vins}
        for vin in self._settings.vins:
            if vin.upper() not in listed and vin not in self._unlisted:
                self._unlisted.add(vin)
                self._logger.warning("vehicle.unlisted", vehicle=short_vin(vin))

    def _way_in(self) -> Way:
        server = LoginServer(self.name, self._server, self._transport, self._context.clock)
        way = ChinaLogin if self._settings.region == "china" else OAuthLogin
        return way(server, self._settings)


def account_key(settings: MyBmwSettings) -> str:
    """``mybmw:<region>:<hash>``: the same after a rename of the table, and no address in clear."""
    digest = hashlib.sha256(settings.username.strip().lower().encode()).hexdigest()
    return f"{KIND}:{settings.region}:{digest[:12]}"


def charging_capabilities(state: bytes) -> tuple[bool, bool]:
    """Whether the car has a charging plan, and charging settings, by its own state answer."""
    try:
        raw: Any = from_json(state)  # a third of the time of the library's
    except ValueError:  # the library reads also what is nested very deeply, or half a surrogate pair
        raw = object_in(state)
    capabilities = raw.get("capabilities") if isinstance(raw, dict) else None
    if not isinstance(capabilities, dict):
        return False, False
    return (
        capabilities.get("isChargingPlanSupported") is True,
        capabilities.get("isChargingSettingsEnabled") is True,
    )
