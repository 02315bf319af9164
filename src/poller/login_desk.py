"""Logging in through the control socket: for whoever may speak to the daemon and not open its files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from poller.app import App
from poller.errors import ConfigError
from poller.sources.device import ByDevice, Code
from poller.vehicle.records import Json, rfc3339
from poller.web.logins import Logins

_MEANS = ("captcha_token", "refresh_token", "gcid")


class LoginDesk:
    """One login at a time, done by the daemon itself; `begin` and `standing` are commands of the socket."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._logins = Logins(app, app.clock)

    async def begin(self, args: Mapping[str, Any]) -> Json:
        """Begin one to ``source``, or log in at once: with a ``captcha_token``, a ``refresh_token``
        (and its ``gcid``), or nothing where no human is needed.

        Gives what `standing` gives; or the state "asks", where one of the first two is needed, or
        "asks_gcid". Raises PollerError.
        """
        name = str(args["source"])
        source: Any = self._app.road.sources.get(name)
        if source is None:
            known = ", ".join(self._app.road.sources)
            raise ConfigError([f"the running poller has no source named {name}"], hint=f"known: {known}")
        given = {means: str(args[means]) for means in _MEANS if args.get(means)}
        if isinstance(source, ByDevice):
            if given:
                hint = f"run `poller login {name}` alone: it shows a code to allow on any device"
                raise ConfigError([f"source {name} takes no token"], hint=hint)
            await self._logins.begin(name)
            return await self.standing(args)
        if not hasattr(source, "login"):
            raise ConfigError([f"source {name} ({source.kind}) needs no login"])
        if "refresh_token" in given and "gcid" not in given and source.needs_gcid:
            return {"state": "asks_gcid"}
        if given or source.captcha_page is None:
            return {"state": "done", "text": await source.login(**given)}
        password = getattr(self._app.loaded.settings.sources[name], "password", None)
        return {"state": "asks", "captcha_page": source.captcha_page, "has_password": password is not None}

    async def standing(self, _args: Mapping[str, Any]) -> Json:
        """How it stands: ``state`` (asking, waiting, done, failed), ``text``, ``hint``, and while it waits
        ``code``.
        """
        shown = self._logins.shown()
        if shown is None:
            return {"state": "failed", "text": "the login was given up", "hint": "begin again", "code": None}
        code = None if shown.code is None or not shown.under_way else _code_json(shown.code)
        return {"state": shown.state, "text": shown.text, "hint": shown.hint, "code": code}

    async def close(self) -> None:
        """Give up what is under way; may be called twice."""
        await self._logins.close()


def _code_json(code: Code) -> Json:
    return {
        "user_code": code.user_code,
        "url": code.url,
        "url_complete": code.url_complete,
        "expires_at": rfc3339(code.expires_at),
    }
