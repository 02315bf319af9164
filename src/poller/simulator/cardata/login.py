"""BMW's device login as the facts have it: waiting is HTTP 403, and a refresh token counts once.

Client, account and all secrets are made up.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from typing import Any, Final, Literal

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from poller.runtime.clock import Clock
from poller.simulator import posted
from poller.sources.oauth import challenge

CLIENT_ID: Final = "00000000-0000-4000-8000-00000000c11e"
GCID: Final = "00000000-0000-4000-8000-000000009c1d"
SCOPES: Final = ("authenticate_user", "openid", "cardata:streaming:read", "cardata:api:read")
_DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
#: A family is one login; each refresh makes its next member: ``family.0``, ``family.1`` …
_REFRESH: Final = re.compile(r"(cardata-[0-9a-f]{16})\.(\d{1,9})")
_CODES_KEPT: Final = timedelta(hours=1)
#: What the token endpoint may say instead of an answer, with its status (facts section 1.4).
_REFUSALS: Final = {
    "access_denied": 403,
    "expired_token": 401,
    "invalid_client": 401,
    "invalid_grant": 400,
    "invalid_request": 400,
    "slow_down": 400,
}
_PAGE: Final = """\
<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Simulated BMW: connect a device</title>
<style>body{{font:1.1rem system-ui;max-width:32rem;margin:4rem auto;padding:0 1rem}}
code{{font-size:2rem}}button,input{{font:inherit;padding:.5rem 1rem;margin:.5rem .5rem .5rem 0}}</style>
<h1>Connect a device</h1>{body}</html>
"""
_ASK: Final = """\
<p>A program wants to read your car's data. Its code is</p><p><code>{code}</code></p>
<form method="post"><input type="hidden" name="user_code" value="{code}">
<button name="answer" value="allow">Allow</button>
<button name="answer" value="deny">Refuse</button></form>
"""
_ENTER: Final = """\
<p>{said}</p><form method="get"><label>Code <input name="user_code" autofocus></label>
<button>Next</button></form>
"""


@dataclass
class _Pending:
    user_code: str
    challenge: str
    scopes: tuple[str, ...]
    expires_at: datetime
    answer: Literal["", "allow", "deny"] = ""
    spoiled: bool = False


class Login:
    """Device codes, tokens, and the page on which a human says yes; everything follows `clock`.

    `subscribed`: the scopes that the client has in the portal; change it as the owner would.
    `client_ids`: the clients that there are. `interval`, `code_lifetime`, `lifetime` and
    `login_lifetime` in seconds, the life of a code in real ones: a human enters it, however fast the
    clock runs. `automatic`: every code is allowed at once. A refresh token that this process has not
    seen yet is taken at its word if its form is known, so that a poller stays logged in when the
    simulator is started again.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        interval: float = 5.0,
        code_lifetime: float = 300.0,
        lifetime: float = 3600.0,
        login_lifetime: float = 14 * 86400.0,
        automatic: bool = False,
    ) -> None:
        self.client_ids = {CLIENT_ID}
        self.subscribed = set(SCOPES)
        self.automatic = automatic
        self._clock = clock
        self._interval = interval
        self._code_lifetime = code_lifetime * clock.rate
        self._lifetime = lifetime
        self._login_lifetime = timedelta(seconds=login_lifetime)
        self._pending: dict[str, _Pending] = {}
        self._access: dict[str, tuple[datetime, tuple[str, ...]]] = {}
        self._id_tokens: dict[str, tuple[datetime, tuple[str, ...]]] = {}
        #: family → number of the refresh token that counts, when it was given, scopes of the login.
        self._current: dict[str, tuple[int, datetime, tuple[str, ...]]] = {}
        self._revoked = False
        self._slow_downs = 0
        self._gateway_faults = 0
        self._refusals: list[str] = []

    def routes(self) -> list[Route]:
        """Where the login is reached."""
        return [
            Route("/gcdm/oauth/device/code", self._device_code, methods=["POST"]),
            Route("/gcdm/oauth/token", self.token, methods=["POST"]),
            Route("/oneid/link", self._page, methods=["GET"]),
            Route("/oneid/link", self._decide, methods=["POST"]),
        ]

    def admits(self, request: Request, scope: str = "cardata:api:read") -> Literal["yes", "token", "scope"]:
        """Whether a request may come in; if not, whether its access token or that one's scope is at fault."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        held = self._access.get(token) if kind.lower() == "bearer" else None
        if held is None or self._clock.now() >= held[0]:
            return "token"
        return "yes" if scope in held[1] else "scope"

    def admits_stream(self, gcid: str, id_token: str) -> bool:
        """Whether user name and password open the stream now."""
        expires_at, scopes = self._id_tokens.get(id_token, (self._clock.now(), ()))
        return gcid == GCID and "cardata:streaming:read" in scopes and self._clock.now() < expires_at

    def stream_ends(self, id_token: str) -> datetime | None:
        """When a connection with this password is closed; None: it is no token of ours."""
        held = self._id_tokens.get(id_token)
        return None if held is None else held[0]

    def answer(self, user_code: str, answer: Literal["allow", "deny"]) -> bool:
        """What the human says on the page; False if there is no such code, or it has expired."""
        for pending in self._pending.values():
            if _plain(pending.user_code) == _plain(user_code) and self._clock.now() < pending.expires_at:
                pending.answer = answer
                return True
        return False

    def refuse(self, error: str) -> None:
        """Answer the next who asks for a token with this error; ``gateway_fault`` is one of them."""
        if error == "gateway_fault":
            self.break_gateway()
        else:
            self._refusals.append(error)

    def unsubscribe(self, scope: str) -> None:
        """Take a service away, as the portal does: the tokens so far are dead, the next ones lack it."""
        self.subscribed.discard(scope)
        self.expire_access_tokens()

    def slow_down(self, times: int = 1) -> None:
        """Tell the next who ask for a token to ask less often."""
        self._slow_downs = times

    def break_gateway(self, times: int = 1) -> None:
        """Let the next requests for a token fail with 500; a device code that was sent is spoiled."""
        self._gateway_faults = times

    def expire_access_tokens(self) -> None:
        """Let every access and id token be too old from now on."""
        self._access.clear()
        self._id_tokens.clear()

    def revoke(self) -> None:
        """Let every token given so far be dead, as when the client is deleted: a human must log in again."""
        self.expire_access_tokens()
        self._current.clear()
        self._revoked = True

    def counts(self, refresh_token: str) -> bool:
        """Whether this refresh token would be taken now."""
        family, _, number = refresh_token.rpartition(".")
        return family in self._current and str(self._current[family][0]) == number

    async def _device_code(self, request: Request) -> Response:
        form = await posted.form(request)
        if form.get("client_id") not in self.client_ids:
            return _refusal(401, "invalid_client")
        asked = tuple(form.get("scope", "").split())
        expected = {"response_type": "device_code", "code_challenge_method": "S256"}
        wrong = any(form.get(name) != value for name, value in expected.items())
        if wrong or not form.get("code_challenge") or not set(asked) <= set(SCOPES):
            return _refusal(400, "invalid_request")
        now = self._clock.now()
        pending = _Pending(
            user_code="".join(secrets.choice("BCDFGHJKLMNPQRSTVWXZ") for _ in range(8)),
            challenge=form["code_challenge"],
            scopes=tuple(scope for scope in asked if scope in self.subscribed),
            expires_at=now + timedelta(seconds=self._code_lifetime),
            answer="allow" if self.automatic else "",
        )
        # Whoever asks with a code that has expired is told so for a while.
        known = self._pending.items()
        self._pending = {code: other for code, other in known if now - other.expires_at < _CODES_KEPT}
        device_code = secrets.token_urlsafe(32)
        self._pending[device_code] = pending
        return JSONResponse(
            {
                "user_code": pending.user_code,
                "device_code": device_code,
                "interval": self._interval,
                "verification_uri": str(request.url_for("_page")),
                "expires_in": self._code_lifetime,
            }
        )

    async def token(self, request: Request) -> Response:
        """The token endpoint."""
        form = await posted.form(request)
        if self._gateway_faults > 0:
            self._gateway_faults -= 1
            if pending := self._pending.get(form.get("device_code", "")):
                pending.spoiled = True
            return _gateway_fault()
        if self._refusals:
            error = self._refusals.pop(0)
            return _refusal(_REFUSALS[error], error)
        if form.get("client_id") not in self.client_ids:
            return _refusal(401, "invalid_client")
        if self._slow_downs > 0:
            self._slow_downs -= 1
            return _refusal(400, "slow_down")
        match form.get("grant_type"):
            case "refresh_token":
                return self._refresh(form.get("refresh_token", ""))
            case grant if grant == _DEVICE_GRANT:
                return self._redeem(form)
        return _refusal(400, "unsupported_grant_type")

    def _redeem(self, form: Mapping[str, str]) -> Response:
        device_code = form.get("device_code", "")
        pending = self._pending.get(device_code)
        if pending is None:
            return _refusal(400, "invalid_grant")
        if self._clock.now() >= pending.expires_at:
            return _refusal(401, "expired_token")
        if pending.spoiled or pending.answer == "deny":
            return _refusal(403, "access_denied")
        if challenge(form.get("code_verifier", "")) != pending.challenge:
            return _refusal(400, "invalid_grant")
        if not pending.answer:
            return _refusal(403, "authorization_pending")
        del self._pending[device_code]
        return self._tokens(f"cardata-{secrets.token_hex(8)}", 0, pending.scopes)

    def _refresh(self, token: str) -> Response:
        match = _REFRESH.fullmatch(token)
        if match is None:
            return _refusal(400, "invalid_grant")
        family, number = match[1], int(match[2])
        now = self._clock.now()
        if family not in self._current and not self._revoked:
            self._current[family] = number, now, tuple(sorted(self.subscribed))
        if family not in self._current:
            return _refusal(400, "invalid_grant")
        current, given_at, scopes = self._current[family]
        if number != current:
            return _refusal(400, "invalid_request")
        if now >= given_at + self._login_lifetime:
            return _refusal(400, "invalid_grant")
        return self._tokens(family, number + 1, scopes)

    def _tokens(self, family: str, number: int, scopes: tuple[str, ...]) -> Response:
        now = self._clock.now()
        # What was unsubscribed is lost to this login, although it be subscribed again.
        scopes = tuple(scope for scope in scopes if scope in self.subscribed)
        self._current[family] = number, now, scopes
        expires_at = now + timedelta(seconds=self._lifetime)
        self._access = {token: held for token, held in self._access.items() if held[0] > now}
        self._id_tokens = {token: held for token, held in self._id_tokens.items() if held[0] > now}
        access = secrets.token_urlsafe(32)
        self._access[access] = expires_at, scopes
        answer: dict[str, Any] = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": self._lifetime,
            "refresh_token": f"{family}.{number}",
            "scope": " ".join(scopes),
            "gcid": GCID,
        }
        if "openid" in scopes:
            answer["id_token"] = _id_token(now, expires_at)
            self._id_tokens[answer["id_token"]] = expires_at, scopes
        return JSONResponse(answer)

    async def _page(self, request: Request) -> Response:
        code = request.query_params.get("user_code", "")
        known = any(_plain(pending.user_code) == _plain(code) for pending in self._pending.values())
        if known:
            return _page(_ASK.format(code=escape(code)))
        return _page(
            _ENTER.format(said="No such code." if code else "Enter the code that the program shows.")
        )

    async def _decide(self, request: Request) -> Response:
        form = await posted.form(request)
        answer: Literal["allow", "deny"] = "allow" if form.get("answer") == "allow" else "deny"
        if not self.answer(form.get("user_code", ""), answer):
            return _page(_ENTER.format(said="No such code, or it has expired."))
        said = "The device is connected" if answer == "allow" else "Nothing was connected"
        return _page(f"<p>{said}. You can close this page.</p>")


def _page(body: str) -> Response:
    policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    return HTMLResponse(_PAGE.format(body=body), headers={"content-security-policy": policy})


def _plain(user_code: str) -> str:
    return user_code.strip().replace("-", "").upper()


def _id_token(issued: datetime, expires: datetime) -> str:
    """A token in the form of BMW's; nobody signs it."""
    head = {"alg": "none", "typ": "JWT"}
    claims = {
        "sub": GCID,
        "gcid": GCID,
        "iat": int(issued.timestamp()),
        "exp": int(expires.timestamp()),
        "jti": secrets.token_hex(8),
    }
    parts = (json.dumps(part).encode() for part in (head, claims))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + ".simulated"


def _refusal(status: int, error: str) -> Response:
    return JSONResponse({"error": error, "error_description": "The request was refused."}, status)


def _gateway_fault() -> Response:
    detail = {"errorcode": "keymanagement.service.invalid_access_token"}
    return JSONResponse({"fault": {"faultstring": "Invalid Access Token", "detail": detail}}, 500)
