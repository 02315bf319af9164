"""Any other service of the app's API, by its path."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from poller.errors import ArgumentRefused
from poller.sources.mybmw.remote.arguments import Arguments
from poller.sources.mybmw.remote.car import Json
from poller.sources.mybmw.remote.catalogue import COMMANDS, Trigger

#: A path and nothing else: with a host in it the login would go to a stranger.
_PATH: Final = re.compile(r"/?[A-Za-z0-9_{}.~-]+(/[A-Za-z0-9_{}.~-]+)*")


@dataclass(frozen=True, slots=True)
class GenericCall:
    """What is posted where."""

    trigger: Trigger
    body: dict[str, Any] = field(repr=False)

    @classmethod
    def read(cls, given: Json) -> GenericCall:
        """Raises ArgumentRefused."""
        arguments = Arguments(given, "path", "params", "body")
        path = arguments.text("path") or ""
        if not _PATH.fullmatch(path):
            raise ArgumentRefused(
                "path is no path of BMW's API",
                hint="such as light-flash, or /eadrax-vrccs/v4/presentation/remote-commands/light-flash",
            )
        params, body = arguments.mapping("params"), dict(arguments.mapping("body"))
        if not all(isinstance(value, str) for value in params.values()):
            raise ArgumentRefused("params are texts by name")
        try:
            json.dumps(body, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            raise ArgumentRefused("body cannot be written as JSON") from None
        whole = path if path[0] == "/" else COMMANDS + path
        return cls(Trigger(whole, dict(params), changes=True, unspoken=True), body)
