"""The simulator's broker and mosquitto are the same to plain clients: one suite, run on both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiomqtt
import pytest
from mosquitto_stage import mosquitto
from stream_stage import make_certificates, until

from poller.simulator.cardata.broker import Broker
from poller.simulator.cardata.packets import V5, V311, matches
from poller.testing.clock import ManualClock

USERS = {"one": "first", "two": "second"}
VERSIONS = [aiomqtt.ProtocolVersion.V311, aiomqtt.ProtocolVersion.V5]


@dataclass
class Served:
    """A broker, whichever it is."""

    url: str
    publish: Callable[[str, bytes], Awaitable[None]]

    @property
    def address(self) -> tuple[str, int]:
        url = urlsplit(self.url)
        return str(url.hostname), int(url.port or 0)

    def client(self, user: str, version: aiomqtt.ProtocolVersion, **more) -> aiomqtt.Client:
        given = {"username": user, "password": USERS[user], "identifier": user, "timeout": 5, **more}
        return aiomqtt.Client(*self.address, protocol=version, **given)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["ours", "mosquitto"])
async def served(request: pytest.FixtureRequest, certificates: Path) -> AsyncIterator[Served]:
    if request.param == "mosquitto":
        async with mosquitto(certificates, **USERS) as real:

            async def publish(topic: str, body: bytes) -> None:
                client = aiomqtt.Client(*served.address, username="two", password="second")
                async with client:
                    await client.publish(topic, body)

            served = Served(real.plain, publish)
            yield served
        return
    ours = Broker(ManualClock(), admits=lambda user, password: 0 if USERS.get(user) == password else 135)

    async def send(topic: str, body: bytes) -> None:
        ours.publish(topic, body)

    async with ours.serve() as url:
        yield Served(url, send)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("topic", ["account/+", "account/#", "account/car", "#"])
async def test_subscribers_get_what_is_sent_in_order(
    served: Served, version: aiomqtt.ProtocolVersion, topic: str
) -> None:
    async with served.client("one", version) as client:
        codes = await client.subscribe(topic, qos=0)
        assert [int(getattr(code, "value", code)) for code in codes] == [0]
        for number in range(3):
            await served.publish("account/car", b"%d" % number + b"x" * 300)
        got = []
        async with asyncio.timeout(5):
            async for message in client.messages:
                got.append((message.topic.value, message.payload[:1], message.qos, message.retain))
                if len(got) == 3:
                    break
        assert got == [("account/car", b"%d" % number, 0, False) for number in range(3)]


@pytest.mark.parametrize("version", VERSIONS)
async def test_others_topics_do_not_come(served: Served, version: aiomqtt.ProtocolVersion) -> None:
    async with served.client("one", version) as client:
        await client.subscribe("account/+", qos=0)
        for topic in ("account", "account/car/part", "other/car", "account/car"):
            await served.publish(topic, topic.encode())
        async with asyncio.timeout(5):
            assert (await anext(client.messages)).payload == b"account/car"


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_wrong_password_is_not_authorised(served: Served, version: aiomqtt.ProtocolVersion) -> None:
    with pytest.raises(aiomqtt.MqttCodeError) as refused:
        async with served.client("one", version, password="wrong"):
            pass
    assert refused.value.rc.value == 135


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("user", ["one", "two"])
async def test_the_same_client_again_takes_over(
    served: Served, version: aiomqtt.ProtocolVersion, user: str
) -> None:
    first = served.client("one", version)
    await first.__aenter__()
    async with served.client(user, version, identifier="one") as second:
        with pytest.raises(aiomqtt.MqttError) as lost:
            async with asyncio.timeout(5):
                await anext(first.messages)
        code = lost.value.__cause__.rc.value
        # In 3.1.1 the socket is closed, for which paho has a code of its own. MQTT 5 has a word for it,
        # which mosquitto 2.0 does not say.
        assert code in ((142, 128) if version == aiomqtt.ProtocolVersion.V5 else (128,))
        await second.subscribe("account/car")
        await served.publish("account/car", b"still here")
        async with asyncio.timeout(5):
            assert (await anext(second.messages)).payload == b"still here"
    with contextlib.suppress(aiomqtt.MqttError):
        await first.__aexit__(None, None, None)


def text(value: str) -> bytes:
    return len(value).to_bytes(2) + value.encode()


def packet(kind: int, body: bytes) -> bytes:
    return bytes([kind, len(body)]) + body


def connect(version: int, *, password: str = "first") -> bytes:
    properties = b"\0" if version == 5 else b""
    login = text("one") + text(password)
    return packet(0x10, text("MQTT") + bytes([version, 0xC2]) + b"\0\x1e" + properties + text("me") + login)


SUBSCRIBE = packet(0x82, b"\0\x07" + text("account/+") + b"\0")


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (connect(4), b"\x20\x02\0\0"),
        (connect(4, password="wrong"), b"\x20\x02\0\x05"),
        (connect(4) + SUBSCRIBE, b"\x20\x02\0\0\x90\x03\0\x07\0"),
        (connect(4) + b"\xc0\0", b"\x20\x02\0\0\xd0\0"),
        (connect(4) + SUBSCRIBE + b"\xc0\0", b"\x20\x02\0\0\x90\x03\0\x07\0\xd0\0"),
    ],
)
async def test_the_same_bytes_get_the_same_answer(served: Served, sent: bytes, answer: bytes) -> None:
    reader, writer = await asyncio.open_connection(*served.address)
    writer.write(sent)
    async with asyncio.timeout(5):
        assert await reader.readexactly(len(answer)) == answer
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    "sent",
    [
        connect(4) + b"\xe0\0",  # a good-bye
        connect(5) + b"\xe0\0",
        connect(4) + connect(4),  # introduced twice
        SUBSCRIBE,  # not introduced
        connect(4)[:1] + b"\xff\xff\xff\xff\x01",  # a length without end
        packet(0x10, text("HTTP") + b"\x04\xc2\0\x1e"),  # another protocol
        connect(7),  # another version: refused, and hung up on
        connect(4) + packet(0x82, b"\0\x07"),  # a subscription to nothing
        connect(4)[:20] + b"\xff" * 200,  # nonsense
    ],
)
async def test_who_leaves_or_talks_nonsense_is_hung_up_on(served: Served, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection(*served.address)
    writer.write(sent)
    with contextlib.suppress(ConnectionResetError):
        async with asyncio.timeout(5):
            while await reader.read(100):
                pass
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


# What mosquitto does not do: one connection for a user, on order.


async def test_a_second_client_of_a_user_ends_the_first() -> None:
    broker = Broker(ManualClock())
    async with broker.serve() as url:
        served = Served(url, None)
        first = served.client("one", aiomqtt.ProtocolVersion.V5)
        second = served.client("one", aiomqtt.ProtocolVersion.V5, identifier="another")
        async with first, second:
            with pytest.raises(aiomqtt.MqttError) as lost:
                await asyncio.wait_for(anext(first.messages), 5)
            assert lost.value.__cause__.rc.value == 142
        assert [arrival.client_id for arrival in broker.arrivals] == ["one", "another"]


async def test_a_connection_ends_when_its_token_does() -> None:
    clock = ManualClock()
    broker = Broker(clock, expires=lambda _user, _token: clock.now().replace(hour=15))
    async with (
        broker.serve() as url,
        Served(url, None).client("one", aiomqtt.ProtocolVersion.V311) as client,
    ):
        await client.subscribe("#")
        await clock.advance(3599)
        assert broker.publish("a/b", b"last") == 1
        assert (await asyncio.wait_for(anext(client.messages), 5)).payload == b"last"
        await clock.advance(1)
        with pytest.raises(aiomqtt.MqttError):
            await asyncio.wait_for(anext(client.messages), 5)
        assert broker.publish("a/b", b"") == 0


async def test_who_does_not_read_is_sent_no_more() -> None:
    """As QoS 0 allows; a simulator must not grow."""
    broker = Broker(ManualClock())
    async with broker.serve() as url:
        reader, writer = await asyncio.open_connection(*Served(url, None).address)
        writer.write(connect(4) + SUBSCRIBE)
        await until(lambda: broker.subscribers("one"))
        sent = [broker.publish("account/car", b"x" * 100_000) for _ in range(200)]
        assert sent[0] == 1
        assert sent[-1] == 0
        writer.transport.abort()
        assert reader


async def test_an_older_broker_refuses_the_newer_version_in_the_older_ones_words() -> None:
    broker = Broker(ManualClock(), versions=(V311,))
    async with broker.serve() as url:
        reader, writer = await asyncio.open_connection(*Served(url, None).address)
        writer.write(connect(V5))
        assert await reader.read() == b"\x20\x02\0\x01"
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("wanted", "topic", "takes"),
    [
        ("a/+", "a/b", True),
        ("a/+", "a", False),
        ("a/+", "a/b/c", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "a", True),
        ("+/b", "a/b", True),
        ("a", "b", False),
    ],
)
def test_filters(wanted: str, topic: str, takes: bool) -> None:
    assert matches(wanted, topic) is takes
