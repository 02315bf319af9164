"""Reaches the poller: through the control socket of a daemon, or by opening the journal itself."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poller.errors import ConfigError, PollerError
from poller.runtime import log
from poller.settings import Loaded, data_dir_despite, load
from poller.settings.places import SYSTEM_CONFIG, is_closed

#: Commands that only look.
_LOOKS = frozenset({"status", "vehicles", "dead-letters-list", "fingerprint"})
#: Only looks, too, and has something to show before the first run.
_SHOWS = frozenset({"descriptors"})


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
    from poller.web.control import ControlClient

    _require_words(arguments or {})
    # A look at how things stand need not repeat what `run` and `check` have said.
    behind = door(config, overrides, warn=command == "once")
    if isinstance(behind, Path):
        return ControlClient(behind).call(command, dict(arguments or {}))
    _require_journal(behind.settings.data_dir, command)
    return asyncio.run(_here(behind, command, arguments or {}))


def door(config: Path | None, overrides: Mapping[str, str], *, warn: bool = False) -> Path | Loaded:
    """The control socket of a daemon; where none runs, the settings to do it oneself. Raises PollerError."""
    from poller.web.control import find_socket

    try:
        loaded = load_and_log(config, overrides, warn=warn)
    except ConfigError:
        path = socket_despite(config, overrides)
        if path is None:
            raise
        return path
    return find_socket(os.environ, loaded.settings.data_dir, system=_of_service(loaded.path)) or loaded


def _require_words(arguments: Mapping[str, Any]) -> None:
    """Bytes that are no text, and NaN, can be told to nobody. Raises ConfigError."""
    try:
        json.dumps(arguments, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        hint = "write it in UTF-8, as the terminal should, and numbers without NaN"
        raise ConfigError(["an argument is no text or no number"], hint=hint) from None


def socket_despite(config: Path | None, overrides: Mapping[str, str]) -> Path | None:
    """The socket of a daemon whose configuration is refused now, or is not ours to read; None: there is none.

    What it was started with still runs, and may tell what is wrong with the file.
    """
    from poller.web.control import find_socket

    file, folder = data_dir_despite(config, overrides)
    if folder is not None and is_closed(folder / "journal.db"):
        folder = None  # that it is closed would hide what is wrong with the configuration
    return find_socket(os.environ, folder, system=_of_service(file))


def service_socket(config: Path | None, overrides: Mapping[str, str]) -> Path | None:
    """The socket of a daemon whose files lie elsewhere than we would look: a service's. None: there is none.

    Raises PollerError for one that we may not talk to.
    """
    from poller.web.control import SOCKET_NAME, find_socket

    try:
        loaded = load(config, overrides=overrides)
    except ConfigError:
        return socket_despite(config, overrides)
    data_dir = loaded.settings.data_dir
    path = find_socket(os.environ, data_dir, system=_of_service(loaded.path))
    return None if path == data_dir / SOCKET_NAME else path


def _of_service(file: Path | None) -> bool:
    return file is None or file.is_relative_to(SYSTEM_CONFIG.parent)


def _require_journal(folder: Path, command: str) -> None:
    """Who only looks makes no journal: an empty one would look as if all were lost."""
    journal = folder / "journal.db"
    if command in _LOOKS and not os.path.lexists(journal) and not is_closed(journal):
        raise PollerError(
            f"no journal yet at {journal}: the poller has not run",
            hint="start it: `poller run`, or its service",
        )


async def _here(loaded: Loaded, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    from poller.app import App
    from poller.commands import TABLE

    os.umask(0o077)
    app = App(loaded, looks_only=command in _LOOKS | _SHOWS)
    try:
        await app.open()
        return await TABLE[command](app, arguments)
    finally:
        await app.close()
