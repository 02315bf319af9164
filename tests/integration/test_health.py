"""The container's health check, against a real socket."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from resource import RUSAGE_CHILDREN, getrusage
from threading import Thread

import pytest

from poller import health


@contextmanager
def answering(status: int) -> Iterator[tuple[str, int]]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[:2]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "good"), [(200, True), (503, False), (404, False)])
def test_only_a_200_is_healthy(status: int, good: bool) -> None:
    with answering(status) as address:
        assert health.healthy(address) is good


def test_nobody_there_is_unhealthy() -> None:
    with answering(200) as address:
        pass
    assert not health.healthy(address)


@pytest.mark.parametrize(
    ("listen", "expected"),
    [("", 9877), ("0.0.0.0:8000", 8000), ("[::1]:9000", 9000), ("127.0.0.1:1, [::1]:2", 1), ("odd", 9877)],
)
def test_the_page_is_found_where_the_environment_put_it(listen: str, expected: int) -> None:
    assert health.port(listen) == expected


def test_as_a_command_it_costs_next_to_nothing() -> None:
    """A check every 30 s for years: below 60 ms of CPU (here four times that, for a busy machine)."""
    with answering(200) as (_, port):
        before, began = getrusage(RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "poller.health"],
            env={"POLLER_WEB__LISTEN": f"0.0.0.0:{port}"},
            check=False,
        )
        after = getrusage(RUSAGE_CHILDREN)
    assert done.returncode == 0
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.24
    assert time.monotonic() - began < health.TIMEOUT
