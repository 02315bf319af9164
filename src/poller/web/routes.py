"""What is served where; every answer is made from the daemon's status at that moment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from poller.errors import PollerError
from poller.runtime import log
from poller.runtime.metrics import exposition
from poller.vehicle.records import Json, dumps
from poller.web.assets import files
from poller.web.base import Daemon
from poller.web.guards import Refusal
from poller.web.logins import Logins
from poller.web.model import alerts_json, status_json, vehicle_json, vehicles_json
from poller.web.page import Page
from poller.web.readiness import notes

_YEAR = 365 * 86400

Endpoint = Callable[[Request], Awaitable[Response]]


class CompactJSON(JSONResponse):
    """JSON as records have it."""

    def render(self, content: object) -> bytes:
        """One line, no NaN."""
        # A path need not be UTF-8.
        return dumps(content).encode(errors="replace") + b"\n"


class Routes:
    """The endpoints; `app` is the Starlette application around them."""

    def __init__(self, daemon: Daemon, page: Page, logins: Logins) -> None:
        self._daemon = daemon
        self._page = page
        self._logins = logins
        self._scrape_failures: Sequence[str] = ()
        self._logger = log.get("web")

    def app(self) -> ASGIApp:
        """The application, compressed where the client likes it, with no answer left to uvicorn."""
        routes: list[BaseRoute] = [
            Route("/", self.page),
            Route("/login/{source}", self.log_in, methods=["POST"]),
            Route("/static/{name}", self.static),
            Route("/metrics", self.metrics),
            Route("/healthz", self.health),
            Route("/readyz", self.ready),
            Route("/api/v1/status", self.status),
            Route("/api/v1/alerts", self.alerts),
            Route("/api/v1/vehicles", self.vehicles),
            Route("/api/v1/vehicles/{slug}", self.vehicle),
        ]
        starlette = Starlette(
            routes=routes,
            middleware=[Middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)],
            exception_handlers={HTTPException: refused, Exception: broken},
        )
        starlette.router.redirect_slashes = False
        return Logged(starlette)

    async def page(self, _request: Request) -> Response:
        """The status page."""
        await self._daemon.refresh()
        return HTMLResponse(self._page.render(self._daemon, self._logins.shown()))

    async def log_in(self, request: Request) -> Response:
        """Begin a login by a code, and go to where the page shows it."""
        try:
            await self._logins.begin(request.path_params["source"])
        except LookupError:
            raise HTTPException(HTTPStatus.NOT_FOUND, "no source of that name takes a login here") from None
        except PollerError as error:
            refusal = Refusal(HTTPStatus.CONFLICT, error.message, error.hint or "")
            return refusal.response(request.scope["path"])
        return RedirectResponse(f"{self._page.base_path}/#login", HTTPStatus.SEE_OTHER)

    async def static(self, request: Request) -> Response:
        """A file of the page; its address changes with its content, so it may be kept."""
        file = files().get(request.path_params["name"])
        if file is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        # Only the address with the version may be kept: without it the next release would look old.
        kept = request.url.query == f"v={file.version}"
        cache = f"max-age={_YEAR}, immutable" if kept else "no-cache"
        return Response(file.content, media_type=file.media_type, headers={"Cache-Control": cache})

    async def metrics(self, request: Request) -> Response:
        """All registries, as far as they can be had."""
        await self._daemon.refresh()
        scrape = exposition(self._daemon.registries, request.headers.get("accept", ""))
        if scrape.failures != self._scrape_failures:
            self._scrape_failures = scrape.failures
            if scrape.failures:
                self._logger.error("scrape.incomplete", failures=list(scrape.failures))
            else:
                self._logger.info("scrape.recovered")
        return Response(scrape.body, headers={"Content-Type": scrape.content_type})

    async def health(self, _request: Request) -> Response:
        """Whether the process makes progress; asks nobody, so that a hung disk cannot hang it."""
        if self._daemon.status().progressing:
            return CompactJSON({"status": "ok", "reasons": []})
        reason = "no progress: the schedule or another part of the poller has stopped"
        return CompactJSON({"status": "failing", "reasons": [reason]}, HTTPStatus.SERVICE_UNAVAILABLE)

    async def ready(self, _request: Request) -> Response:
        """Whether it does its work."""
        await self._daemon.refresh()
        status = self._daemon.status()
        body: Json = {
            "status": "ready" if status.ready else "not ready",
            "reasons": list(status.reasons),
            "notes": [str(note) for note in notes(status)],
        }
        return CompactJSON(body, HTTPStatus.OK if status.ready else HTTPStatus.SERVICE_UNAVAILABLE)

    async def status(self, _request: Request) -> Response:
        """Everything about the daemon."""
        await self._daemon.refresh()
        return CompactJSON(status_json(self._daemon))

    async def alerts(self, _request: Request) -> Response:
        """What is raised and not over."""
        return CompactJSON({"alerts": alerts_json(self._daemon.status())})

    async def vehicles(self, _request: Request) -> Response:
        """Who there is."""
        return CompactJSON({"vehicles": vehicles_json(self._daemon)})

    async def vehicle(self, request: Request) -> Response:
        """One vehicle, whole."""
        found = vehicle_json(self._daemon, request.path_params["slug"])
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "no vehicle of that name; see /api/v1/vehicles")
        return CompactJSON(found)


class Logged:
    """Ends an exception here: `broken` has answered it, uvicorn would print it its own way."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._logger = log.get("web")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; nothing is raised."""
        try:
            await self._app(scope, receive, send)
        except Exception:
            self._logger.exception("request.failed", path=scope["path"])


async def broken(request: Request, _error: Exception) -> Response:
    """A bug of ours: told without its trace."""
    error = "The poller met a bug; its log says more."
    return Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, error).response(request.scope["path"])


async def refused(request: Request, error: Exception) -> Response:
    """404, 405 and their kind: JSON under /api, a line of text elsewhere."""
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    return Refusal(status, error.detail, headers=error.headers).response(request.scope["path"])
