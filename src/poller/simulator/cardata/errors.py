"""BMW CarData's errors as they come over the wire: status and body for each code (facts section 2.9)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from starlette.responses import JSONResponse, Response

_STATUS: Final[Mapping[str, int]] = {
    "CU-100": 401, "CU-101": 401, "CU-102": 401, "CU-103": 403, "CU-104": 403, "CU-105": 403,
    "CU-120": 400, "CU-121": 400, "CU-122": 208, "CU-124": 403, "CU-125": 400, "CU-126": 404,
    "CU-127": 404, "CU-400": 400, "CU-401": 400, "CU-402": 400, "CU-403": 403, "CU-429": 403,
    "CU-500": 500, "CU-503": 503,
}  # fmt: skip
_WORDS: Final[Mapping[str, str]] = {
    "CU-102": "Token expired",
    "CU-127": "No location based charging data",
    "CU-429": "API rate limit reached",
}


def _body(code: str, message: str) -> str:
    raw = {"exveErrorId": code, "exveErrorRef": "simulated", "exveErrorMsg": message, "exveNote": ""}
    return json.dumps(raw)


_GATEWAY_FAULT: Final = json.dumps(
    {
        "fault": {
            "faultstring": "Invalid Access Token",
            "detail": {"errorcode": "keymanagement.service.invalid_access_token"},
        }
    }
)

#: Everything that can be ordered by name: status and body.
SHAPES: Final[Mapping[str, tuple[int, str]]] = {
    **{code: (status, _body(code, _WORDS.get(code, "Refused"))) for code, status in _STATUS.items()},
    "CU-429 by 429": (429, _body("CU-429", _WORDS["CU-429"])),
    "CU-127 token": (403, _body("CU-127", "invalid_token: The presented token is invalid or expired")),
    "fault 401": (401, _GATEWAY_FAULT),
    "fault 500": (500, _GATEWAY_FAULT),
    "plain 401": (401, ""),
    "plain 429": (429, "Too Many Requests"),
    "plain 503": (503, "<html><body>Service Unavailable</body></html>"),
    "redirect": (302, ""),
    "no json": (200, "<html><body>Welcome</body></html>"),
    "half json": (200, '{"telematicData": {"vehicle.veh'),
}


def error(shape: str) -> Response:
    """The answer of that name."""
    status, body = SHAPES[shape]
    if body.startswith("{") and shape != "half json":
        return JSONResponse(json.loads(body), status)
    return Response(body, status, media_type="text/html")
