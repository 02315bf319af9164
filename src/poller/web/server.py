"""The web server: takes what `[web] listen` names, guards the routes, serves until the stop."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Sequence

from poller.errors import PollerError
from poller.runtime.clock import Clock
from poller.vehicle.display import Display
from poller.web.base import Daemon
from poller.web.guards import BasePath, Guard, host_of
from poller.web.logins import Logins
from poller.web.page import Page
from poller.web.passwords import Password, Throttle
from poller.web.routes import Routes
from poller.web.serving import Serving

_LOOPBACK_NAMES = ("localhost",)
_BACKLOG = 128


class WebServer:
    """Page, API, metrics and health on `listen`, pairs of host and port; an empty `listen` serves nothing.

    `bound`: the addresses that a server before this one had; they are taken again, whatever `listen`
    says. `password`: plain or as `passwords.hash_password` makes it. `base_path`: where a reverse proxy
    shows us (``/car``). `allowed_hosts`: names besides addresses and localhost by which we are called.
    `demo`: as `Guard` has it. Raises ConfigError for an impossible password hash.
    """

    def __init__(
        self,
        daemon: Daemon,
        *,
        listen: Sequence[tuple[str, int]],
        display: Display,
        clock: Clock,
        bound: Sequence[tuple[str, int]] = (),
        password: str | None = None,
        base_path: str = "",
        allowed_hosts: Sequence[str] = (),
        demo: bool = False,
    ) -> None:
        self._daemon = daemon
        self._listen = tuple(listen)
        self._display = display
        self._clock = clock
        self._password = Password(password) if password else None
        self._base_path = base_path.strip("/") and "/" + base_path.strip("/")
        self._allowed_hosts = tuple(host_of(host) for host in allowed_hosts)
        self._demo = demo
        self._sockets: list[socket.socket] = []
        self._addresses = list(bound)
        self._logins = Logins(daemon, clock)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """What is, or is to be, listened on, once bound: port 0 has become a port."""
        return list(self._addresses)

    @property
    def urls(self) -> list[str]:
        """Where the page is, once bound; wildcard addresses are given as loopback."""
        return [f"http://{_url_host(host)}:{port}{self._base_path}/" for host, port in self._addresses]

    def bind(self) -> None:
        """Take the ports; clients may connect from here on and are answered by `run`.

        Raises PollerError naming the address and the setting. May be called twice.
        """
        if self._sockets:
            return
        try:
            for host, port in self._addresses or self._listen:
                self._sockets += bind(host, port)
        except PollerError:
            self.close()
            raise
        self._addresses = [sock.getsockname()[:2] for sock in self._sockets]

    def close(self) -> None:
        """Give the ports back; only needed where `run` was not called."""
        for sock in self._sockets:
            sock.close()
        self._sockets = []

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then end within about a second. Raises as `bind` does."""
        self.bind()
        if not self._sockets:
            await stop.wait()
            return
        try:
            await Serving(self._app()).serve_until(stop, self._sockets)
        finally:
            self._sockets = []
            await self._logins.close()

    def _app(self) -> BasePath:
        machine = socket.gethostname().lower()
        listening = [host for host, _ in self._listen]
        guard = Guard(
            Routes(self._daemon, Page(self._display, self._base_path), self._logins).app(),
            local=[address for address in self._addresses if ipaddress.ip_address(address[0]).is_loopback],
            hosts=[*_LOOPBACK_NAMES, machine, f"{machine}.local", *listening, *self._allowed_hosts],
            trusted_origins=self._allowed_hosts,
            password=self._password,
            throttle=Throttle(self._clock),
            demo=self._demo,
        )
        return BasePath(guard, self._base_path)


def bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets for every address that `host` has here (localhost often has two).

    An address family that this machine does not have is passed over if another is there. Raises
    PollerError.
    """
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                sockets.append(_listening(family, address))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                missing = error
        if missing is not None and not sockets:
            raise missing
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise _refused(host, port, error) from error
    return sockets


def _listening(family: int, address: tuple[object, ...]) -> socket.socket:
    # The protocol is named because asyncio turns Nagle off only where it reads TCP there.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # "[::]" beside "0.0.0.0" in one list must not fight over the port.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _refused(host: str, port: int, error: OSError) -> PollerError:
    where = f"{f'[{host}]' if ':' in host else host}:{port}"
    hints = {
        errno.EADDRINUSE: "another program has this port (another poller?): choose one in [web] listen",
        errno.EACCES: "ports below 1024 need a privilege: choose a higher one in [web] listen",
    }
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        hint = "[web] listen must name an address of this machine"
    else:
        hint = hints.get(error.errno or 0, "see [web] listen")
    return PollerError(f"cannot listen on {where}: {error.strerror}", hint=hint)


def _url_host(host: str) -> str:
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return f"[{host}]" if address.version == 6 else host
