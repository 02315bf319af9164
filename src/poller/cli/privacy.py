"""``poller privacy``."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from poller.cli import options
from poller.cli.speaking import load_and_log, socket_despite
from poller.disclosure import report
from poller.errors import ConfigError

_WIDTH = 80
_LABEL = 9


def privacy(
    config: options.Config = None,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> int:
    """Say what leaves the house, to whom, by which login.

    Told from the configuration alone; nobody is asked.
    """
    told = _told(config, options.overrides(data_dir))
    typer.echo(json.dumps(told) if as_json else "\n".join(lines(told)))
    return 0


def _told(config: Path | None, overrides: Mapping[str, str]) -> Mapping[str, Any]:
    from poller.web.control import ControlClient

    try:
        loaded = load_and_log(config, overrides, warn=False)
    except ConfigError:
        # Secrets that only the service is given, say: the running one knows the whole.
        door = socket_despite(config, overrides)
        if door is None:
            raise
        return ControlClient(door).call("privacy")
    return report(loaded)


def lines(told: Mapping[str, Any]) -> Iterator[str]:
    """The report as a person reads it, in 80 columns."""
    yield from _wrapped(f"What leaves this house, by {told['file'] or 'the variables that are set'}.")
    for one in told["leaves"]:
        yield ""
        yield from _part(one)
    yield ""
    yield "What stays"
    for text in told["stays"]:
        yield from _wrapped(text, "  ")
    yield ""
    yield from _wrapped("Nothing else: no telemetry, no search for updates, no maps.")


def _part(one: Mapping[str, Any]) -> Iterator[str]:
    yield one["part"]
    yield from _column("to", one["to"] or ["nobody"])
    yield from _column("what", one["sends"])
    if one["credentials"]:
        yield from _column("by", [", ".join(one["credentials"])])


def _column(label: str, texts: Sequence[str]) -> Iterator[str]:
    for position, text in enumerate(texts):
        yield from _wrapped(text, f"  {'' if position else label}".ljust(_LABEL))


def _wrapped(text: str, begin: str = "") -> Iterator[str]:
    """`text` after `begin`, what does not fit two further in."""
    further = " " * (len(begin) + 2)
    yield from textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=begin,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    )
