"""An HTTP request a record, with a template and a signature if wanted."""

from poller.sinks.webhook.sink import WebhookSink

__all__ = ["WebhookSink"]
