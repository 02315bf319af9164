"""Logging in by a code on another device: which failures a fresh code mends, and how often it is tried."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from poller.errors import LoginRequired
from poller.sources.device import EXPIRED, SPOILED, log_in


@dataclass(frozen=True)
class Slip:
    user_code: str
    url: str = "https://bmw.example/link"
    url_complete: str = "https://bmw.example/link?user_code=A"
    expires_at: datetime = datetime(2026, 11, 21, tzinfo=UTC)


class Desk:
    """Gives out numbered codes; each fails for the next of the reasons, until there is none left."""

    def __init__(self, *reasons: str) -> None:
        self._reasons = list(reasons)
        self.given = 0
        self.shown: list[tuple[str, str | None]] = []

    async def begin_login(self) -> Slip:
        self.given += 1
        return Slip(str(self.given))

    async def finish_login(self, code: Slip) -> str:
        if self._reasons:
            raise LoginRequired("no", reason=self._reasons.pop(0))
        return f"in with {code.user_code}"

    def show(self, code, why) -> None:
        self.shown.append((code.user_code, why and why.reason))


async def test_a_code_that_is_allowed_is_the_only_one_shown():
    desk = Desk()
    assert await log_in(desk, desk.show, 3) == "in with 1"
    assert desk.shown == [("1", None)]


async def test_a_code_that_expired_or_was_spoiled_is_followed_by_a_fresh_one_that_says_why():
    desk = Desk(EXPIRED, SPOILED)
    assert await log_in(desk, desk.show, 3) == "in with 3"
    assert desk.shown == [("1", None), ("2", EXPIRED), ("3", SPOILED)]


async def test_after_so_many_codes_the_last_reason_is_raised():
    desk = Desk(EXPIRED, SPOILED, EXPIRED)
    with pytest.raises(LoginRequired) as raised:
        await log_in(desk, desk.show, 2)
    assert (raised.value.reason, desk.given) == (SPOILED, 2)


async def test_what_a_fresh_code_does_not_mend_is_raised_at_once():
    desk = Desk("login_denied")
    with pytest.raises(LoginRequired):
        await log_in(desk, desk.show, 3)
    assert desk.given == 1
