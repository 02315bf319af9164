"""``python -m poller.health``: exit 0 if the daemon on this machine makes progress, else 1.

For a container's health check, which runs every minute for years: two modules of the standard
library, no client, no settings; a page moved by ``POLLER_WEB__LISTEN`` is followed.
"""

from __future__ import annotations

import os
import socket
import sys

PORT = 9877
TIMEOUT = 3.0


def port(listen: str) -> int:
    """The port of the first address in a ``[web] listen`` ("host:port", comma-separated)."""
    digits = listen.split(",", maxsplit=1)[0].rpartition(":")[2].strip()
    return int(digits) if digits.isdigit() else PORT


def healthy(address: tuple[str, int]) -> bool:
    """Whether ``/healthz`` at `address` answers 200 in time."""
    request = f"GET /healthz HTTP/1.0\r\nHost: {address[0]}:{address[1]}\r\n\r\n".encode()
    try:
        with socket.create_connection(address, TIMEOUT) as connection:
            connection.sendall(request)
            status = connection.makefile("rb").readline(64)
    except OSError:
        return False
    return status.split(b" ")[1:2] == [b"200"]


def main() -> int:
    """The exit code."""
    return 0 if healthy(("127.0.0.1", port(os.environ.get("POLLER_WEB__LISTEN", "")))) else 1


if __name__ == "__main__":
    sys.exit(main())
