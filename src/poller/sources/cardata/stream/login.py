"""What the stream says of itself to a broker: BMW's login, or that of the owner's own broker."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from poller.errors import LoginRequired
from poller.sources.base import LoginState
from poller.sources.cardata.login import oauth
from poller.sources.cardata.login.tokens import Tokens
from poller.sources.cardata.settings import CarDataSettings
from poller.sources.cardata.stream.line import Introduction
from poller.sources.cardata.stream.policy import renewal_time

#: BMW's own layout, <account>/<VIN>, and that of the bridges, <prefix>/<VIN or another word>.
_OWN_TOPIC: Final = "+/+"


class StreamLogin(Protocol):
    """What the stream needs of `Auth`."""

    @property
    def login_hint(self) -> str:
        """What to tell the human."""
        ...

    async def fresh(self, *, force: bool = False) -> Tokens:
        """Tokens that are good for some minutes. Raises SourceError."""
        ...

    def login_state(self) -> LoginState:
        """Another version after each store."""
        ...

    def lacks(self, tokens: Tokens) -> list[oauth.Lack]:
        """The scopes that are missing."""
        ...


@dataclass(frozen=True, slots=True)
class Visit:
    """What one connection is made with. `renew_at`: a fresher token is due; None: there is no token."""

    introduction: Introduction
    renew_at: datetime | None = None


def visit_own(settings: CarDataSettings, client_id: str) -> Visit:
    """To the owner's broker: nothing of BMW's login is in it."""
    secret = settings.stream_password
    return Visit(
        Introduction(
            client_id,
            settings.stream_username or None,
            secret.get_secret_value() if secret else None,
            settings.stream_topic or _OWN_TOPIC,
        )
    )


async def visit_bmw(auth: StreamLogin, *, force: bool) -> Visit:
    """To BMW. Raises SourceError: LoginRequired too if the login was made without the stream."""
    tokens = await auth.fresh(force=force)
    for lack in auth.lacks(tokens):
        if lack.scope != oauth.REST:
            raise LoginRequired(lack.message, hint=lack.hint, reason="scope")
    if not (tokens.gcid and tokens.id_token):
        raise LoginRequired("the login has no token for the stream", hint=auth.login_hint, reason="scope")
    # Our own, and the same after a restart: it takes over from the process before, and from nobody else.
    client_id = f"poller{hashlib.sha256(tokens.gcid.encode()).hexdigest()[:16]}"
    introduction = Introduction(client_id, tokens.gcid, tokens.id_token, f"{tokens.gcid}/+")
    return Visit(introduction, renewal_time(tokens))
