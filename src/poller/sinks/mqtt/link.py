"""One connection to the broker, in our words; what goes wrong is a SinkError."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiomqtt

from poller.errors import SinkError, SinkMisconfigured, SinkUnavailable
from poller.runtime.mqtt import GOOD_BYE, MUTE, Client, code_of, heed_cancellation, let_go
from poller.runtime.tls import shared_context
from poller.sinks.settings import MqttSettings

ONLINE, OFFLINE = "online", "offline"
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_PROTOCOLS: Final = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}
#: Bytes of a packet that we read: what we subscribe to is one word.
_LONGEST: Final = 1024 * 1024
_KEEPALIVE: Final = 30
_VERSION: Final = 132
#: Reason codes of a broker that will not have us, of MQTT 5 (section 3.2.2.2); those of 3.1.1 are translated.
_REFUSALS: Final = frozenset({133, 134, 135, 138, 140})


@dataclass(frozen=True, slots=True)
class Will:
    """Where it stands whether we are there; the broker writes there when we are cut off."""

    topic: str


class Link:
    """A connection made by `connect` and ended by `close`, used once. `answer`: real seconds for each.

    `heard`: called for a message on the topic given to `listen`, and when the connection is lost.
    `retained`: what this connection has put at the broker.
    """

    def __init__(
        self,
        settings: MqttSettings,
        tls: ssl.SSLContext | None,
        will: Will,
        *,
        answer: float,
        heard: Callable[[str], None],
    ) -> None:
        self.retained: dict[str, str] = {}
        self.lost = False
        self._will = will
        self._heard = heard
        self._listening: asyncio.Task[None] | None = None
        five = settings.protocol == "5"
        self._client = Client(
            *place(settings.url),
            identifier=f"poller-{secrets.token_hex(6)}",
            username=settings.username or None,
            password=settings.password.get_secret_value() if settings.password else None,
            protocol=_PROTOCOLS[settings.protocol],
            clean_session=None if five else True,
            will=aiomqtt.Will(will.topic, OFFLINE, qos=1, retain=True),
            tls_context=tls,
            keepalive=_KEEPALIVE,
            timeout=answer,
            logger=MUTE,
        )
        self._client.bound(_LONGEST)

    async def connect(self, listen: str) -> None:
        """Connect, and subscribe to the topic `listen` ("": none). Raises SinkError, nothing left open."""
        broken: SinkError | None = None
        try:
            await self._client.enter()
        except (aiomqtt.MqttError, OSError, UnicodeError) as error:
            broken = _not_connected(error)
            let_go(error)
        if broken is not None:
            raise broken
        self._listening = asyncio.create_task(self._listen(), name="mqtt")
        if listen:
            # One that may not is none the worse for it: Home Assistant has what is retained.
            with contextlib.suppress(aiomqtt.MqttError):
                await self._client.subscribe(listen, qos=0)
        heed_cancellation()

    async def retain(self, topic: str, payload: str) -> None:
        """Put this there for whoever comes; "" takes it away. Raises SinkError."""
        await self._publish(topic, payload, retain=True)
        self.retained[topic] = payload

    async def tell(self, topic: str, payload: str) -> None:
        """Say it once to whoever is there. Raises SinkError."""
        await self._publish(topic, payload, retain=False)

    async def close(self) -> None:
        """Say good-bye and hang up, in well under a second; may be called twice."""
        listening, self._listening = self._listening, None
        if listening is None:
            return
        listening.cancel()
        self._client.timeout = GOOD_BYE
        with contextlib.suppress(aiomqtt.MqttError):
            if not self.lost:
                # A good-bye in good order is none for which the broker writes the will.
                await self._client.publish(self._will.topic, OFFLINE, qos=1, retain=True)
            await self._client.__aexit__(None, None, None)
        self._client.cut()
        self.lost = True
        heed_cancellation()

    async def _publish(self, topic: str, payload: str, *, retain: bool) -> None:
        before = self._client.thrown_away
        try:
            await self._acknowledged(self._client.publish(topic, payload, qos=1, retain=retain))
        except aiomqtt.MqttError:
            self.lost = True
            raise SinkUnavailable("the broker broke off or does not answer", reason="network") from None
        if self._client.thrown_away > before:
            hint = "let this user write below `topic` and `discovery` (the broker's access list)"
            raise SinkMisconfigured("the broker does not let us publish", hint=hint)
        heed_cancellation()

    async def _acknowledged(self, publishing: Coroutine[Any, Any, None]) -> None:
        """Not to be waited for once the connection is lost, which aiomqtt would do. Raises MqttError."""
        if self._listening is None:
            publishing.close()
            raise aiomqtt.MqttError("closed")
        task = asyncio.create_task(publishing)
        try:
            await asyncio.wait({task, self._listening}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise aiomqtt.MqttError("lost")
            task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _listen(self) -> None:
        try:
            async for message in self._client.messages:
                if not message.retain and isinstance(message.payload, bytes):
                    self._heard(message.payload.decode(errors="replace"))
        except aiomqtt.MqttError:
            pass  # how it ended is of no interest: the next attempt says what is wrong
        finally:
            self.lost = True
            self._heard("")


def place(url: str) -> tuple[str, int]:
    """Host and port of a broker's address."""
    address = urlsplit(url)
    return address.hostname or "", address.port or _PORTS[address.scheme]


