"""One connection to an MQTT broker, in our words; aiomqtt and paho stay behind it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import traceback
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import aiomqtt
from paho.mqtt import client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from poller.runtime.tls import shared_context
from poller.sources.cardata.settings import CarDataSettings
from poller.sources.cardata.stream_policy import StreamLimits
from poller.sources.cardata.stream_words import Cause, lost_because, refused_because

Version = Literal["5", "3.1.1"]

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_PROTOCOLS: Final = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}
#: Headers and properties of a message, beside its topic and body.
_WRAPPING: Final = 1024
#: Real seconds for the good-bye.
_GOOD_BYE: Final = 0.3
#: What paho makes of a good-bye without a reason, and of a closed socket.
_NO_WORD: Final = (0, 128)
_TOO_OLD: Final = ("PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE")
#: What the libraries say names topics and users. Nobody hears it; what went wrong is raised.
_MUTE: Final = logging.Logger("mqtt", logging.CRITICAL + 1)  # noqa: LOG001  # of no tree: none can turn it on


class Broken(Exception):
    """There is no connection, or no more. `code`: the broker's own; `detail`: more, fit to be shown."""

    def __init__(self, cause: Cause, code: int | None = None, detail: str = "") -> None:
        self.cause = cause
        self.code = code
        self.detail = detail
        super().__init__(cause.value)


@dataclass(frozen=True, slots=True)
class Introduction:
    """Who we are to a broker, and what we want from it."""

    client_id: str
    username: str | None = field(repr=False)
    password: str | None = field(repr=False)
    topic: str = field(repr=False)


def trust(settings: CarDataSettings, base: Path) -> ssl.SSLContext | None:
    """TLS as the settings want it, None for mqtt://. BMW's stream takes 1.3 only.

    `base`: where a relative `tls_ca` counts from. Raises Broken if that file cannot be used.
    """
    if urlsplit(settings.stream_url).scheme != "mqtts":
        return None
    if settings.own_broker and not settings.tls_ca:
        return shared_context()
    file = base / settings.tls_ca if settings.tls_ca else None
    try:
        context = ssl.create_default_context(cafile=file)
    except OSError as error:
        why = "it holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
        raise Broken(Cause.TLS_CA, detail=f"{file}: {why}") from None
    if not settings.own_broker:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def place(url: str) -> tuple[str, int]:
    """Host and port of a broker's address."""
    address = urlsplit(url)
    return address.hostname or "", address.port or _PORTS[address.scheme]


class Line:
    """A connection made by `connect` and ended by `close`, used once."""

    def __init__(
        self,
        url: str,
        introduction: Introduction,
        version: Version,
        tls: ssl.SSLContext | None,
        limits: StreamLimits,
    ) -> None:
        host, port = place(url)
        five = version == "5"
        self._client = _Client(
            host,
            port,
            identifier=introduction.client_id,
            username=introduction.username,
            password=introduction.password,
            protocol=_PROTOCOLS[version],
            clean_session=None if five else True,
            properties=_largest(limits) if five else None,
            tls_context=tls,
            keepalive=limits.keepalive,
            timeout=limits.answer,
            logger=_MUTE,
        )
        self._client.bound(limits.packet)

    async def connect(self) -> None:
        """Raises Broken. Cancelling leaves nothing open, though a thread may go on for some seconds."""
        entering, broken = asyncio.ensure_future(self._client.__aenter__()), None
        try:
            await asyncio.shield(entering)
        except asyncio.CancelledError:
            self._client.abandon(entering)
            raise
        except (aiomqtt.MqttError, OSError, UnicodeError) as error:
            self._client.cut()
            broken = _not_connected(error)
            _let_go(error)
        if broken is not None:
            raise broken

    async def subscribe(self, topic: str) -> None:
        """At QoS 0. Raises Broken if the broker refuses, does not answer, or has gone."""
        try:
            codes = await self._client.subscribe(topic, qos=0)
        except aiomqtt.MqttCodeError:
            raise Broken(Cause.CLOSED) from None
        except aiomqtt.MqttError:
            raise Broken(Cause.NO_ANSWER) from None
        for code in codes:
            if (number := _number(code)) >= 0x80:
                raise Broken(Cause.TOPIC, number)
        _heed_cancellation()

    async def messages(self) -> AsyncIterator[tuple[str, bytes]]:
        """Topic and body, as they come in; ends only with Broken."""
        try:
            async for message in self._client.messages:
                yield message.topic.value, message.payload
                # What else has come, at once: aiomqtt takes several turns of the loop for each, and what
                # a flood brings meanwhile would wait where nobody counts it.
                for other in self._client.waiting():
                    yield other.topic.value, other.payload
        except aiomqtt.MqttError as error:
            why = error.__cause__
            if isinstance(why, ValueError):
                raise Broken(Cause.GARBLED) from None
            code = _number(why.rc) if isinstance(why, aiomqtt.MqttCodeError) else None
            if code in _NO_WORD:
                code = None
            raise Broken(lost_because(code), code) from None

    async def close(self) -> None:
        """Say good-bye and hang up, in well under a second."""
        self._client.timeout = _GOOD_BYE
        with contextlib.suppress(aiomqtt.MqttError):
            await self._client.__aexit__(None, None, None)
        self._client.cut()
        _heed_cancellation()


