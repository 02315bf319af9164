"""Where it goes: one builder per kind, imported only when that kind is configured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from poller.sinks.base import LiveSink, QueuedSink, SinkContext

Builder = Callable[[str, Any, SinkContext], QueuedSink | LiveSink]

#: Kinds that show only the newest state; all others have a cursor in the journal.
LIVE_KINDS = frozenset({"prometheus"})


def _json_files(name: str, settings: Any, context: SinkContext) -> QueuedSink:
    from poller.sinks.json_files import JsonFilesSink

    return JsonFilesSink(name, settings, context)


def _axiom(name: str, settings: Any, context: SinkContext) -> QueuedSink:
    from poller.sinks.axiom import AxiomSink

    return AxiomSink(name, settings, context)


def _prometheus(name: str, settings: Any, context: SinkContext) -> LiveSink:
    from poller.sinks.prometheus import PrometheusSink

    return PrometheusSink(name, settings, context)


#: kind (`type` in the configuration) → builder(name, settings, context)
BUILDERS: dict[str, Builder] = {"json_files": _json_files, "axiom": _axiom, "prometheus": _prometheus}
