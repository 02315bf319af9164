"""Settings that every source has, and those of the small ones."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from poller.runtime.quantities import EmptyIsNone, Items, PositiveDuration, StrictTable, Vin


class SourceSettings(StrictTable):
    """Common to all sources."""

    interval: Annotated[PositiveDuration | None, EmptyIsNone] = Field(
        None, description="Own poll interval; default: [poll] interval."
    )
    vins: Annotated[tuple[Vin, ...], Items] = Field(
        (), description="Only these vehicles; empty: all of the account."
    )


class CommandSettings(SourceSettings):
    """A program that prints JSON, such as the shell loop's own command line."""

    type: Literal["command"] = Field(description="A program that prints JSON.")
    command: Annotated[tuple[str, ...], Items] = Field(
        min_length=1, description="Program and arguments; no shell."
    )
    timeout: PositiveDuration = Field(60.0, description="The program is stopped after this long.")


class RecordedSettings(SourceSettings):
    """A folder of captured answers, fingerprints, or the shell loop's dumps."""

    type: Literal["recorded"] = Field(description="A folder of captured answers.")
    directory: str = Field(min_length=1, description="The folder; relative to the configuration file.")
