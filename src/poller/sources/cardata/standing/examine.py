"""Everything between the owner and his data, looked at on purpose: each finding names what mends it.

Two REST calls at most, the list of vehicles and the list of containers; the rest costs none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from poller.errors import JournalError, LoginRequired, RateLimited, SourceError
from poller.runtime.status import Channels, Silence
from poller.sources.base import SourceContext
from poller.sources.cardata.cars.dossier import Dossier
from poller.sources.cardata.cars.garage import PRIMARY
from poller.sources.cardata.login.auth import Auth
from poller.sources.cardata.login.oauth import REST
from poller.sources.cardata.login.tokens import Tokens
from poller.sources.cardata.portal import NEWER, STREAM_CHOICE
from poller.sources.cardata.rest.client import CarDataClient, mappings_in
from poller.sources.cardata.rest.containers import MOST, NAME, containers_in
from poller.sources.cardata.rest.ledger import Ledger
from poller.sources.cardata.settings import CarDataSettings
from poller.sources.cardata.standing.features import coverage
from poller.sources.cardata.standing.probes import clock_ahead, connect, is_found
from poller.sources.cardata.stream.line import Broken, place, trust
from poller.sources.cardata.stream.words import words
from poller.sources.findings import Examination, Finding, Level
from poller.vehicle.privacy import short_vin
from poller.vehicle.thresholds import DAEMON

_PURPOSE: Final = "doctor"
_MOST_CALLS: Final = 2
_MOST_A_DAY: Final = 10
#: Where an error does not say what mends it.
_AGAIN: Final = f"try again in a while; if it stays so, {NEWER}"
_NETWORK: Final = "look at this machine's network, its DNS and its firewall"
#: By how much the clock may be wrong: no harm; still good for tokens.
_CLOCK_GOOD, _CLOCK_FAIR = timedelta(seconds=30), timedelta(minutes=4)
#: After so long a listening, with something heard, what has not come is not ticked, or the car lacks it.
_HEARD_ENOUGH: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a CarData source is made of. `channels`: None where nobody listens to the stream."""

    name: str
    settings: CarDataSettings
    context: SourceContext
    auth: Auth
    client: CarDataClient
    ledger: Ledger
    dossiers: Mapping[str, Dossier]
    channels: Channels | None = None


async def examine(parts: Parts) -> Examination:
    """All findings, the way to BMW first; nothing that is expected is raised."""
    examiner = _Examiner(parts)
    await examiner.look()
    return Examination(examiner.findings, examiner.calls, examiner.login_required)