def trust(settings: MqttSettings, base: Path) -> ssl.SSLContext | None:
    """TLS as the settings want it, None for mqtt://. Raises SinkMisconfigured; `base`: see `files`."""
    if urlsplit(settings.url).scheme != "mqtts":
        return None
    if not settings.tls_ca and not settings.tls_certificate:
        return shared_context()
    named = "tls_ca"
    try:
        context = ssl.create_default_context(cafile=base / settings.tls_ca if settings.tls_ca else None)
        if settings.tls_certificate:
            named = "tls_certificate"
            key = base / settings.tls_key if settings.tls_key else None
            # With an empty password, lest a key that wants one asks at the terminal.
            context.load_cert_chain(base / settings.tls_certificate, key, password="")
    except OSError as error:
        why = "it holds nothing usable in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
        raise SinkMisconfigured(
            f"{named} cannot be used: {why}", hint="its path counts from data_dir"
        ) from None
    return context


def _not_connected(error: Exception) -> SinkError:
    if isinstance(error, aiomqtt.MqttCodeError):
        return _refused(code_of(error.rc))
    # aiomqtt turns what the socket says into text; what it was stays in the context.
    return _because_of(error.__context__ if isinstance(error, aiomqtt.MqttError) else error)


def _refused(code: int) -> SinkError:
    if code == _VERSION:
        return SinkMisconfigured("the broker does not speak this MQTT", hint='set protocol = "3.1.1"')
    if code in _REFUSALS:
        return SinkMisconfigured("the broker refuses us", hint="check `username` and `password`")
    return SinkUnavailable(f"the broker takes no connection now (code {code})", reason="server")


def _because_of(error: BaseException | None) -> SinkError:
    """Why a socket could not be opened, or not be encrypted."""
    match error:
        case ssl.SSLCertVerificationError():
            why = error.verify_message.partition(",")[0]
            message = f"the broker's certificate is not trusted: {why}"
            return SinkMisconfigured(message, hint="set `tls_ca` to the file of the CA that signed it")
        case ssl.SSLError():
            hint = "is it mqtts:// on the right port? does the broker want a `tls_certificate`?"
            return SinkUnavailable("no encrypted connection with the broker comes about", hint=hint)
        case socket.gaierror() | UnicodeError():
            hint = "check `url`, and this machine's DNS"
            return SinkUnavailable("the broker's name cannot be resolved", hint=hint, reason="network")
        case ConnectionRefusedError():
            hint = "does it run, and is its port right?"
            return SinkUnavailable("the broker takes no connections", hint=hint, reason="network")
        case TimeoutError():
            hint = "with mqtts:// so is one that wants a `tls_certificate`: silent"
            return SinkUnavailable("the broker does not answer", hint=hint, reason="timeout")
    return SinkUnavailable("the broker cannot be reached, or broke off", reason="network")
