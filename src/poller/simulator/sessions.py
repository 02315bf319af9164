"""Access tokens and rotating refresh tokens, as the logins of all regions give them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from poller.runtime.clock import Clock


@dataclass(frozen=True, slots=True)
class Pair:
    """What a login or a refresh gives; good for `lifetime` seconds."""

    access: str
    refresh: str
    lifetime: float


class Sessions:
    """Makes tokens and knows which of them are good.

    A family is one login; each refresh makes its next member: ``family``, ``family.1``, ``family.2`` …
    A refresh token counts once. One that this process has not seen yet is taken at its word if it is
    of `known`, the family that everybody may begin with, or of a family of the form of ours: so that
    a poller stays logged in when the simulator is started again.
    """

    def __init__(
        self, clock: Clock, lifetime: float, known: str, make_access: Callable[[datetime], str]
    ) -> None:
        self._clock = clock
        self._lifetime = lifetime
        self._form = re.compile(rf"({re.escape(known)}|login-[0-9a-f]{{16}})(?:\.(\d{{1,9}}))?")
        self._make_access = make_access
        self._access: dict[str, datetime] = {}
        self._current: dict[str, int] = {}
        self._revoked = False

    def admits(self, authorization: str) -> bool:
        """Whether the header holds an access token that has not expired."""
        scheme, _, token = authorization.partition(" ")
        expires = self._access.get(token) if scheme.lower() == "bearer" else None
        return expires is not None and self._clock.now() < expires

    def begin(self) -> Pair:
        """The tokens of a new login."""
        return self._tokens(f"login-{secrets.token_hex(8)}", 0)

    def refresh(self, token: str) -> Pair | None:
        """The tokens after that one; None if it is not good."""
        match = self._form.fullmatch(token)
        if match is None:
            return None
        family, number = match[1], int(match[2] or 0)
        known = -1 if self._revoked else number
        return self._tokens(family, number + 1) if self._current.get(family, known) == number else None

    def expire(self) -> None:
        """Let every access token be too old from now on."""
        self._access.clear()

    def revoke(self) -> None:
        """Refuse every refresh token given so far."""
        self._current.clear()
        self._revoked = True

    def _tokens(self, family: str, number: int) -> Pair:
        self._current[family] = number
        now = self._clock.now()
        self._access = {token: expires for token, expires in self._access.items() if expires > now}
        expires = now + timedelta(seconds=self._lifetime)
        access = self._make_access(expires)
        self._access[access] = expires
        return Pair(access, f"{family}.{number}" if number else family, self._lifetime)
