"""The CarData stream against a broker that misbehaves on order; time is the test's."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import aiomqtt
import pytest
from stream_stage import (
    GCID,
    TOPIC,
    VIN,
    Account,
    Stage,
    answering,
    listening,
    make_certificates,
    server_tls,
    settings,
    staged,
    until,
)

from poller.errors import JournalFull, LoginRequired, RateLimited, SourceBlocked, SourceUnavailable
from poller.runtime import log
from poller.simulator.cardata.broker import Broker
from poller.simulator.cardata.packets import V5, V311
from poller.sources.cardata.login import oauth
from poller.sources.cardata.stream.listener import StreamLimits
from poller.testing.clock import ManualClock

MINUTE, HOUR = 60.0, 3600.0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("tls"))


# What comes.


async def test_messages_are_handed_on_as_they_came() -> None:
    async with staged() as stage:
        await stage.listener.connected()
        bodies = [b'{"vin": 1', "ü".encode("latin-1"), b'{"data": {}}', b""]
        for body in bodies:
            stage.broker.publish(TOPIC, body)
        await until(lambda: len(stage.listener.journal.bodies) == 4)
        assert stage.listener.journal.bodies == bodies
        message = stage.listener.journal.batches[0][0]
        assert (message.vin, message.received_at) == (VIN, stage.clock.now())
        assert stage.listener.stream.status().last_message_at == stage.clock.now()
        assert stage.listener.stream.gap_ended_at == stage.clock.now(), "nobody knows what came before us"


async def test_a_burst_costs_few_batches() -> None:
    """What comes while a batch is being stored is the next batch."""
    async with staged() as stage:
        await stage.listener.connected()
        journal = stage.listener.journal
        journal.gate = asyncio.Event()
        for number in range(300):
            assert stage.broker.publish(TOPIC, b"%d" % number) == 1
        await until(lambda: journal.offered == 1)
        await until(lambda: len(stage.listener.stream._inbox._waiting) == 300)
        journal.gate.set()
        await until(lambda: len(journal.bodies) == 300)
        assert journal.bodies == [b"%d" % number for number in range(300)]
        assert len(journal.batches) == 2


async def test_what_the_journal_cannot_take_is_offered_again_in_order() -> None:
    async with staged() as stage:
        await stage.listener.connected()
        journal = stage.listener.journal
        journal.error = JournalFull()
        stage.broker.publish(TOPIC, b"one")
        await until(lambda: journal.offered == 1)
        stage.broker.publish(TOPIC, b"two")
        for _ in range(3):
            offered = journal.offered
            await stage.clock.advance(MINUTE)
            await until(lambda offered=offered: journal.offered > offered)
        journal.error = None
        await stage.clock.advance(MINUTE)
        await until(lambda: journal.bodies)
        assert journal.bodies == [b"one", b"two"]
        assert stage.listener.state == "connected"


async def test_when_too_much_waits_the_connection_is_closed_and_the_loss_is_a_gap() -> None:
    async with staged(limits=StreamLimits(waiting=10)) as stage:
        await stage.listener.connected()
        stage.listener.journal.error = JournalFull()
        for number in range(20):
            stage.broker.publish(TOPIC, b"%d" % number)
        await until(lambda: stage.listener.reason == "full")
        assert stage.listener.state == "waiting"
        await until(lambda: not stage.subscribed())
        await stage.clock.advance(2 * MINUTE)
        await another(stage)
        assert not stage.subscribed(), "still nothing can be stored"
        stage.listener.journal.error = None
        await stage.clock.advance(MINUTE)
        await until(lambda: len(stage.listener.journal.bodies) == 10)
        await stage.clock.advance(MINUTE)
        await stage.listener.connected()
        assert stage.listener.stream.gap_ended_at == stage.listener.stream.status().since


async def test_large_messages_count_by_their_size() -> None:
    async with staged(limits=StreamLimits(waiting_bytes=1000)) as stage:
        await stage.listener.connected()
        stage.listener.journal.error = JournalFull()
        stage.broker.publish(TOPIC, b"x" * 1000)
        await until(lambda: stage.listener.reason == "full")


async def test_what_no_car_sends_is_left_out() -> None:
    async with staged(limits=StreamLimits(body=100, topic=60)) as stage:
        await stage.listener.connected()
        stage.broker.publish(TOPIC, b"x" * 101)
        stage.broker.publish(f"{GCID}/{'9' * 60}", b"{}")
        stage.broker.publish(f"{GCID}/status", b'{"vin": 7}')
        stage.broker.publish(TOPIC, b"x" * 100)
        await until(lambda: stage.listener.journal.bodies)
        assert stage.listener.journal.bodies == [b"x" * 100]


async def test_a_bug_comes_out_and_its_batch_is_not_offered_for_ever() -> None:
    async with staged() as stage:
        await stage.listener.connected()
        listener = stage.listener
        listener.journal.error = KeyError("a bug")
        stage.broker.publish(TOPIC, b"odd")
        with pytest.raises(KeyError):
            await listener.task
        listener.journal.error = None
        listener.task = asyncio.create_task(listener.stream.run(listener.stop))
        await stage.clock.advance(MINUTE)
        await until(stage.subscribed)
        stage.broker.publish(TOPIC, b"good")
        await until(lambda: listener.journal.bodies)
        assert listener.journal.bodies == [b"good"]


async def test_a_topic_that_is_none_ends_a_connection_and_is_not_quoted(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The libraries quote it; brokers do not let it pass."""
    log.configure("debug", "json")
    async with staged() as stage:
        await stage.listener.connected()
        stage.broker.publish(f"{GCID}/{VIN}+", b"{}")
        await stage.told_down()
        await until(lambda: not stage.subscribed())
        await stage.next_attempt()
        await stage.listener.connected()
    assert GCID not in capfd.readouterr().err + caplog.text


