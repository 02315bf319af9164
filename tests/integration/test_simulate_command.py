"""``poller simulate`` as a process: says what to use, and ends when told."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import tomllib

import httpx
import pytest


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "poller", "simulate", *arguments, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def printed(process: asyncio.subprocess.Process) -> str:
    text = ""
    async with asyncio.timeout(15):
        while "base_url" not in text:
            line = await process.stdout.readline()
            assert line, (await process.stderr.read()).decode()
            text += line.decode()
    return text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_prints_what_to_use_and_ends_well_when_told(number) -> None:
    process = await start()
    text = await printed(process)
    table = tomllib.loads(text[text.index("[sources") :])["sources"]["simulated"]
    assert f"user            {table['username']}" in text
    assert f"password        {table['password']}" in text
    assert re.search(r"refresh token +demo-refresh-token\n", text)
    async with httpx.AsyncClient(base_url=table["base_url"], timeout=5) as http:
        shown = (await http.get("/_sim/state")).json()
        assert sum(map(len, shown["vehicles"].values())) == 2
        process.send_signal(number)
        async with asyncio.timeout(3):
            _, complaint = await process.communicate()
    assert (process.returncode, complaint) == (0, b"")


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--listen", "0.0.0.0:0", "0.0.0.0 is not a loopback address"),
        ("--listen", "nonsense", "'nonsense' is no address"),
        ("--answers", "/nowhere/at/all", "/nowhere/at/all holds no captured answers"),
        ("--speed", "0", "--speed"),
    ],
)
async def test_what_cannot_be_is_a_usage_error(option, value, named) -> None:
    process = await start(option, value)
    async with asyncio.timeout(15):
        out, complaint = await process.communicate()
    assert process.returncode == 2
    assert out == b""
    assert named in complaint.decode()


async def test_a_taken_port_is_a_failure_that_says_so() -> None:
    first = await start()
    port = re.search(r"127\.0\.0\.1:(\d+)", await printed(first))[1]
    second = await start("--listen", port)
    async with asyncio.timeout(15):
        _, complaint = await second.communicate()
    assert second.returncode == 1
    assert b"choose another port" in complaint
    first.send_signal(signal.SIGTERM)
    await first.communicate()
