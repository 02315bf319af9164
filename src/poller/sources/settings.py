"""Settings that every source has, and those of the small ones."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from poller.runtime.quantities import Duration, StrictTable


class SourceSettings(StrictTable):
    """Common to all sources."""

    interval: Duration | None = Field(None, description="Own poll interval; default: [poll] interval.")
    vins: tuple[str, ...] = Field((), description="Only these vehicles; empty: all of the account.")


class CommandSettings(SourceSettings):
    """A program that prints JSON, such as the shell loop's own command line."""

    type: Literal["command"]
    command: tuple[str, ...] = Field(min_length=1, description="Program and arguments; no shell.")
    timeout: Duration = Field(60.0, description="The program is stopped after this long.")


class RecordedSettings(SourceSettings):
    """A folder of captured answers, fingerprints, or the shell loop's dumps."""

    type: Literal["recorded"]
    directory: str = Field(min_length=1, description="The folder; relative to the configuration file.")
