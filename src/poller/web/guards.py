"""Who may ask what: host names, exposure, password, origin of a POST, and what browsers are told.

One ASGI layer around everything that the web serves, errors included.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from poller.runtime.quantities import is_loopback
from poller.web.passwords import Password, Throttle

#: Open to whoever reaches the port: what a monitoring system needs.
OPEN_PATHS = frozenset({"/metrics", "/healthz", "/readyz"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": browsers would then send `Origin: null` with our own page's forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer instead of the one asked for; `hint` is what the owner can do about it."""

    status: HTTPStatus
    error: str
    hint: str = ""
    headers: Mapping[str, str] | None = None

    def response(self, path: str) -> Response:
        """JSON under /api, plain text elsewhere."""
        headers = dict(self.headers or {})
        if path.startswith("/api"):
            body = {"error": self.error} | ({"hint": self.hint} if self.hint else {})
            return JSONResponse(body, self.status, headers)
        lines = [line for line in (self.error, self.hint) if line]
        return PlainTextResponse("\n".join(lines) + "\n", self.status, headers)


class BasePath:
    """Takes `prefix` off the path, for a reverse proxy that passes it on; paths without it work too."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, its path without the prefix."""
        path = scope["path"]
        if self._prefix and (path == self._prefix or path.startswith(self._prefix + "/")):
            scope = {**scope, "path": path[len(self._prefix) :] or "/"}
        await self._app(scope, receive, send)


class Guard:
    """Lets a request through, or answers it with a refusal.

    `local` are the sockets' addresses (host, port) that only this machine reaches; `hosts` the names
    by which a browser may call us, `trusted_origins` those of them that the owner listed himself. `demo`:
    the cars are simulated, and whoever calls us by a name of his own machine (a published port of a
    container, a tunnel) may look at them without a password.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        local: Collection[tuple[str, int]],
        hosts: Collection[str],
        trusted_origins: Collection[str] = (),
        password: Password | None,
        throttle: Throttle,
        demo: bool = False,
    ) -> None:
        self._app = app
        self._local = frozenset(local)
        self._hosts = frozenset(host.lower() for host in hosts)
        self._trusted_origins = frozenset(host.lower() for host in trusted_origins)
        self._password = password
        self._throttle = throttle
        self._demo = demo

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on or refuse it; either way the answer is hardened."""
        headers = Headers(scope=scope)
        refusal = self._wrong_host(scope, headers) or self._wrong_origin(scope, headers)
        if refusal is None and scope["path"] not in OPEN_PATHS:
            refusal = self._exposed(scope, headers) or await self._unknown_person(scope, headers)
        app = self._app if refusal is None else refusal.response(scope["path"])

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _harden(MutableHeaders(scope=message))
            await send(message)

        await app(scope, receive, send_guarded)

    def _wrong_host(self, scope: Scope, headers: Headers) -> Refusal | None:
        """Against DNS rebinding: a foreign name that was pointed at us must not open our pages.

        A browser always sends the name it was given. An IP literal cannot be pointed elsewhere, nor
        can a name without a dot, which scrapers inside a container network use.
        """
        given = headers.get("host")
        if given is None:
            return None
        host = host_of(given)
        if host in self._hosts or host.endswith(".localhost") or _is_ip(host):
            return None
        if scope["path"] in OPEN_PATHS and host and "." not in host:
            return None
        hint = f'If this name is yours, add it: [web] allowed_hosts = ["{_printable(host)}"]'
        return Refusal(HTTPStatus.FORBIDDEN, "This poller does not go by the name in the address.", hint)

    def _wrong_origin(self, scope: Scope, headers: Headers) -> Refusal | None:
        """Against forged requests: whatever changes something must come from our own page."""
        if scope["method"] in _SAFE_METHODS:
            return None
        origin = headers.get("origin")
        if origin is None:
            # Not a browser, or one too old to say; then at least it must not say that it is elsewhere.
            if headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none"):
                return None
        else:
            parts = urlsplit(origin)
            if parts.netloc and parts.netloc.lower() == headers.get("host", "").lower():
                return None
            if host_of(parts.netloc) in self._trusted_origins:
                return None
        return Refusal(HTTPStatus.FORBIDDEN, "This request comes from another site's page.")

    def _exposed(self, scope: Scope, headers: Headers) -> Refusal | None:
        if self._password is not None or scope["server"] in self._local:
            return None
        if self._demo and is_loopback(host_of(headers.get("host", ""))):
            return None
        hint = (
            "Set [web] password (or POLLER_WEB__PASSWORD), or open the page on the poller's own machine; "
            "/metrics, /healthz and /readyz are served without one."
        )
        return Refusal(HTTPStatus.FORBIDDEN, "The page is not shown on the network without a password.", hint)

    async def _unknown_person(self, scope: Scope, headers: Headers) -> Refusal | None:
        if self._password is None:
            return None
        offered = _basic_password(headers.get("authorization", ""))
        if offered is not None and self._password.remembers(offered):
            return None
        client = scope["client"][0] if scope.get("client") else ""
        if wait := self._throttle.closed_for(client):
            retry = {"Retry-After": str(math.ceil(wait))}
            return Refusal(
                HTTPStatus.TOO_MANY_REQUESTS, "Too many wrong passwords; wait a minute.", "", retry
            )
        if offered is not None:
            if await self._password.matches(offered):
                return None
            self._throttle.note_failure(client)
        challenge = {"WWW-Authenticate": 'Basic realm="poller", charset="UTF-8"'}
        return Refusal(HTTPStatus.UNAUTHORIZED, "A password is needed; any user name will do.", "", challenge)


def host_of(authority: str) -> str:
    """The name in ``name:port`` or ``[v6]:port``, in lower case without a trailing dot."""
    if authority.startswith("["):
        return authority[1:].partition("]")[0].lower()
    return authority.partition(":")[0].lower().removesuffix(".")


def _harden(headers: MutableHeaders) -> None:
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    headers.setdefault("Cache-Control", "no-store")


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _printable(host: str) -> str:
    return "".join(c for c in host if c.isalnum() or c in ".-_")[:100]


def _basic_password(header: str) -> str | None:
    """The password of an ``Authorization: Basic`` header; the user name does not matter."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return None
