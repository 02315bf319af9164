"""Makes the REST calls of a plan: an answer is journalled before it counts, a failure is remembered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from poller.errors import LoginRequired, RateLimited, SourceError, SourceUnavailable
from poller.runtime import log
from poller.runtime.clock import Clock, Until
from poller.sources.cardata.cars.garage import Garage
from poller.sources.cardata.rest.client import CarDataClient, Pages, TokenGiver
from poller.sources.cardata.rest.containers import Containers
from poller.sources.cardata.rest.plan import Endpoint, PlannedCall
from poller.sources.cardata.rest.refusals import CONTAINER_GONE, NOTHING_THERE, CarDataUnavailable, Coded
from poller.sources.cardata.rest.troubles import Place, Trouble, Troubles
from poller.vehicle.privacy import short_vin

#: The sessions of so many days at first, and again later: one may have been under way.
_SESSIONS: Final = timedelta(days=30)
_SESSIONS_AGAIN: Final = timedelta(days=2)
#: What has failed longer ago, and was not tried since, explains nothing any more.
_STALE: Final = timedelta(minutes=30)

#: Reasons that a person must mend.
_REFUSED: Final = frozenset({"not_mapped", "container"})

_ACCOUNT: Final[Place] = ("", "")


class Errands:
    """Runs planned calls of one account, and remembers what failed until it succeeds.

    `token`: as the client's; it is asked before a call is prepared. `login`: the version of the
    login that is stored: with another one, what the old one was refused is forgotten.
    """

    def __init__(
        self,
        name: str,
        *,
        client: CarDataClient,
        containers: Containers,
        garage: Garage,
        troubles: Troubles,
        token: TokenGiver,
        login: Callable[[], str],
        clock: Clock,
    ) -> None:
        self._client = client
        self._containers = containers
        self._garage = garage
        self._token = token
        self._login = login
        self._clock = clock
        self._troubles = troubles
        self._wait: Until | None = None
        self._logger = log.get("source", source=name)

    async def run(self, calls: Sequence[PlannedCall]) -> None:
        """Make the calls in their order, as far as they can be made. Raises JournalError."""
        for call in calls:
            if not await self._admitted():
                return
            try:
                await self._make(call)
            except SourceError as error:
                if _is_answer(call, error):
                    await self._garage.none_there(call.vin, call.endpoint)
                elif await self._failed(call, error):
                    return
            else:
                await self._succeeded((call.endpoint, call.vin))

    def trouble(self, vin: str) -> Trouble | None:
        """What keeps this vehicle's values from us (``""``: the list of vehicles), the account's first."""
        now, wanted = self._clock.now(), ("telematicData" if vin else "mappings", vin)
        for place in (_ACCOUNT, wanted):
            trouble = self._troubles.get(place)
            if trouble is None or (_is_logins(trouble) and trouble.login != self._login()):
                continue
            if _is_logins(trouble) or abs(now - trouble.at) < _STALE:
                return trouble
        return None

    def failing(self, vin: str) -> Trouble | None:
        """Why the last call for this vehicle's values failed, however long ago; None if it did not."""
        for place in (_ACCOUNT, ("telematicData", vin)):
            trouble = self._troubles.get(place)
            if trouble is None or trouble.error.reason == "quota":
                continue
            # A login that only a human can renew has been renewed; BMW's gateway denies others too.
            if isinstance(trouble.error, Coded) or not _is_logins(trouble) or trouble.login == self._login():
                return trouble
        return None

    def refusal(self, vin: str) -> Trouble | None:
        """What BMW refuses for this vehicle until somebody mends it."""
        places = [("telematicData", vin), ("basicData", vin)]
        found = (self._troubles.get(place) for place in places)
        return next((t for t in found if t is not None and t.error.reason in _REFUSED), None)

    async def _make(self, call: PlannedCall) -> None:
        client, vin, purpose, routine = self._client, call.vin, call.purpose, call.routine
        bodies: Mapping[str, bytes]
        match call.endpoint:
            case "mappings":
                await self._garage.take_mappings(await client.mappings(purpose=purpose, routine=routine))
                return
            case "telematicData":
                container = await self._containers.current()
                body = await self._values(vin, container, purpose, routine=routine)
                bodies = {call.endpoint: body}
            case "basicData":
                bodies = {call.endpoint: await client.basic_data(vin, purpose=purpose, routine=routine)}
            case "tyreDiagnosis":
                bodies = {call.endpoint: await client.tyre_diagnosis(vin, purpose=purpose, routine=routine)}
            case "image":
                bodies = {call.endpoint: await client.image(vin, purpose=purpose, routine=routine)}
            case "chargingHistory":
                start, end = self._span(vin)
                pages = await client.charging_history(vin, start, end, purpose=purpose, routine=routine)
                bodies = _named(call.endpoint, pages)
            case "chargingSettings":
                pages = await client.charging_settings(vin, purpose=purpose, routine=routine)
                bodies = _named(call.endpoint, pages)
        await self._garage.take(vin, call.endpoint, bodies)

    async def _values(self, vin: str, container: str, purpose: str, *, routine: bool) -> bytes:
        try:
            return await self._client.telematic_data(vin, container, purpose=purpose, routine=routine)
        except SourceUnavailable as error:
            if isinstance(error, Coded) and error.code in CONTAINER_GONE:
                await self._containers.gone(container)
            raise

    def _span(self, vin: str) -> tuple[datetime, datetime]:
        """From when to when charging sessions are asked for."""
        now, dossier = self._clock.now(), self._garage.dossier(vin)
        asked = dossier.answered.get("chargingHistory") if dossier else None
        return (now - _SESSIONS if asked is None else asked - _SESSIONS_AGAIN), now

    async def _admitted(self) -> bool:
        """Whether BMW may be asked, and there is a token to ask with."""
        if self._wait is None:
            self._wait = self._told_before()
        if self._wait is not None and not self._wait.reached(self._clock):
            return False
        try:
            await self._token(False)
        except SourceError as error:
            self._hold(error)
            await self._note(_ACCOUNT, error)
            return False
        return True

    async def _failed(self, call: PlannedCall, error: SourceError) -> bool:
        """Draw the consequences; whether the other calls would fail as well."""
        if error.reason == "not_mapped":
            await self._garage.bar(call.vin)
        self._hold(error)
        for_all = isinstance(error, RateLimited | LoginRequired) or error.reason == "network"
        await self._note(_ACCOUNT if for_all else (call.endpoint, call.vin), error)
        return for_all

    def _hold(self, error: SourceError) -> None:
        # The quota has its ledger, which also knows of calls that come free.
        if isinstance(error, RateLimited) and error.reason != "quota":
            self._wait = Until.told(error.until, self._clock)

    def _told_before(self) -> Until | None:
        """Until when we were told to wait before a restart; never longer than it was then."""
        trouble = self._troubles.get(_ACCOUNT)
        if trouble is None or not isinstance(trouble.error, RateLimited) or trouble.error.reason == "quota":
            return None
        # A clock that was ahead then must not keep us waiting for years.
        until = min(trouble.error.until, self._clock.now() + (trouble.error.until - trouble.at))
        return Until.told(until, self._clock)

    async def _note(self, place: Place, error: SourceError) -> None:
        now, before = self._clock.now(), self._troubles.get(place)
        gist = (error.reason, error.message)
        again = before is not None and gist == (before.error.reason, before.error.message)
        since = before.since if before is not None and again else now
        await self._troubles.put(place, Trouble(error, since, now, self._login()))
        if not again:
            what, vin = place
            whose = {"vehicle": short_vin(vin)} if vin else {}
            self._logger.warning(
                "call.failed", what=what or None, **whose, reason=error.reason, error=error.message
            )

    async def _succeeded(self, place: Place) -> None:
        for what, _ in await self._troubles.end(_ACCOUNT, place):
            self._logger.info("call.recovered", what=what or None)


def _is_answer(call: PlannedCall, error: SourceError) -> bool:
    """Whether BMW says that it has nothing of the kind. When it refuses a token, it says CU-127 too."""
    extra = call.endpoint not in ("mappings", "basicData", "telematicData")
    return extra and isinstance(error, CarDataUnavailable) and error.code in NOTHING_THERE


def _is_logins(trouble: Trouble) -> bool:
    return isinstance(trouble.error, LoginRequired)


def _named(endpoint: Endpoint, pages: Pages) -> dict[str, bytes]:
    """Pages as the bodies of one answer."""
    return {f"{endpoint}-{number}": body for number, body in enumerate(pages.bodies, 1)}
