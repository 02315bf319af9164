"""What a bad HTTP answer means: which error, and until when to wait."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from poller.errors import LoginRequired, RateLimited, SourceBlocked, SourceError, SourceUnavailable
from poller.runtime.retry_after import retry_after

BLOCKED: Final = 489
_BLOCKED_PAUSE = timedelta(hours=24)
#: Without a word from the server: 429 comes in bursts, a spent quota usually lasts until midnight UTC.
_LIMIT_PAUSE = timedelta(minutes=5)
_QUOTA_PAUSE = timedelta(hours=1)
#: A server that says "never" or "at once" is not taken at its word.
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(hours=24)

_IN_SECONDS = re.compile(r"\bin (\d{1,9})(?:\.\d+)? ?s(?:ec|\b)", re.IGNORECASE)
_IN_CLOCK = re.compile(r"\bin (\d{1,3}):([0-5]\d):([0-5]\d)\b", re.IGNORECASE)

_BLOCKED_MESSAGE = (
    "BMW answered 489 Blocked: it has refused clients other than its own app since September 2025"
)
_BLOCKED_HINT = (
    "nothing here is broken and retrying cannot help; the login is kept and asked once a day. "
    'BMW\'s open way for owners is CarData: type = "cardata", docs/sources/cardata.md'
)


def refusal(
    status: int, headers: Mapping[str, str], body: bytes, now: datetime, *, login_hint: str
) -> SourceError:
    """The error for an answer below 500 that is no success; of the body it holds at most the wait.

    `headers` by lower-case name. 401 is about the access token: whoever can refresh does so before
    asking this. 403 without "quota" is the account's, not the vehicle's (facts section 6).
    """
    text = body[:2000].decode("utf-8", "replace")
    if status == BLOCKED:
        return SourceBlocked(now + _BLOCKED_PAUSE, _BLOCKED_MESSAGE, hint=_BLOCKED_HINT)
    if status == 429 or (status == 403 and "quota" in text.lower()):
        return _limited(status, headers, text, now)
    if status in (401, 403):
        return LoginRequired(f"BMW refused the login ({status})", hint=login_hint)
    return SourceUnavailable(f"BMW answered {status}")


def _limited(status: int, headers: Mapping[str, str], text: str, now: datetime) -> RateLimited:
    quota = "quota" in text.lower()
    pause = retry_after(headers.get("retry-after"), now) or _pause_in(text)
    if pause is None:
        pause = _QUOTA_PAUSE if quota else _LIMIT_PAUSE
    pause = min(max(pause, _SHORTEST), _LONGEST)
    what = "the day's calls are used up" if quota else "too many requests"
    return RateLimited(
        now + pause,
        f"BMW asks us to wait ({status}: {what})",
        hint="the login is kept; a longer `interval` for this source spends fewer calls",
        reason="quota" if quota else None,
    )


def _pause_in(text: str) -> timedelta | None:
    if match := _IN_CLOCK.search(text):
        hours, minutes, seconds = (int(part) for part in match.groups())
        return timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if match := _IN_SECONDS.search(text):
        return timedelta(seconds=int(match[1]))
    return None
