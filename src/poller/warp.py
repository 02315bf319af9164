"""A warped clock: who may have one, and where it begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from poller.errors import ConfigError
from poller.journal.stats import newest_at
from poller.runtime.clock import Clock, SystemClock
from poller.runtime.quantities import is_loopback
from poller.settings import Loaded

#: Kinds of source and sink that speak to nobody.
_STAY_HERE = frozenset({"recorded", "json_files", "prometheus"})


def refuse_warping(loaded: Loaded) -> None:
    """Raise ConfigError unless every address is loopback: a warped clock would hammer a real server."""
    settings = loaded.settings
    tables: list[tuple[str, Any]] = [
        *((f"sources.{name}", source) for name, source in settings.sources.items()),
        *((f"sinks.{name}", sink) for name, sink in settings.sinks.items()),
    ]
    problems = [problem for where, table in tables for problem in _elsewhere(where, table)]
    problems += _heartbeat(settings.alerts.heartbeat_url)
    if problems:
        raise ConfigError(
            [f"--speed is refused: {problem}" for problem in problems],
            hint="a warped clock asks many times as often: rehearse with `poller simulate` or `poller demo`",
        )


def reloading_warped(again: Callable[[], Loaded]) -> Callable[[], Loaded]:
    """`again` for a daemon whose clock is warped: raises ConfigError as `refuse_warping` does."""

    def load() -> Loaded:
        loaded = again()
        refuse_warping(loaded)
        return loaded

    return load


def rehearsal_clock(speed: float, data_dir: Path) -> Clock:
    """A clock at `speed`; where an earlier one ran ahead of the time, it goes on from the newest record."""
    start = newest_at(data_dir / "journal.db")
    ahead = start is not None and start > SystemClock().now()
    return SystemClock(speed, start=start if ahead else None)


def _heartbeat(url: SecretStr | None) -> Iterator[str]:
    if url is not None and not is_loopback(urlsplit(url.get_secret_value()).hostname or ""):
        yield "alerts.heartbeat_url is not on this machine"


def _elsewhere(where: str, table: Any) -> Iterator[str]:
    """Where a source or sink would go beyond this machine, setting by setting; unknown kinds might."""
    if table.type in _STAY_HERE:
        return
    named = [name for name in type(table).model_fields if name in ("url", "urls") or name.endswith("_url")]
    if not named:
        yield f"{where}: what a {table.type} asks is not known, so it may be anybody"
    for name in named:
        value = getattr(table, name)
        if value is None:
            yield f"{where}.{name} is not set, so the maker's own servers would be asked"
        for url in map(_plain, value if isinstance(value, tuple) else (value,)):
            if url and not is_loopback(urlsplit(url).hostname or ""):
                # No more of it: a path may hold a secret, and so may what is a host's name elsewhere.
                parts = urlsplit(url)
                address = f"{parts.scheme}://{parts.hostname if name != 'urls' else '…'}"
                yield f"{where}.{name} ({address}) is not on this machine"


def _plain(url: str | SecretStr | None) -> str:
    return url.get_secret_value() if isinstance(url, SecretStr) else url or ""
