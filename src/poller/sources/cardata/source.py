"""A CarData account as a source: the stream between the polls, REST where the plan says, one merged state."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from poller.errors import LoginRequired, SourceError, SourceUnavailable
from poller.runtime import log
from poller.runtime.clock import Clock
from poller.runtime.status import Channels, StreamStatus
from poller.sources.base import Answer, LoginState, Memory, SourceContext, Target
from poller.sources.cardata.cars.dossier import Dossier
from poller.sources.cardata.cars.garage import Garage
from poller.sources.cardata.cars.state import LATITUDE, LONGITUDE, ODOMETER
from poller.sources.cardata.login.auth import Auth
from poller.sources.cardata.login.device import DeviceCode
from poller.sources.cardata.login.oauth import REST
from poller.sources.cardata.meaning import meanings as m
from poller.sources.cardata.meaning.car import BASIC_DATA, CHARGING_STATUS, LITERS, RANGE_ELECTRIC, SOC
from poller.sources.cardata.meaning.catalogue import DEFAULT_CONTAINER
from poller.sources.cardata.meaning.parse import STATE, origins, parse
from poller.sources.cardata.rest.client import CarDataClient
from poller.sources.cardata.rest.containers import Containers
from poller.sources.cardata.rest.errands import Errands
from poller.sources.cardata.rest.ledger import Ledger
from poller.sources.cardata.rest.refusals import foreseen
from poller.sources.cardata.rest.spare import FOLDER, Spare
from poller.sources.cardata.rest.troubles import Troubles
from poller.sources.cardata.settings import KIND, CarDataSettings, account_key, owner_key
from poller.sources.cardata.standing.examine import Parts, examine
from poller.sources.cardata.standing.features import wanted
from poller.sources.cardata.standing.outlook import NOT_MAPPED, SCOPE, Outlook
from poller.sources.cardata.stream.inbox import OnMessages
from poller.sources.cardata.stream.listener import Stream
from poller.sources.findings import Examination, Wanted
from poller.sources.http import Limits
from poller.vehicle.privacy import short_vin
from poller.vehicle.records import dumps, milliseconds
from poller.vehicle.snapshot import Snapshot

#: What is asked for if BMW refuses longer lists.
_CORE: Final = (
    ODOMETER,
    *SOC[:2],
    RANGE_ELECTRIC[0],
    "vehicle.drivetrain.lastRemainingRange",
    *LITERS,
    CHARGING_STATUS[0],
    "vehicle.cabin.door.lock.status",
    LATITUDE,
    LONGITUDE,
)


class Feed(Protocol):
    """What the source needs of `stream.Stream`."""

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop`."""
        ...

    def status(self) -> StreamStatus:
        """How it stands."""
        ...

    @property
    def gap_ended_at(self) -> datetime | None:
        """End of the last interval without it that was long enough to miss something, our start's too."""
        ...


class FeedMaker(Protocol):
    """Makes a `Feed`; connects to nobody."""

    def __call__(
        self,
        name: str,
        settings: CarDataSettings,
        auth: Auth | None,
        clock: Clock,
        *,
        base: Path,
        on_messages: OnMessages,
        memory: Memory,
    ) -> Feed:
        """`auth` None: the broker is the owner's; `base`: the folder from which paths count; `memory`: for
        when it last connected.
        """
        ...


