"""The reverse proxies of the operating page, tried on the real web: a real nginx where there is one."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from poller.runtime.status import DaemonStatus
from poller.settings import load
from poller.testing.clock import ManualClock
from poller.testing.daemon import StillDaemon
from poller.vehicle.display import Display
from poller.web.server import WebServer

NAME = "car.example.org"
SOURCE = '\n[sources.example]\ntype = "recorded"\ndirectory = "dumps"\n'
#: What each proxy of the page makes of a browser's request to https://car.example.org/poller/…
FORWARDED = [
    pytest.param(
        "/poller", {"Host": NAME, "X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}, id="caddy"
    ),
    pytest.param("/poller", {"Host": NAME}, id="nginx"),
    pytest.param("", {"Host": NAME}, id="nginx_that_takes_the_path_off"),
    pytest.param("/poller", {"Host": "127.0.0.1:9877"}, id="nginx_without_the_host"),
    pytest.param(
        "/poller",
        {"Host": NAME, "X-Forwarded-Host": NAME, "X-Forwarded-Port": "443", "X-Forwarded-Server": "traefik"},
        id="traefik",
    ),
]


@asynccontextmanager
async def served(pages, folder) -> AsyncIterator[str]:
    """A web with the page's own [web] table, on a free port; its address without the base path."""
    [fragment] = [text for info, text in pages["docs/operating/proxy.md"].blocks() if info == "toml fragment"]
    path = folder / "config.toml"
    path.write_text(fragment + SOURCE)
    path.chmod(0o600)
    web = load(path, environ={"TZ": "UTC"}).settings.web
    assert web.password is not None
    clock, stop = ManualClock(), asyncio.Event()
    server = WebServer(
        StillDaemon(DaemonStatus("0", clock.now(), clock.now())),
        listen=[("127.0.0.1", 0)],
        display=Display("metric", clock.now().tzinfo),
        clock=clock,
        password=web.password.get_secret_value(),
        base_path=web.base_path,
        allowed_hosts=web.allowed_hosts,
    )
    server.bind()
    task = asyncio.create_task(server.run(stop))
    try:
        yield server.urls[0].removesuffix("/poller/")
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


@pytest.fixture
async def web(pages, tmp_path) -> AsyncIterator[str]:
    async with served(pages, tmp_path) as url:
        yield url


@pytest.mark.parametrize(("prefix", "headers"), FORWARDED)
async def test_what_a_proxy_passes_on_opens_the_page(web, prefix, headers) -> None:
    async with httpx.AsyncClient(
        base_url=web + prefix, headers=headers, timeout=5, trust_env=False
    ) as browser:
        assert (await browser.get("/")).status_code == 401
        page = await browser.get("/", auth=("me", "a long one"))
        assert page.status_code == 200
        links = re.findall(r'(?:href|src|action)="(/[^"]*)"', page.text)
        assert links
        assert all(link.startswith("/poller/") for link in links)
        style = next(link for link in links if ".css" in link).removeprefix("/poller")
        assert (await browser.get(style, auth=("me", "a long one"))).status_code == 200
        ours = {"Origin": f"https://{NAME}"}
        theirs = {"Origin": "https://other.example"}
        assert (await browser.post("/login/x", auth=("me", "a long one"), headers=ours)).status_code == 404
        assert (await browser.post("/login/x", auth=("me", "a long one"), headers=theirs)).status_code == 403


async def test_another_name_is_refused(web) -> None:
    async with httpx.AsyncClient(timeout=5, trust_env=False) as browser:
        answer = await browser.get(web, headers={"Host": "other.example"}, auth=("me", "a long one"))
    assert answer.status_code == 403


def _nginx() -> str:
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        pytest.skip("nginx is not installed")
    return found


async def test_a_real_nginx_with_the_pages_block(pages, web, tmp_path) -> None:
    """Only the certificate, the port and poller's own port are others than on the page."""
    program = _nginx()
    [block] = [text for info, text in pages["docs/operating/proxy.md"].blocks() if info == "nginx"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    block = re.sub(r"listen .*;", f"listen 127.0.0.1:{port};", block)
    block = re.sub(r"\n +ssl_.*;", "", block).replace("http://127.0.0.1:9877", web)
    temporary = "\n".join(
        f"{kind}_temp_path {tmp_path}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{block} }}\n"
    )
    child = await asyncio.create_subprocess_exec(
        program, "-e", "stderr", "-c", str(tmp_path / "nginx.conf"), stderr=asyncio.subprocess.PIPE
    )
    try:
        await _listens(port)
        url, auth = f"http://127.0.0.1:{port}", ("me", "a long one")
        async with httpx.AsyncClient(
            base_url=url, headers={"Host": NAME}, timeout=5, trust_env=False
        ) as browser:
            assert (await browser.get("/poller/")).status_code == 401
            page = await browser.get("/poller/", auth=auth)
            assert page.status_code == 200
            for link in re.findall(r'(?:href|src)="(/[^"#]*)"', page.text):
                assert (await browser.get(link, auth=auth)).status_code == 200, link
            login = {"Origin": f"https://{NAME}"}
            assert (await browser.post("/poller/login/x", auth=auth, headers=login)).status_code == 404
    finally:
        child.terminate()
        await asyncio.wait_for(child.communicate(), 10)


async def _listens(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
