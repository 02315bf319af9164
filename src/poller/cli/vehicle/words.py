"""How the words of a subcommand are read: as bimmerconnected's owners type them, but for a login."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import typer
from typer.core import TyperCommand

from poller.errors import ConfigError

#: How upstream shows a list of words.
_LISTED: Final = re.compile(r"^[\[{](.*)[\]}]\.\.\.$")
_NEGATIVE: Final = re.compile(r"-\.?\d")
_ADDRESS: Final = ("-a", "--address")
_REGIONS: Final = {"north_america", "china", "rest_of_world"}
_LOGIN: Final = ("--captcha-token", "--oauth-store")


class VehicleCommand(TyperCommand):
    """Shows its words as they are typed, and refuses a login on the command line without repeating it."""

    def collect_usage_pieces(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # typer.Context is click's
        """As upstream, without the brackets that it puts around all words."""
        return [_LISTED.sub(r"\1", piece) for piece in super().collect_usage_pieces(ctx)]

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # typer.Context is click's
        """As upstream. Raises ConfigError for what bimmerconnected took and we do not."""
        if self._has_login(args):
            raise ConfigError(
                ["user name, password and region stand in the configuration"],
                hint="see docs/from-bimmer-connected.md; a token is for `poller login SOURCE`",
            )
        if self.name == "status" and "-i" in args:
            raise ConfigError(["-i is `--units imperial` now"], hint="or set it once: [display] units")
        ctx.allow_extra_args = True  # upstream would repeat them: perhaps a password
        rest = super().parse_args(ctx, args)
        if rest:
            raise typer.BadParameter("too many words")
        return rest

    def _has_login(self, args: Sequence[str]) -> bool:
        words = list(self._words(args))
        named = len(words) > 1 and any("@" in word for word in words)
        return (
            named
            or (len(words) > 2 and not _REGIONS.isdisjoint(words))  # after user name and password
            or any(arg.partition("=")[0] in _LOGIN for arg in args)
        )

    def _words(self, args: Sequence[str]) -> Iterator[str]:
        """Those that are no option, nor its value."""
        with_value = {name for one in self.params if not getattr(one, "is_flag", False) for name in one.opts}
        rest = iter(args)
        for arg in rest:
            if not arg.startswith("-"):
                yield arg
            elif arg in with_value:
                next(rest, None)


class Coordinates(VehicleCommand):
    """Takes a negative number for one, not for an option."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # typer.Context is click's
        """As upstream; a space before its sign hides it there, and means nothing in a number."""
        return super().parse_args(ctx, [f" {arg}" if _NEGATIVE.match(arg) else arg for arg in args])


class ManyWords(VehicleCommand):
    """Takes all words that follow ``-a`` as its value, up to the next option, as argparse does."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # typer.Context is click's
        """As upstream, of folded arguments."""
        return super().parse_args(ctx, list(_folded(args)))


def _folded(args: Sequence[str]) -> Iterator[str]:
    words = iter(args)
    for word in words:
        if word not in _ADDRESS:
            yield word
            continue
        address: list[str] = []
        after: list[str] = []
        for follower in words:
            if follower.startswith("-"):
                after.append(follower)
                break
            address.append(follower)
        yield f"--address={' '.join(address)}"
        yield from after
