"""Whom a subcommand means: the options that all of them have, and the way to the poller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from poller.cli import options
from poller.cli.speaking import door, reach
from poller.errors import ConfigError

Vehicle = Annotated[
    str | None,
    typer.Argument(
        help="VIN in any case, its last seven, our name or the model; not needed if there is one car.",
        metavar="VIN",
        show_default=False,
    ),
]
Vin = Annotated[
    str | None,
    typer.Option("--vin", "-v", help="The same, as bimmerconnected's status has it.", metavar="VIN"),
]
Account = Annotated[
    str | None, typer.Option("--source", help="The account, where several know the car.", metavar="NAME")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
#: Of an order before which nobody is asked: a script may give it to every order alike.
Unasked = Annotated[bool, typer.Option("--yes", "-y", help="Changes nothing: this is done without asking.")]
Json = Annotated[bool, typer.Option("--json", "-j", help="Print a JSON object.")]


@dataclass(frozen=True, slots=True)
class Addressed:
    """A vehicle as the owner named it, the account, and the configuration that knows both."""

    vehicle: str | None = field(repr=False)
    source: str | None
    config: Path | None
    data_dir: Path | None

    @classmethod
    def of(
        cls,
        vehicle: str | None,
        vin: str | None,
        source: str | None,
        config: Path | None,
        data_dir: Path | None,
    ) -> Addressed:
        """Raises ConfigError where VIN and --vin are two."""
        return cls(the_one(vehicle, vin), source, config, data_dir)

    def has_daemon(self) -> bool:
        """Whether a daemon does what is asked. Raises PollerError if there is nobody to ask."""
        return isinstance(door(self.config, options.overrides(self.data_dir)), Path)

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Run one of `poller.commands.TABLE` for this vehicle. Raises PollerError."""
        whom: Mapping[str, Any] = {"vehicle": self.vehicle, "source": self.source}
        return reach(self.config, options.overrides(self.data_dir), command, {**whom, **arguments})


def the_one(vehicle: str | None, vin: str | None) -> str | None:
    """What was typed as a word or behind --vin. Raises ConfigError if these are two."""
    if vehicle and vin and vehicle.casefold() != vin.casefold():
        raise ConfigError([f"two vehicles: {vehicle} and --vin {vin}"], hint="name one")
    return vehicle or vin


def with_vehicle(words: Sequence[str], count: int, wanted: str) -> tuple[str | None, list[str]]:
    """The VIN, if one word more than `count` was given, and these. Raises BadParameter, naming `wanted`."""
    if len(words) not in (count, count + 1):
        raise typer.BadParameter(f"expected {wanted}")
    return (words[0] if len(words) > count else None), list(words[len(words) - count :])
