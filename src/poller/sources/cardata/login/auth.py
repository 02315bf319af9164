"""Logging in by device code and staying logged in: one refresher, nothing used before it is stored."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from poller.errors import LoginRequired, SourceBlocked, SourceError, SourceUnavailable
from poller.runtime import log
from poller.runtime.clock import wait
from poller.sources.base import LoginState, SourceContext
from poller.sources.cardata.login import oauth
from poller.sources.cardata.login.device import DeviceCode, DeviceLogin
from poller.sources.cardata.login.oauth import Refusal, Verdict
from poller.sources.cardata.login.server import LoginServer, slowed_down, unclear
from poller.sources.cardata.login.tokens import TokenFile, Tokens
from poller.sources.cardata.settings import CarDataSettings
from poller.sources.http import NotSent, Reply
from poller.sources.login_file import Past
from poller.sources.oauth import Grant, read_grant, understood
from poller.sources.shielded import Shielded
from poller.vehicle.records import milliseconds
from poller.vehicle.thresholds import DAEMON

#: A token that was stored this lately is the newest there is: getting another one mends nothing.
_RECENT: Final = timedelta(seconds=10)
#: The wall clock may be set back by this much without a token's age being in doubt.
_CLOCK_SLIP: Final = timedelta(minutes=1)
#: A login is refreshed at least this often although nobody needs it, so that 14 days never pass.
_KEEP: Final = timedelta(days=1)
_WARN_EVERY: Final = timedelta(days=1)
_KEEP_LOOK, _KEEP_RETRY = 300.0, 900.0
_BLOCK_PAUSE: Final = timedelta(hours=1)


class Auth:
    """Keeps one client's tokens.

    `timeout`: real seconds for each part of a request. `last_word`: how long `close` waits for a
    refresh under way.
    """

    def __init__(
        self,
        name: str,
        settings: CarDataSettings,
        context: SourceContext,
        account: str,
        *,
        timeout: float = 30.0,
        last_word: float = 3.0,
    ) -> None:
        self._name = name
        self._settings = settings
        self._account = account
        self._clock = context.clock
        self._file = TokenFile(context.directory, account)
        self._server = LoginServer(settings.auth_url, timeout)
        self._device = DeviceLogin(name, settings.client_id, self._server, context.clock)
        self._last_word = last_word
        self._work = Shielded[Tokens](name)
        self._tokens: Tokens | None = None
        self._unsaved: Tokens | None = None
        self._refused: tuple[str, Refusal] | None = None
        self._noted = ""
        self._logger = log.get("source", source=name)

    @property
    def login_hint(self) -> str:
        """What to tell the human."""
        return f"run `poller login {self._name}`"

    async def open(self) -> None:
        """Make the HTTP client; asks nobody. Does nothing if open."""
        await self._server.open()

    async def close(self) -> None:
        """Let a refresh in flight finish: cancelling it would lose the login. May be called twice."""
        await self._work.close(self._last_word)
        await self._server.close()

    @property
    def gcid(self) -> str:
        """BMW's number of the account whose login is on disk; "" if there is none. Not to be shown."""
        tokens = self._file.glance()
        return "" if tokens is None else tokens.gcid

    def login_state(self) -> LoginState:
        """The login on disk, and when it ends if nobody refreshes it."""
        tokens = self._file.glance()
        return LoginState() if tokens is None else LoginState(tokens.version, tokens.refresh_expires_at)

    def lacks(self, tokens: Tokens) -> list[oauth.Lack]:
        """The scopes that the settings need and `tokens` lack, each with the step that mends it."""
        stream = bool(self._settings.stream_url) and not self._settings.own_broker
        return oauth.lacks(tokens.scopes, self._name, stream=stream)

    def lacking(self) -> list[oauth.Lack]:
        """`lacks` of the login on disk; asks nobody."""
        tokens = self._file.glance()
        return [] if tokens is None else self.lacks(tokens)

    # Staying logged in.

    async def fresh(self, *, margin: float = 300.0, force: bool = False) -> Tokens:
        """Tokens good for another `margin` seconds at least, refreshed if need be; they are on disk.

        `force`: BMW has refused the ones we have, whatever the clock says. However many ask at once,
        in this process or another, one refresh is made; it is asked once, and a caller that is
        cancelled does not cancel it. A short-lived token counts as good for half its life. Raises
        LoginRequired if BMW refuses the stored login (it is kept; `reason` says why), RateLimited,
        SourceBlocked, or SourceUnavailable if BMW could not be asked.
        """
        held = self._tokens
        if held is not None and not force and self._good(held, margin) and self._is_stored(held):
            return held
        work = functools.partial(self._renew, margin, force=force)
        return await self._work.run(f"refresh {margin} {force}", work)

    async def keep(self, stop: asyncio.Event) -> None:
        """Refresh once a day though nobody asks, by the wall clock, until `stop`.

        So a login lasts through a machine's sleep and through weeks without a poll. Where it cannot be
        refreshed, the log warns once a day as its end draws near.
        """
        pause, failing = _KEEP_LOOK, False
        warned_at: datetime | None = None
        while not await wait(stop, self._clock, pause):
            stored = self._file.glance()
            warned_at = self._warn_of_its_end(stored, warned_at)
            if stored is None or self._age_is_within(stored, _KEEP):
                continue
            if self._refused and self._refused[0] == stored.version:
                continue
            try:
                await self.fresh(force=True)
                pause, failing = _KEEP_LOOK, False
            except SourceError as error:
                if not failing:
                    self._logger.warning("login.not_refreshed", reason=error.reason, error=error.message)
                pause, failing = _KEEP_RETRY, True

    def _warn_of_its_end(self, stored: Tokens | None, warned_at: datetime | None) -> datetime | None:
        """When it was last warned."""
        now = self._clock.now()
        if stored is None or (warned_at is not None and abs(now - warned_at) < _WARN_EVERY):
            return warned_at
        left = stored.refresh_expires_at - now
        if not timedelta() < left <= timedelta(days=DAEMON.login_days):
            return None
        days = round(left / timedelta(days=1), 1)
        self._logger.warning("login.ending", days_left=days, hint=self.login_hint)
        return now

    def _is_stored(self, held: Tokens) -> bool:
        """Whether no other login was stored since, by a human say, and none was given up."""
        stored = self._file.glance()
        return stored is not None and stored.version == held.version

    def _good(self, tokens: Tokens, margin: float) -> bool:
        life = tokens.expires_at - tokens.stored_at
        now, left = self._clock.now(), min(timedelta(seconds=margin), life / 2)
        return tokens.access_token != "" and tokens.stored_at - _CLOCK_SLIP <= now < tokens.expires_at - left

    def _age_is_within(self, tokens: Tokens, limit: timedelta) -> bool:
        """False also if the clock was set back since: then nobody knows."""
        return -_CLOCK_SLIP <= self._clock.now() - tokens.stored_at < limit

    async def _renew(self, margin: float, *, force: bool) -> Tokens:
        async with self._file.lock(self._clock):
            stored = await self._counting(await asyncio.to_thread(self._file.read))
            if stored is None:
                raise LoginRequired("no login is stored", hint=self.login_hint)
            if self._refused and self._refused[0] == stored.version:
                raise _login_required(self._refused[1])
            if not self._good(stored, margin) or (force and not self._age_is_within(stored, _RECENT)):
                stored = await self._refresh(stored)
            self._tokens = stored
            return stored

    async def _counting(self, stored: Tokens | None) -> Tokens | None:
        """The login that counts: `stored`, or a newer one of ours that could not be stored or that a
        restored backup has replaced under us. A file that was deleted is a login that was given up.
        """
        unsaved, self._unsaved = self._unsaved, None
        if unsaved is not None and (stored is None or stored.generation < unsaved.generation):
            return await self._store(unsaved)
        held = self._tokens
        if stored is None or held is None:
            return stored
        # A login made after the folder was emptied counts from one again, but is younger.
        if stored.generation < held.generation and stored.stored_at < held.stored_at:
            self._logger.warning("login.restored", generation=stored.generation, newest=held.generation)
            return await self._store(held)
        return stored

    async def _refresh(self, stored: Tokens) -> Tokens:
        # A full disk must show before the old refresh token is spent.
        past = await asyncio.to_thread(self._file.begin, stored, self._clock.now())
        self._note(stored, past)
        form = oauth.refresh_form(self._settings.client_id, stored.refresh_token)
        try:
            reply = await self._server.post(oauth.TOKEN_PATH, form)
        except NotSent:
            await self._call_off(past)
            raise
        if reply.status != 200:
            if reply.status < 500:
                await self._call_off(past)
            raise self._not_refreshed(reply, stored, past)
        grant = understood(reply.body, read_grant)
        tokens = self._granted(grant, max(past.highest, stored.generation), stored)
        self._logger.debug("login.refreshed")
        return await self._store(tokens)

    async def _call_off(self, past: Past[Tokens]) -> None:
        """BMW has not carried out the refresh: it must not be blamed later."""
        with contextlib.suppress(SourceUnavailable):
            await asyncio.to_thread(self._file.put_past, past)

    async def _store(self, tokens: Tokens) -> Tokens:
        """Write first; what cannot be written is held and tried again before anything else."""
        self._unsaved = tokens
        await asyncio.to_thread(self._file.write, tokens)
        self._unsaved = None
        return tokens

    def _granted(self, grant: Grant, generation: int, before: Tokens | None) -> Tokens:
        """The tokens after those of `generation`; what lasts and BMW left out stays as it was `before`."""
        now = milliseconds(self._clock.now())
        return Tokens(
            account=self._account,
            generation=generation + 1,
            stored_at=now,
            scopes=grant.scopes or (before.scopes if before else ()),
            expires_at=now + timedelta(seconds=grant.lifetime),
            refresh_expires_at=now + oauth.LOGIN_LIFETIME,
            access_token=grant.access_token,
            refresh_token=grant.refresh_token or (before.refresh_token if before else ""),
            id_token=grant.id_token or "",
            gcid=grant.gcid or (before.gcid if before else ""),
        )

    def _note(self, stored: Tokens, past: Past[Tokens]) -> None:
        """Say once what is odd about a stored login, before it is tried."""
        if self._noted == stored.version:
            return
        self._noted = stored.version
        if past.outdates(stored):
            self._logger.warning("login.restored", generation=stored.generation, newest=past.highest)
        elif begun_at := past.cut_off_at(stored):
            self._logger.warning("login.refresh_cut_off", begun_at=_written(begun_at))

    def _not_refreshed(self, reply: Reply, stored: Tokens, past: Past[Tokens]) -> SourceError:
        now, said, word = self._clock.now(), oauth.verdict(reply.status, reply.body), oauth.word(reply.body)
        match said:
            case Verdict.SLOW_DOWN:
                return slowed_down(reply, now)
            case Verdict.DENIED:
                return SourceBlocked(
                    now + _BLOCK_PAUSE,
                    f"BMW denied the refresh of the login ({word})",
                    hint="the login is kept and tried again every hour; if it lasts for days, "
                    + self.login_hint,
                )
            case Verdict.CLIENT:
                refusal = oauth.client_refusal(self.login_hint)
            case Verdict.REFUSED | Verdict.EXPIRED:
                refusal = self._lost_login(stored, past, word)
            case _:
                return unclear(reply)
        self._refused = (stored.version, refusal)
        return _login_required(refusal)

    def _lost_login(self, stored: Tokens, past: Past[Tokens], word: str) -> Refusal:
        """Why BMW does not take the stored login any more, as far as it can be told from here."""
        refused, hint = f"BMW refused the stored login ({word}): ", self.login_hint
        if past.outdates(stored):
            return Refusal(
                f"{refused}it is number {stored.generation}, stored {_written(stored.stored_at)}, and number "
                f"{past.highest} was stored here before: a restored backup, and BMW takes each login once",
                f"{hint}; leave the folder accounts/ out of the next restore",
                "login_restored",
            )
        if begun_at := past.cut_off_at(stored):
            return Refusal(
                f"{refused}a refresh begun {_written(begun_at)} was cut off (a kill, a crash, a broken "
                "connection) after BMW had carried it out, and the new login was lost on the way",
                hint,
                "login_lost",
            )
        if self._clock.now() >= stored.refresh_expires_at:
            return Refusal(
                f"{refused}it ended {_written(stored.refresh_expires_at)}, 14 days after the last refresh",
                f"{hint}; a poller that runs at least once a week or so keeps it alive",
                "login_ended",
            )
        return Refusal(
            f"{refused}since {_written(stored.stored_at)} it was used elsewhere (a copy or a restored backup "
            "of the data directory), or its client was deleted or lost its subscriptions in the portal",
            hint,
            "login_refused",
        )

    # Logging in.

    async def begin_login(self) -> DeviceCode:
        """Ask BMW for a code for the human. Raises LoginRequired, RateLimited, SourceUnavailable."""
        await self._find_room()
        return await self._device.begin()

    async def finish_login(self, code: DeviceCode) -> Tokens:
        """Wait until the human has allowed it, and store the login; see `lacks` for its scopes.

        Raises LoginRequired: `login_denied`, `login_expired`, `login_spoiled` (a fresh code is
        needed), `client_unknown`, `login_refused`. SourceUnavailable if BMW could not be asked up to
        the code's end, or the login not be stored.
        """
        grant = await self._device.finish(code)
        return await self._work.run("login", functools.partial(self._accept, grant))

    async def _accept(self, grant: Grant) -> Tokens:
        async with self._file.lock(self._clock):
            before = await asyncio.to_thread(self._file.read)
            past = await asyncio.to_thread(self._file.past)
            generation = max(past.highest, before.generation if before else 0)
            # A login that is silent about its scopes has those that were asked for.
            grant = replace(grant, scopes=grant.scopes or oauth.SCOPES)
            tokens = self._granted(grant, generation, before)
            self._tokens = await self._store(tokens)
            self._refused = None
        self._logger.info("login.stored")
        for lack in self.lacks(tokens):
            self._logger.warning("login.scope_missing", scope=lack.scope)
        return tokens

    async def _find_room(self) -> None:
        """A full disk must show before the human is bothered."""
        async with self._file.lock(self._clock):
            await asyncio.to_thread(lambda: self._file.put_past(self._file.past()))


def _login_required(refusal: Refusal) -> LoginRequired:
    return LoginRequired(refusal.message, hint=refusal.hint, reason=refusal.reason)


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
