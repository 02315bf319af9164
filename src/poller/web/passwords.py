"""The page's password: plain in a secret file, or as a hash that is safe to keep in the configuration.

``python -m poller.web.passwords`` asks for one and prints its hash.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import getpass
import hashlib
import hmac
import re
import secrets
import sys
from collections import OrderedDict
from dataclasses import dataclass

from poller.errors import ConfigError
from poller.runtime.clock import Clock

_PREFIX = "scrypt$"
#: 16 MiB and some 50 ms a try: dear for a guesser, harmless to a small machine.
_COST = {"n": 2**14, "r": 8, "p": 1}
_HASH = re.compile(r"scrypt\$(\d{1,8})\$(\d{1,2})\$(\d{1,2})\$([\w+/=]+)\$([\w+/=]+)")
_MAX_MEMORY = 64 * 2**20


def hash_password(plain: str) -> str:
    """``scrypt$n$r$p$salt$hash``, for `[web] password`."""
    salt = secrets.token_bytes(16)
    digest = hashlib.scrypt(plain.encode(), salt=salt, maxmem=_MAX_MEMORY, dklen=32, **_COST)
    numbers = "$".join(str(_COST[name]) for name in ("n", "r", "p"))
    return f"{_PREFIX}{numbers}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


@dataclass(frozen=True, slots=True)
class _Hash:
    cost: dict[str, int]
    salt: bytes
    digest: bytes

    def matches(self, plain: str) -> bool:
        found = hashlib.scrypt(
            plain.encode(), salt=self.salt, maxmem=_MAX_MEMORY, dklen=len(self.digest), **self.cost
        )
        return hmac.compare_digest(found, self.digest)


class Password:
    """Compares in constant time; `setting` is the password itself or what `hash_password` made of it.

    Raises ConfigError for something that begins like a hash and is none.
    """

    def __init__(self, setting: str) -> None:
        self._hash = _parse(setting) if setting.startswith(_PREFIX) else None
        self._key = secrets.token_bytes(32)
        # Compared instead of the password: equal in length, useless to whoever reads our memory.
        self._accepted = b"" if self._hash else self._seal(setting)
        self._one_at_a_time = asyncio.Lock()

    def remembers(self, plain: str) -> bool:
        """Whether this is the password, as far as that is known without work: the hash was met before."""
        return hmac.compare_digest(self._seal(plain), self._accepted)

    async def matches(self, plain: str) -> bool:
        """Whether this is the password; a hash is computed beside the loop, one at a time."""
        if self.remembers(plain):
            return True
        if self._hash is None:
            return False
        async with self._one_at_a_time:
            right = await asyncio.to_thread(self._hash.matches, plain)
        if right:
            self._accepted = self._seal(plain)
        return right

    def _seal(self, plain: str) -> bytes:
        return hmac.digest(self._key, plain.encode(), "sha256")


class Throttle:
    """Counts wrong passwords per client: `limit` of them in `window` seconds close the door for the rest."""

    _MAX_CLIENTS = 256

    def __init__(self, clock: Clock, *, limit: int = 10, window: float = 60.0) -> None:
        self._clock = clock
        self._limit = limit
        self._window = window
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def closed_for(self, client: str) -> float:
        """Seconds until `client` may try again; 0 if it may now."""
        recent = self._recent(client)
        if len(recent) < self._limit:
            return 0.0
        return max(0.0, recent[0] + self._window - self._clock.monotonic())

    def note_failure(self, client: str) -> None:
        """A wrong password came from `client`."""
        self._failures[client] = [*self._recent(client), self._clock.monotonic()]
        self._failures.move_to_end(client)
        while len(self._failures) > self._MAX_CLIENTS:
            self._failures.popitem(last=False)

    def _recent(self, client: str) -> list[float]:
        since = self._clock.monotonic() - self._window
        return [moment for moment in self._failures.get(client, ()) if moment > since]


def _parse(setting: str) -> _Hash:
    match = _HASH.fullmatch(setting)
    problem = (
        '[web] password begins with "scrypt$" but is no hash: make one with `python -m poller.web.passwords`'
    )
    if match is None:
        raise ConfigError([problem])
    try:
        cost = {"n": int(match[1]), "r": int(match[2]), "p": int(match[3])}
        parsed = _Hash(cost, base64.b64decode(match[4]), base64.b64decode(match[5]))
        parsed.matches("")  # refuses impossible costs now, not at the first login
    except (ValueError, binascii.Error) as error:
        raise ConfigError([problem]) from error
    return parsed


if __name__ == "__main__":
    sys.stdout.write(hash_password(getpass.getpass("Password of the page: ")) + "\n")
