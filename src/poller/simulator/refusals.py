"""What BMW answers when it does not want to: status, headers and bodies as observed."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from poller.simulator.fault import Fault

_MAINTENANCE = """\
<html><head><title>503 Service Temporarily Unavailable</title></head>
<body><h1>503 Service Temporarily Unavailable</h1></body></html>
"""


def refusal(fault: Fault, wait: float) -> Response:
    """The answer to a request that `fault` does not let through; `wait`: seconds until it ends."""
    match fault.kind:
        case "unauthorized":
            return unauthorized()
        case "quota":
            return quota_spent(wait)
        case "rate_limit":
            return too_fast(fault.retry_after)
        case "blocked":
            return PlainTextResponse("Blocked", 489)
        case "server_error":
            return internal_error()
        case "maintenance":
            return HTMLResponse(_MAINTENANCE, 503)
    return Response(fault.body, fault.status, fault.headers, _media_type(fault.body))


def unauthorized() -> Response:
    """No access token, or one that is not taken."""
    return _message(401, "Access token is missing or expired.")


def not_found() -> Response:
    """Nothing of the kind, or no such vehicle."""
    return _message(404, "Resource not found")


def bad_request() -> Response:
    """A body or an address that the app does not send."""
    return _message(400, "Bad request")


def internal_error() -> Response:
    """BMW cannot cope."""
    return _message(500, "Internal server error", activityId="00000000-0000-0000-0000-000000000000")


def quota_spent(wait: float) -> Response:
    """The calls are used up for `wait` seconds; BMW's clock text is all that says so."""
    whole = max(1, round(wait))
    clock = f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
    return _message(403, f"Out of call volume quota. Quota will be replenished in {clock}.")


def too_fast(retry_after: float | None) -> Response:
    """Too many at once; 2 seconds are what BMW usually says."""
    headers = {} if retry_after is None else {"retry-after": str(round(retry_after))}
    pause = 2 if retry_after is None else round(retry_after)
    return _message(429, f"Rate limit is exceeded. Try again in {pause} seconds.", headers)


def login_refused() -> Response:
    """A wrong password or a spent captcha token: BMW does not say which."""
    body = {
        "error": "invalid_client",
        "error_description": "Client authentication failed (e.g., login failure, unknown client, "
        "no client authentication included or unsupported authentication method)",
    }
    return JSONResponse(body, 401)


def _message(status: int, message: str, headers: Mapping[str, str] | None = None, **more: str) -> Response:
    return JSONResponse({"statusCode": status, "message": message, **more}, status, headers)


def _media_type(body: str) -> str:
    try:
        json.loads(body)
    except ValueError:
        return "text/plain"
    return "application/json"