# The token.


async def test_before_the_token_expires_a_new_connection_replaces_the_old_one() -> None:
    clock = ManualClock()
    passwords: list[str] = []

    def admits(_username: str, password: str) -> int:
        passwords.append(password)
        return 0

    begun = clock.now()
    async with staged(
        clock, admits=admits, expires=lambda _user, _token: clock.now() + timedelta(hours=1)
    ) as stage:
        await stage.listener.connected()
        for hours in range(1, 4):
            await clock.advance(55 * MINUTE)
            await until(lambda hours=hours: len(passwords) == hours + 1)
            await until(stage.subscribed)
            assert stage.listener.state == "connected"
        assert passwords == ["id-token-1", "id-token-2", "id-token-3", "id-token-4"]
        assert stage.arrivals() == [55 * MINUTE * number for number in range(4)]
        assert len({arrival.client_id for arrival in stage.broker.arrivals}) == 1
        assert stage.listener.stream.gap_ended_at == begun, "a moment is no gap"
        assert True not in stage.account.asked


async def test_without_a_new_token_the_connection_is_used_to_its_end_which_is_no_kick() -> None:
    clock = ManualClock()
    async with staged(clock, expires=lambda _user, _token: stage.account.tokens.expires_at) as stage:
        await stage.listener.connected()
        await clock.advance(50 * MINUTE)
        stage.account.error = SourceUnavailable("no network", reason="network")
        await clock.advance(9 * MINUTE)
        assert stage.listener.state == "connected"
        await clock.advance(MINUTE)
        await stage.told_down()
        assert stage.listener.reason == "expired"
        await clock.advance(MINUTE)
        assert stage.listener.state == "no_network"
        await clock.advance(10 * MINUTE)
        assert len(stage.broker.arrivals) == 1, "nobody connects without a token"
        stage.account.error = None
        await clock.advance(11 * MINUTE)
        await stage.listener.connected()
        assert stage.listener.stream.gap_ended_at == stage.listener.stream.status().since


async def test_a_token_that_lives_for_a_minute_makes_no_more_than_a_connection_each_half_minute() -> None:
    async with staged(life=40.0) as stage:
        await stage.listener.connected()
        for count in range(1, 5):
            await stage.clock.advance(29)
            await another(stage)
            assert len(stage.arrivals()) == count
            await stage.clock.advance(1)
            await until(lambda count=count: len(stage.arrivals()) == count + 1)
            await until(stage.subscribed)


