"""The way in of China: the password sealed by the server's key, and a slider to be put into a picture."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from poller.errors import ConfigError, LoginRequired, SourceUnavailable
from poller.sources.http import Reply
from poller.sources.mybmw.login.china import answers
from poller.sources.mybmw.login.server import LoginServer, RefreshRefused
from poller.sources.mybmw.login.tokens import Tokens
from poller.sources.mybmw.settings import INSTALL_CHINA, MyBmwSettings
from poller.sources.oauth import Grant

PUBLIC_KEY: Final = "/eadrax-coas/v1/cop/publickey"
PUZZLE: Final = "/eadrax-coas/v2/cop/slider-captcha"
CHECK: Final = "/eadrax-coas/v1/cop/check-captcha"
LOGIN: Final = "/eadrax-coas/v2/login/pwd"
TOKEN: Final = "/eadrax-coas/v2/oauth/token"  # noqa: S105  # an address
#: 422 is how this server refuses; every other answer says nothing about the login.
_REFUSED: Final = (400, 401, 422)


class ChinaLogin:
    """Implements `auth.Way`. No human is needed: the user name is a phone number with 86 before it."""

    needs_gcid = True

    def __init__(self, server: LoginServer, settings: MyBmwSettings) -> None:
        self._server = server
        self._settings = settings

    async def by_refresh_token(self, tokens: Tokens) -> Grant:
        """As `auth.Way` says."""
        form = {"refresh_token": tokens.refresh_token, "grant_type": "refresh_token"}
        # Once: a nonce is good for one request, and its second use must not pass for a dead login.
        reply = await self._server.post(TOKEN, tokens.device, self._nonce(tokens.gcid), form=form)
        if reply.status in _REFUSED:
            raise RefreshRefused(self._said(reply, tokens.refresh_token, tokens.gcid))
        now = self._server.now()
        return self._server.understood(reply, lambda body: answers.read_refresh(body, now))

    async def by_password(self, tokens: Tokens, captcha_token: str) -> Grant:
        """As `auth.Way` says. One picture is tried; the password is sent once, and only if that was right."""
        if captcha_token:
            raise self._wrong("a login in China takes no captcha token", f"{self._server.hint} alone")
        password = self._settings.password
        if password is None:
            hint = f"set [sources.{self._server.name}] password, or take over another program's login"
            raise self._wrong("a login in China needs the password", hint)
        with _extra():
            from poller.sources.mybmw.login.china.seal import sealed_password
            from poller.sources.mybmw.login.china.slider import gap_position
        reply = await self._server.get(PUBLIC_KEY, tokens.device)
        public_key = self._server.understood(reply, answers.read_public_key)
        try:
            sealed = sealed_password(password.get_secret_value(), public_key)
        except ValueError as error:
            raise SourceUnavailable("the password cannot be sealed with the key that BMW sent") from error
        puzzle = await self._solved(gap_position, tokens)
        return await self._log_in(puzzle, sealed, tokens)

    async def _solved(self, gap_position: Callable[[bytes], str | None], tokens: Tokens) -> str:
        """The name of a puzzle that BMW holds for solved."""
        mobile = {"mobile": self._settings.username}
        reply = await self._server.post(PUZZLE, tokens.device, json=mobile, repeatable=True)
        puzzle = self._server.understood(reply, answers.read_puzzle)
        try:
            position = await asyncio.to_thread(gap_position, puzzle.picture)
        except ValueError as error:
            raise SourceUnavailable("BMW's captcha is no picture that can be read") from error
        if position is None:
            raise self._unsolved("no gap was found in BMW's captcha picture")
        reply = await self._server.post(
            CHECK, tokens.device, json={"position": position, "verifyId": puzzle.name}
        )
        if self._refused(reply):
            raise self._unsolved(f"BMW did not take our answer to its captcha{self._said(reply)}")
        self._server.understood(reply, answers.read_consent)
        return puzzle.name

    async def _log_in(self, puzzle: str, sealed: str, tokens: Tokens) -> Grant:
        user = self._settings.username
        content = {"mobile": user, "password": sealed, "verifyId": puzzle, "deviceId": user}
        reply = await self._server.post(LOGIN, tokens.device, self._nonce(user), json=content)
        if self._refused(reply):
            table = f"[sources.{self._server.name}]"
            raise LoginRequired(
                f"BMW refused user name or password{self._said(reply)}",
                hint=f"look at `username` (the phone number with 86 before it) and `password` of {table}",
            )
        now = self._server.now()
        return self._server.understood(reply, lambda body: answers.read_login(body, now))

    def _nonce(self, who: str) -> dict[str, str]:
        with _extra():
            from poller.sources.mybmw.login.china.seal import login_nonce
        key, vector = secrets.token_hex(8), secrets.token_hex(8)
        return {"x-login-nonce": login_nonce(who, self._server.now(), key, vector)}

    def _refused(self, reply: Reply) -> bool:
        """By its status, or by the envelope of a 200; one that cannot be read says nothing."""
        return reply.status in _REFUSED or (reply.status == 200 and answers.is_refusal(reply.body))

    def _said(self, reply: Reply, *hidden: str) -> str:
        password = self._settings.password
        ours = (self._settings.username, password.get_secret_value() if password else "")
        return answers.said(reply.body, (*ours, *hidden))

    def _unsolved(self, what: str) -> LoginRequired:
        return LoginRequired(what, hint=f"{self._server.hint} again: each time there is another picture")

    def _wrong(self, what: str, hint: str) -> ConfigError:
        return ConfigError([f"sources.{self._server.name}: {what}"], hint=hint)


@contextmanager
def _extra() -> Iterator[None]:
    """For imports of what the extra brings."""
    try:
        yield
    except ImportError as error:
        words = f"what the login in China needs is not installed ({error.name})"
        raise SourceUnavailable(words, hint=f"install it: {INSTALL_CHINA}") from None
