"""Logging in and staying logged in: one refresher, and nothing used before it is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar
from uuid import uuid4

from poller.errors import ConfigError, LoginRequired, SourceError, SourceUnavailable
from poller.runtime import log
from poller.runtime.clock import Clock
from poller.sources.base import LoginState
from poller.sources.http import Call, Reply
from poller.sources.mybmw import oauth
from poller.sources.mybmw.refusals import refusal
from poller.sources.mybmw.regions import Server, correlation, login_headers, new_device, x_user_agent
from poller.sources.mybmw.settings import MyBmwSettings
from poller.sources.mybmw.tokens import SESSION_AGE, Takeover, TokenFile, Tokens, read_takeover
from poller.sources.mybmw.transport import Transport
from poller.sources.oauth import Grant, Unreadable, read_grant, understood
from poller.sources.shielded import Shielded
from poller.vehicle.records import milliseconds

#: A token this close to its end is not begun with.
_MARGIN: Final = timedelta(seconds=30)

T = TypeVar("T")


class Auth:
    """Keeps one account's tokens.

    The password is used by `login` only, never by itself: BMW wants a captcha with it.
    """

    def __init__(
        self,
        name: str,
        settings: MyBmwSettings,
        *,
        server: Server,
        account: str,
        transport: Transport,
        file: TokenFile,
        clock: Clock,
        last_word: float,
    ) -> None:
        self._name = name
        self._last_word = last_word
        self._settings = settings
        self._server = server
        self._account = account
        self._transport = transport
        self._file = file
        self._clock = clock
        self._tokens: Tokens | None = None
        self._unsaved: Tokens | None = None
        self._refused: str | None = None
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

    async def login(
        self, *, captcha_token: str | None, refresh_token: str | None, takeover: Path | None
    ) -> Tokens:
        """Log in anew, by captcha and password or from a refresh token, and store it.

        Raises as `tokens`; ConfigError if the password or the file to take over is missing.
        """
        taken = Takeover(refresh_token.strip()) if refresh_token else None
        if takeover is not None:
            try:
                taken = await read_takeover(takeover)
            except ValueError as error:
                raise ConfigError([str(error)]) from error
        if taken is None and not captcha_token:
            raise LoginRequired(
                "a first login needs a captcha token",
                hint=f"solve the captcha at {self._server.captcha_page} and "
                f"run `poller login {self._name} --captcha-token …` within a few minutes",
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
            if stored.version == self._refused:
                raise self._refusal()
            if not self._usable(stored, rejected):
                stored = await self._refresh(stored)
            self._tokens = stored
            return stored

    async def _refresh(self, stored: Tokens) -> Tokens:
        # A full disk must show before the old refresh token is spent.
        await asyncio.to_thread(self._file.write, stored)
        try:
            grant = await self._refresh_grant(stored)
        except LoginRequired:
            self._refused = stored.version
            raise
        self._logger.debug("login.refreshed")
        return await self._store(self._granted(stored, grant))

    async def _log_in(self, taken: Takeover | None, captcha_token: str) -> Tokens:
        async with self._file.lock(self._clock):
            before = await asyncio.to_thread(self._file.read)
            blank = self._blank(before, taken)
            if taken is None:
                grant = await self._password_grant(blank, captcha_token)
            else:
                grant = await self._taken_grant(blank)
            self._tokens = await self._store(self._granted(blank, grant))
            return self._tokens

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

    async def _refresh_grant(self, tokens: Tokens) -> Grant:
        config = await self._config(tokens)
        reply = await self._transport.send(
            self._post(
                config.token_url,
                tokens,
                basic=config.basic,
                form={
                    "scope": " ".join(config.scopes),
                    "redirect_uri": config.return_url,
                    "grant_type": "refresh_token",
                    "refresh_token": tokens.refresh_token,
                },
            )
        )
        if reply.status in (400, 401):
            raise self._refusal()
        return self._understood(reply, read_grant)

    async def _taken_grant(self, tokens: Tokens) -> Grant:
        """As `_refresh_grant`, for a token that a human brought."""
        try:
            return await self._refresh_grant(tokens)
        except LoginRequired as error:
            raise LoginRequired(
                "BMW refused this refresh token; it has expired, was used already, or is not whole",
                hint="take the newest from the program that holds it, or log in by captcha; what was "
                "stored before is kept",
            ) from error

    async def _password_grant(self, tokens: Tokens, captcha_token: str) -> Grant:
        config = await self._config(tokens)
        proof = oauth.Proof.new()
        code = await self._authorize(config, proof, tokens, captcha_token)
        reply = await self._transport.send_once(
            self._post(
                config.token_url,
                tokens,
                basic=config.basic,
                form={
                    "code": code,
                    "code_verifier": proof.verifier,
                    "redirect_uri": config.return_url,
                    "grant_type": "authorization_code",
                },
            )
        )
        grant = self._understood(reply, read_grant)
        if grant.refresh_token is None:
            raise SourceUnavailable("BMW gave no refresh token")
        return grant

    async def _authorize(
        self, config: oauth.OAuthConfig, proof: oauth.Proof, tokens: Tokens, captcha_token: str
    ) -> str:
        """User name, password and captcha against a code. None of it is sent twice."""
        if self._settings.password is None:
            raise ConfigError(
                [f"sources.{self._name}: a login by captcha needs the password"],
                hint=f"set [sources.{self._name}] password, or take over a refresh token",
            )
        form = oauth.authorize_form(config, proof)
        first = self._post(
            config.authenticate_url,
            tokens,
            form={
                **form,
                "grant_type": "authorization_code",
                "username": self._settings.username,
                "password": self._settings.password.get_secret_value(),
            },
        )
        first = replace(first, headers={**first.headers, "hcaptchatoken": captcha_token})
        reply = await self._transport.send_once(first)
        if reply.status in (400, 401):
            raise LoginRequired(
                "BMW refused user name, password or captcha token",
                hint="a captcha token works once and for a few minutes: solve a new one at "
                + self._server.captcha_page,
            )
        authorization = self._understood(reply, oauth.read_authorization)
        second = self._post(config.authenticate_url, tokens, form={**form, "authorization": authorization})
        version = x_user_agent(tokens.device, "bmw", self._server.code)
        query = {"interaction-id": str(uuid4()), "client-version": version}
        reply = await self._transport.send_once(replace(second, params=query))
        if reply.status != 302:
            raise self._could_not_ask(reply)
        try:
            return oauth.read_code(reply.headers.get("location", ""), proof)
        except Unreadable as error:
            raise SourceUnavailable(f"BMW's login answer does not fit our question ({error})") from error

    async def _config(self, tokens: Tokens) -> oauth.OAuthConfig:
        headers = login_headers(tokens.device, self._server.code)
        headers |= correlation()
        headers["ocp-apim-subscription-key"] = self._server.api_key
        headers["bmw-session-id"] = tokens.session
        reply = await self._transport.send(Call("GET", oauth.CONFIG_PATH, headers))
        return self._understood(reply, oauth.read_config)

    def _post(
        self,
        url: str,
        tokens: Tokens,
        *,
        form: Mapping[str, str],
        basic: tuple[str, str] | None = None,
    ) -> Call:
        return Call("POST", url, login_headers(tokens.device, self._server.code), form=form, basic=basic)

    def _understood(self, reply: Reply, read: Callable[[bytes], T]) -> T:
        if reply.status != 200:
            raise self._could_not_ask(reply)
        return understood(reply.body, read)

    def _could_not_ask(self, reply: Reply) -> SourceError:
        """The error for an answer that says nothing about the login itself; so the login is kept."""
        error = refusal(
            reply.status, reply.headers, reply.body, self._clock.now(), login_hint=self.login_hint
        )
        if isinstance(error, LoginRequired):
            return SourceUnavailable(f"BMW's login server answered {reply.status}")
        return error

    def _refusal(self) -> LoginRequired:
        return LoginRequired(
            "BMW refused the stored login; it has expired or was used elsewhere", hint=self.login_hint
        )
