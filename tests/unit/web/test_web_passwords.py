"""The page's password."""

from __future__ import annotations

import pytest

from poller.errors import ConfigError
from poller.testing.clock import ManualClock
from poller.web.passwords import Password, Throttle, hash_password


async def test_a_plain_password_matches_itself_only():
    password = Password("open sesame")
    assert await password.matches("open sesame")
    assert not await password.matches("open sesamE")
    assert not await password.matches("")


async def test_a_hash_matches_what_it_was_made_of():
    hashed = hash_password("käse")
    assert hashed.startswith("scrypt$")
    assert "käse" not in hashed
    password = Password(hashed)
    assert not await password.matches(hashed)
    assert not await password.matches("kase")
    assert await password.matches("käse")


async def test_a_hash_is_computed_once_for_the_right_password():
    """Later requests are compared with what was accepted: a page that refreshes costs nothing."""
    password = Password(hash_password("x"))
    assert not password.remembers("x")
    await password.matches("x")
    assert password.remembers("x")
    assert not password.remembers("y")


def test_two_hashes_of_one_password_differ():
    assert hash_password("x") != hash_password("x")


@pytest.mark.parametrize(
    "broken",
    ["scrypt$", "scrypt$1$2$3", "scrypt$16384$8$1$AAAA$", "scrypt$3$8$1$AAAA$AAAA",
     "scrypt$99999999$8$1$AA==$AA=="],
)  # fmt: skip
def test_a_broken_hash_is_no_plain_password(broken):
    with pytest.raises(ConfigError, match=r"\[web\] password"):
        Password(broken)


async def test_the_door_closes_after_too_many_tries_and_opens_again():
    clock = ManualClock()
    throttle = Throttle(clock, limit=3, window=60)
    for _ in range(3):
        assert throttle.closed_for("10.0.0.9") == 0
        throttle.note_failure("10.0.0.9")
        await clock.advance(1)
    assert throttle.closed_for("10.0.0.9") == 57
    assert throttle.closed_for("10.0.0.10") == 0
    await clock.advance(57)
    assert throttle.closed_for("10.0.0.9") == 0


def test_many_clients_do_not_fill_the_memory():
    throttle = Throttle(ManualClock())
    for number in range(1000):
        throttle.note_failure(str(number))
    assert len(throttle._failures) == Throttle._MAX_CLIENTS
