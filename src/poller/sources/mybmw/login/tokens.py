"""The stored login of a MyBMW account, and taking over another program's."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from poller.sources.login_file import LoginFile, StoredLogin

#: A new session id at every start was linked to forced logins; the app keeps one about this long.
SESSION_AGE: Final = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Tokens(StoredLogin):
    """One account's login. `device` and `session` belong to it and are kept over refreshes.

    `expires_at` is the access token's end by the server's word.
    """

    device: str
    session: str
    session_since: datetime
    expires_at: datetime
    refresh_token: str = field(repr=False)
    access_token: str = field(repr=False)
    gcid: str = field(default="", repr=False)


class TokenFile(LoginFile[Tokens]):
    """Where an account's tokens lie."""

    def __init__(self, directory: Path, account: str) -> None:
        super().__init__(directory, account, Tokens)


@dataclass(frozen=True, slots=True)
class Takeover:
    """What bimmer_connected's store gives (``~/.bimmer_connected.json``, facts section 13)."""

    refresh_token: str = field(repr=False)
    gcid: str = field(default="", repr=False)
    session: str | None = None
    session_since: datetime | None = None


async def read_takeover(path: Path) -> Takeover:
    """Read another program's store; ValueError says what is wrong with it."""
    try:
        raw = json.loads(await asyncio.to_thread(path.read_bytes))
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ValueError(f"{path} is not JSON") from error
    token = raw.get("refresh_token") if isinstance(raw, dict) else None
    if not isinstance(token, str) or not token.strip():
        raise ValueError(f"{path} holds no refresh token")
    session, since = raw.get("session_id"), raw.get("session_id_timestamp")
    gcid = raw.get("gcid")
    return Takeover(
        token.strip(),
        gcid if isinstance(gcid, str) else "",
        session if isinstance(session, str) and session else None,
        _unix_time(since),
    )


def _unix_time(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 32_503_680_000:
        return None
    return datetime.fromtimestamp(value, tz=UTC)
