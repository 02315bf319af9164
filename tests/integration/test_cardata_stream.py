"""The CarData stream against a real broker: mosquitto, with TLS as BMW's has and without."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mosquitto_stage import Mosquitto, mosquitto
from mybmw_cloud import HastyClock, context
from starlette.applications import Starlette
from stream_stage import (
    CLIENT_ID,
    GCID,
    TOPIC,
    VIN,
    Account,
    listening,
    make_certificates,
    settings,
    until,
)

from poller.runtime.clock import SystemClock
from poller.simulator.cardata.broker import Broker
from poller.simulator.cardata.login import Login
from poller.simulator.server import serve
from poller.sources.cardata.login.auth import Auth
from poller.sources.cardata.settings import account_key
from poller.sources.cardata.stream.listener import Stream
from poller.testing.clock import ManualClock

MESSAGE = json.dumps({"vin": VIN, "topic": VIN, "data": {}}).encode()
#: BMW's user is the account, its password the token; the owner's broker has its own.
USERS = {GCID: "id-token-1", "me": "mine", "bridge": "its"}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def broker(certificates: Path) -> AsyncIterator[Mosquitto]:
    async with mosquitto(certificates, **USERS) as running:
        yield running


async def test_bmws_messages_come_over_tls(broker: Mosquitto, certificates: Path) -> None:
    clock = ManualClock()
    config = settings(broker.tls, tls_ca="ca.crt")
    async with listening(config, Account(clock), clock, base=certificates) as listener:
        await listener.connected()
        await broker.publish(TOPIC, MESSAGE, user="bridge")
        await broker.publish("somebody/else", b"{}", user="bridge")
        await broker.publish(TOPIC, b"\xff", user="bridge")
        await until(lambda: len(listener.journal.bodies) == 2)
        assert listener.journal.bodies == [MESSAGE, b"\xff"]
        assert {message.vin for batch in listener.journal.batches for message in batch} == {VIN}


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # paho leaves the socket to the collector
@pytest.mark.parametrize("own", [False, True])
async def test_another_ca_is_not_trusted(broker: Mosquitto, certificates: Path, own: bool) -> None:
    clock = ManualClock()
    config = settings(broker.tls, tls_ca="other.crt", **({"stream_username": "me"} if own else {}))
    async with listening(config, Account(clock), clock, base=certificates) as listener:
        await until(lambda: listener.reason == "certificate")
        failure = listener.stream.status().failure
        assert listener.state == "waiting"
        assert "tls_ca" in failure.hint
        assert ("BMW" in failure.message) is not own


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # paho leaves the socket to the collector
async def test_the_certificate_must_be_for_the_name(broker: Mosquitto, certificates: Path) -> None:
    clock = ManualClock()
    config = settings(broker.tls.replace("localhost", "127.0.0.1"), tls_ca="ca.crt")
    async with listening(config, Account(clock), clock, base=certificates) as listener:
        await until(lambda: listener.reason == "certificate")
        assert "mismatch" in listener.stream.status().failure.message


@pytest.mark.parametrize(
    ("name", "said"),
    [("none.crt", "No such file or directory"), ("mosquitto.conf", "PEM"), (".", "directory")],
)
async def test_a_ca_file_that_cannot_be_used_is_named(
    broker: Mosquitto, certificates: Path, name: str, said: str
) -> None:
    clock = ManualClock()
    config = settings(broker.tls, tls_ca=name)
    async with listening(config, Account(clock), clock, base=certificates) as listener:
        await until(lambda: listener.reason == "tls_ca")
        failure = listener.stream.status().failure
        assert str(certificates / name) in failure.message
        assert said in failure.message
        assert "tls_ca" in failure.message
        assert "PEM" in failure.hint


async def test_a_wrong_password_is_told_from_a_wrong_certificate(
    broker: Mosquitto, certificates: Path
) -> None:
    clock = ManualClock()
    account = Account(clock, generation=6)
    async with listening(
        settings(broker.tls, tls_ca="ca.crt"), account, clock, base=certificates
    ) as listener:
        await until(lambda: listener.reason == "credentials")
        assert "BMW's stream refuses the login" in listener.stream.status().failure.message


@pytest.mark.parametrize("way", ["plain", "tls"])
@pytest.mark.parametrize("topic", ["cars/#", "", "cars/raw"])
async def test_an_own_broker_is_asked_with_its_own_login(
    broker: Mosquitto, certificates: Path, way: str, topic: str
) -> None:
    """Bridges put the VIN into the topic, or leave it to the message."""
    clock, account = ManualClock(), None
    account = Account(clock)
    config = settings(
        getattr(broker, way),
        tls_ca="ca.crt",
        stream_username="me",
        stream_password="mine",
        stream_topic=topic,
    )
    async with listening(config, account, clock, base=certificates) as listener:
        await listener.connected()
        assert listener.stream.status().own_broker
        await broker.publish("cars/raw", MESSAGE, user="bridge")
        await broker.publish("cars/status", b'{"online": true}', user="bridge")
        await broker.publish(f"cars/{VIN.lower()}", b"late", user="bridge")
        expected = [MESSAGE] if topic == "cars/raw" else [MESSAGE, b"late"]
        await until(lambda: len(listener.journal.bodies) == len(expected))
        assert listener.journal.bodies == expected
        assert account.asked == [], "BMW's login stays with BMW"


async def test_two_of_us_share_an_own_broker(broker: Mosquitto) -> None:
    clock = ManualClock()
    config = settings(broker.plain, stream_username="me", stream_password="mine")
    async with listening(config, None, clock) as one, listening(config, None, clock) as two:
        await one.connected()
        await two.connected()
        await broker.publish(TOPIC, MESSAGE, user="bridge")
        await until(lambda: one.journal.bodies and two.journal.bodies)


async def test_an_own_broker_that_refuses_us_says_which_settings_to_look_at(broker: Mosquitto) -> None:
    clock = ManualClock()
    config = settings(broker.plain, stream_username="me", stream_password="wrong")
    async with listening(config, None, clock) as listener:
        await until(lambda: listener.reason == "credentials")
        assert listener.state == "refused"
        assert "stream_password" in listener.stream.status().failure.hint


async def test_a_broker_that_is_restarted_is_found_again(broker: Mosquitto) -> None:
    clock = ManualClock()
    config = settings(broker.plain, stream_username="me", stream_password="mine")
    async with listening(config, None, clock) as listener:
        await listener.connected()
        began = listener.stream.gap_ended_at
        broker.stop()
        await until(lambda: listener.state == "waiting")
        await clock.advance(15)
        await until(lambda: listener.reason == "port_closed")
        await broker.start()
        await clock.advance(40)
        await listener.connected()
        assert listener.stream.gap_ended_at == began, "less than five minutes"
        await broker.publish(TOPIC, MESSAGE, user="bridge")
        await until(lambda: listener.journal.bodies)


async def test_a_warped_clock_listens_as_well(broker: Mosquitto, certificates: Path) -> None:
    """Pauses and tokens are warped, the network is not: an hour's token lasts six real seconds here."""
    clock = SystemClock(600.0)
    config = settings(broker.tls, tls_ca="ca.crt")
    async with listening(config, Account(clock), clock, base=certificates) as listener:
        await listener.connected()
        await broker.publish(TOPIC, MESSAGE, user="bridge")
        await until(lambda: listener.journal.bodies)


async def test_the_stored_login_opens_the_stream(tmp_path: Path) -> None:
    """The real `Auth`, logged in at a simulated BMW whose broker takes the id token that it gave."""
    clock = HastyClock()
    login = Login(clock, automatic=True)
    broker = Broker(clock, admits=lambda gcid, token: 0 if login.admits_stream(gcid, token) else 135)
    async with serve(Starlette(routes=login.routes())) as auth_url, broker.serve() as url:
        config = settings(url, client_id=CLIENT_ID, auth_url=auth_url)
        auth = Auth("home", config, context(tmp_path, clock), account_key(config), timeout=5.0)
        await auth.open()
        await auth.finish_login(await auth.begin_login())
        stream_clock = ManualClock(clock.now())
        async with listening(config, auth, stream_clock) as listener:
            await listener.connected()
            assert isinstance(listener.stream, Stream)
            assert broker.arrivals[0].username == GCID
        await auth.close()
