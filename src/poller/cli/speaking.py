"""Reaches the poller: through the control socket of a daemon, or by opening the journal itself."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poller.errors import ConfigError
from poller.runtime import log
from poller.settings import Loaded, load

#: The configuration of the service; its daemon's socket lies in the service's runtime directory.
_SYSTEM = Path("/etc/poller")


def load_and_log(
    config: Path | None, overrides: Mapping[str, str] | None = None, *, warn: bool = True
) -> Loaded:
    """Load the settings, set up logging, print warnings if wanted. Raises ConfigError."""
    loaded = load(config, overrides=overrides)
    log.configure(loaded.settings.log.level, loaded.settings.log.format)
    for warning in loaded.warnings if warn else ():
        print(f"poller: warning: {warning}", file=sys.stderr)
    return loaded


def reach(
    config: Path | None,
    overrides: Mapping[str, str],
    command: str,
    arguments: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Run a command of `poller.commands.TABLE`, in the daemon if one holds the journal, else here.

    Raises PollerError, also one that the daemon raised.
    """
    from poller.web.control import ControlClient, find_socket

    try:
        # A look at how things stand need not repeat what `run` and `check` have said.
        loaded = load_and_log(config, overrides, warn=command == "once")
    except ConfigError:
        # A member of the daemon's group need not be allowed to read its configuration.
        path = find_socket(os.environ, None, system=True)
        if path is None:
            raise
    else:
        path = find_socket(os.environ, loaded.settings.data_dir, system=_of_service(loaded))
        if path is None:
            return asyncio.run(_here(loaded, command, arguments or {}))
    return ControlClient(path).call(command, dict(arguments or {}))


def service_socket(config: Path | None, overrides: Mapping[str, str]) -> Path | None:
    """The socket of a daemon whose files lie elsewhere than we would look: a service's. None: there is none.

    Raises PollerError for one that we may not talk to.
    """
    from poller.web.control import SOCKET_NAME, find_socket

    try:
        loaded = load(config, overrides=overrides)
    except ConfigError:
        return find_socket(os.environ, None, system=True)
    data_dir = loaded.settings.data_dir
    path = find_socket(os.environ, data_dir, system=_of_service(loaded))
    return None if path == data_dir / SOCKET_NAME else path


def _of_service(loaded: Loaded) -> bool:
    return loaded.path is None or loaded.path.is_relative_to(_SYSTEM)


async def _here(loaded: Loaded, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    from poller.app import App
    from poller.commands import TABLE

    os.umask(0o077)
    app = App(loaded)
    try:
        await app.open()
        return await TABLE[command](app, arguments)
    finally:
        await app.close()
