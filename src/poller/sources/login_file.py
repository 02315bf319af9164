"""Stored logins: one small file per account, written whole before anything in it is used.

Beside ``<account>.json`` lies ``<account>.previous``: the login before, the highest generation that
was ever stored, and whether a refresh was begun that nobody saw the end of. It tells a login that
was restored from a backup, and one that a crash has cost, from one that the maker took back.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from poller.errors import SourceUnavailable
from poller.runtime.atomic import sync_folder, write_atomic
from poller.runtime.clock import Clock
from poller.vehicle.records import milliseconds, parse_time, rfc3339

FOLDER: Final = "accounts"
#: Refreshing takes a request or two; whoever waits longer than this waits for something broken.
_LOCK_PATIENCE = 120.0
_LOCK_LOOK = 0.1
#: What reading JSON of an unknown shape can raise.
_NOT_OURS = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """What every kind's login begins with; `generation` counts every store.

    Its fields are text, whole numbers, times, and tuples of text.
    """

    account: str
    generation: int
    stored_at: datetime

    @property
    def version(self) -> str:
        """Another string after each store, also after the file was deleted and made anew."""
        return f"{self.generation}@{rfc3339(self.stored_at)}"


T = TypeVar("T", bound=StoredLogin)


@dataclass(frozen=True, slots=True)
class Past(Generic[T]):
    """What is remembered beside a login.

    `highest`: the highest generation stored so far. `begun_at`: since when a refresh of that
    generation is under way, or was cut off.
    """

    highest: int = 0
    begun_at: datetime | None = None
    previous: T | None = field(default=None, repr=False)

    def outdates(self, login: T) -> bool:
        """Whether a newer login than `login` was stored once: this one came out of a backup."""
        return login.generation < self.highest

    def cut_off_at(self, login: T) -> datetime | None:
        """When a refresh of `login` was begun whose answer was never stored; None if there is none."""
        return self.begun_at if login.generation == self.highest else None


class LoginFile(Generic[T]):
    """``<data_dir>/accounts/<account>.json`` (0600, folder 0700), with a lock between processes.

    `kind`: the dataclass that is stored. All but `lock` block.
    """

    def __init__(self, directory: Path, account: str, kind: type[T]) -> None:
        name = re.sub(r"[^A-Za-z0-9_.]", "-", account)
        self.path = directory / FOLDER / f"{name}.json"
        self._lock_path = self.path.with_suffix(".lock")
        self._past_path = self.path.with_suffix(".previous")
        self._account = account
        self._kind = kind
        self._seen: tuple[tuple[int, int, int], T | None] | None = None
        self._folder_made = False

    def read(self) -> T | None:
        """The stored login; None if there is none, or the file is broken or another account's."""
        try:
            login = _from_json(self._kind, json.loads(self.path.read_bytes()))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SourceUnavailable(
                f"the stored login cannot be read ({error.strerror})",
                hint=f"look at the permissions of {self.path}",
            ) from error
        except _NOT_OURS:
            return None
        return login if login.account == self._account else None

    def glance(self) -> T | None:
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

    def past(self) -> Past[T]:
        """What is known of earlier logins; nothing, if that is lost."""
        try:
            raw = json.loads(self._past_path.read_bytes())
            previous = raw["previous"] and _from_json(self._kind, raw["previous"])
            begun_at = raw["begun_at"] and parse_time(raw["begun_at"])
            return Past(int(raw["highest"]), begun_at or None, previous or None)
        except (OSError, *_NOT_OURS):
            return Past()

    def write(self, login: T) -> None:
        """Store; when this returns it survives power loss. Raises SourceUnavailable.

        The login before it is kept beside.
        """
        before = self._before(login)
        with self._storing():
            write_atomic(self.path, _bytes(_to_json(login)), 0o600)
        self._give_to_daemon()
        if before is not None:
            # The login itself is safe; the next refresh says so if there is no room.
            with contextlib.suppress(SourceUnavailable):
                self.put_past(Past(max(login.generation, before.highest), None, before.previous))

    def begin(self, login: T, now: datetime) -> Past[T]:
        """Note that `login` is going to be refreshed; gives what was known before. SourceUnavailable.

        A full disk shows here, before the old refresh token is spent. An earlier refresh that was
        cut off stays noted.
        """
        past = self.past()
        if past.outdates(login):
            # It must not pass for the newest by being tried.
            self.put_past(past)
        else:
            begun_at = past.cut_off_at(login) or milliseconds(now)
            self.put_past(Past(login.generation, begun_at, login))
        return past

    def put_past(self, past: Past[T]) -> None:
        """Replace what is known of earlier logins. Raises SourceUnavailable."""
        raw = {
            "highest": past.highest,
            "begun_at": rfc3339(past.begun_at) if past.begun_at else None,
            "previous": _to_json(past.previous) if past.previous else None,
        }
        with self._storing():
            write_atomic(self._past_path, _bytes(raw), 0o600)
        self._give_to_daemon()

    @contextlib.asynccontextmanager
    async def lock(self, clock: Clock) -> AsyncIterator[None]:
        """Hold the account against other processes. Raises SourceUnavailable if one never lets go."""
        try:
            self._make_folder()
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SourceUnavailable(
                f"the login cannot be locked ({error.strerror})",
                hint=f"look at the permissions of {self.path.parent}",
                reason="internal",
            ) from error
        try:
            await _acquire(descriptor, clock)
            yield
        finally:
            os.close(descriptor)

    def _before(self, login: T) -> Past[T] | None:
        """What to keep beside `login` once it is stored; None if nothing changes by it."""
        past, stored = self.past(), self.glance()
        if stored is not None and stored.version == login.version:
            return None
        return Past(past.highest, None, stored or past.previous)

    @contextlib.contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            self._make_folder()
            yield
        except OSError as error:
            raise SourceUnavailable(
                f"the login could not be stored ({error.strerror})",
                hint=f"make room and check the permissions of {self.path.parent}",
                reason="internal",
            ) from error

    def _make_folder(self) -> None:
        """Once: between a maker's answer and our rename every sync counts."""
        if self._folder_made and self.path.parent.is_dir():
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.parent.chmod(0o700)
        # The folder may be new: its name must last, too.
        sync_folder(self.path.parent.parent)
        self._folder_made = True

    def _give_to_daemon(self) -> None:
        """A login made by root must be readable by the daemon that owns the data directory."""
        if os.geteuid() == 0:
            owner = self.path.parent.parent.stat()
            for path in (self.path.parent, self.path, self._lock_path, self._past_path):
                with contextlib.suppress(FileNotFoundError):
                    os.chown(path, owner.st_uid, owner.st_gid)


async def _acquire(descriptor: int, clock: Clock) -> None:
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


def _bytes(raw: dict[str, Any]) -> bytes:
    return json.dumps(raw, indent=1).encode()


def _to_json(login: StoredLogin) -> dict[str, Any]:
    return {
        name: rfc3339(value) if isinstance(value, datetime) else value
        for name, value in asdict(login).items()
    }


def _from_json(kind: type[T], raw: Any) -> T:
    return kind(**{spec.name: _value(str(spec.type), spec.name, raw[spec.name]) for spec in fields(kind)})


def _value(kind: str, name: str, value: Any) -> Any:
    if kind == "datetime":
        return parse_time(value)
    if kind == "tuple[str, ...]" and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if type(value).__name__ != kind:
        raise TypeError(name)
    return value
