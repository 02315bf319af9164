"""The daemon's end of the control socket: one POST per command, errors with their exit code."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import poller
from poller.errors import PollerError
from poller.runtime import log
from poller.web.commands import Command

#: Turns of the loop until the end of a line is seen that came with the request: two, and some to spare.
_TURNS: Final = 5


def control_app(commands: Mapping[str, Command]) -> Starlette:
    """Serves ``POST /{command}`` with a JSON object as arguments."""
    logger = log.get("control")

    async def call(request: Request) -> JSONResponse:
        name = request.path_params["command"]
        if name not in commands:
            hint = f"it is version {poller.__version__}; after an update, restart it"
            return _error(HTTPStatus.NOT_FOUND, f"the running poller knows no command {name!r}", hint)
        try:
            args = await request.json()
        except ValueError:
            args = None
        if not isinstance(args, dict):
            return _error(HTTPStatus.BAD_REQUEST, "the arguments must be a JSON object", None, 2)
        if await _gave_up(request):
            logger.info("command.abandoned", command=name)
            return _error(HTTPStatus.REQUEST_TIMEOUT, "nobody waits for the answer", None)
        try:
            return JSONResponse(await commands[name](args))
        except PollerError as error:
            return _error(HTTPStatus.UNPROCESSABLE_ENTITY, error.message, error.hint, error.exit_code)
        except Exception as error:
            logger.exception("command.failed", command=name)
            text = f"the running poller met a bug ({type(error).__name__})"
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, text, "its log says more")

    return Starlette(routes=[Route("/{command}", call, methods=["POST"])])


async def _gave_up(request: Request) -> bool:
    """Whether the client has gone already: while this process was stopped, a request waits with its end."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    return await request.is_disconnected()


def _error(status: HTTPStatus, error: str, hint: str | None, exit_code: int = 1) -> JSONResponse:
    return JSONResponse({"error": error, "hint": hint, "exit_code": exit_code}, status)
