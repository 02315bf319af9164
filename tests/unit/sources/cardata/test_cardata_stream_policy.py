"""What the stream does about each failure, as a pure matter; and whose a message is."""

from __future__ import annotations

import json
import socket
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.runtime import log
from poller.sources.cardata.login.tokens import Tokens
from poller.sources.cardata.stream.line import because_of
from poller.sources.cardata.stream.policy import Course, Pace, renewal_time, vin_of
from poller.sources.cardata.stream.standing import StreamStanding
from poller.sources.cardata.stream.words import Cause, lost_because, refused_because, words
from poller.testing.clock import ManualClock

VIN = "WBA00000000000001"
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TOKENS = Tokens("a", 1, NOON, (), NOON + timedelta(hours=1), NOON + timedelta(days=14), "", "")


def course(*, own: bool = False, chance: float = 0.0) -> Course:
    return Course("home", own=own, soon=120.0, chance=lambda: chance)


# Pauses.


def test_the_network_is_tried_from_five_seconds_to_five_minutes_and_at_last_every_ten() -> None:
    bmw = course()
    pauses = [bmw.failed(Cause.DNS).pause for _ in range(13)]
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300, 300, 600, 600, 600]


@pytest.mark.parametrize(
    ("cause", "first", "longest"),
    [
        (Cause.CREDENTIALS, 30, 900),
        (Cause.BUSY, 20, 300),
        (Cause.THROTTLED, 60, 600),
        (Cause.TOPIC, 60, 900),
    ],
)
def test_every_sort_of_refusal_has_its_own_pace(cause: Cause, first: float, longest: float) -> None:
    bmw = course()
    pauses = [bmw.failed(cause).pause for _ in range(12)]
    assert (pauses[0], pauses[1], pauses[-1]) == (first, 2 * first, longest)


@given(failures=st.integers(1, 10_000), chance=st.floats(0, 1))
def test_jitter_only_ever_adds(failures: int, chance: float) -> None:
    plain = Pace(5, 300, at_last=600).pause(failures, 0)
    assert plain <= Pace(5, 300, at_last=600).pause(failures, chance) <= plain * 1.25


def test_a_failure_of_another_sort_does_not_begin_a_pace_anew() -> None:
    """A refused login stays refused although the network failed in between."""
    bmw = course()
    bmw.failed(Cause.CREDENTIALS)
    bmw.failed(Cause.DNS)
    assert bmw.failed(Cause.CREDENTIALS).pause == 60


def test_a_subscription_begins_every_pace_anew() -> None:
    bmw = course()
    bmw.failed(Cause.CREDENTIALS)
    bmw.subscribed()
    assert bmw.failed(Cause.CREDENTIALS).pause == 30


def test_what_fails_before_the_broker_is_asked_counts_with_the_network() -> None:
    bmw = course()
    assert [bmw.pause_without_login(), bmw.failed(Cause.UNREACHABLE).pause] == [5, 10]


# The login.


def test_only_the_first_refusal_asks_for_a_fresh_token_and_the_fifth_for_the_human() -> None:
    bmw = course()
    steps = [bmw.failed(Cause.CREDENTIALS, code=135) for _ in range(6)]
    assert [step.fresh_login for step in steps] == [True] + [False] * 5
    assert [step.state for step in steps] == ["waiting"] * 4 + ["refused"] * 2


def test_an_own_brokers_password_does_not_mend_itself() -> None:
    assert course(own=True).failed(Cause.CREDENTIALS).state == "refused"


# Kicks.


def test_twice_thrown_off_soon_is_a_kick_and_its_pauses_grow_to_ten_minutes() -> None:
    bmw, steps = course(), []
    for _ in range(8):
        steps.append(bmw.failed(Cause.TAKEN_OVER, lasted=3, code=142))
        bmw.subscribed()
    assert [step.state for step in steps] == ["waiting"] + ["kicked"] * 7
    assert [step.pause for step in steps] == [5, 30, 60, 120, 240, 480, 600, 600]


@pytest.mark.parametrize(
    ("cause", "lasted"),
    [
        (Cause.CLOSED, 121.0),  # it stood long enough
        (Cause.CLOSED, None),  # nobody let us in
        (Cause.UNHEARD, 3.0),  # the network, or a broker that hangs
        (Cause.EXPIRED, 3.0),  # the token
    ],
)
def test_other_ends_are_no_kick(cause: Cause, lasted: float | None) -> None:
    bmw = course()
    assert [bmw.failed(cause, lasted=lasted).cause for _ in range(5)] == [cause] * 5
    assert not bmw.kicked


def test_what_has_settled_was_not_kicked() -> None:
    bmw = course()
    bmw.failed(Cause.CLOSED, lasted=1)
    bmw.settled()
    assert bmw.failed(Cause.CLOSED, lasted=1).state == "waiting"


