"""The sink: one request a record, in order."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from poller import __version__
from poller.errors import SinkError, SinkUnavailable
from poller.runtime import log
from poller.runtime.quantities import is_loopback
from poller.sinks.alerts import is_severe
from poller.sinks.base import Rendered, Settlement, SinkContext, Tried
from poller.sinks.http import Poster
from poller.sinks.settings import WebhookSettings
from poller.sinks.webhook.body import Writer, writer
from poller.sinks.webhook.reply import refusal
from poller.sinks.webhook.signature import headers_of, key_of, message_id

#: Real seconds for a request; servers that work before they answer are common.
WITHIN = 30.0
#: Real seconds of sending, then a delivery returns with what it has: what is settled is not repeated.
SLICE = 5.0
#: Of a reply only the status counts.
_LONGEST = 10_000


class WebhookSink:
    """Implements `sinks.base.QueuedSink` and `Rehearsed`. `within`: real seconds for a request."""

    def __init__(
        self, name: str, settings: WebhookSettings, context: SinkContext, *, within: float = WITHIN
    ) -> None:
        self.name = name
        self._settings = settings
        self._clock = context.clock
        self._poster = Poster(settings.url.get_secret_value(), within=within, longest=_LONGEST)
        self._write: Writer | None = None
        self._key: bytes | None = None
        self._log = log.get("sinks", sink=name)

    async def open(self) -> None:
        """Look at template and secret; may be called again. Raises SinkMisconfigured; sends nothing."""
        secret = self._settings.secret
        self._key = key_of(secret.get_secret_value()) if secret else None
        first = self._write is None
        self._write = writer(self._settings.template)
        plain = self._settings.url.get_secret_value().startswith("http:")
        if first and plain and not is_loopback(self._poster.host):
            self._log.warning("webhook.exposed", hint="use https: anybody between can read it")
        self._poster.open()

    async def deliver(self, records: Sequence[Rendered]) -> Settlement:
        """Send for some seconds, or until one is not taken; what comes after it is kept."""
        until = time.monotonic() + SLICE
        rejected: dict[int, str] = {}
        for at, record in enumerate(records):
            if at and time.monotonic() > until:
                return Settlement(at, rejected)
            if not is_severe(record, self._settings.severity):
                continue
            try:
                reason = await self._send(record)
            except SinkError as error:
                if not at:
                    raise
                return Settlement(at, rejected, error.until if isinstance(error, SinkUnavailable) else None)
            if reason is not None:
                rejected[at] = reason
        return Settlement(len(records), rejected)

    async def rehearse(self, sample: Rendered) -> Sequence[Tried]:
        """One request."""
        try:
            await self.open()
            return [Tried(self._poster.host, await self._send(sample) or "")]
        except SinkError as error:
            return [Tried(self._poster.host, error.message, error.hint or "")]

    async def close(self) -> None:
        """Close the connections."""
        await self._poster.close()

    async def _send(self, record: Rendered) -> str | None:
        """Why it will never be taken; None if it was. Raises SinkError."""
        if self._write is None:
            raise RuntimeError("deliver before open")
        try:
            body = self._write(record)
        except ValueError as error:
            return str(error)
        now = self._clock.now()
        headers = {**self._headers(), **headers_of(message_id(record), body, now, self._key)}
        reply = await self._poster.send(self._settings.method, headers, body)
        return refusal(reply, self._poster.host, now)

    def _headers(self) -> Mapping[str, str]:
        own = (header.get_secret_value().partition(":") for header in self._settings.headers)
        given = {name.lower(): value.strip() for name, _, value in own}
        ours = {"user-agent": f"bmw-poller/{__version__}", "content-type": self._settings.content_type}
        return {**ours, **given}
