"""The maker's login as the app meets it: OAuth 2 with PKCE, a captcha, rotating refresh tokens.

Shapes and status codes follow the observed service; the account and all secrets are made up.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from poller.runtime.clock import Clock
from poller.simulator import posted
from poller.simulator.china_login import ChinaLogin
from poller.simulator.refusals import login_refused
from poller.simulator.sessions import Pair, Sessions

USER: Final = "demo@example.com"
PASSWORD: Final = "demo"  # noqa: S105  # the simulated account's; printed by `poller simulate`
REFRESH_TOKEN: Final = "demo-refresh-token"  # noqa: S105  # the simulated account's, known beforehand
#: The account's number, in tokens and in the vehicle list.
GCID: Final = "00000000-0000-0000-0000-000000000000"
_CLIENT_ID: Final = "simulated-client"
_CLIENT_SECRET: Final = "simulated-secret"  # noqa: S105  # handed to anybody by the config request
_RETURN_URL: Final = "com.bmw.connected://oauth"
_SCOPES: Final = ("openid", "profile", "offline_access", "vehicle_data", "authenticate_user")


class Login:
    """Endpoints of the login (`china`: of the one there), and the check of access tokens."""

    def __init__(self, clock: Clock, lifetime: float = 3600.0) -> None:
        self.china = ChinaLogin(clock, lifetime)
        self._sessions = Sessions(clock, lifetime, REFRESH_TOKEN, lambda _expires: secrets.token_urlsafe(32))
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
            *self.china.routes(),
        ]

    def admits(self, request: Request) -> bool:
        """Whether the request carries an access token of its region that has not expired."""
        in_china = request.headers.get("x-user-agent", "").endswith(";cn")
        sessions = self.china.sessions if in_china else self._sessions
        return sessions.admits(request.headers.get("authorization", ""))

    def expire_access_tokens(self) -> None:
        """Let every access token be too old from now on."""
        self._sessions.expire()
        self.china.sessions.expire()

    def end_sessions(self) -> None:
        """Let every token given so far be dead, as after a change of password: a human must log in again."""
        self.expire_access_tokens()
        self.revoke_refresh_tokens()

    def revoke_refresh_tokens(self) -> None:
        """Refuse every refresh token given so far: a human must log in again."""
        self._sessions.revoke()
        self.china.sessions.revoke()

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
        form = await posted.form(request)
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
        form = await posted.form(request)
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
        return _tokens(self._sessions.begin())

    def _refresh(self, form: Mapping[str, str]) -> Response:
        pair = self._sessions.refresh(form.get("refresh_token", ""))
        return _refusal(400, "invalid_grant") if pair is None else _tokens(pair)


def _tokens(pair: Pair) -> Response:
    return JSONResponse(
        {
            "access_token": pair.access,
            "token_type": "Bearer",
            "expires_in": int(pair.lifetime),
            "refresh_token": pair.refresh,
            "scope": " ".join(_SCOPES),
            "usid": "SIMULATED",
            "gcid": GCID,
        }
    )


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
