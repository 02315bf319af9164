"""Debian's Prometheus and Alertmanager on loopback, and an owner's inbox behind them.

Each is a process of ours, started on a free port and ended by its id.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

PATIENCE = 20.0


def need(*programs: str) -> None:
    """Skip, loudly, where a program is not there."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install prometheus prometheus-alertmanager")


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(true: Callable[[], Any], what: str, within: float = PATIENCE) -> float:
    """Wait until it is true; gives the seconds that it took."""
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > within:
            pytest.fail(f"{what}: not within {within:g} s")
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def finished(*command: str, cwd: Path | None = None) -> str:
    """Run a command to its end; its output. A failure fails the test."""
    child = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await child.communicate()
    assert child.returncode == 0, out.decode()
    return out.decode()


@asynccontextmanager
async def _running(folder: Path, url: str, *command: str) -> AsyncIterator[None]:
    log = folder / f"{command[0]}.log"
    with log.open("wb") as file:
        child = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=file, stderr=file)
    try:
        async with httpx.AsyncClient() as http:
            for _ in range(200):
                with contextlib.suppress(httpx.HTTPError):
                    if (await http.get(f"{url}/-/ready")).is_success:
                        break
                assert child.returncode is None, log.read_text()
                await asyncio.sleep(0.1)
            else:
                pytest.fail(f"{command[0]} is not ready: {log.read_text()}")
        yield
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


@dataclass
class Prometheus:
    """A running one."""

    url: str

    async def query(self, expr: str, at: float | None = None) -> list[dict[str, Any]]:
        """The series of an instant query; a refusal fails the test."""
        return await self._ask("query", {"query": expr, **({"time": at} if at else {})})

    async def query_range(self, expr: str, since: float, until: float, step: float) -> list[dict[str, Any]]:
        """The series of a range query."""
        return await self._ask("query_range", {"query": expr, "start": since, "end": until, "step": step})

    async def _ask(self, what: str, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        async with httpx.AsyncClient(timeout=30) as http:
            answer = (await http.get(f"{self.url}/api/v1/{what}", params=asked)).json()
        assert answer["status"] == "success", (asked["query"], answer)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found


@asynccontextmanager
async def prometheus(folder: Path, config: Mapping[str, Any], *options: str) -> AsyncIterator[Prometheus]:
    """Prometheus on `folder`/data with this configuration (JSON is YAML)."""
    path = folder / "prometheus.yml"
    path.write_text(json.dumps(config))
    await finished("promtool", "check", "config", str(path))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        "prometheus", f"--config.file={path}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", *options,
    ]  # fmt: skip
    async with _running(folder, url, *command):
        yield Prometheus(url)


@asynccontextmanager
async def alertmanager(folder: Path, inbox: str) -> AsyncIterator[str]:
    """Alertmanager that tells `inbox` each alert by itself and at once; gives its host and port."""
    path = folder / "alertmanager.yml"
    route = {
        "receiver": "owner",
        "group_by": ["..."],
        "group_wait": "0s",
        "group_interval": "500ms",
        "repeat_interval": "1h",
    }
    hook = {"url": inbox, "send_resolved": True}
    path.write_text(json.dumps({"route": route, "receivers": [{"name": "owner", "webhook_configs": [hook]}]}))
    address = f"127.0.0.1:{free_port()}"
    command = [
        "prometheus-alertmanager", f"--config.file={path}", f"--storage.path={folder / 'told'}",
        f"--web.listen-address={address}", "--cluster.listen-address=",
    ]  # fmt: skip
    async with _running(folder, f"http://{address}", *command):
        yield address


@dataclass(frozen=True)
class Alert:
    """What an owner was told."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def name(self) -> str:
        """The rule's."""
        return self.labels["alertname"]

    def has(self, wanted: Mapping[str, str]) -> bool:
        """Whether it has all these labels."""
        return wanted.items() <= self.labels.items()

    def __str__(self) -> str:
        return f"{self.name}: {self.annotations['summary']}"


@dataclass(frozen=True)
class Told:
    """One message: when it came (steady seconds), and whether the alert fires or is resolved."""

    at: float
    status: str
    alert: Alert


@dataclass
class Inbox:
    """An ASGI app to which Alertmanager posts; `firing` is what was told and is not over."""

    firing: dict[str, Alert] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await Router([Route("/", self._take, methods=["POST"])])(scope, receive, send)

    async def _take(self, request: Request) -> Response:
        for told in (await request.json())["alerts"]:
            alert = Alert(told["labels"], told["annotations"])
            self.told.append(Told(time.monotonic(), told["status"], alert))
            if told["status"] == "firing":
                self.firing[told["fingerprint"]] = alert
            else:
                self.firing.pop(told["fingerprint"], None)
        return Response()