class _Client(aiomqtt.Client):
    """aiomqtt's client, with an end to what that one leaves open.

    After an answer that did not come, or a packet that could not be read, it holds itself for
    disconnected while the socket lives on, and would be the account's second connection. And it takes
    in packets of any size.
    """

    _abandoned = False
    _in_thread = True

    def bound(self, longest: int) -> None:
        """Let a packet of more bytes end the connection before it is read: paho knows no limit."""
        paho = self._client
        receive = paho._sock_recv  # noqa: SLF001  # what it reads with, and all that it asks for is the rest

        def receive_within(size: int) -> bytes:
            if size > longest:
                raise ValueError("longer than any packet that we read")
            return receive(size)

        setattr(paho, "_sock_recv", receive_within)  # noqa: B010  # mypy takes an assignment for a mistake

    def waiting(self) -> Iterator[aiomqtt.Message]:
        """The messages that are here already."""
        while not self._queue.empty():
            yield self._queue.get_nowait()

    def cut(self, entered: asyncio.Future[Any] | None = None) -> None:
        """Close the socket if there is one. `entered`, and what the end was or will be, counts as seen."""
        self._client.disconnect()
        for future in (entered, self._connected, self._disconnected):
            if future is None:
                continue
            if future.done():
                _see(future)
            else:  # the broker's last word may come after ours
                future.add_done_callback(_see)

    def abandon(self, entering: asyncio.Future[Any]) -> None:
        """Nobody waits for the connection any more. The thread that opens it can be neither stopped nor
        disturbed; what it has opened by its end is closed.
        """
        self._abandoned = True
        self.timeout = _GOOD_BYE
        entering.add_done_callback(self.cut)
        # Cancelling it instead would leave a future behind over which aiomqtt stumbles before it closes.
        if not self._in_thread and not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError)

    def _client_connect(self) -> None:
        try:
            super()._client_connect()
        finally:
            self._in_thread = False

    def _on_socket_open(self, client: mqtt.Client, userdata: Any, sock: Any) -> None:
        if self._abandoned:
            raise ConnectionAbortedError  # before anything is said to the broker
        super()._on_socket_open(client, userdata, sock)


def _see(future: asyncio.Future[Any]) -> None:
    """Lest asyncio tells of an error that nobody looked at."""
    if not future.cancelled():
        future.exception()


def _largest(limits: StreamLimits) -> Properties:
    """Asks the broker to keep messages to itself that we would only throw away."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's has no types
    properties.MaximumPacketSize = limits.body + limits.topic + _WRAPPING
    return properties


def _heed_cancellation() -> None:
    """Before Python 3.12 `wait_for`, which aiomqtt uses, may lose one that comes together with the answer."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _number(code: ReasonCode | int | None) -> int:
    return code.value if isinstance(code, ReasonCode) else code or 0


def _not_connected(error: Exception) -> Broken:
    if isinstance(error, aiomqtt.MqttCodeError):
        code = _number(error.rc)
        return Broken(refused_because(code), code)
    # aiomqtt turns what the socket says into text; what it was stays in the context.
    return because_of(error.__context__ if isinstance(error, aiomqtt.MqttError) else error)


def _let_go(error: BaseException | None) -> None:
    """After a handshake that failed paho leaves the socket open, held by the frames of the error."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def because_of(error: BaseException | None) -> Broken:
    """Why a socket could not be opened, or not be encrypted."""
    match error:
        case ssl.SSLCertVerificationError():
            return Broken(Cause.CERTIFICATE, detail=error.verify_message.partition(",")[0])
        case ssl.SSLError():
            old = any(word in (error.reason or "") for word in _TOO_OLD)
            return Broken(Cause.TLS_VERSION if old else Cause.TLS, detail=error.reason or "")
        case socket.gaierror() | UnicodeError():
            return Broken(Cause.DNS)
        case ConnectionRefusedError():
            return Broken(Cause.PORT_CLOSED)
        case TimeoutError():
            return Broken(Cause.NO_ANSWER)
    return Broken(Cause.UNREACHABLE)
