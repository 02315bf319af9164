"""Alerts as messages to people, over Apprise; a channel that is down costs the others nothing."""

from poller.sinks.notify.sink import NotifySink

__all__ = ["NotifySink"]
