"""Whom we ask: one builder per kind, imported only when that kind is configured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from poller.sources.base import Source, SourceContext

Builder = Callable[[str, Any, SourceContext], Source]


def _mybmw(name: str, settings: Any, context: SourceContext) -> Source:
    from poller.sources.mybmw.source import MyBmwSource

    return MyBmwSource(name, settings, context)


def _cardata(name: str, settings: Any, context: SourceContext) -> Source:
    from poller.sources.cardata.source import CarDataSource

    return CarDataSource(name, settings, context)


def _command(name: str, settings: Any, context: SourceContext) -> Source:
    from poller.sources.command import CommandSource

    return CommandSource(name, settings, context)


def _recorded(name: str, settings: Any, context: SourceContext) -> Source:
    from poller.sources.recorded import RecordedSource

    return RecordedSource(name, settings, context)


#: Kinds whose answers are of the past: they alert nobody.
PAST_KINDS = frozenset({"recorded"})

#: kind (`type` in the configuration) → builder(name, settings, context)
BUILDERS: dict[str, Builder] = {
    "cardata": _cardata,
    "mybmw": _mybmw,
    "command": _command,
    "recorded": _recorded,
}
