"""``poller simulate`` and CarData: six lines to paste, a page to press "Allow", a stream."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from poller.cli.main import run
from poller.sources.cardata.settings import CarDataSettings

COMMAND = (sys.executable, "-m", "poller")
PIPES = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}


@asynccontextmanager
async def simulating(*arguments: str) -> AsyncIterator[str]:
    """The command while the block runs; gives what it printed."""
    process = await asyncio.create_subprocess_exec(*COMMAND, "simulate", *arguments, **PIPES)
    try:
        text = ""
        async with asyncio.timeout(20):
            while "base_url" not in text:
                line = await process.stdout.readline()
                assert line, (await process.stderr.read()).decode()
                text += line.decode()
        yield text
    finally:
        process.send_signal(signal.SIGTERM)
        _, complaint = await process.communicate()
    assert (process.returncode, complaint) == (0, b"")


def table(text: str) -> dict[str, Any]:
    return tomllib.loads(text[text.index("[sources.home]") :])["sources"]["home"]


@pytest.fixture
def poller(capsys) -> Callable[..., Awaitable[tuple[int, str, str]]]:
    """``poller ARGUMENTS``: exit code, stdout, stderr; what it talks to is a process of its own."""

    async def command(*arguments: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(run, arguments)
        return code, *capsys.readouterr()

    return command


async def test_what_it_prints_is_a_source_with_a_login_page_and_a_stream() -> None:
    async with simulating() as text:
        settings = CarDataSettings.model_validate(table(text))
        assert len(table(text)) == 5
        page = re.search(r"login page +(\S+)\n", text)[1]
        assert page == f"{settings.auth_url}/oneid/link"
        async with httpx.AsyncClient(timeout=5) as http:
            assert '<input name="user_code"' in (await http.get(page)).text
        assert f"poller init --simulated {settings.auth_url} {settings.stream_url}\n" in text
        stream = urlsplit(settings.stream_url)
        assert stream.scheme == "mqtt"
        _, writer = await asyncio.open_connection(stream.hostname, stream.port)
        writer.close()
        await writer.wait_closed()


async def test_an_owner_logs_in_and_has_his_cars(tmp_path: Path, poller) -> None:
    """From zero, by the commands that he types; the simulator presses "Allow"."""
    async with simulating("--allow-logins", "--speed", "60") as text:
        config = tmp_path / "config.toml"
        lines = text[text.index("[sources.home]") : text.index("[sources.simulated]")]
        config.write_text(f'data_dir = "data"\n{lines}[sinks.files]\ntype = "json_files"\n')
        config.chmod(0o600)
        code, said, complaint = await poller("login", "home", "--config", str(config))
        assert (code, complaint) == (0, "")
        assert "/cardata/oneid/link?user_code=" in said
        code, said, complaint = await poller("once", "--config", str(config))
        assert code == 0, said + complaint
    vehicles = {path.parent.parent.name for path in (tmp_path / "data" / "snapshots").rglob("*.json")}
    assert vehicles == {"0000001", "0000002"}


async def test_a_port_of_the_stream_that_is_taken_is_named(poller) -> None:
    async with simulating() as text:
        port = urlsplit(table(text)["stream_url"]).port
        code, said, complaint = await poller("simulate", "--stream", str(port))
        assert (code, said) == (1, "")
        assert f"cannot listen on 127.0.0.1:{port}" in complaint


async def test_captured_answers_are_none_of_cardatas(tmp_path: Path) -> None:
    (tmp_path / "bmw-eadrax-vcs_v4_vehicles_state_WMW00000000000001.json").write_text("{}")
    async with simulating("--answers", str(tmp_path)) as text:
        assert "cardata" not in text.lower()
        assert "For config.toml:" in text
