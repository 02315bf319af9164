"""How an account stands: which calls to make next, and why there is nothing new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from poller.errors import LoginRequired, RateLimited, SourceError, SourceUnavailable
from poller.runtime.clock import Clock
from poller.runtime.status import Channels, Condition, QuotaStatus, Silence, StreamStatus
from poller.sources.cardata.cars.dossier import Dossier
from poller.sources.cardata.cars.garage import Garage
from poller.sources.cardata.login.auth import Auth
from poller.sources.cardata.login.oauth import REST
from poller.sources.cardata.rest.errands import Errands
from poller.sources.cardata.rest.ledger import Ledger
from poller.sources.cardata.rest.plan import Endpoint, Known, PlannedCall, StreamKnown, even_pace, pace, plan
from poller.sources.cardata.rest.refusals import CarDataLoginRequired, foreseen
from poller.sources.cardata.rest.troubles import Trouble
from poller.sources.cardata.settings import CarDataSettings
from poller.sources.cardata.standing.silence import (
    CarHeard,
    Refusal,
    Situation,
    is_down,
    newest,
    silences,
    unstreamed,
)
from poller.vehicle.privacy import short_vin

NOT_MAPPED: Final = "CU-104"
SCOPE: Final = "scope"
#: Reasons of a failed call that say the way to BMW is cut; the stream reads them alike.
_UNREACHED: Final = ("network", "timeout")
#: The account's silences as reasons of a failed poll.
_REASONS: Final[dict[Condition, str]] = {
    "no_network": "network",
    "budget_spent": "quota",
    "stream_down": "stream",
}


class Outlook:
    """Looks at the parts of one account and asks nobody.

    `attended`: whether this is a daemon's source; `stream`: how the stream stands, None where nobody
    listens.
    """

    def __init__(
        self,
        settings: CarDataSettings,
        *,
        auth: Auth,
        ledger: Ledger,
        garage: Garage,
        errands: Errands,
        clock: Clock,
        attended: Callable[[], bool],
        stream: Callable[[], StreamStatus | None],
    ) -> None:
        self._settings = settings
        self._auth = auth
        self._ledger = ledger
        self._garage = garage
        self._errands = errands
        self._clock = clock
        self._attended = attended
        self._stream = stream

    @property
    def vins(self) -> list[str]:
        """The vehicles to show."""
        return self._garage.vins(self._settings.vins)

    def calls(self, vin: str) -> list[PlannedCall]:
        """The REST calls to make now for this vehicle; ``""``: for the list of vehicles."""
        stream, garage = self._stream(), self._garage
        known = StreamKnown(wanted=False)
        if stream is not None:
            # Whom the stream refuses, waiting does not help.
            known = StreamKnown(stream.state != "refused", stream.connected, stream.since)
        vehicles = [self._known(one) for one in self.vins if not garage.not_ours(one)]
        calls = plan(self._clock.now(), self._ledger.standing(), known, vehicles, garage.mappings_at)
        return [call for call in calls if call.vin == vin]

    def why_nothing(self, vin: str) -> SourceError | None:
        """Why a poll of this vehicle fails, None if all is well with it (``""``: a poll of the list).

        It is well while the stream is connected, or there is a login and REST has answered as lately as its
        pace allows. The error lets the next poll look at the stream again, unless only a login helps; what
        REST alone says of a login that can be refreshed was a fault of BMW's gateway before.
        """
        if vin and self._works(vin):
            return None
        trouble = self._errands.trouble(vin) or self._errands.failing(vin)
        error = self._lost_login() or (None if trouble is None else trouble.error)
        if isinstance(error, LoginRequired):
            reason = SCOPE if error.reason == SCOPE else LoginRequired.reason
            if isinstance(error, CarDataLoginRequired):
                return SourceUnavailable(error.message, hint=error.hint, reason=reason)
            if self._only_a_login_helps(error):
                return LoginRequired(error.message, hint=error.hint, reason=reason)
        elif isinstance(error, RateLimited):
            if error.reason != "quota":
                return _postponed(error)
        elif error is not None:
            return error
        if vin and self._garage.not_ours(vin):
            return foreseen(NOT_MAPPED)
        return self._as_error()

    def channels(self) -> Channels:
        """Quota, stream and silences."""
        standing = self._ledger.standing()
        quota = QuotaStatus(
            limit=standing.limit,
            remaining=standing.remaining,
            reserve=standing.reserve,
            used_24h=standing.used_24h,
            used_today=standing.used_today,
            next_free_at=standing.next_free_at,
            purposes=Counter(call.purpose for call in standing.calls),
        )
        return Channels(quota, self._stream(), self.silences())

    def silences(self) -> tuple[Silence, ...]:
        """Why there is nothing new, for the account and for each vehicle."""
        stream, vins = self._stream(), self.vins
        login, trouble = self._lost_login(), self._errands.trouble("")
        lacking = {lack.scope for lack in self._auth.lacking()}
        rest = login is None and REST not in lacking and not _denies(trouble)
        failing = next(filter(None, map(self._errands.failing, vins)), None)
        own = self._settings.own_broker
        listens = stream is not None and (own or (login is None and lacking <= {REST}))
        return silences(
            Situation(
                now=self._clock.now(),
                standing=self._ledger.standing(),
                works=any(self._works(vin) for vin in vins),
                stream=stream,
                rest=rest,
                refused=self._refused(login, (trouble, failing), vins),
                login_lost=not rest and not listens,
                offline=trouble.failure if trouble and trouble.error.reason in _UNREACHED else None,
                failing=failing.failure if failing and _is_rests(failing) else None,
                cars=[self._heard(vin) for vin in vins],
            )
        )

    def _works(self, vin: str) -> bool:
        now, stream = self._clock.now(), self._stream()
        if stream is not None and not is_down(stream, now):
            return True
        if self._lost_login() is not None:
            return False
        dossier = self._garage.dossier(vin)
        answered = dossier.answered.get("telematicData") if dossier else None
        if answered is None:
            return False
        standing, count = self._ledger.standing(), len(self.vins)
        # With all calls spent the next one often comes free soon: one poll left out is no failure.
        return abs(now - answered) < (pace(now, standing, count) or 2 * even_pace(standing, count))

    def _lost_login(self) -> LoginRequired | None:
        """The login as a whole is refused, or there is none."""
        trouble = self._errands.trouble("")
        if not self._auth.login_state().version:
            return LoginRequired("no login is stored", hint=self._auth.login_hint)
        error = trouble.error if trouble is not None else None
        if (
            not isinstance(error, LoginRequired)
            or isinstance(error, CarDataLoginRequired)
            or error.reason == SCOPE
        ):
            return None
        return error

    def _only_a_login_helps(self, error: LoginRequired) -> bool:
        """Whether the stream cannot come back either, until a human has logged in."""
        stream = self._stream()
        if stream is None:
            return True
        return not stream.own_broker and (error.reason != SCOPE or stream.state == "refused")

    def _as_error(self) -> SourceUnavailable | None:
        """The account's first silence as a poll's failure."""
        silence = next((one for one in self.silences() if one.condition in _REASONS), None)
        if silence is None:
            return None
        return SourceUnavailable(silence.message, hint=silence.hint, reason=_REASONS[silence.condition])

    def _refused(
        self, login: LoginRequired | None, troubles: Sequence[Trouble | None], vins: Sequence[str]
    ) -> list[Refusal]:
        """What BMW refuses the account: its login, the token, scopes, the container."""
        found = [Refusal(lack.message, lack.hint) for lack in self._auth.lacking()]
        # Without a login a broker of the owner's is all that was wanted.
        if login is not None and (self._auth.login_state().version or not self._settings.own_broker):
            found.insert(0, Refusal(login.message, login.hint))
        found += [_refusal(one) for one in troubles if one is not None and _denies(one)]
        containers = (self._errands.refusal(vin) for vin in vins)
        return found + [_refusal(one) for one in containers if one and one.error.reason == "container"]

    def _heard(self, vin: str) -> CarHeard:
        dossier, trouble = self._garage.dossier(vin), self._errands.refusal(vin)
        refused = None
        if trouble is not None and trouble.error.reason == "not_mapped":
            refused = _refusal(trouble)
        elif self._garage.not_ours(vin):
            error = foreseen(NOT_MAPPED)
            refused = Refusal(error.message, error.hint)
        if dossier is None:
            return CarHeard(short_vin(vin), refused=refused)
        return CarHeard(short_vin(vin), newest(dossier.state), refused, self._unstreamed(dossier))

    def _unstreamed(self, dossier: Dossier) -> datetime | None:
        """What REST has of this car, and the stream has kept from us since it is connected."""
        stream, heard_at = self._stream(), self._garage.heard_at(dossier.vin)
        if stream is None or not stream.connected or stream.since is None:
            return None
        # One message shows that the stream carries this car; the car decides what it sends.
        return None if heard_at and heard_at >= stream.since else unstreamed(dossier.state, stream.since)

    def _known(self, vin: str) -> Known:
        dossier = self._garage.dossier(vin)
        if dossier is None:
            return Known(vin)
        return Known(
            vin,
            answered=dossier.answered,
            missed_until=self._garage.missed_until,
            ended=dossier.ended,
            # A single look is for the car's state.
            extras=_extras(dossier) if self._attended() else frozenset(),
        )


def _extras(dossier: Dossier) -> frozenset[Endpoint]:
    """What else this vehicle is asked for: charging places nobody reads yet."""
    extras: set[Endpoint] = {"tyreDiagnosis", "image"}
    if dossier.car().has_battery:
        extras.add("chargingHistory")
    return frozenset(extras)


def _denies(trouble: Trouble | None) -> bool:
    """Whether REST takes no token, although the login can be refreshed."""
    return trouble is not None and isinstance(trouble.error, CarDataLoginRequired)


def _is_rests(trouble: Trouble) -> bool:
    """Whether nothing else says already why a call failed."""
    told = isinstance(trouble.error, LoginRequired) or trouble.error.reason in ("container", "not_mapped")
    return not told


def _refusal(trouble: Trouble) -> Refusal:
    return Refusal(trouble.error.message, trouble.error.hint, trouble.since)


def _postponed(error: RateLimited) -> SourceUnavailable:
    """A wait that REST keeps to, as an error that does not keep the stream from being looked at."""
    again = f"REST is asked again after {error.until:%Y-%m-%d %H:%M} UTC"
    hint = f"{error.hint}; {again}" if error.hint else again
    return SourceUnavailable(error.message, hint=hint, reason=error.reason)