async def test_after_a_suspend_the_connection_is_made_anew_and_the_gap_is_known() -> None:
    async with staged() as stage:
        await stage.listener.connected()
        await stage.clock.advance(10 * MINUTE)
        stage.clock.jump(20 * MINUTE)  # the token is still good
        await stage.clock.advance(MINUTE)
        await until(lambda: len(stage.broker.arrivals) == 2)
        await until(lambda: stage.listener.stream.gap_ended_at == stage.clock.now())


async def test_a_suspend_that_shows_as_a_broken_connection_is_as_long_as_it_was() -> None:
    async with staged() as stage:
        await stage.listener.connected()
        await stage.clock.advance(10 * MINUTE)
        stage.clock.jump(8 * HOUR)
        stage.broker.close_all()
        await stage.told_down()
        await stage.next_attempt()
        await stage.listener.connected()
        assert stage.listener.stream.gap_ended_at == stage.listener.stream.status().since


# Another program.


async def another(stage: Stage) -> None:
    """Somebody else comes and goes; whoever set out before has arrived by then."""
    address = urlsplit(stage.url)
    for _ in range(3):
        async with aiomqtt.Client(address.hostname or "", address.port or 0, username="another"):
            pass


async def rival(stage: Stage) -> None:
    """Another program of the same owner's connects; whoever was there is thrown off."""
    address = urlsplit(stage.url)
    other = aiomqtt.Client(address.hostname or "", address.port or 0, username=GCID, password="its")
    async with other:
        await stage.told_down()


async def closed_socket(stage: Stage) -> None:
    """As a kick looks in MQTT 3.1.1, and at a broker that says nothing."""
    stage.broker.close_all()
    await stage.told_down()


@pytest.mark.parametrize("throw_off", [rival, closed_socket])
async def test_a_second_client_is_reported_within_a_minute_and_not_fought(throw_off) -> None:
    """The second one comes back at once, as real ones do; we do so once in 30 s at most, and ever less."""
    async with staged() as stage:
        await stage.listener.connected()
        ours, began, kicked_after = [0.0], stage.clock.monotonic(), None
        while ours[-1] < HOUR:
            await throw_off(stage)
            if stage.listener.state == "kicked" and kicked_after is None:
                kicked_after = stage.clock.monotonic() - began
            await stage.next_attempt()
            await until(stage.subscribed)
            ours.append(stage.clock.monotonic() - began)
            assert stage.listener.state == ("kicked" if kicked_after is not None else "connected")
        assert kicked_after is not None
        assert kicked_after <= MINUTE
        pauses = [later - earlier for earlier, later in pairwise(ours)]
        assert min(pauses) >= 30
        assert pauses[-1] >= 10 * MINUTE
        assert len(ours) <= 12, ours
        failure = stage.listener.stream.status().failure
        assert failure is not None
        assert "another program" in failure.message
        assert "stream_url" in str(failure.hint)
        # The other one is turned off.
        await stage.clock.advance(2 * MINUTE)
        assert stage.listener.state == "connected"
        assert stage.listener.stream.status().failure is None
        assert stage.listener.stream.status().since >= stage.clock.now() - timedelta(seconds=1)
        for _ in range(2):  # after two minutes, and then soon
            await throw_off(stage)
            assert stage.listener.state == "waiting", "what has settled begins anew"
            await stage.next_attempt()
            await until(stage.subscribed)


async def test_a_connection_that_is_lost_now_and_then_is_no_kick() -> None:
    async with staged() as stage:
        for _ in range(4):
            await stage.listener.connected()
            await stage.clock.advance(5 * MINUTE)
            await closed_socket(stage)
            assert (stage.listener.state, stage.listener.reason) == ("waiting", "closed")
            await stage.next_attempt()
            await until(stage.subscribed)
        assert stage.listener.stream.gap_ended_at == stage.listener.stream.gap_ended_at


# Refusals.

#: Code of the CONNACK, how it is shown, the shortest and the longest first pause.
REFUSALS = [
    (128, "waiting", "busy", 30, 30.1),
    (133, "waiting", "busy", 30, 30.1),
    (134, "waiting", "credentials", 30, 37.6),
    (135, "waiting", "credentials", 30, 37.6),
    (136, "waiting", "busy", 30, 30.1),
    (149, "waiting", "busy", 30, 30.1),
    (151, "waiting", "throttled", 60, 75.1),
]


