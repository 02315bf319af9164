"""Logging in and staying logged in: one refresher, and nothing used before it is stored."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Final, Protocol
from uuid import uuid4

from poller.errors import ConfigError, LoginRequired
from poller.runtime import log
from poller.runtime.clock import Clock
from poller.sources.base import LoginState
from poller.sources.mybmw.login.server import RefreshRefused
from poller.sources.mybmw.login.tokens import SESSION_AGE, Takeover, TokenFile, Tokens
from poller.sources.mybmw.regions import new_device
from poller.sources.oauth import Grant
from poller.sources.shielded import Shielded
from poller.vehicle.records import milliseconds

#: A token this close to its end is not begun with.
_MARGIN: Final = timedelta(seconds=30)


class Way(Protocol):
    """How one region gives tokens. Knows settings and server, stores nothing.

    Of `tokens` it takes what the questions need: device, session, and for a refresh the refresh
    token and the gcid. Raises SourceUnavailable, RateLimited or SourceBlocked if BMW could not be
    asked: what says nothing about the login itself.
    """

    #: Whether a refresh token works only together with its account's gcid.
    needs_gcid: bool

    async def by_password(self, tokens: Tokens, captcha_token: str) -> Grant:
        """Log in with the configured user name and password; gives a refresh token too.

        Raises LoginRequired if BMW refuses, or for want of a captcha token; ConfigError if the
        password is missing, or the captcha token is one too many ("" is none).
        """
        ...

    async def by_refresh_token(self, tokens: Tokens) -> Grant:
        """A new access token, as a rule with a new refresh token. Raises RefreshRefused."""
        ...


class Auth:
    """Keeps one account's tokens.

    The password is used by `login` only, never by itself: BMW wants a captcha with it, and counts
    those that fail.
    """

    def __init__(
        self, name: str, *, way: Way, account: str, file: TokenFile, clock: Clock, last_word: float
    ) -> None:
        self._name = name
        self._last_word = last_word
        self._way = way
        self._account = account
        self._file = file
        self._clock = clock
        self._tokens: Tokens | None = None
        self._unsaved: Tokens | None = None
        #: The version of the login that BMW refused, and its word for it.
        self._refused: tuple[str, str] | None = None
        self._work = Shielded[Tokens](name)
        self._logger = log.get("source", source=name)

    @property
    def login_hint(self) -> str:
        """What to tell the human."""
        return f"run `poller login {self._name}`"

    def state(self) -> LoginState:
        """The login on disk; BMW does not say when a refresh token ends."""
        tokens = self._file.glance()
        return LoginState() if tokens is None else LoginState(tokens.version)

    async def tokens(self, rejected: str | None = None) -> Tokens:
        """Tokens that can be used now, refreshed if need be; `rejected`: an access token that got a 401.

        However many ask at once, in this process or another, one refresh is made. A caller that is
        cancelled does not cancel it. Raises LoginRequired if BMW refuses the stored login (it is kept),
        and SourceUnavailable, RateLimited or SourceBlocked if BMW could not be asked.
        """
        if self._tokens is not None and self._usable(self._tokens, rejected):
            return self._tokens
        return await self._work.run("refresh", lambda: self._renew(rejected))

    async def login(self, *, captcha_token: str | None = None, taken: Takeover | None = None) -> Tokens:
        """Log in anew, by password (with a captcha token where BMW wants one) or as `taken`; store it.

        Raises as `tokens`; ConfigError if the password or the gcid is missing.
        """
        if taken is not None and self._way.needs_gcid and not taken.gcid:
            raise ConfigError(
                [f"sources.{self._name}: in China a refresh token works only with its account's gcid"],
                hint=f"run `poller login {self._name} --take-over FILE`, whose .bimmer_connected.json holds "
                f"both; or log in by password: {self.login_hint}",
            )
        return await self._work.run("login", lambda: self._log_in(taken, captcha_token or ""))

    async def close(self) -> None:
        """Let a refresh in flight finish: cancelling it would lose the login."""
        await self._work.close(self._last_word)

    def _usable(self, tokens: Tokens, rejected: str | None) -> bool:
        fresh = self._clock.now() < tokens.expires_at - _MARGIN
        return fresh and tokens.access_token not in ("", rejected)

    async def _renew(self, rejected: str | None) -> Tokens:
        async with self._file.lock(self._clock):
            stored = await asyncio.to_thread(self._file.read)
            if self._unsaved is not None and (stored is None or stored.generation < self._unsaved.generation):
                stored = await self._store(self._unsaved)
            if stored is None:
                raise LoginRequired("no login is stored", hint=self.login_hint)
            if self._refused is not None and self._refused[0] == stored.version:
                raise self._refusal(self._refused[1])
            if not self._usable(stored, rejected):
                stored = await self._refresh(stored)
            self._tokens = stored
            return stored

    async def _refresh(self, stored: Tokens) -> Tokens:
        # A full disk must show before the old refresh token is spent.
        await asyncio.to_thread(self._file.write, stored)
        try:
            grant = await self._way.by_refresh_token(stored)
        except RefreshRefused as refused:
            self._refused = stored.version, str(refused)
            raise self._refusal(str(refused)) from refused
        self._logger.debug("login.refreshed")
        return await self._store(self._granted(stored, grant))

    async def _log_in(self, taken: Takeover | None, captcha_token: str) -> Tokens:
        async with self._file.lock(self._clock):
            before = await asyncio.to_thread(self._file.read)
            blank = self._blank(before, taken)
            if taken is None:
                grant = await self._way.by_password(blank, captcha_token)
            else:
                grant = await self._taken_grant(blank)
            self._tokens = await self._store(self._granted(blank, grant))
            return self._tokens

    async def _taken_grant(self, tokens: Tokens) -> Grant:
        """By a refresh token that a human brought."""
        try:
            return await self._way.by_refresh_token(tokens)
        except RefreshRefused as refused:
            raise LoginRequired(
                f"BMW refused this refresh token{refused}; it has expired, was used already, or is not whole",
                hint="take the newest from the program that holds it, or log in by password: "
                f"{self.login_hint}; what was stored before is kept",
            ) from refused

    async def _store(self, tokens: Tokens) -> Tokens:
        """Write first; what cannot be written is held and tried again before anything else."""
        self._unsaved = tokens
        await asyncio.to_thread(self._file.write, tokens)
        self._unsaved = None
        return tokens

    def _blank(self, before: Tokens | None, taken: Takeover | None) -> Tokens:
        """What a new login starts from: the device stays, and the session while it is young."""
        now = milliseconds(self._clock.now())
        session, since = (before.session, before.session_since) if before else (str(uuid4()), now)
        if taken is not None and taken.session and taken.session_since:
            session, since = taken.session, milliseconds(taken.session_since)
        return Tokens(
            account=self._account,
            generation=before.generation if before else 0,
            stored_at=now,
            device=before.device if before else new_device(),
            session=session,
            session_since=since,
            expires_at=now,
            refresh_token=taken.refresh_token if taken else "",
            access_token="",
            gcid=taken.gcid if taken else "",
        )

    def _granted(self, before: Tokens, grant: Grant) -> Tokens:
        now = milliseconds(self._clock.now())
        renew = now - before.session_since >= SESSION_AGE
        return replace(
            before,
            generation=before.generation + 1,
            stored_at=now,
            session=str(uuid4()) if renew else before.session,
            session_since=now if renew else before.session_since,
            expires_at=now + timedelta(seconds=grant.lifetime),
            refresh_token=grant.refresh_token or before.refresh_token,
            access_token=grant.access_token,
            gcid=grant.gcid or before.gcid,
        )

    def _refusal(self, said: str) -> LoginRequired:
        return LoginRequired(
            f"BMW refused the stored login{said}; it has expired or was used elsewhere", hint=self.login_hint
        )
