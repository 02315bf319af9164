"""The maker's login in China as the app meets it: a slider captcha, a sealed password, a nonce.

Shapes and status codes follow the observed service; the account, its secrets and the pictures are
made up. It needs the extra ``[china]``, as whoever logs in does: without it, it answers 501.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from poller.runtime.clock import Clock
from poller.simulator import posted
from poller.simulator.sessions import Pair, Sessions

if TYPE_CHECKING:
    from poller.simulator.china_lock import Lock

USER: Final = "8613800000000"
PASSWORD: Final = "demo"  # noqa: S105  # the simulated account's; printed by `poller simulate`
REFRESH_TOKEN: Final = "demo-refresh-token-china"  # noqa: S105  # the simulated account's, known beforehand
GCID: Final = "00000000-0000-0000-0000-000000000086"
#: How far off the slider may be, as a share of the picture's width.
_TOLERANCE: Final = 0.01

_Answer = Callable[[Request], Awaitable[Response]]


class ChinaLogin:
    """Endpoints of the login in China, and the check of access tokens."""

    def __init__(self, clock: Clock, lifetime: float = 3600.0) -> None:
        self.sessions = Sessions(clock, lifetime, REFRESH_TOKEN, _token_that_names_its_end)
        #: verifyId → where its slider belongs, until it is told; then whether that was right.
        self._asked: dict[str, float] = {}
        self._solved: set[str] = set()

    def routes(self) -> list[Route]:
        """Where the login is reached."""
        answers: dict[tuple[str, str], _Answer] = {
            ("GET", "/eadrax-coas/v1/cop/publickey"): self._public_key,
            ("POST", "/eadrax-coas/v2/cop/slider-captcha"): self._puzzle,
            ("POST", "/eadrax-coas/v1/cop/check-captcha"): self._check,
            ("POST", "/eadrax-coas/v2/login/pwd"): self._log_in,
            ("POST", "/eadrax-coas/v2/oauth/token"): self._refresh,
        }
        return [
            Route(path, _with_extra(answer), methods=[method]) for (method, path), answer in answers.items()
        ]

    @cached_property
    def _lock(self) -> Lock:
        """Its key is made at the first question; raises ImportError without the extra."""
        from poller.simulator.china_lock import Lock

        return Lock()

    async def _public_key(self, _request: Request) -> Response:
        return _good({"value": self._lock.public_key, "expires": "3600"})

    async def _puzzle(self, request: Request) -> Response:
        from poller.simulator.china_puzzle import puzzle

        if not (await _object(request)).get("mobile"):
            return _refused()
        name = secrets.token_hex(16)
        picture, self._asked[name] = puzzle(secrets.randbelow)
        image = base64.b64encode(picture).decode()
        return _good({"verifyId": name, "backGroundImg": image, "cutImg": "xxxx"})

    async def _check(self, request: Request) -> Response:
        body = await _object(request)
        name = str(body.get("verifyId"))
        wanted = self._asked.pop(name, None)
        if wanted is None or abs(_number(body.get("position")) - wanted) > _TOLERANCE:
            return _refused()
        self._solved.add(name)
        return _good(None)

    async def _log_in(self, request: Request) -> Response:
        body = await _object(request)
        solved = body.get("verifyId") in self._solved
        self._solved.discard(str(body.get("verifyId")))
        user, nonce = str(body.get("mobile")), request.headers.get("x-login-nonce", "")
        known = (user, self._lock.opened(str(body.get("password")))) == (USER, PASSWORD)
        if not (solved and known and body.get("deviceId") == user and self._lock.who(nonce) == user):
            return _refused()
        return _good(_tokens(self.sessions.begin()))

    async def _refresh(self, request: Request) -> Response:
        form = await posted.form(request)
        if form.get("grant_type") != "refresh_token":
            return _refused()
        if self._lock.who(request.headers.get("x-login-nonce", "")) != GCID:
            return _refused()
        pair = self.sessions.refresh(form.get("refresh_token", ""))
        return (
            _refused() if pair is None else JSONResponse(_tokens(pair) | {"expires_in": int(pair.lifetime)})
        )


def _with_extra(answer: _Answer) -> _Answer:
    async def respond(request: Request) -> Response:
        try:
            return await answer(request)
        except ImportError:
            return PlainTextResponse("the simulated login in China needs the extra [china]", 501)

    return respond


def _token_that_names_its_end(expires: datetime) -> str:
    """A JWT; its signature is nobody's, as nobody checks it."""
    parts = ({"alg": "HS256", "typ": "JWT"}, {"exp": int(expires.timestamp()), "jti": secrets.token_hex(8)})
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    return ".".join((*encoded, secrets.token_urlsafe(32)))


def _tokens(pair: Pair) -> dict[str, Any]:
    return {
        "access_token": pair.access,
        "token_type": "Bearer",
        "refresh_token": pair.refresh,
        "usid": "SIMULATED",
        "cid": "SIMULATED",
        "gcid": GCID,
    }


def _good(data: Any) -> Response:
    return JSONResponse({"data": data, "code": 200, "error": False, "description": "ok"})


def _refused() -> Response:
    """What the service says to a bad login: "system error, please try again later"."""
    body = {
        "data": None,
        "code": 699121,
        "error": True,
        "msgType": "toast",
        "description": "系统异常，请稍后再试！",
    }
    return JSONResponse(body, 422)


async def _object(request: Request) -> dict[str, Any]:
    try:
        return await posted.json_object(request)
    except ValueError:
        return {}


def _number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return -1.0
