"""What the tests of the stream share: a broker, a login, a stream that listens, and TLS for them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from poller.errors import SourceError
from poller.runtime.clock import Clock
from poller.simulator.cardata.broker import Broker
from poller.sources.base import LoginState
from poller.sources.cardata.login import oauth
from poller.sources.cardata.login.tokens import Tokens
from poller.sources.cardata.settings import CarDataSettings
from poller.sources.cardata.stream.listener import Stream, StreamLimits, StreamMessage
from poller.testing.clock import ManualClock

GCID = "00000000-0000-4000-8000-000000009c1d"
CLIENT_ID = "00000000-0000-4000-8000-00000000c11e"
VIN = "WBA00000000000001"
TOPIC = f"{GCID}/{VIN}"


async def until(true: Callable[[], Any], within: float = 20.0) -> None:
    """Real things, such as a packet on its way, take real time; as little of it as possible."""
    async with asyncio.timeout(within):
        while not true():  # noqa: ASYNC110  # a packet on its way tells nobody
            await asyncio.sleep(0.002)


@dataclass
class Account:
    """A login as the stream sees it; `error` is raised while it is set."""

    clock: Clock
    life: float = 3600.0
    error: SourceError | None = None
    scopes: tuple[str, ...] = oauth.SCOPES
    generation: int = 0
    asked: list[bool] = field(default_factory=list)
    login_hint = "run `poller login home`"

    def __post_init__(self) -> None:
        self.tokens = self._grant()

    def _grant(self) -> Tokens:
        self.generation += 1
        now = self.clock.now()
        return Tokens(
            account="cardata:test",
            generation=self.generation,
            stored_at=now,
            scopes=self.scopes,
            expires_at=now + timedelta(seconds=self.life),
            refresh_expires_at=now + timedelta(days=14),
            access_token="access",
            refresh_token="refresh",
            id_token=f"id-token-{self.generation}",
            gcid=GCID,
        )

    async def fresh(self, *, force: bool = False) -> Tokens:
        self.asked.append(force)
        if self.error is not None:
            raise self.error
        left = min(timedelta(minutes=5), timedelta(seconds=self.life) / 2)
        if force or self.clock.now() >= self.tokens.expires_at - left:
            self.tokens = self._grant()
        return self.tokens

    def login(self) -> None:
        """A human has logged in again."""
        self.error, self.tokens = None, self._grant()

    def login_state(self) -> LoginState:
        return LoginState(self.tokens.version, self.tokens.refresh_expires_at)

    def lacks(self, tokens: Tokens) -> list[oauth.Lack]:
        return oauth.lacks(tokens.scopes, "home", stream=True)


@dataclass
class Journal:
    """Takes batches, or raises what it is told to."""

    batches: list[Sequence[StreamMessage]] = field(default_factory=list)
    error: Exception | None = None
    offered: int = 0
    gate: asyncio.Event | None = None

    async def keep(self, batch: Sequence[StreamMessage]) -> None:
        self.offered += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.batches.append(batch)

    @property
    def bodies(self) -> list[bytes]:
        return [message.body for batch in self.batches for message in batch]


def settings(url: str, **more: Any) -> CarDataSettings:
    return CarDataSettings.model_validate(
        {"type": "cardata", "client_id": CLIENT_ID, "stream_url": url, **more}
    )


@dataclass
class Listener:
    """A stream that listens."""

    stream: Stream
    journal: Journal
    stop: asyncio.Event
    task: asyncio.Task[None]

    @property
    def state(self) -> str:
        return self.stream.status().state

    @property
    def reason(self) -> str:
        failure = self.stream.status().failure
        return failure.reason if failure else ""

    async def connected(self) -> None:
        await until(lambda: self.state == "connected")

    def has_begun(self) -> bool:
        """Whether it is connected, or waits until it may try."""
        return self.state == "connected" or self.stream.status().retry_at is not None


@asynccontextmanager
async def listening(
    config: CarDataSettings,
    auth: Account | None,
    clock: Clock,
    *,
    base: Path = Path(),
    **more: Any,
) -> AsyncIterator[Listener]:
    """A stream that runs while the block does, and ends within a second of being told to."""
    journal, stop = Journal(), asyncio.Event()
    stream = Stream("home", config, auth, clock, base=base, on_messages=journal.keep, **more)
    listener = Listener(stream, journal, stop, asyncio.create_task(stream.run(stop)))
    try:
        yield listener
    finally:
        stop.set()
        async with asyncio.timeout(1):
            await listener.task


@dataclass
class Stage:
    """A broker that behaves as BMW's, and a stream on it."""

    url: str
    broker: Broker
    clock: ManualClock
    account: Account
    listener: Listener

    def subscribed(self) -> bool:
        return self.broker.subscribers(GCID) == 1

    def arrivals(self) -> list[float]:
        """When our connections came, in seconds from the first."""
        times = [arrival.at for arrival in self.broker.arrivals if arrival.username == GCID]
        return [(at - times[0]).total_seconds() for at in times]

    async def told_down(self) -> None:
        """The stream has noticed, and waits for its next attempt."""
        status = self.listener.stream.status
        await until(lambda: not status().connected and status().retry_at is not None)

    async def next_attempt(self) -> None:
        """Let the pause pass, and the attempt be answered: the broker has said yes or no."""
        came = len(self.broker.arrivals)
        retry_at = self.listener.stream.status().retry_at
        assert retry_at is not None
        await self.clock.advance((retry_at - self.clock.now()).total_seconds() + 0.001)
        await until(lambda: len(self.broker.arrivals) > came)


@asynccontextmanager
async def staged(
    clock: ManualClock | None = None,
    *,
    limits: StreamLimits | None = None,
    life: float = 3600.0,
    **broker: Any,
) -> AsyncIterator[Stage]:
    """Without TLS, which only costs time here."""
    clock = clock or ManualClock()
    made, account = Broker(clock, **broker), Account(clock, life)
    async with (
        made.serve() as url,
        listening(settings(url), account, clock, limits=limits) as listener,
    ):
        yield Stage(url, made, clock, account, listener)


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def answering(handler: Handler) -> AsyncIterator[str]:
    """A server that does with each connection what `handler` does; gives ``host:port``."""
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.current_task())
        with contextlib.suppress(OSError):
            await handler(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with asyncio.timeout(5):
            await asyncio.gather(*talks)


def make_certificates(folder: Path) -> Path:
    """``ca.crt`` and its ``server.crt``, ``server.key`` for localhost, and ``other.crt``, another CA's."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

    def run(*command: str) -> None:
        subprocess.run([openssl, *command], cwd=folder, check=True, capture_output=True)

    for name in ("ca", "other"):
        run(
            *("req", "-x509", *curve, "-days", "2", "-subj", f"/CN=test {name}"),
            *("-keyout", f"{name}.key", "-out", f"{name}.crt"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )
    run("req", *curve, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
    names = "subjectAltName=DNS:localhost\nkeyUsage=digitalSignature\nauthorityKeyIdentifier=keyid\n"
    (folder / "server.ext").write_text(names)
    run(
        *("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"),
        *("-days", "2", "-out", "server.crt", "-extfile", "server.ext"),
    )
    return folder


def server_tls(certificates: Path, newest: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A server's context; `newest`: it speaks nothing newer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.crt", certificates / "server.key")
    if newest is not None:
        context.maximum_version = newest
    return context
