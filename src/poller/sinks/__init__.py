"""Where it goes: one builder per kind, imported only when that kind is configured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from poller.sinks.base import LiveSink, QueuedSink, Sink, SinkContext

Builder = Callable[[str, Any, SinkContext], Sink]

#: Kinds that only show the newest state; all others have a cursor in the journal, `mqtt` for alerts.
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


def _notify(name: str, settings: Any, context: SinkContext) -> QueuedSink:
    from poller.sinks.notify import NotifySink

    return NotifySink(name, settings, context)


def _webhook(name: str, settings: Any, context: SinkContext) -> QueuedSink:
    from poller.sinks.webhook import WebhookSink

    return WebhookSink(name, settings, context)


def _mqtt(name: str, settings: Any, context: SinkContext) -> LiveSink:
    from poller.sinks.mqtt import MqttSink

    return MqttSink(name, settings, context)


#: kind (`type` in the configuration) → builder(name, settings, context)
BUILDERS: dict[str, Builder] = {
    "json_files": _json_files,
    "axiom": _axiom,
    "prometheus": _prometheus,
    "mqtt": _mqtt,
    "notify": _notify,
    "webhook": _webhook,
}
