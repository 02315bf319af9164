"""An account from Python, as bimmer_connected's: log in, look at the vehicles, tell them what to do.

For scripts and notebooks; the daemon does without. It works in one event loop as well as in one
`asyncio.run` after another, or in several threads with a loop each.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import ValidationError

from poller.errors import (
    CommandFailed,
    CommandRefused,
    ConfigError,
    MalformedAnswer,
    RateLimited,
    SourceError,
    SourceUnavailable,
)
from poller.library.account_line import BriefMemory, Given, Lines
from poller.library.account_vehicle import AccountVehicle
from poller.library.answers import heard
from poller.library.model import GPSPosition
from poller.library.understand import vehicle_of
from poller.runtime import log
from poller.runtime.clock import Clock, SystemClock
from poller.sources.base import SourceContext, Target
from poller.sources.mybmw.login.tokens import TokenFile, Tokens
from poller.sources.mybmw.regions import CODES
from poller.sources.mybmw.settings import MyBmwSettings
from poller.sources.mybmw.source import MyBmwSource, account_key
from poller.sources.remote import Deadline
from poller.vehicle.command import GOOD, SETTLED_AFTER, Order, Outcome


class Region(StrEnum):
    """Where the account is at home; each region has servers of its own."""

    REST_OF_WORLD = "rest_of_world"
    NORTH_AMERICA = "north_america"
    CHINA = "china"

    @classmethod
    def _missing_(cls, value: object) -> Region | None:
        return cls.__members__.get(str(value).upper())


class Account:
    """A MyBMW account: constructing it opens nothing and asks nobody.

    `password`: for a login by captcha only; `captcha_token` serves once, if no login is stored.
    `directory`: where the login is kept; a poller's data directory will do, whose daemon then has the
    same login. Without one it is gone with this object: keep `refresh_token` yourself.
    `timezone`: of the owner; default: the computer's. `base_url`: ask this host instead of BMW.

    A call opens a connection and closes it; ``async with account:`` keeps one. Calls raise
    LoginRequired, RateLimited, SourceBlocked (BMW refuses third parties), SourceUnavailable. After
    RateLimited and SourceBlocked BMW is not asked until the error's `until`: each call raises it again.
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
        self._clock = clock or SystemClock()
        self._zone = timezone or datetime.now().astimezone().tzinfo or UTC
        self._directory = Path(directory) if directory is not None else _own_folder(self)
        context = SourceContext(self._clock, BriefMemory(), self._directory, self._directory, self._zone)
        self._lines = Lines(self._settings, context, Given(captcha_token=captcha_token))
        #: VIN, in upper case → who is ordering.
        self._ordering: dict[str, object] = {}
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
        self._lines.given = Given(refresh_token=refresh_token, gcid=gcid, session_id=session_id)

    def take_over(self, store: Path | str) -> None:
        """As `set_refresh_token`, from the library's ``.bimmer_connected.json``, session included."""
        self._lines.given = Given(takeover=Path(store))

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
        async with self._lines.line() as source:
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
        async with self._lines.line() as source:
            await self._ask(source, Target(vin))

    async def execute(self, order: Order) -> Outcome:
        """Tell a vehicle; see `RemoteServices`, which makes the orders, for what it raises.

        A second order to the same vehicle is refused while one is under way, in another thread too.
        """
        if order.service == "vehicle_finder" and (observer := self.observer_position) is not None:
            place = {"observer_latitude": observer.latitude, "observer_longitude": observer.longitude}
            order = replace(order, arguments={**place, **order.arguments})
        deadline = Deadline(self._clock)  # a login may take long
        async with self._lines.line() as source:
            with self._alone(order.vin):
                outcome = await source.execute(order, deadline)
            if outcome.stale:
                await self._look_again(source, Target(order.vin))
        if outcome.state not in GOOD:
            raise CommandFailed(outcome.reason or None, state=outcome.state)
        return outcome

    async def picture(self, vin: str, view: str) -> bytes:
        """PNG of a vehicle; `view` in lower case, as ``frontside``. Raises CommandRefused without one."""
        async with self._lines.line() as source:
            pictures = await source.pictures(vin, (view,))
        if view not in pictures:
            raise CommandRefused("BMW gave no PNG picture of this vehicle from there")
        return pictures[view]

    async def close(self) -> None:
        """Let go of the connection that ``async with`` keeps; the account can be used again."""
        line = self._lines.held.get(asyncio.get_running_loop())
        if line is not None:
            await self._lines.hang_up(line)

    async def __aenter__(self) -> Self:
        self._lines.enter().users += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @contextmanager
    def _alone(self, vin: str) -> Iterator[None]:
        me = object()
        # One step, which no other thread can come between.
        if self._ordering.setdefault(vin.upper(), me) is not me:
            raise CommandRefused(
                "another order to this vehicle is under way; this one was not sent",
                hint="it ends within four minutes: wait for it, then order again",
            )
        try:
            yield
        finally:
            del self._ordering[vin.upper()]

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
        await self._clock.sleep(SETTLED_AFTER)
        try:
            await self._ask(source, target)
        except SourceError as error:
            self.failures[target.vin] = error
            if isinstance(error, RateLimited):
                self._lines.heed(error)

    def _tokens(self) -> Tokens | None:
        return TokenFile(self._directory, account_key(self._settings)).read()


def _settings(**given: Any) -> MyBmwSettings:
    try:
        return MyBmwSettings.model_validate(given)
    except ValidationError as error:
        # Its own text would print the password.
        problems = error.errors(include_input=False, include_url=False)
        raise ConfigError([f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problems]) from None


def _own_folder(account: Account) -> Path:
    """A folder that goes when the account goes."""
    folder = tempfile.mkdtemp(prefix="poller-")
    weakref.finalize(account, shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
