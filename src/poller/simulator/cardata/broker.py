"""BMW's stream as a client meets it: a small MQTT broker that misbehaves on order.

MQTT 3.1.1 and 5 over TCP or TLS, and of it what a subscriber at QoS 0 meets: nothing is retained or
kept for later, and clients publish nothing. As at BMW's a user name has one connection; a second one
ends the first. `packets` says what the codes are.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from poller.runtime.clock import Clock
from poller.simulator.cardata import packets
from poller.simulator.cardata.packets import ACCEPTED, BAD_VERSION, TAKEN_OVER, V5, V311, BadPacket, Kind

#: What waits for a client that does not read; beyond it messages are dropped, as QoS 0 allows.
_UNREAD: Final = 1024 * 1024
_REMEMBERED: Final = 10_000

Admits = Callable[[str, str], int]
Grants = Callable[[str], int]
Expires = Callable[[str, str], datetime | None]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One CONNECT: when by the broker's clock, whose, in which version (4 is 3.1.1), and our answer."""

    at: datetime
    username: str
    client_id: str
    version: int
    code: int


@dataclass(eq=False, slots=True)
class _Client:
    username: str
    client_id: str
    version: int
    until: datetime | None
    writer: asyncio.StreamWriter
    filters: list[str] = field(default_factory=list)

    def send(self, packet: bytes) -> bool:
        """Whether there was room for it."""
        transport = self.writer.transport
        if transport.is_closing() or transport.get_write_buffer_size() > _UNREAD:
            return False
        self.writer.write(packet)
        return True

    def hears(self, topic: str) -> bool:
        return any(packets.matches(wanted, topic) for wanted in self.filters)


class Broker:
    """Serves while the block of `serve` runs; its answers may be changed meanwhile.

    `admits`: user name and password → reason code of the CONNACK, 0: come in. `grants`: topic filter →
    code of the SUBACK, 128 and above: no. `expires`: user name and password → when that connection is
    closed, by `clock`; None: never. `versions`: the protocol levels it speaks. `arrivals`: the last
    ten thousand CONNECTs.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        admits: Admits = lambda _username, _password: ACCEPTED,
        grants: Grants = lambda _filter: 0,
        expires: Expires = lambda _username, _password: None,
        versions: Collection[int] = (V311, V5),
    ) -> None:
        self.admits = admits
        self.grants = grants
        self.expires = expires
        self.versions = versions
        self.arrivals: deque[Arrival] = deque(maxlen=_REMEMBERED)
        self._clock = clock
        self._clients: set[_Client] = set()
        self._talks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @asynccontextmanager
    async def serve(
        self, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> AsyncIterator[str]:
        """Listen while the block runs; gives the address, ``mqtt://…`` or ``mqtts://…``.

        OSError if the port is taken.
        """
        server = await asyncio.start_server(self._meet, host, port, ssl=tls)
        bound_host, bound_port = server.sockets[0].getsockname()[:2]
        shown = f"[{bound_host}]" if ":" in bound_host else bound_host
        try:
            yield f"{'mqtts' if tls else 'mqtt'}://{shown}:{bound_port}"
        finally:
            server.close()
            for talk, writer in self._talks.items():
                writer.transport.abort()
                talk.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)
            await server.wait_closed()

    def publish(self, topic: str, body: bytes) -> int:
        """Send a message to all who subscribed to its topic; gives how many those are."""
        return sum(
            client.send(packets.publish(client.version, topic, body))
            for client in self._clients
            if client.hears(topic)
        )

    def subscribers(self, username: str) -> int:
        """How many connections of a user have a subscription: 0 or 1."""
        return sum(client.username == username and bool(client.filters) for client in self._clients)

    def kick(self, username: str, code: int = TAKEN_OVER) -> bool:
        """End a user's connection as a second client would; whether there was one."""
        return self._end([client for client in self._clients if client.username == username], code)

    def close_all(self) -> bool:
        """End every connection without a word; whether there was one."""
        return self._end(list(self._clients), None)

    def _end(self, clients: Collection[_Client], code: int | None) -> bool:
        for client in clients:
            self._clients.discard(client)
            if code is not None:
                client.send(packets.disconnect(client.version, code))
            client.writer.close()
        return bool(clients)

    def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(self._talk(reader, writer), name="broker.talk")
        self._talks[talk] = writer
        talk.add_done_callback(lambda done: self._talks.pop(done).close())

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whoever goes away, or talks nonsense, has its connection closed, and that is all.
        with contextlib.suppress(BadPacket, asyncio.IncompleteReadError, OSError):
            client = await self._introduced(reader, writer)
            if client is not None:
                await self._serve(client, reader)

    async def _introduced(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Client | None:
        """The client behind a connection, or None if it was refused."""
        kind, body = await packets.read_packet(reader)
        if kind != Kind.CONNECT:
            raise BadPacket("not introduced")
        asked = packets.connect_of(body)
        known = asked.version in self.versions
        code = self.admits(asked.username, asked.password) if known else BAD_VERSION
        self.arrivals.append(Arrival(self._clock.now(), asked.username, asked.client_id, asked.version, code))
        if code != ACCEPTED:
            # Whoever speaks a version that we do not is answered in the older one, as old brokers do.
            writer.write(packets.connack(asked.version if known else V311, code))
            return None
        until = self.expires(asked.username, asked.password)
        client = _Client(asked.username, asked.client_id, asked.version, until, writer)
        self._end([other for other in self._clients if _exclude_each_other(client, other)], TAKEN_OVER)
        self._clients.add(client)
        client.send(packets.connack(client.version, ACCEPTED))
        return client

    async def _serve(self, client: _Client, reader: asyncio.StreamReader) -> None:
        expiry = asyncio.create_task(self._expire(client), name="broker.expiry")
        try:
            while True:
                kind, body = await packets.read_packet(reader)
                match kind:
                    case Kind.SUBSCRIBE:
                        self._subscribe(client, body)
                    case Kind.PINGREQ:
                        client.send(packets.pingresp())
                    case _:  # a good-bye, or something that we do not serve
                        return
        finally:
            expiry.cancel()
            self._clients.discard(client)

    def _subscribe(self, client: _Client, body: bytes) -> None:
        number, filters = packets.subscribe_of(body, client.version)
        codes = [self.grants(wanted) for wanted in filters]
        client.filters += [wanted for wanted, code in zip(filters, codes, strict=True) if code < 0x80]
        client.send(packets.suback(client.version, number, codes))

    async def _expire(self, client: _Client) -> None:
        if client.until is not None:
            await self._clock.sleep((client.until - self._clock.now()).total_seconds())
            self._end([client], None)


def _exclude_each_other(one: _Client, other: _Client) -> bool:
    """Whether two connections cannot be at the same time: one user's, or one client's."""
    return one.username == other.username or one.client_id == other.client_id
