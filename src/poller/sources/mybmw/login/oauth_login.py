"""The way in of rest_of_world and north_america: OAuth with PKCE, and a captcha for the password."""

from __future__ import annotations

from typing import Final
from uuid import uuid4

from poller.errors import ConfigError, LoginRequired, SourceUnavailable
from poller.sources.mybmw.login import oauth
from poller.sources.mybmw.login.server import LoginServer, RefreshRefused
from poller.sources.mybmw.login.tokens import Tokens
from poller.sources.mybmw.regions import correlation, x_user_agent
from poller.sources.mybmw.settings import MyBmwSettings
from poller.sources.oauth import Grant, Unreadable, read_grant

#: What refuses a login; every other answer says nothing about it.
_REFUSED: Final = (400, 401)


class OAuthLogin:
    """Implements `auth.Way`."""

    needs_gcid = False

    def __init__(self, server: LoginServer, settings: MyBmwSettings) -> None:
        self._server = server
        self._settings = settings

    async def by_refresh_token(self, tokens: Tokens) -> Grant:
        """As `auth.Way` says."""
        config = await self._config(tokens)
        form = {
            "scope": " ".join(config.scopes),
            "redirect_uri": config.return_url,
            "grant_type": "refresh_token",
            "refresh_token": tokens.refresh_token,
        }
        # As with any fault of the line: whether the server saw it is seen at the next try.
        reply = await self._server.post(
            config.token_url, tokens.device, form=form, basic=config.basic, repeatable=True
        )
        if reply.status in _REFUSED:
            raise RefreshRefused
        return self._server.understood(reply, read_grant)

    async def by_password(self, tokens: Tokens, captcha_token: str) -> Grant:
        """As `auth.Way` says; without a captcha token nobody is asked."""
        if not captcha_token:
            raise LoginRequired(
                "a first login needs a captcha token",
                hint=f"solve the captcha at {self._server.region.captcha_page} and "
                f"run `poller login {self._server.name} --captcha-token …` within a few minutes",
            )
        credentials = self._credentials()
        config = await self._config(tokens)
        proof = oauth.Proof.new()
        authorization = await self._authorize(config, proof, tokens, captcha_token, credentials)
        code = await self._code(config, proof, tokens, authorization)
        form = {
            "code": code,
            "code_verifier": proof.verifier,
            "redirect_uri": config.return_url,
            "grant_type": "authorization_code",
        }
        reply = await self._server.post(config.token_url, tokens.device, form=form, basic=config.basic)
        grant = self._server.understood(reply, read_grant)
        if grant.refresh_token is None:
            raise SourceUnavailable("BMW gave no refresh token")
        return grant

    def _credentials(self) -> dict[str, str]:
        password = self._settings.password
        if password is None:
            name = self._server.name
            raise ConfigError(
                [f"sources.{name}: a login by captcha needs the password"],
                hint=f"set [sources.{name}] password, or take over a refresh token",
            )
        return {"username": self._settings.username, "password": password.get_secret_value()}

    async def _authorize(
        self,
        config: oauth.OAuthConfig,
        proof: oauth.Proof,
        tokens: Tokens,
        captcha_token: str,
        credentials: dict[str, str],
    ) -> str:
        """User name, password and captcha against an authorization. They are not sent twice."""
        form = {**oauth.authorize_form(config, proof), "grant_type": "authorization_code", **credentials}
        captcha = {"hcaptchatoken": captcha_token}
        reply = await self._server.post(config.authenticate_url, tokens.device, captcha, form=form)
        if reply.status in _REFUSED:
            raise LoginRequired(
                "BMW refused user name, password or captcha token",
                hint="a captcha token works once and for a few minutes: solve a new one at "
                f"{self._server.region.captcha_page}",
            )
        return self._server.understood(reply, oauth.read_authorization)

    async def _code(
        self, config: oauth.OAuthConfig, proof: oauth.Proof, tokens: Tokens, authorization: str
    ) -> str:
        """The authorization against a code, which comes in a redirection that nobody follows."""
        version = x_user_agent(tokens.device, "bmw", self._server.region.code)
        reply = await self._server.post(
            config.authenticate_url,
            tokens.device,
            form={**oauth.authorize_form(config, proof), "authorization": authorization},
            params={"interaction-id": str(uuid4()), "client-version": version},
        )
        if reply.status != 302:
            raise self._server.could_not_ask(reply)
        try:
            return oauth.read_code(reply.headers.get("location", ""), proof)
        except Unreadable as error:
            raise SourceUnavailable(f"BMW's login answer does not fit our question ({error})") from error

    async def _config(self, tokens: Tokens) -> oauth.OAuthConfig:
        headers = correlation()
        headers["ocp-apim-subscription-key"] = self._server.region.api_key
        headers["bmw-session-id"] = tokens.session
        reply = await self._server.get(oauth.CONFIG_PATH, tokens.device, headers)
        return self._server.understood(reply, oauth.read_config)