@pytest.mark.parametrize(("code", "state", "reason", "least", "most"), REFUSALS)
@pytest.mark.parametrize("version", [V5, V311])
async def test_each_refusal_has_its_pause(
    code: int, state: str, reason: str, least: float, most: float, version: int
) -> None:
    async with staged(admits=lambda _user, _password: code, versions=(version,)) as stage:
        if version == V311:
            await until(lambda: stage.broker.arrivals)
            assert stage.listener.reason == "", "not to know MQTT 5 is no fault"
            await until(lambda: stage.clock.sleeping)
            await stage.clock.advance(30)
            if code == 151:
                reason, least, most = "busy", 30, 30.1  # 3.1.1 has no word for it
        await stage.told_down()
        assert (stage.listener.state, stage.listener.reason) == (state, reason)
        came = stage.clock.monotonic()
        stage.broker.admits = lambda _user, _password: 0
        await stage.next_attempt()
        assert least <= stage.clock.monotonic() - came <= most
        await stage.listener.connected()
        assert stage.broker.arrivals[-1].version == version


async def test_a_refused_token_is_renewed_once_and_after_five_times_the_human_is_told() -> None:
    async with staged(admits=lambda _user, _password: 135) as stage:
        states = []
        for _ in range(8):
            await stage.told_down()
            states.append(stage.listener.state)
            await stage.next_attempt()
        assert states == ["waiting"] * 4 + ["refused"] * 4
        assert stage.account.asked.count(True) == 1
        pauses = [later - earlier for earlier, later in pairwise(stage.arrivals())]
        assert min(pauses) >= 30
        assert min(pauses[5:]) >= 15 * MINUTE
        hint = str(stage.listener.stream.status().failure.hint)
        assert "poller login home" in hint
        assert "CarData Stream" in hint


async def test_a_new_login_ends_the_wait_at_once() -> None:
    async with staged(admits=lambda _user, _password: 134) as stage:
        for _ in range(6):
            await stage.told_down()
            await stage.next_attempt()
        await stage.told_down()
        stage.broker.admits = lambda _user, _password: 0
        await stage.clock.advance(MINUTE)
        assert stage.listener.state == "refused"
        stage.account.login()
        await stage.clock.advance(10)
        await stage.listener.connected()


@pytest.mark.parametrize(
    ("code", "words", "hint"),
    [(128, "no data stream is configured", "Configure data stream"), (135, "login", "PRIMARY")],
)
async def test_a_refused_subscription_names_the_step_that_mends_it(code: int, words: str, hint: str) -> None:
    async with staged(grants=lambda _topic: code) as stage:
        for _ in range(3):
            await stage.told_down()
            status = stage.listener.stream.status()
            assert (status.state, stage.listener.reason) == ("refused", "topic")
            assert words in status.failure.message
            assert hint in status.failure.hint
            await stage.next_attempt()
        assert all(later - earlier >= MINUTE for earlier, later in pairwise(stage.arrivals()))
        await stage.told_down()
        stage.broker.grants = lambda _topic: 0
        await stage.next_attempt()
        await stage.listener.connected()


async def test_a_refused_subscription_with_a_closed_connection_is_no_kick() -> None:
    """BMW refuses and hangs up in one go."""
    async with staged() as stage:
        await stage.listener.connected()

        def refuse(_topic: str) -> int:
            asyncio.get_running_loop().call_soon(stage.broker.close_all)
            return 135

        stage.broker.grants = refuse
        stage.broker.close_all()
        for _ in range(4):
            await stage.told_down()
            await stage.next_attempt()
        await stage.told_down()
        assert (stage.listener.state, stage.listener.reason) == ("refused", "topic")


