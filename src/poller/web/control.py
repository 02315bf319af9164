"""The control socket: how a command speaks to the daemon that holds the journal.

HTTP over a unix socket, one POST per command, JSON both ways. The guard is the file: mode 0660,
the daemon's group. Commands import this module, so what only the daemon needs is imported late.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import grp
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from poller.errors import ConfigError, LoginRequired, PollerError
from poller.web.commands import Command

SOCKET_NAME = "control.sock"
_MODE = 0o660
#: `sun_path` holds 108 bytes, its end included.
_MAX_PATH = 107
#: `once` asks every vehicle and delivers: minutes, where a source is slow.
_ANSWER_WITHIN = 900.0


class CutOff(PollerError):
    """The running poller stopped before it was done."""


class ControlServer:
    """Serves `commands` (name → coroutine function over JSON objects) at `path`."""

    def __init__(self, path: Path, commands: Mapping[str, Command]) -> None:
        self._path = path
        self._commands = commands
        self._stop = asyncio.Event()
        self._inode = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take the socket, over from a dead daemon if need be. Raises PollerError if a live one has it."""
        # uvicorn and starlette: 100 ms that `poller status` need not pay.
        from poller.web.control_app import control_app
        from poller.web.serving import Serving

        sock = _bind(self._path)
        self._inode = self._path.stat().st_ino
        self._stop.clear()
        serving = Serving(control_app(self._commands))
        self._task = asyncio.create_task(serving.serve_until(self._stop, [sock]), name="control")

    async def stop(self) -> None:
        """End within about a second and take the socket away; may be called twice."""
        self._stop.set()
        if self._task is None:
            return
        task, self._task = self._task, None
        # Gone already, or on a disk that turned read-only: the end must not depend on it.
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        await task


class ControlClient:
    """Speaks to the daemon behind `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def call(
        self, command: str, args: Mapping[str, Any] | None = None, *, timeout: float = _ANSWER_WITHIN
    ) -> dict[str, Any]:
        """Have the daemon do `command`; waits `timeout` seconds for its answer.

        Raises what the daemon raised, as a PollerError with the same exit code, message and hint; CutOff
        where nobody knows whether it was done.
        """
        self._knock()
        limits = httpx.Timeout(5.0, read=timeout)
        with _reachable(self._path) as path:
            transport = httpx.HTTPTransport(uds=path, verify=False)  # no TLS on a unix socket
            with httpx.Client(transport=transport, timeout=limits, trust_env=False) as client:
                try:
                    response = client.post(f"http://poller/{command}", json=dict(args or {}))
                except httpx.TimeoutException as error:
                    raise CutOff("the running poller did not answer in time") from error
                except httpx.TransportError as error:
                    raise _gone() from error
        return _result(response)

    def _knock(self) -> None:
        """Raise PollerError unless somebody opens; httpx would not say why, and leak the socket."""
        try:
            if _alive(self._path):
                return
        except PermissionError as error:
            raise _not_allowed(self._path) from error
        raise PollerError(f"no poller answers at {self._path}", hint="start it with `poller run`")


def find_socket(environ: Mapping[str, str], data_dir: Path | None, *, system: bool = True) -> Path | None:
    """The socket of a running daemon, or None if there is none to be seen.

    Looks in $RUNTIME_DIRECTORY, `data_dir` and, with `system`, /run/poller: the service's own, which
    somebody's private configuration does not mean. Raises PollerError where a daemon runs that we
    may not talk to, unless `data_dir` is ours to work in directly.
    """
    runtime = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    folders = [Path(runtime) if runtime else None, data_dir, Path("/run/poller") if system else None]
    denied: Path | None = None
    for path in dict.fromkeys(folder / SOCKET_NAME for folder in folders if folder is not None):
        try:
            if _alive(path):
                return path
        except PermissionError:
            denied = denied or path
    if denied is None or (data_dir is not None and os.access(data_dir, os.W_OK | os.X_OK)):
        return None
    raise _not_allowed(denied)


def _bind(path: Path) -> socket.socket:
    try:
        if _alive(path):
            raise PollerError(f"another poller answers at {path}", hint="stop it first")
        path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _reachable(path) as short:
                sock.bind(short)
            path.chmod(_MODE)
            sock.listen()
            sock.setblocking(False)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        hint = "its folder must exist and be ours to write in"
        raise PollerError(f"cannot open the control socket {path}: {error.strerror}", hint=hint) from error
    return sock


def _alive(path: Path) -> bool:
    """Whether somebody listens at `path`. Raises PermissionError if we may not know."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5.0)
        try:
            with _reachable(path) as short:
                probe.connect(short)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            return False
        except OSError as error:
            if error.errno == errno.EAGAIN:  # its queue is full: alive and busy
                return True
            raise
    return True


@contextlib.contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """`path` as a socket address: one that is too long for the kernel goes by its folder's descriptor."""
    if len(os.fsencode(path)) <= _MAX_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _result(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError as error:
        raise _gone() from error  # a command that was cut off is answered with a bare 500
    if not isinstance(body, dict):
        raise PollerError("the running poller gave an answer of an unknown shape")
    if response.is_success:
        return body
    message, hint = str(body.get("error", "the running poller refused")), body.get("hint")
    match body.get("exit_code"):
        case 2:
            raise ConfigError([message], hint=hint)
        case 3:
            raise LoginRequired(message, hint=hint)
        case _:
            raise PollerError(message, hint=hint)


def _gone() -> CutOff:
    return CutOff("the running poller stopped before it was done", hint="its log says why")


def _not_allowed(path: Path) -> PollerError:
    closed = not os.access(path.parent, os.X_OK)
    door = path.parent if closed else path
    what = f"look into {door} for a running poller" if closed else f"talk to the running poller at {path}"
    hint = "run this as the poller's user or as root"
    if closed and door.is_relative_to("/var/lib"):
        hint = "run this with sudo, or start the service: its group can speak to it"
    with contextlib.suppress(OSError):
        known = door.stat()
        if known.st_mode & (stat.S_IXGRP if closed else stat.S_IWGRP):
            group = _group_name(known.st_gid)
            hint = f"join the group {group} (`usermod -aG {group} $USER`, then log in again), or {hint}"
    return PollerError(f"not allowed to {what}", hint=hint)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
