"""The maker's login as the app meets it: OAuth 2 with PKCE, a captcha, rotating refresh tokens.

Shapes and status codes follow the observed service; the account and all secrets are made up.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from poller.runtime.clock import Clock
from poller.simulator.refusals import login_refused

USER: Final = "demo@example.com"
PASSWORD: Final = "demo"  # noqa: S105  # the simulated account's; printed by `poller simulate`
REFRESH_TOKEN: Final = "demo-refresh-token"  # noqa: S105  # the simulated account's, known beforehand
_CLIENT_ID: Final = "simulated-client"
_CLIENT_SECRET: Final = "simulated-secret"  # noqa: S105  # handed to anybody by the config request
_RETURN_URL: Final = "com.bmw.connected://oauth"
_SCOPES: Final = ("openid", "profile", "offline_access", "vehicle_data", "authenticate_user")

#: A family is one login; each refresh makes its next member: ``family``, ``family.1``, ``family.2`` …
_REFRESH = re.compile(r"(demo-refresh-token|login-[0-9a-f]{16})(?:\.(\d{1,9}))?")


class Login:
    """Endpoints of the login, and the check of access tokens.

    A refresh token counts once. One that this process has not seen yet is taken at its word if it
    belongs to a known form, so that a poller stays logged in when the simulator is started again.
    """

    def __init__(self, clock: Clock, lifetime: float = 3600.0) -> None:
        self._clock = clock
        self._lifetime = lifetime
        self._access: dict[str, datetime] = {}
        self._current: dict[str, int] = {}
        self._revoked = False
        self._spent_captchas: set[str] = set()
        # Each holds the PKCE challenge that it was given for, and is redeemed once.
        self._authorizations: dict[str, str] = {}
        self._codes: dict[str, str] = {}

    def routes(self) -> list[Route]:
        """Where the login is reached."""
        return [
            Route("/eadrax-ucs/v1/presentation/oauth/config", self._config, methods=["GET"]),
            Route("/gcdm/oauth/authenticate", self._authenticate, methods=["POST"]),
            Route("/gcdm/oauth/token", self._token, methods=["POST"]),
        ]

    def admits(self, request: Request) -> bool:
        """Whether the request carries an access token that has not expired."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        expires = self._access.get(token) if scheme.lower() == "bearer" else None
        return expires is not None and self._clock.now() < expires

    def expire_access_tokens(self) -> None:
        """Let every access token be too old from now on."""
        self._access.clear()

    def end_sessions(self) -> None:
        """Let every token given so far be dead, as after a change of password: a human must log in again."""
        self.expire_access_tokens()
        self.revoke_refresh_tokens()

    def revoke_refresh_tokens(self) -> None:
        """Refuse every refresh token given so far: a human must log in again."""
        self._current.clear()
        self._revoked = True

    async def _config(self, request: Request) -> Response:
        if not request.headers.get("ocp-apim-subscription-key"):
            return JSONResponse(
                {"statusCode": 401, "message": "Access denied due to missing subscription key."}, 401
            )
        # Hosts that lead nowhere: a client must send these paths to the address it was given.
        host = "https://login.simulator.invalid"
        return JSONResponse(
            {
                "clientName": "mybmwapp",
                "clientId": _CLIENT_ID,
                "clientSecret": _CLIENT_SECRET,
                "gcdmBaseUrl": host,
                "returnUrl": _RETURN_URL,
                "brand": "bmw",
                "language": "en",
                "country": "GB",
                "authorizationEndpoint": f"{host}/oneid/login",
                "tokenEndpoint": f"{host}/gcdm/oauth/token",
                "scopes": list(_SCOPES),
                "promptValues": ["login"],
            }
        )

    async def _authenticate(self, request: Request) -> Response:
        form = await _form(request)
        expected = {
            "client_id": _CLIENT_ID,
            "response_type": "code",
            "redirect_uri": _RETURN_URL,
            "code_challenge_method": "S256",
        }
        missing = [name for name in ("state", "nonce", "code_challenge", "scope") if not form.get(name)]
        if missing or any(form.get(name) != value for name, value in expected.items()):
            return _refusal(400, "invalid_request")
        if "authorization" in form:
            return self._hand_out_code(form)
        return self._check_password(form, request.headers.get("hcaptchatoken", ""))

    def _check_password(self, form: Mapping[str, str], captcha: str) -> Response:
        fresh = bool(captcha) and captcha not in self._spent_captchas
        self._spent_captchas.add(captcha)
        if not fresh or (form.get("username"), form.get("password")) != (USER, PASSWORD):
            return login_refused()
        authorization = secrets.token_urlsafe(24)
        self._authorizations[authorization] = form["code_challenge"]
        query = urlencode(
            {
                "client_id": _CLIENT_ID,
                "response_type": "code",
                "scope": form["scope"],
                "state": form["state"],
                "authorization": authorization,
            }
        )
        return JSONResponse({"redirect_to": f"redirect_uri={_RETURN_URL}?{query}"})

    def _hand_out_code(self, form: Mapping[str, str]) -> Response:
        challenge = self._authorizations.pop(form["authorization"], None)
        if challenge is None or challenge != form["code_challenge"]:
            return login_refused()
        code = secrets.token_urlsafe(24)
        self._codes[code] = challenge
        query = urlencode(
            {"code": code, "state": form["state"], "client_id": _CLIENT_ID, "nonce": form["nonce"]}
        )
        return Response(status_code=302, headers={"location": f"{_RETURN_URL}?{query}"})

    async def _token(self, request: Request) -> Response:
        if not _is_our_client(request.headers.get("authorization", "")):
            return login_refused()
        form = await _form(request)
        if form.get("redirect_uri") != _RETURN_URL:
            return _refusal(400, "invalid_request")
        match form.get("grant_type"):
            case "authorization_code":
                return self._redeem_code(form)
            case "refresh_token":
                return self._refresh(form)
        return _refusal(400, "unsupported_grant_type")

    def _redeem_code(self, form: Mapping[str, str]) -> Response:
        challenge = self._codes.pop(form.get("code", ""), None)
        if challenge is None or _challenge(form.get("code_verifier", "")) != challenge:
            return _refusal(400, "invalid_grant")
        return self._tokens(f"login-{secrets.token_hex(8)}", 0)

    def _refresh(self, form: Mapping[str, str]) -> Response:
        match = _REFRESH.fullmatch(form.get("refresh_token", ""))
        if match is None:
            return _refusal(400, "invalid_grant")
        family, number = match[1], int(match[2] or 0)
        known = -1 if self._revoked else number
        if self._current.get(family, known) != number:
            return _refusal(400, "invalid_grant")
        return self._tokens(family, number + 1)

    def _tokens(self, family: str, number: int) -> Response:
        self._current[family] = number
        now = self._clock.now()
        self._access = {token: expires for token, expires in self._access.items() if expires > now}
        access = secrets.token_urlsafe(32)
        self._access[access] = now + timedelta(seconds=self._lifetime)
        return JSONResponse(
            {
                "access_token": access,
                "token_type": "Bearer",
                "expires_in": int(self._lifetime),
                "refresh_token": f"{family}.{number}" if number else family,
                "scope": " ".join(_SCOPES),
                "usid": "SIMULATED",
                "gcid": str(uuid.UUID(int=0)),
            }
        )


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode(errors="replace")))


def _refusal(status: int, error: str) -> Response:
    return JSONResponse({"error": error, "error_description": "The request was refused."}, status)


def _is_our_client(header: str) -> bool:
    scheme, _, encoded = header.partition(" ")
    try:
        plain = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return False
    return scheme.lower() == "basic" and plain == f"{_CLIENT_ID}:{_CLIENT_SECRET}"


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
