"""The sink: batches of a size and an age, one request each."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Sequence
from datetime import timedelta

import httpx

from poller.errors import BatchRefused, SinkError, SinkUnavailable
from poller.runtime import log
from poller.runtime.http import Client
from poller.runtime.quoted import quoted
from poller.runtime.redact import MASK
from poller.runtime.tls import shared_context
from poller.sinks.axiom.endpoint import Endpoint, endpoint_of
from poller.sinks.axiom.event import Line, event_of
from poller.sinks.axiom.reply import Reply, settle, warnings
from poller.sinks.base import Rendered, Settlement, SinkContext
from poller.sinks.settings import AxiomSettings
from poller.vehicle.records import parse_time

#: Uncompressed bytes in one request; the documented limits begin at 1 MB for a single value.
MAX_BYTES = 1_000_000
#: Axiom asks not to mix events of very different age in one request.
MAX_SPAN = timedelta(days=1)
#: Real seconds. Operators have seen ingests that took half a minute.
CONNECT_TIMEOUT, TOTAL_TIMEOUT = 10.0, 60.0
#: More of a reply is not read: 10,000 failures fit.
MAX_REPLY = 4_000_000
#: So many different warnings are logged at most.
MAX_WARNINGS = 500


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
        self._url = httpx.URL()
        self._headers = httpx.Headers()
        within = httpx.Timeout(timeout, connect=min(CONNECT_TIMEOUT, timeout))
        self._extensions = {"timeout": within.as_dict()}
        self._warned: set[str] = set()
        self._failing: int | None = None

    async def open(self) -> None:
        """Make the client; may be called again. Raises SinkMisconfigured; sends nothing."""
        endpoint = endpoint_of(self._settings)
        if endpoint.exposed and self._first_time("token.exposed"):
            self._log.warning(
                "token.exposed", host=endpoint.host, hint="use https: anybody between can read it"
            )
        await self.close()
        self._endpoint = endpoint
        self._client = Client(follow_redirects=False, verify=shared_context())
        self._url = httpx.URL(endpoint.url)
        self._headers = self._client.headers.copy()
        self._headers.update(endpoint.headers)

    def prepare(self, record: Rendered) -> Rendered:
        """The record as the line that is sent of it."""
        return Line(event_of(record))

    async def deliver(self, records: Sequence[Rendered]) -> Settlement:
        """Send as many of the records, from the first, as belong into one request."""
        lines, times = _request(records)
        reply = await self._post(_packed(lines))
        try:
            settlement = settle(reply, times, self._clock.now())
        except SinkError as error:
            if not (isinstance(error, BatchRefused) and error.sent > 1):
                self._note_failure(reply, error.message)
            raise
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
        # As the client would build it, less its merging of addresses and headers: half of its time.
        request = httpx.Request(
            "POST", self._url, headers=self._headers, content=body, extensions=self._extensions
        )
        try:
            async with asyncio.timeout(self._timeout):
                response = await client.send(request, stream=True)
                async with contextlib.aclosing(response):
                    headers = {name.lower(): value for name, value in response.headers.items()}
                    said = self._without_token(await _read(response))
                    return Reply(response.status_code, headers, said)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            message = f"cannot reach {endpoint.host}: {quoted(str(error)) or type(error).__name__}"
            raise SinkUnavailable(message, reason="network") from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise SinkUnavailable(f"{endpoint.host} did not answer in time", reason="timeout") from error
        except httpx.HTTPError as error:
            message = f"{endpoint.host} broke off: {type(error).__name__}"
            raise SinkUnavailable(message, reason="server") from error

    def _without_token(self, body: bytes) -> bytes:
        """Whatever a server echoes: our token goes nowhere from here."""
        return body.replace(self._settings.token.get_secret_value().encode(), MASK.encode())

    def _note_failure(self, reply: Reply, message: str) -> None:
        """Log the first of the same failures in a row, with what Axiom's support asks for."""
        if self._failing != reply.status:
            self._log.info("ingest.failed", status=reply.status, trace=reply.trace, error=message)
        self._failing = reply.status

    def _note_warnings(self, reply: Reply) -> None:
        """A locked schema stores an event without some fields, and says so in a 200."""
        for code, text in warnings(reply):
            if self._first_time(code):
                self._log.warning("schema.warned", warning=code, message=text, trace=reply.trace)

    def _first_time(self, code: str) -> bool:
        """Whether a warning is to be logged: once each, and not for ever new ones."""
        fresh = code not in self._warned and len(self._warned) < MAX_WARNINGS
        if fresh:
            self._warned.add(code)
        return fresh


def _request(records: Sequence[Rendered]) -> tuple[bytes, list[str]]:
    """The NDJSON of the first records, at least one, and the `_time` of each."""
    lines: list[bytes] = []
    times: list[str] = []
    size = 0
    for record in records:
        line = record if isinstance(record, Line) else Line(event_of(record))
        size += len(line.json)
        if lines and (size > MAX_BYTES or not _close(times[0], line["_time"])):
            break
        lines.append(line.json)
        times.append(line["_time"])
    return b"".join(lines), times


def _packed(lines: bytes) -> bytes:
    """As gzip has it, with tables no wider than the text: for one event zlib's own take 256 kB each time."""
    window = max(9, min(15, len(lines).bit_length()))
    packer = zlib.compressobj(6, zlib.DEFLATED, 16 + window, window - 7)
    return packer.compress(lines) + packer.flush()


def _close(one: str, other: str) -> bool:
    same_date = one[:10] == other[:10]
    return same_date or abs(parse_time(one) - parse_time(other)) <= MAX_SPAN


async def _read(response: httpx.Response) -> bytes:
    """The body; one that is too long is broken off, and then as unreadable as it deserves."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_REPLY:
            break
    return bytes(body)