async def test_a_broker_that_falls_silent_is_asked_in_the_older_version_and_left_no_connection() -> None:
    """Old brokers say nothing to MQTT 5; what was opened in vain must not be the account's connection."""
    ended: list[bytes] = []
    heard: list[bytes] = []

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(64))
        ended.append(await reader.read())

    clock = ManualClock()
    async with (
        answering(silent) as address,
        listening(
            settings(f"mqtt://{address}"), Account(clock), clock, limits=StreamLimits(answer=0.3)
        ) as listener,
    ):
        for count in range(1, 4):
            await until(lambda count=count: len(ended) == count)
            await until(lambda: listener.stream.status().retry_at is not None)
            assert (listener.state, listener.reason) == ("no_network", "no_answer")
            await clock.advance(MINUTE)
        assert [packet[8] for packet in heard[:3]] == [V5, V311, V5]


# The login.


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (LoginRequired("log in", hint="run `poller login home`"), "refused", "login_required"),
        (SourceUnavailable("not reached", reason="network"), "no_network", "network"),
        (SourceUnavailable("no answer", reason="timeout"), "no_network", "timeout"),
        (SourceUnavailable("HTTP 503"), "waiting", "unavailable"),
        (RateLimited(ManualClock().now() + timedelta(hours=1), "slow down"), "waiting", "rate_limited"),
        (SourceBlocked(ManualClock().now() + timedelta(hours=1), "denied"), "refused", "blocked"),
    ],
)
async def test_without_a_token_nobody_connects(error, state: str, reason: str) -> None:
    clock = ManualClock()
    broker, account = Broker(clock), Account(clock, error=error)
    async with broker.serve() as url, listening(settings(url), account, clock) as listener:
        await until(lambda: listener.reason == reason)
        assert listener.state == state
        assert listener.stream.status().failure.message == error.message
        await clock.advance(59 * MINUTE)
        assert not broker.arrivals
        assert len(account.asked) <= 15
        account.login()
        await clock.advance(15 * MINUTE)
        await listener.connected()
        assert broker.arrivals[0].username == GCID


@pytest.mark.parametrize("missing", [oauth.STREAM, oauth.OPENID])
async def test_a_login_without_the_stream_is_explained_and_not_tried(missing: str) -> None:
    clock = ManualClock()
    broker = Broker(clock)
    account = Account(clock, scopes=tuple(scope for scope in oauth.SCOPES if scope != missing))
    async with broker.serve() as url, listening(settings(url), account, clock) as listener:
        await until(lambda: listener.state == "refused")
        failure = listener.stream.status().failure
        assert missing in failure.message
        assert "poller login home" in failure.hint
        await clock.advance(2 * HOUR)
        assert not broker.arrivals
        account.scopes = oauth.SCOPES
        account.login()
        await clock.advance(10)
        await listener.connected()


# TLS.


@asynccontextmanager
async def tls_1_2(certificates: Path) -> AsyncIterator[tuple[Broker, ManualClock, str]]:
    clock = ManualClock()
    broker = Broker(clock)
    async with broker.serve(tls=server_tls(certificates, ssl.TLSVersion.TLSv1_2)) as url:
        yield broker, clock, url.replace("127.0.0.1", "localhost")


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # paho leaves the socket to the collector
async def test_bmw_is_not_spoken_to_below_tls_1_3(certificates: Path) -> None:
    """A plain socket, for asyncio's servers hang up without the alert that BMW's sends."""
    old, clock = server_tls(certificates, ssl.TLSVersion.TLSv1_2), ManualClock()
    with socket.create_server(("127.0.0.1", 0)) as server:
        config = settings(f"mqtts://localhost:{server.getsockname()[1]}", tls_ca="ca.crt")
        async with listening(config, Account(clock), clock, base=certificates) as listener:
            await asyncio.to_thread(refuse_in, old, server)
            await until(lambda: listener.reason == "tls_version")
            assert "TLS 1.3" in listener.stream.status().failure.message