class CarDataSource:
    """One CarData account. Implements `sources.base.Source` and `Attended`, `sources.device.ByDevice`
    and `sources.findings.Examined`.

    A poll shows the merged state, and costs no call unless the plan says so. `feed` makes the stream;
    `limits` are those of one REST request.
    """

    kind = KIND
    lists_vehicles = True

    def __init__(
        self,
        name: str,
        settings: CarDataSettings,
        context: SourceContext,
        *,
        feed: FeedMaker = Stream,
        limits: Limits | None = None,
    ) -> None:
        self.name = name
        self.account = account_key(settings)
        self._settings = settings
        self._context = context
        clock, memory = context.clock, context.memory
        self._auth = Auth(name, settings, context, self.account)
        self._ledger = Ledger(
            Spare(memory, context.directory / FOLDER),
            self.account,
            clock,
            limit=settings.quota_per_day,
            reserve=settings.reserve,
        )
        self._client = CarDataClient(
            name, api_url=settings.api_url, token=self._token, ledger=self._ledger, clock=clock, limits=limits
        )
        self._containers = Containers(
            name, self.account, client=self._client, memory=memory, clock=clock, ladder=_ladder(settings)
        )
        self._garage = Garage(name, self.account, memory=memory, quarantine=context.quarantine, clock=clock)
        self._troubles = Troubles(memory, self.account)
        self._errands = Errands(
            name,
            client=self._client,
            containers=self._containers,
            garage=self._garage,
            troubles=self._troubles,
            token=self._token,
            login=lambda: self._auth.login_state().version,
            clock=clock,
        )
        self._feed: Feed | None = None
        if settings.stream_url:
            auth = None if settings.own_broker else self._auth
            take = self._garage.take_messages
            self._feed = feed(name, settings, auth, clock, base=context.base, on_messages=take, memory=memory)
        self._attended = False
        self._outlook = Outlook(
            settings,
            auth=self._auth,
            ledger=self._ledger,
            garage=self._garage,
            errands=self._errands,
            clock=clock,
            attended=lambda: self._attended,
            stream=self._stream,
        )
        self._noted: set[tuple[str, str]] = set()
        self._logger = log.get("source", source=name)

    async def open(self) -> None:
        """Make the HTTP clients and read what is kept; asks nobody. Again: what others kept meanwhile."""
        await self._auth.open()
        await self._client.open()
        await self._ledger.open()
        await self._containers.open()
        await self._garage.open()
        await self._troubles.open()
        await self._find_owner()

    async def close(self) -> None:
        """Let a refresh in flight finish, then drop connections; may be called twice."""
        await self._auth.close()
        await self._client.close()

    async def attend(self, stop: asyncio.Event) -> None:
        """Keep the login alive and listen to the stream, until `stop`."""
        self._attended = True
        try:
            async with asyncio.TaskGroup() as work:
                # First in the queue: it looks before the stream is taken down.
                work.create_task(self._note_last_look(stop))
                work.create_task(self._auth.keep(stop))
                if self._feed is not None:
                    work.create_task(self._feed.run(stop))
        finally:
            self._attended = False

    def channels(self) -> Channels:
        """How quota and stream stand, and why there is nothing new; asks nobody."""
        return self._outlook.channels()

    # Looked at on purpose.

    async def examine(self) -> Examination:
        """Look at everything between the owner and his data; at most two calls."""
        return await examine(
            Parts(
                name=self.name,
                settings=self._settings,
                context=self._context,
                auth=self._auth,
                client=self._client,
                ledger=self._ledger,
                dossiers=self._dossiers(),
                channels=self.channels() if self._attended else None,
            )
        )

    def wanted(self) -> Sequence[Wanted]:
        """The descriptors that features need, and which have arrived; asks nobody."""
        return wanted(self._settings.descriptors, self._dossiers())

    def origins(self, vin: str) -> Mapping[str, str]:
        """Record key → stream, rest or basicData: the way by which the newest value came."""
        dossier = self._garage.dossier(vin)
        if dossier is None:
            return {}
        found = origins(self._answer(dossier), self._context.steering.get(vin))
        return {key: one.via for key, one in found.items()}

    def _dossiers(self) -> dict[str, Dossier]:
        found = ((vin, self._garage.dossier(vin)) for vin in self._outlook.vins)
        return {vin: dossier for vin, dossier in found if dossier is not None}

    # Logging in.

    def login_state(self) -> LoginState:
        """The stored login, from disk."""
        return self._auth.login_state()

    async def begin_login(self) -> DeviceCode:
        """Ask BMW for a code. Raises LoginRequired, RateLimited, SourceUnavailable."""
        return await self._auth.begin_login()

    async def finish_login(self, code: DeviceCode) -> str:
        """Wait until the human has allowed it, and store the login; gives what to print, scopes that lack
        with the step that mends them included. Raises LoginRequired with a reason, SourceUnavailable.
        """
        lacks = self._auth.lacks(await self._auth.finish_login(code))
        done = f"Logged in: source {self.name}. The login is stored."
        return "\n".join([done, *(f"But {lack.message}: {lack.hint}." for lack in lacks)])

    # Polling.

    async def targets(self) -> Sequence[Target]:
        """The account's vehicles; which these are is asked once a week. Raises SourceError."""
        await self._ledger.watch_clock()
        await self._find_owner()
        await self._note_stream()
        await self._errands.run(self._outlook.calls(""))
        vins = self._outlook.vins
        self._name_strangers()
        if not vins:
            raise self._outlook.why_nothing("") or self._no_vehicle()
        return [Target(vin) for vin in vins]

    async def fetch(self, target: Target) -> Answer:
        """The vehicle's merged state, after the REST calls that are due for it.

        Raises SourceError while nothing brings values, or none has come yet. What REST could not give
        while the stream is connected is no failure.
        """
        vin = target.vin
        await self._errands.run(self._outlook.calls(vin))
        error = self._outlook.why_nothing(vin)
        if error is not None:
            raise error
        dossier = self._garage.dossier(vin)
        if dossier is None or not dossier.state.held:
            raise self._nothing_yet(vin)
        self._note_side(dossier)
        return self._answer(dossier)

    def stored(self, _answer: Answer) -> None:
        """Nothing to forget: the state goes on."""

    def parse(self, answer: Answer) -> Snapshot:
        """Understand an answer; no I/O. Raises only MalformedAnswer."""
        return parse(answer, self._context.steering.get(answer.vin))

    def _answer(self, dossier: Dossier) -> Answer:
        bodies = {STATE: dumps(dossier.state.to_json()).encode()}
        if dossier.basic:
            bodies[BASIC_DATA] = dossier.basic
        return Answer(self.name, KIND, dossier.vin, milliseconds(self._context.clock.now()), bodies)

    async def _token(self, force: bool) -> str:  # noqa: FBT001  # as `rest.TokenGiver` has it
        """REST's access token. Raises SourceError, also where the login lacks the scope for it."""
        tokens = await self._auth.fresh(force=force)
        await self._find_owner()
        for lack in self._auth.lacks(tokens):
            if lack.scope == REST:
                raise LoginRequired(lack.message, hint=lack.hint, reason=SCOPE)
        return tokens.access_token

    async def _find_owner(self) -> None:
        """Whose calls are counted: a login tells, ours or one made beside us."""
        await self._ledger.belong_to(owner_key(self._auth.gcid))

    def _stream(self) -> StreamStatus | None:
        """How the stream stands; None while nobody listens."""
        return self._feed.status() if self._feed is not None and self._attended else None

    async def _note_last_look(self, stop: asyncio.Event) -> None:
        """So that a quick restart is no gap."""
        await stop.wait()
        await self._note_stream()

    async def _note_stream(self) -> None:
        stream = self._stream()
        if self._feed is not None and stream is not None:
            await self._garage.listened(self._feed.gap_ended_at, connected=stream.connected)

    def _no_vehicle(self) -> SourceUnavailable:
        if self._garage.strangers or self._garage.mappings_at is not None:
            return foreseen(NOT_MAPPED)
        return SourceUnavailable(
            "no vehicle is known yet", hint="the first message of a car, or BMW's list, makes it known"
        )

    def _nothing_yet(self, vin: str) -> SourceError:
        refused = self._errands.refusal(vin)
        if refused is not None:
            return refused.error
        if self._garage.not_ours(vin):
            return foreseen(NOT_MAPPED)
        return SourceUnavailable(
            "nothing has come from this vehicle yet",
            hint="the stream tells of it when it next reports, at the latest when it is driven or locked; "
            "`poller doctor` looks whether BMW lets us have its data",
        )

    def _name_strangers(self) -> None:
        for vin in self._garage.strangers:
            if self._is_news("not_mapped", vin):
                self._logger.info(
                    "vehicle.not_mapped", vehicle=short_vin(vin), hint=foreseen(NOT_MAPPED).hint
                )

    def _note_side(self, dossier: Dossier) -> None:
        """Left and right are BMW's driver and passenger: without the side they are guessed."""
        known = dossier.vin in self._context.steering or m.steering(dossier.car().basic.get("steering"))
        if dossier.basic and not known and self._is_news("steering", dossier.vin):
            hint = "set `steering` in this car's [vehicles.NAME] table, unless it is on the left"
            self._logger.info("steering.unknown", vehicle=short_vin(dossier.vin), hint=hint)

    def _is_news(self, what: str, vin: str) -> bool:
        if (what, vin) in self._noted:
            return False
        self._noted.add((what, vin))
        return True


def _ladder(settings: CarDataSettings) -> list[tuple[str, ...]]:
    """The descriptors to ask for, and shorter lists for when BMW refuses them."""
    default = tuple(DEFAULT_CONTAINER)
    wanted = tuple(dict.fromkeys((*default, *settings.descriptors)))
    return list(dict.fromkeys((wanted, default, _CORE)))
