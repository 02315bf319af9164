"""Options that several commands share."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from poller.errors import ConfigError

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Configuration file; see `poller check -h`.", metavar="FILE"),
]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Use this data directory.", metavar="DIR")]
LogLevel = Annotated[
    str | None, typer.Option("--log-level", help="debug, info, warning or error.", metavar="LEVEL")
]
Json = Annotated[bool, typer.Option("--json", "-j", help="Print JSON.")]
Speed = Annotated[
    float,
    typer.Option(
        "--speed", min=1, max=3600, help="Warp the clock N times; only with loopback addresses.", metavar="N"
    ),
]


def overrides(data_dir: Path | None = None, log_level: str | None = None) -> dict[str, str]:
    """Settings given on the command line, by their dotted names."""
    given = {"data_dir": str(data_dir.absolute()) if data_dir else None, "log.level": log_level}
    return {name: value for name, value in given.items() if value is not None}


def moment(option: str, text: str) -> datetime:
    """The time that was typed for `option`; without a zone it is this machine's own. Raises ConfigError."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:  # UTC ends a little before some zones do
        words = f'{option}: cannot read {text!r}: write "2026-11-21" or "2026-11-21T14:00:00Z"'
        raise ConfigError([words]) from error
