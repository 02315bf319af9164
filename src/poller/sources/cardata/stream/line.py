"""One connection to an MQTT broker, in our words; aiomqtt and paho stay behind it."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from poller.runtime.mqtt import GOOD_BYE, MUTE, Client, code_of, heed_cancellation, let_go
from poller.runtime.tls import shared_context
from poller.sources.cardata.settings import CarDataSettings
from poller.sources.cardata.stream.policy import StreamLimits
from poller.sources.cardata.stream.words import Cause, lost_because, refused_because

Version = Literal["5", "3.1.1"]

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_PROTOCOLS: Final = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}
#: Headers and properties of a message, beside its topic and body.
_WRAPPING: Final = 1024
#: What paho makes of a good-bye without a reason, and of a closed socket.
_NO_WORD: Final = (0, 128)
_TOO_OLD: Final = ("PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE")


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
        self._client = Client(
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
            logger=MUTE,
        )
        self._client.bound(limits.packet, limits.packet_within)

    async def connect(self) -> None:
        """Raises Broken. Cancelling leaves nothing open, though a thread may go on for some seconds."""
        broken = None
        try:
            await self._client.enter()
        except (aiomqtt.MqttError, OSError, UnicodeError) as error:
            broken = _not_connected(error)
            let_go(error)
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
            if (number := code_of(code)) >= 0x80:
                raise Broken(Cause.TOPIC, number)
        heed_cancellation()

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
            code = code_of(why.rc) if isinstance(why, aiomqtt.MqttCodeError) else None
            if code in _NO_WORD:
                code = None
            raise Broken(lost_because(code), code) from None

    async def close(self) -> None:
        """Say good-bye and hang up, in well under a second."""
        self._client.timeout = GOOD_BYE
        with contextlib.suppress(aiomqtt.MqttError):
            await self._client.__aexit__(None, None, None)
        self._client.cut()
        heed_cancellation()


def _largest(limits: StreamLimits) -> Properties:
    """Asks the broker to keep messages to itself that we would only throw away."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's has no types
    properties.MaximumPacketSize = limits.body + limits.topic + _WRAPPING
    return properties


def _not_connected(error: Exception) -> Broken:
    if isinstance(error, aiomqtt.MqttCodeError):
        code = code_of(error.rc)
        return Broken(refused_because(code), code)
    # aiomqtt turns what the socket says into text; what it was stays in the context.
    return because_of(error.__context__ if isinstance(error, aiomqtt.MqttError) else error)


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
