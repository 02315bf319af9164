"""What every command is, and says alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from poller.app import App
from poller.errors import ConfigError
from poller.vehicle.records import Json

#: Takes the opened `App` and JSON arguments and gives JSON; raises PollerError.
Command = Callable[[App, Mapping[str, Any]], Awaitable[Json]]


def unknown(what: str, name: str, known: Mapping[str, Any]) -> ConfigError:
    """Nobody of that name, and who there is."""
    there = f"known: {', '.join(known)}" if known else "there is none at all"
    return ConfigError([f"no {what} is named {name}"], hint=there)
