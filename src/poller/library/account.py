"""An account from Python, as bimmer_connected's: log in, look at the vehicles, tell them what to do.

For scripts and notebooks; the daemon does without. It works in one event loop as well as in one
`asyncio.run` after another, or in several threads with a loop each.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import weakref
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from pydantic import ValidationError

from poller.errors import (
    CommandFailed,
    CommandRefused,
    ConfigError,
    LoginRequired,
    MalformedAnswer,
    SourceError,
    SourceUnavailable,
)
from poller.library.account_vehicle import AccountVehicle
from poller.library.answers import heard
from poller.library.model import GPSPosition
from poller.library.understand import vehicle_of
from poller.runtime import log
from poller.runtime.clock import Clock, SystemClock
from poller.sources.base import SourceContext, Target
from poller.sources.mybmw.regions import CODES
from poller.sources.mybmw.settings import MyBmwSettings
from poller.sources.mybmw.source import MyBmwSource, account_key
from poller.sources.mybmw.tokens import TokenFile, Tokens
from poller.vehicle.answer import Answer
from poller.vehicle.command import GOOD, Order, Outcome

#: Seconds until BMW knows what an order has changed.
_SETTLES: Final = 7.0
#: What the account's source is called, in log lines.
_NAME: Final = "account"


class Region(StrEnum):
    """Where the account is at home; each region has servers of its own."""

    REST_OF_WORLD = "rest_of_world"
    NORTH_AMERICA = "north_america"
    CHINA = "china"

    @classmethod
    def _missing_(cls, value: object) -> Region | None:
        return cls.__members__.get(str(value).upper())


@dataclass(frozen=True, slots=True)
class _Given:
    """What a new login is to be made of."""

    captcha_token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    gcid: str | None = field(default=None, repr=False)
    session_id: str | None = field(default=None, repr=False)
    takeover: Path | None = None

    @property
    def replaces(self) -> bool:
        """Whether it counts although a login is stored."""
        return bool(self.refresh_token or self.takeover)


@dataclass(slots=True)
class _Line:
    """The way to BMW in one event loop, and how many use it now."""

    source: MyBmwSource
    users: int = 0


class Account:
    """A MyBMW account: constructing it opens nothing and asks nobody.

    `password`: for a login by captcha only; `captcha_token` serves once, if no login is stored.
    `directory`: where the login is kept; a poller's data directory will do, whose daemon then has the
    same login. Without one it is gone with this object: keep `refresh_token` yourself.
    `timezone`: of the owner; default: the computer's. `base_url`: ask this host instead of BMW.

    A call opens a connection and closes it; ``async with account:`` keeps one. Calls raise
    LoginRequired, RateLimited, SourceBlocked (BMW refuses third parties), SourceUnavailable.
    Raises ConfigError for what cannot be an account.
    """

    #: As of the last answers; the same objects from update to update.
    vehicles: list[AccountVehicle]
    #: VIN → why the last update has nothing new of that vehicle.
    failures: dict[str, SourceError]

    def __init__(
        self,
        username: str,
        password: str | None = None,
        region: Region | str = Region.REST_OF_WORLD,
        *,
        captcha_token: str | None = None,
        directory: Path | str | None = None,
        observer_position: GPSPosition | None = None,
        timezone: tzinfo | None = None,
        base_url: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        log.as_guest()
        self._settings = _settings(
            type="mybmw", username=username, password=password, region=str(region).lower(), base_url=base_url
        )
        self._given = _Given(captcha_token=captcha_token)
        self._clock = clock or SystemClock()
        self._zone = timezone or datetime.now().astimezone().tzinfo or UTC
        self._directory = Path(directory) if directory is not None else _own_folder(self)
        self._memory = _Memory()
        self._lines: dict[asyncio.AbstractEventLoop, _Line] = {}
        self.observer_position = observer_position
        self.vehicles = []
        self.failures = {}

    @property
    def username(self) -> str:
        """The account's e-mail address, or telephone number."""
        return self._settings.username

    @property
    def region(self) -> Region:
        """Where the account is at home."""
        return Region(self._settings.region)

    @property
    def refresh_token(self) -> str | None:
        """The newest: BMW gives another one at each use."""
        tokens = self._tokens()
        return tokens.refresh_token if tokens else None

    @property
    def gcid(self) -> str | None:
        """BMW's number of the customer."""
        tokens = self._tokens()
        return tokens.gcid or None if tokens else None

    def set_refresh_token(
        self, refresh_token: str, gcid: str | None = None, session_id: str | None = None
    ) -> None:
        """Log in with this at the next call, whatever is stored; whoever gave it cannot use it any more.

        `gcid` is needed in China; a session id counts for two weeks.
        """
        self._given = _Given(refresh_token=refresh_token, gcid=gcid, session_id=session_id)

    def take_over(self, store: Path | str) -> None:
        """As `set_refresh_token`, from the library's ``.bimmer_connected.json``, session included."""
        self._given = _Given(takeover=Path(store))

    def set_observer_position(self, latitude: float, longitude: float) -> None:
        """Where you are, in degrees: old cars tell the vehicle finder theirs only near by."""
        self.observer_position = GPSPosition(latitude, longitude)

    def get_vehicle(self, vin: str) -> AccountVehicle | None:
        """The vehicle with this VIN, in any case; None if there is none, or nobody has asked yet."""
        return next((one for one in self.vehicles if one.vin.upper() == vin.upper()), None)

    async def get_vehicles(self) -> list[AccountVehicle]:
        """Ask for all vehicles, and how each stands.

        One that fails keeps its last state, and `failures` says why; raises if all fail.
        """
        async with self._line() as source:
            targets = await source.targets()
            self.failures = {}
            for target in targets:
                try:
                    await self._ask(source, target)
                except (SourceUnavailable, MalformedAnswer) as error:
                    self.failures[target.vin] = error
        listed = {target.vin for target in targets}
        self.vehicles = [one for one in self.vehicles if one.vin in listed]
        if len(self.failures) == len(targets):
            raise next(iter(self.failures.values()))
        return self.vehicles

    async def get_vehicle_state(self, vin: str) -> None:
        """Ask how one vehicle stands. Raises MalformedAnswer too."""
        async with self._line() as source:
            await self._ask(source, Target(vin))

    async def execute(self, order: Order) -> Outcome:
        """Tell a vehicle; see `RemoteServices`, which makes the orders, for what it raises."""
        if order.service == "vehicle_finder" and (observer := self.observer_position) is not None:
            place = {"observer_latitude": observer.latitude, "observer_longitude": observer.longitude}
            order = replace(order, arguments={**place, **order.arguments})
        async with self._line() as source:
            outcome = await source.execute(order)
            if outcome.stale:
                await self._look_again(source, Target(order.vin))
        if outcome.state not in GOOD:
            raise CommandFailed(outcome.reason or None, state=outcome.state)
        return outcome

    async def picture(self, vin: str, view: str) -> bytes:
        """PNG of a vehicle; `view` in lower case, as ``frontside``. Raises CommandRefused without one."""
        async with self._line() as source:
            pictures = await source.pictures(vin, (view,))
        if view not in pictures:
            raise CommandRefused("BMW has no picture of this vehicle from there")
        return pictures[view]

    async def close(self) -> None:
        """Let go of the connection that ``async with`` keeps; the account can be used again."""
        line = self._lines.get(asyncio.get_running_loop())
        if line is not None:
            await self._hang_up(line)

    async def __aenter__(self) -> Self:
        self._enter().users += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _enter(self) -> _Line:
        """The running loop's line; no loop ever touches another's."""
        loop = asyncio.get_running_loop()
        if loop not in self._lines:
            context = SourceContext(self._clock, self._memory, self._directory, self._directory, self._zone)
            self._lines[loop] = _Line(MyBmwSource(_NAME, self._settings, context))
        return self._lines[loop]

    @asynccontextmanager
    async def _line(self) -> AsyncIterator[MyBmwSource]:
        """The source, open and logged in; whoever leaves last closes it."""
        line = self._enter()
        line.users += 1
        try:
            await line.source.open()
            await self._log_in(line.source)
            yield line.source
        except LoginRequired as error:
            error.hint = _how_to_log_in(line.source.captcha_page)
            error.add_note(error.hint)
            raise
        finally:
            line.users -= 1
            if not line.users:
                await self._hang_up(line)

    async def _hang_up(self, line: _Line) -> None:
        loop = asyncio.get_running_loop()
        if self._lines.get(loop) is line:
            del self._lines[loop]
        await line.source.close()

    async def _log_in(self, source: MyBmwSource) -> None:
        given = self._given
        if source.login_state().version and not given.replaces:
            return
        try:
            await source.login(
                captcha_token=given.captcha_token,
                refresh_token=given.refresh_token,
                gcid=given.gcid,
                session_id=given.session_id,
                takeover=given.takeover,
            )
        except LoginRequired:
            self._given = _Given()  # BMW saw it: it is spent
            raise
        self._given = _Given()

    async def _ask(self, source: MyBmwSource, target: Target) -> None:
        answer = await source.fetch(target)
        said = heard(answer, zone=self._zone, region=CODES[self._settings.region])
        known = self.get_vehicle(answer.vin)
        if known is None:
            self.vehicles.append(AccountVehicle(self, answer, vehicle_of(said)))
        else:
            known.update(answer, vehicle_of(said))

    async def _look_again(self, source: MyBmwSource, target: Target) -> None:
        """The order is done, whatever becomes of this."""
        await self._clock.sleep(_SETTLES)
        try:
            await self._ask(source, target)
        except SourceError as error:
            self.failures[target.vin] = error

    def _tokens(self) -> Tokens | None:
        return TokenFile(self._directory, account_key(self._settings)).read()


class _Memory:
    """The account's lists and profiles, for as long as it lives."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, Any]] = {}

    async def recall(self, key: str) -> dict[str, Any] | None:
        return self._values.get(key)

    async def remember(self, key: str, value: Mapping[str, Any]) -> None:
        self._values[key] = dict(value)

    async def keep(self, _answer: Answer, key: str, value: Mapping[str, Any]) -> None:
        await self.remember(key, value)


def _settings(**given: Any) -> MyBmwSettings:
    try:
        return MyBmwSettings.model_validate(given)
    except ValidationError as error:
        # Its own text would print the password.
        problems = error.errors(include_input=False, include_url=False)
        raise ConfigError([f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problems]) from None


def _how_to_log_in(captcha_page: str | None) -> str:
    first = "give the password"
    if captcha_page is not None:
        first += f" and, within minutes, the captcha_token that {captcha_page} gives; each counts once"
    return f"{first}; or use set_refresh_token or take_over"


def _own_folder(account: Account) -> Path:
    """A folder that goes when the account goes."""
    folder = tempfile.mkdtemp(prefix="poller-")
    weakref.finalize(account, shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
