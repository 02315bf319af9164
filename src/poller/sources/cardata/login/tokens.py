"""The stored login of a CarData client."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from poller.sources.login_file import LoginFile, StoredLogin


@dataclass(frozen=True, slots=True)
class Tokens(StoredLogin):
    """One client's login.

    `expires_at`: end of the access and the id token, by the server's word. `refresh_expires_at`: end
    of the login itself, unless it is refreshed before. `gcid` and `id_token` are user name and
    password of the stream, and ``""`` where BMW gave none.
    """

    scopes: tuple[str, ...]
    expires_at: datetime
    refresh_expires_at: datetime
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    id_token: str = field(default="", repr=False)
    gcid: str = field(default="", repr=False)


class TokenFile(LoginFile[Tokens]):
    """Where a client's tokens lie."""

    def __init__(self, directory: Path, account: str) -> None:
        super().__init__(directory, account, Tokens)