def refuse_in(context: ssl.SSLContext, server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection, contextlib.suppress(OSError):
        context.wrap_socket(connection, server_side=True).close()


async def test_an_own_broker_may_speak_tls_1_2(certificates: Path) -> None:
    async with tls_1_2(certificates) as (broker, clock, url):
        config = settings(url, tls_ca="ca.crt", stream_username="me")
        async with listening(config, None, clock, base=certificates) as listener:
            await listener.connected()
            assert broker.arrivals[0].username == "me"


# The stop, which `listening` holds to a second.


async def test_a_stop_while_nobody_answers() -> None:
    clock, opened = ManualClock(), asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        opened.set()
        await reader.read()

    async with answering(deaf) as address:
        config = settings(f"mqtt://{address}")
        async with listening(config, Account(clock), clock):
            await opened.wait()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # paho leaves the socket to the collector
async def test_a_stop_in_the_middle_of_a_handshake() -> None:
    """A thread is at it, which nobody can end; it must not be waited for, nor leave a connection behind."""
    clock, opened, over = ManualClock(), asyncio.Event(), asyncio.Event()

    async def deaf(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        opened.set()
        await over.wait()

    async with answering(deaf) as address:
        config = settings(f"mqtts://{address}")
        async with listening(config, Account(clock), clock):
            await opened.wait()
        over.set()


async def test_a_connection_that_nobody_waits_for_any_more_is_closed(certificates: Path) -> None:
    """The handshake ends well after the stop: the account's one connection must not stay taken."""
    clock, opened, closed = ManualClock(), asyncio.Event(), asyncio.Event()
    context = server_tls(certificates)
    go_on = threading.Event()

    def late(server: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        connection, _ = server.accept()
        loop.call_soon_threadsafe(opened.set)
        go_on.wait(5)
        with context.wrap_socket(connection, server_side=True) as encrypted:
            while encrypted.recv(1024):
                pass
        loop.call_soon_threadsafe(closed.set)

    with socket.create_server(("127.0.0.1", 0)) as server:
        serving = asyncio.create_task(asyncio.to_thread(late, server, asyncio.get_running_loop()))
        config = settings(f"mqtts://localhost:{server.getsockname()[1]}", tls_ca="ca.crt")
        async with listening(config, Account(clock), clock, base=certificates):
            await opened.wait()
        go_on.set()
        async with asyncio.timeout(5):
            await closed.wait()
            await serving


async def test_a_stop_while_the_journal_hangs() -> None:
    async with staged() as stage:
        await stage.listener.connected()
        stage.listener.journal.gate = asyncio.Event()
        stage.broker.publish(TOPIC, b"stuck")
        await until(lambda: stage.listener.journal.offered)


async def test_at_a_stop_what_has_come_is_still_handed_on() -> None:
    async with staged() as stage:
        await stage.listener.connected()
        journal = stage.listener.journal
        journal.gate = asyncio.Event()
        stage.broker.publish(TOPIC, b"one")
        await until(lambda: journal.offered == 1)
        stage.broker.publish(TOPIC, b"two")
        await until(lambda: stage.listener.stream._inbox._waiting[-1].body == b"two")
        stage.listener.stop.set()
        await until(lambda: not stage.subscribed())
        journal.gate.set()
        await stage.listener.task
        assert journal.bodies == [b"one", b"two"]


# What is said.


async def test_the_log_holds_changes_and_nothing_private(capfd: pytest.CaptureFixture[str]) -> None:
    log.configure("debug", "json")
    logging.root.setLevel(logging.DEBUG)
    async with staged() as stage:
        await stage.listener.connected()
        stage.broker.publish(TOPIC, b"{}")
        stage.broker.publish(f"{GCID}/status", b"secret")
        await stage.clock.advance(55 * MINUTE)
        await until(lambda: len(stage.broker.arrivals) == 2)
        await until(stage.subscribed)
        await stage.clock.advance(5 * MINUTE)
        for _ in range(6):
            await closed_socket(stage)
            await stage.next_attempt()
            await until(stage.subscribed)
        stage.broker.admits = lambda _user, _password: 135
        await closed_socket(stage)
        for _ in range(8):
            await stage.next_attempt()
            await stage.told_down()
    said = capfd.readouterr().err
    events = [line.split('"event": "')[1].split('"')[0] for line in said.splitlines() if '"stream.' in line]
    assert events == [
        "stream.connected",
        "stream.message_ignored",
        "stream.lost",  # after minutes
        "stream.connected",
        "stream.lost",  # at once
        "stream.connected",
        "stream.kicked",
        "stream.unavailable",
        "stream.refused",
    ]
    for private in (GCID, VIN, "id-token", "secret", GCID[-12:]):
        assert private not in said
