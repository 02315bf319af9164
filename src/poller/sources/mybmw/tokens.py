"""The stored login: one small file per account, written whole before anything in it is used."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from poller.errors import SourceUnavailable
from poller.runtime.atomic import sync_folder, write_atomic
from poller.runtime.clock import Clock
from poller.vehicle.records import parse_time, rfc3339

FOLDER: Final = "accounts"
#: A new session id at every start was linked to forced logins; the app keeps one about this long.
SESSION_AGE: Final = timedelta(days=14)
#: Refreshing takes a request or two; whoever waits longer than this waits for something broken.
_LOCK_PATIENCE = 120.0
_LOCK_LOOK = 0.1


@dataclass(frozen=True, slots=True)
class Tokens:
    """One account's login. `device` and `session` belong to it and are kept over refreshes.

    `expires_at` is the access token's end by the server's word; `generation` counts every store.
    """

    account: str
    generation: int
    stored_at: datetime
    device: str
    session: str
    session_since: datetime
    expires_at: datetime
    refresh_token: str = field(repr=False)
    access_token: str = field(repr=False)
    gcid: str = field(default="", repr=False)

    @property
    def version(self) -> str:
        """Another string after each store, also after the file was deleted and made anew."""
        return f"{self.generation}@{rfc3339(self.stored_at)}"


class TokenFile:
    """``<data_dir>/accounts/<account>.json`` (0600, folder 0700), with a lock between processes."""

    def __init__(self, directory: Path, account: str) -> None:
        name = re.sub(r"[^A-Za-z0-9_.]", "-", account)
        self.path = directory / FOLDER / f"{name}.json"
        self._lock_path = self.path.with_suffix(".lock")
        self._account = account
        self._seen: tuple[tuple[int, int, int], Tokens | None] | None = None

    def read(self) -> Tokens | None:
        """The stored login; None if there is none, or the file is broken or another account's."""
        try:
            raw = json.loads(self.path.read_bytes())
            tokens = _from_json(raw)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SourceUnavailable(
                f"the stored login cannot be read ({error.strerror})",
                hint=f"look at the permissions of {self.path}",
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        return tokens if tokens.account == self._account else None

    def glance(self) -> Tokens | None:
        """As `read`, from memory while the file has not changed; an unreadable file is no login."""
        try:
            stat = self.path.stat()
        except OSError:
            return None
        mark = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if self._seen is None or self._seen[0] != mark:
            try:
                self._seen = (mark, self.read())
            except SourceUnavailable:
                return None
        return self._seen[1]

    def write(self, tokens: Tokens) -> None:
        """Store, blocking; when this returns it survives power loss. Raises SourceUnavailable."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.parent.chmod(0o700)
            # The folder may be new: its name must last, too.
            sync_folder(self.path.parent.parent)
            write_atomic(self.path, json.dumps(_to_json(tokens), indent=1).encode(), 0o600)
            self._give_to_daemon()
        except OSError as error:
            raise SourceUnavailable(
                f"the login could not be stored ({error.strerror})",
                hint=f"make room and check the permissions of {self.path.parent}",
                reason="internal",
            ) from error

    def _give_to_daemon(self) -> None:
        """A login made by root must be readable by the daemon that owns the data directory."""
        if os.geteuid() == 0:
            owner = self.path.parent.parent.stat()
            for path in (self.path.parent, self.path, self._lock_path):
                with contextlib.suppress(FileNotFoundError):
                    os.chown(path, owner.st_uid, owner.st_gid)

    @contextlib.asynccontextmanager
    async def lock(self, clock: Clock) -> AsyncIterator[None]:
        """Hold the account against other processes. Raises SourceUnavailable if one never lets go."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SourceUnavailable(
                f"the login cannot be locked ({error.strerror})",
                hint=f"look at the permissions of {self.path.parent}",
                reason="internal",
            ) from error
        try:
            await self._acquire(descriptor, clock)
            yield
        finally:
            os.close(descriptor)

    async def _acquire(self, descriptor: int, clock: Clock) -> None:
        deadline = clock.monotonic() + _LOCK_PATIENCE * clock.rate
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if clock.monotonic() >= deadline:
                    raise SourceUnavailable("another process holds this login and does not let go") from None
                await clock.sleep(_LOCK_LOOK * clock.rate)
            else:
                return


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


def _to_json(tokens: Tokens) -> dict[str, Any]:
    return {
        name: rfc3339(value) if isinstance(value, datetime) else value
        for name, value in asdict(tokens).items()
    }


def _from_json(raw: Any) -> Tokens:
    values: dict[str, Any] = {}
    for spec in fields(Tokens):
        value = raw[spec.name]
        if spec.type == "datetime":
            value = parse_time(value)
        elif type(value).__name__ != spec.type:
            raise TypeError(spec.name)
        values[spec.name] = value
    return Tokens(**values)
