"""What was posted to a simulated cloud."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request


async def form(request: Request) -> dict[str, str]:
    """The fields of a form; of those that come twice the last, of what is no form none."""
    return dict(parse_qsl((await request.body()).decode(errors="replace")))


async def json_object(request: Request) -> dict[str, Any]:
    """A JSON object. Raises ValueError if it is none."""
    try:
        body = json.loads(await request.body())
    except RecursionError as error:
        raise ValueError("the body is nested too deeply") from error
    if not isinstance(body, dict):
        raise ValueError("the body is no JSON object")
    return body
