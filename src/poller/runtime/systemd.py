"""Speaks to the service manager: ready, status, watchdog, reloading, stopping.

The protocol is one datagram to ``$NOTIFY_SOCKET`` (sd_notify(3)); outside systemd every call does
nothing. Why not a package: docs/decisions/0003-small-protocols.md.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping


class ServiceManager:
    """The manager that started us, if there is one."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        watched = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environ.get("WATCHDOG_USEC", "")
        self.watchdog_seconds = int(microseconds) / 1e6 if watched and microseconds.isdigit() else 0.0

    def ready(self, status: str) -> None:
        """Start-up, or a reload, is over."""
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def status(self, status: str) -> None:
        """The line that ``systemctl status`` shows."""
        self._send(f"STATUS={_line(status)}")

    def reloading(self) -> None:
        """A reload begins; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def starting(self, status: str, within: float) -> None:
        """The start takes longer: do not give up on it before another `within` seconds are over."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(within * 1e6)}\nSTATUS={_line(status)}")

    def stopping(self) -> None:
        """We are on our way out."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Feed the watchdog."""
        if self.watchdog_seconds:
            self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # "@" stands for the abstract namespace's leading NUL.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            try:
                sender.sendto(message.encode(), address)
            except OSError:
                # The manager being away must not stop the daemon.
                return


def _line(text: str) -> str:
    return text.replace("\n", " ")
