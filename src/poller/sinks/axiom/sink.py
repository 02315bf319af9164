"""The sink: batches of a size and an age, one request each."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Sequence
from datetime import datetime, timedelta

import httpx

from poller.errors import BatchRefused, SinkError, SinkUnavailable
from poller.runtime import log
from poller.runtime.redact import MASK
from poller.runtime.tls import shared_context
from poller.sinks.axiom.endpoint import Endpoint, endpoint_of
from poller.sinks.axiom.event import event_of
from poller.sinks.axiom.reply import Reply, clean, settle, warnings
from poller.sinks.base import Rendered, Settlement, SinkContext
from poller.sinks.settings import AxiomSettings
from poller.vehicle.records import dumps, parse_time

#: Uncompressed bytes in one request; the documented limits begin at 1 MB for a single value.
MAX_BYTES = 1_000_000
#: Axiom asks not to mix events of very different age in one request.
MAX_SPAN = timedelta(days=1)
#: Real seconds. Operators have seen ingests that took half a minute.
CONNECT_TIMEOUT, TOTAL_TIMEOUT = 10.0, 60.0
#: More of a reply is not read: 10,000 failures fit.
MAX_REPLY = 4_000_000


class AxiomSink:
    """Implements `sinks.base.QueuedSink`. `timeout`: real seconds for a whole request."""

    def __init__(
        self,
        name: str,
        settings: AxiomSettings,
        context: SinkContext,
        *,
        timeout: float = TOTAL_TIMEOUT,
    ) -> None:
        self.name = name
        self._settings = settings
        self._clock = context.clock
        self._timeout = timeout
        self._log = log.get("sinks", sink=name)
        self._endpoint: Endpoint | None = None
        self._client: httpx.AsyncClient | None = None
        self._warned: set[str] = set()
        self._failing: int | None = None

    async def open(self) -> None:
        """Make the client; may be called again. Raises SinkMisconfigured; sends nothing."""
        endpoint = endpoint_of(self._settings)
        await self.close()
        self._endpoint = endpoint
        self._client = httpx.AsyncClient(
            headers=dict(endpoint.headers),
            timeout=httpx.Timeout(self._timeout, connect=min(CONNECT_TIMEOUT, self._timeout)),
            follow_redirects=False,
            verify=shared_context() if endpoint.url.startswith("https:") else True,
        )

    async def deliver(self, records: Sequence[Rendered]) -> Settlement:
        """Send as many of the records, from the first, as belong into one request."""
        lines, times = _request(records)
        body = await asyncio.to_thread(gzip.compress, b"\n".join(lines) + b"\n", 6, mtime=0)
        reply = await self._post(body)
        try:
            settlement = settle(reply, times, self._clock.now())
        except SinkError as error:
            error = self._cleaned(error)
            self._note_failure(reply, error.message)
            raise error from None
        if settlement.rejected:
            self._note_failure(reply, f"{len(settlement.rejected)} of {len(times)} events refused")
        else:
            self._failing = None
        self._note_warnings(reply)
        return settlement

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _post(self, body: bytes) -> Reply:
        """One request, whatever the reply; SinkUnavailable if there is none within the time."""
        client, endpoint = self._client, self._endpoint
        if client is None or endpoint is None:
            raise RuntimeError("deliver before open")
        host = endpoint.host
        try:
            async with asyncio.timeout(self._timeout), client.stream("POST", endpoint.url, content=body) as r:
                headers = {name.lower(): value for name, value in r.headers.items()}
                return Reply(r.status_code, headers, await _read(r))
        except (TimeoutError, httpx.TimeoutException) as error:
            raise SinkUnavailable(f"{host} did not answer in time", reason=_timeout_reason(error)) from error
        except (httpx.ConnectError, httpx.ProxyError) as error:
            raise SinkUnavailable(f"cannot reach {host}: {clean(str(error))}", reason="network") from error
        except httpx.HTTPError as error:
            message = f"{host} broke off: {type(error).__name__}"
            raise SinkUnavailable(message, reason="server") from error