# Codes and words.


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (132, Cause.VERSION),
        (134, Cause.CREDENTIALS),
        (135, Cause.CREDENTIALS),
        (133, Cause.BUSY),
        (128, Cause.BUSY),
        (136, Cause.BUSY),
        (151, Cause.THROTTLED),
        (200, Cause.BUSY),
    ],
)
def test_each_code_of_a_refused_connection_has_its_meaning(code: int, cause: Cause) -> None:
    assert refused_because(code) is cause


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (142, Cause.TAKEN_OVER),
        (141, Cause.UNHEARD),
        (151, Cause.THROTTLED),
        (None, Cause.CLOSED),
        (0, Cause.CLOSED),
        (139, Cause.CLOSED),
    ],
)
def test_each_code_of_an_ended_connection_has_its_meaning(code: int | None, cause: Cause) -> None:
    assert lost_because(code) is cause


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_words_for_the_right_broker(cause: Cause, own: bool) -> None:
    message, hint = words(cause, None, own=own, name="home")
    assert message
    if own:
        assert "BMW" not in message + str(hint)


def test_the_subscription_names_its_step_in_the_portal_or_the_login() -> None:
    assert "Configure data stream" in str(words(Cause.TOPIC, 128, own=False, name="home")[1])
    assert "poller login home" in str(words(Cause.TOPIC, 135, own=False, name="home")[1])


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (socket.gaierror(-2, "Name or service not known"), Cause.DNS),
        (UnicodeError("label too long"), Cause.DNS),
        (ConnectionRefusedError(), Cause.PORT_CLOSED),
        (OSError(101, "Network is unreachable"), Cause.UNREACHABLE),
        (TimeoutError("timed out"), Cause.NO_ANSWER),
        (None, Cause.UNREACHABLE),
    ],
)
def test_what_a_socket_says_is_told_apart(error: Exception | None, cause: Cause) -> None:
    assert because_of(error).cause is cause


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("TLSV1_ALERT_PROTOCOL_VERSION", Cause.TLS_VERSION),
        ("UNSUPPORTED_PROTOCOL", Cause.TLS_VERSION),
        ("WRONG_VERSION_NUMBER", Cause.TLS),
        (None, Cause.TLS),
    ],
)
def test_what_tls_says_is_told_apart(reason: str | None, cause: Cause) -> None:
    error = ssl.SSLError(1, "it failed")
    error.reason = reason
    assert because_of(error).cause is cause


# The token.


def test_a_token_is_replaced_five_minutes_before_its_end() -> None:
    assert renewal_time(TOKENS) == NOON + timedelta(minutes=55)


def test_a_short_lived_one_at_half_its_life() -> None:
    assert renewal_time(replace(TOKENS, expires_at=NOON + timedelta(minutes=2))) == NOON + timedelta(
        minutes=1
    )


# Whose a message is.


@pytest.mark.parametrize(
    ("topic", "body"),
    [
        (f"00000000-0000-4000-8000-000000009c1d/{VIN}", b"not JSON"),
        (f"bmw/{VIN.lower()}", b"{}"),
        (f"bmw/{VIN}/batteryManagement", b"{}"),
        ("bmw/raw", json.dumps({"vin": VIN.lower()}).encode()),
        (VIN, b"\xff"),
    ],
)
def test_the_vin_is_in_the_topic_or_else_in_the_message(topic: str, body: bytes) -> None:
    assert vin_of(topic, body) == VIN


def test_the_topic_comes_first() -> None:
    assert vin_of(f"bmw/{VIN}", b'{"vin": "WBA00000000000002"}') == VIN


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[]", b"7", b'{"vin": 7}', b'{"vin": "short"}', b"[" * 100_000]
)
def test_a_message_of_no_vehicle(body: bytes) -> None:
    assert vin_of("homeassistant/status", body) is None


@given(topic=st.text(max_size=60), body=st.binary(max_size=200))
def test_any_topic_and_body_are_borne(topic: str, body: bytes) -> None:
    assert vin_of(topic, body) is None or len(str(vin_of(topic, body))) == 17


# Gaps.


def standing(clock: ManualClock) -> StreamStanding:
    return StreamStanding(clock, log.get("test"), own=False, gap=300.0)


@pytest.mark.parametrize(("seconds", "gap"), [(299, False), (300, True)])
async def test_five_minutes_without_a_subscription_are_a_gap(seconds: float, gap: bool) -> None:
    clock = ManualClock()
    stands = standing(clock)
    stands.subscribed()
    assert stands.gap_ended_at == (began := clock.now())
    await clock.advance(3600)
    assert not stands.slept()
    stands.ended()
    await clock.advance(seconds)
    stands.subscribed()
    assert stands.gap_ended_at == (clock.now() if gap else began)


async def test_a_clock_set_back_hides_no_gap() -> None:
    clock = ManualClock()
    stands = standing(clock)
    stands.subscribed()
    stands.ended()
    clock.jump(-3600)
    await clock.advance(300)
    stands.subscribed()
    assert stands.gap_ended_at == clock.now()


async def test_the_page_says_since_when_it_is_down_whatever_it_is_called() -> None:
    clock = ManualClock()
    stands = standing(clock)
    stands.began()
    stands.show_connected("5")
    await clock.advance(100)
    stands.show_down("waiting", "closed", "closed", None)
    lost_at = clock.now()
    await clock.advance(100)
    stands.show_down("no_network", "dns", "no name", None)
    assert (stands.status.since, stands.status.failure.at) == (lost_at, clock.now())
    stands.show_connected("5")
    assert stands.status.since == clock.now()
    assert stands.status.failure is None