class _Examiner:
    def __init__(self, parts: Parts) -> None:
        self.findings: list[Finding] = []
        self.login_required = False
        self._parts = parts
        self._settings = parts.settings
        self._table = f"[sources.{parts.name}]"
        self._spent_before = self._spent()
        #: Servers that were not reached: one finding says so, and they are asked no more.
        self._unreached: set[str] = set()

    @property
    def calls(self) -> int:
        """REST calls spent on this so far; polls may go on beside it."""
        return max(0, self._spent() - self._spent_before)

    def _spent(self) -> int:
        return sum(call.purpose == _PURPOSE for call in self._parts.ledger.standing().calls)

    async def look(self) -> None:
        """At everything, in the order in which it can fail."""
        if await self._names():
            await self._clock()
        if await self._stream_answers():
            self._stream_stands()
        tokens = await self._login()
        self._quota()
        if tokens is not None and REST in tokens.scopes:
            await self._ask()
        for vin in self._parts.dossiers:
            self._descriptors(vin)
        if not self._parts.dossiers:
            self._say("warn", "descriptors", "nothing has come from any car yet", self._first_step())

    def _first_step(self) -> str:
        """What brings the first values."""
        if any(finding.level == "bad" for finding in self.findings):
            return "mend first what is BAD above"
        runs = self._parts.channels is not None
        return "the poller runs: look again after its next poll" if runs else "start `poller run`"

    def _say(self, level: Level, subject: str, text: str, mend: str | None = None) -> None:
        self.findings.append(Finding(level, subject, text, mend))

    # The way to BMW.

    async def _names(self) -> bool:
        """Whether BMW's servers have addresses."""
        for url in (self._settings.auth_url, self._settings.api_url):
            host = urlsplit(url).hostname or ""
            if not await is_found(host):
                self._unreached.add(url)
                self._say("bad", "DNS", f"the name {host} is not found", _NETWORK)
                return False
        self._say("ok", "DNS", "BMW's servers are found")
        return True

    async def _clock(self) -> None:
        clock = self._parts.context.clock
        if clock.rate != 1:
            self._say("ok", "clock", f"runs {clock.rate:g} times as fast, so it is not compared with BMW's")
            return
        try:
            ahead = await clock_ahead(self._settings.auth_url, clock)
        except SourceError as error:
            self._unreached.add(self._settings.auth_url)
            self._say("bad", "login server", error.message, _NETWORK)
            return
        if ahead is None:
            self._say("ok", "clock", "not compared: BMW does not tell the time")
        elif abs(ahead) <= _CLOCK_GOOD:
            self._say("ok", "clock", "agrees with BMW's")
        else:
            level: Level = "warn" if abs(ahead) <= _CLOCK_FAIR else "bad"
            side = "ahead of" if ahead > timedelta() else "behind"
            text = f"{abs(ahead).total_seconds():.0f} s {side} BMW's: logins are judged by it"
            self._say(level, "clock", text, "let this machine set its clock by the network (NTP)")

    async def _stream_answers(self) -> bool:
        """Whether somebody is there where the stream should be, and speaks TLS as we must."""
        if not self._settings.stream_url:
            self._say("ok", "stream", "turned off in the settings: values come by REST alone")
            return False
        try:
            tls = trust(self._settings, self._parts.context.base)
            host, port = place(self._settings.stream_url)
            version = await connect(host, port, tls)
        except Broken as error:
            text, mend = words(error.cause, None, own=self._settings.own_broker, name=self._parts.name)
            self._say("bad", "stream", f"{text} ({error.detail})" if error.detail else text, mend)
            return False
        spoken = f"with {version.replace('TLSv', 'TLS ')}" if version else "without TLS"
        self._say("ok", "stream", f"{host} answers {spoken}")
        return True

    def _stream_stands(self) -> None:
        stream = self._parts.channels.stream if self._parts.channels else None
        if stream is None:
            return
        if stream.connected:
            self._say("ok", "stream", "connected, and subscribed")
        elif stream.failure is not None and self._is_logins(stream.failure.message):
            self._say("warn", "stream", "not connected: the login is refused, see below")
        elif stream.failure is not None:
            level: Level = "bad" if stream.state in ("kicked", "refused") else "warn"
            self._say(level, "stream", stream.failure.message, stream.failure.hint)
        else:
            self._say("warn", "stream", "not connected yet")

    def _refused(self) -> Silence | None:
        """What BMW refuses the whole account, as the running poller knows it."""
        silences = self._parts.channels.silences if self._parts.channels else ()
        return next((one for one in silences if one.condition == "refused" and not one.vehicle), None)

    def _is_logins(self, message: str) -> bool:
        refused = self._refused()
        return refused is not None and refused.message == message

    # What BMW allows.

    async def _login(self) -> Tokens | None:
        try:
            tokens = await self._parts.auth.fresh()
        except SourceError as error:
            self.login_required = isinstance(error, LoginRequired)
            if self.login_required or not self._is_unreached(self._settings.auth_url, "login"):
                self._say(_level(error), "login", error.message, error.hint or _AGAIN)
            return None
        left = tokens.refresh_expires_at - self._parts.context.clock.now()
        text = f"good for {left / timedelta(days=1):.0f} days, and renewed by itself"
        # It is refreshed every day: one that has so little left could not be for days.
        short = left < timedelta(days=DAEMON.login_days)
        lacks = self._parts.auth.lacks(tokens)
        refused = self._refused()
        if refused is not None and not lacks:
            self._say("bad", "login", f"refused: {refused.message}", refused.hint or _AGAIN)
        else:
            self._say(
                "warn" if short else "ok", "login", text, self._parts.auth.login_hint if short else None
            )
        for lack in lacks:
            self._say("bad", "scopes", lack.message, lack.hint)
        if not lacks:
            self._say("ok", "scopes", "all that are needed")
        return tokens

    def _quota(self) -> None:
        standing = self._parts.ledger.standing()
        text = f"{standing.remaining} of {standing.limit} calls left"
        if standing.remaining:
            self._say("ok", "quota", text)
        else:
            mend = "nothing needs doing: calls come free within a day; the stream goes on meanwhile"
            self._say("warn", "quota", text, mend)

    def _is_unreached(self, url: str, subject: str) -> bool:
        """Whether that server was not reached before; says so of what would be asked of it."""
        if url not in self._unreached:
            return False
        self._say("warn", subject, f"not asked: {urlsplit(url).hostname} is not reached")
        return True

    def _not_given(self, subject: str, error: SourceError | JournalError) -> None:
        """What the REST server did not give, and whether it was reached at all."""
        if isinstance(error, SourceError) and error.reason in ("network", "timeout"):
            self._unreached.add(self._settings.api_url)
        if isinstance(error, LoginRequired) and error.reason == LoginRequired.reason:
            self._refuse_login(error)
            self._say("warn", subject, "not given: the login is refused")
        elif any(finding.text == error.message for finding in self.findings):
            self._say("warn", subject, "not given either, for the same reason")
        else:
            self._say(_level(error), subject, error.message, error.hint or _AGAIN)

    def _refuse_login(self, error: LoginRequired) -> None:
        """A login that could be refreshed looked good until BMW was asked."""
        refused = Finding("bad", "login", f"refused: {error.message}", error.hint or _AGAIN)
        self.findings = [
            refused if (one.subject, one.level) == ("login", "ok") else one for one in self.findings
        ]

    async def _ask(self) -> None:
        """Who looks every hour, by a timer say, must not spend what is kept for a recovery."""
        if self._spent_before >= _MOST_A_DAY:
            text = f"BMW was not asked: {self._spent_before} of the last 24 hours' calls went into such looks"
            self._say("warn", "vehicles", text, "look again tomorrow; `poller status` costs no call")
            return
        await self._mappings()
        await self._containers()

    async def _mappings(self) -> None:
        if self._is_unreached(self._settings.api_url, "vehicles"):
            return
        try:
            kinds = mappings_in(await self._parts.client.mappings(purpose=_PURPOSE))
        except (SourceError, JournalError) as error:
            self._not_given("vehicles", error)
            return
        ours = PRIMARY in kinds.values()
        # Somebody else's car in the account is no fault, unless it is the one that is wanted.
        otherwise: Level = "warn" if ours and not self._settings.vins else "bad"
        for vin in self._settings.vins or kinds:
            self._mapping(vin, kinds.get(vin.upper()), otherwise)
        if not kinds:
            mend = "add the car to this BMW account in the MyBMW app, as its main user"
            self._say("bad", "vehicles", "the account has none", mend)

    def _mapping(self, vin: str, kind: str | None, otherwise: Level) -> None:
        subject = f"vehicle {short_vin(vin)}"
        if kind is None:
            mend = f"look at `vins` under {self._table}, and with which BMW account you logged in"
            self._say("bad", subject, "not in this account", mend)
        elif kind == PRIMARY:
            self._say("ok", subject, "you are its PRIMARY user")
        else:
            text = f"mapped as {kind or 'unknown'}: BMW gives data to its PRIMARY user only"
            mend = "log in with the main user's BMW account, or become the main user in the MyBMW app"
            self._say(otherwise, subject, text, mend)

    async def _containers(self) -> None:
        if self._is_unreached(self._settings.api_url, "container"):
            return
        if self.calls >= _MOST_CALLS:
            self._say("ok", "container", f"not asked: {_MOST_CALLS} calls are spent already")
            return
        try:
            entries = containers_in(await self._parts.client.containers(purpose=_PURPOSE))
        except (SourceError, JournalError) as error:
            self._not_given("container", error)
            return
        active = [entry for entry in entries if entry.get("state") == "ACTIVE"]
        there = f"{len(active)} of {MOST} in use"
        if lingering := len(entries) - len(active):
            there += f", {lingering} deleted linger"
        if any(entry.get("name") == NAME for entry in active):
            self._say("ok", "container", f"ours is there ({there})")
        elif len(entries) < MOST:
            self._say("ok", "container", f"not there yet, the first poll makes it ({there})")
        else:
            mend = "delete one that no program uses; a deleted one may count for 29 days more"
            self._say("bad", "container", f"no room for ours ({there})", mend)

    # What has come.

    def _descriptors(self, vin: str) -> None:
        found = coverage(self._parts.dossiers[vin])
        subject = f"vehicle {short_vin(vin)}"
        text = f"{found.come} of {found.of} descriptors have come"
        if not found.unserved:
            self._say("ok", subject, text)
            return
        yet = f"nothing yet for: {'; '.join(found.unserved)}"
        if not self._settings.stream_url:
            self._say("ok", subject, f"{text} by REST alone; {yet}")
            return
        if not self._heard_enough():
            self._say("ok", subject, f"{text} so far; {yet}. A parked car sends nothing: wait for a drive")
            return
        mend = (
            f"tick what the car has in {STREAM_CHOICE}; `poller descriptors {self._parts.name}` lists it, "
            "and it shows with the car's next report"
        )
        self._say("warn", subject, f"{text}; {yet}", mend)

    def _heard_enough(self) -> bool:
        """Whether the stream brought something, and has been there for so long that the rest is missed."""
        stream = self._parts.channels.stream if self._parts.channels else None
        if stream is None or not stream.connected or stream.since is None or stream.last_message_at is None:
            return False
        return self._parts.context.clock.now() - stream.since >= _HEARD_ENOUGH


def _level(error: SourceError | JournalError) -> Level:
    """A wait ends by itself."""
    return "warn" if isinstance(error, RateLimited) else "bad"
