"""``poller simulate``: says what to use, and ends when told, as a process; refuses what cannot be."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import sys
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from simulated_app import STATE, App

from poller.cli.main import run
from poller.simulator.fleet import MINI_VIN


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Awaitable[asyncio.subprocess.Process]]]:
    """Starts the command with these arguments; none outlives its test."""
    started = []

    async def simulate(*arguments: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "poller", "simulate", *arguments, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield simulate
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def printed(process: asyncio.subprocess.Process, until: str = "base_url") -> str:
    text = ""
    async with asyncio.timeout(15):
        while until not in text:
            line = await process.stdout.readline()
            assert line, (await process.stderr.read()).decode()
            text += line.decode()
    return text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_prints_what_to_use_and_ends_well_when_told(start, number) -> None:
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
        ("--cars", "none", "--cars"),
        ("--scenario", "internet-outige", 'is "internet-outage" meant? shipped: bmw-closes-the-door, '),
        (
            "--answers=.",
            "--seed=3",
            "--answers serves captured answers, and --cars and --seed are about cars",
        ),
        ("--answers=.", "--cars=two", "--answers serves captured answers, and --cars and --seed are about"),
    ],
)
def test_what_cannot_be_is_a_usage_error(capsys, option, value, named) -> None:
    assert run(["simulate", option, value]) == 2
    out, complaint = capsys.readouterr()
    assert out == ""
    assert named in complaint


def test_a_taken_port_is_a_failure_that_says_so(capsys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run(["simulate", "--listen", str(taken.getsockname()[1])]) == 1
    assert "choose another port" in capsys.readouterr().err


async def test_a_scenario_is_told_and_played_on_the_warped_clock(start) -> None:
    """At 3600 times the speed the ten minutes and the two hours are two seconds and a bit."""
    process = await start("--scenario", "internet-outage", "--speed", "3600", "--cars", "all")
    text = await printed(process, until="It begins with the first answer")
    assert "The internet is gone for two hours" in text
    assert "What to look at:" in text
    assert "nobody listens" not in text
    base_url = re.search(r'base_url = "(.*)"', text)[1]
    seen = []
    async with asyncio.timeout(20), httpx.AsyncClient(base_url=base_url, timeout=5) as http:
        assert (await http.get("/_sim/faults")).json() == {"faults": []}
        await ask_how_the_mini_stands(http)
        begun = await printed(process, until="nobody listens")
        assert re.search(r"\d\d:\d\d, in 1s: nobody listens: connections are refused", begun)
        while seen[-2:] != ["refused", "answered"]:
            now = await whether_it_answers(http)
            if seen[-1:] != [now]:
                seen.append(now)
        vehicles = (await http.get("/_sim/state")).json()["vehicles"]
    assert sum(map(len, vehicles.values())) == 4
    process.send_signal(signal.SIGTERM)
    _, complaint = await process.communicate()
    assert (process.returncode, complaint) == (0, b"")


async def ask_how_the_mini_stands(http: httpx.AsyncClient) -> None:
    bearer = await App(http).enter()
    assert (await http.get(STATE, headers={**bearer, "bmw-vin": MINI_VIN})).status_code == 200


@pytest.mark.parametrize(("option", "vehicles"), [([], 1), (["--cars", "two"], 2), (["--seed", "3"], 2)])
async def test_what_the_command_line_says_goes_before_the_scenario(start, tmp_path, option, vehicles) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('title = "Mine"\ndescription = "d"\nanswers = "."\n')
    name = f"bmw-eadrax-vcs_v4_vehicles_state_{MINI_VIN}.json"
    (tmp_path / name).write_text("{}")
    process = await start("--scenario", str(mine), *option)
    base_url = re.search(r'base_url = "(.*)"', await printed(process))[1]
    async with httpx.AsyncClient(base_url=base_url, timeout=5) as http:
        shown = (await http.get("/_sim/state")).json()["vehicles"]
    assert sum(map(len, shown.values())) == vehicles


async def whether_it_answers(http: httpx.AsyncClient) -> str:
    try:
        await http.get("/_sim/state")
    except httpx.ConnectError:
        await asyncio.sleep(0.02)  # a refusal comes at once
        return "refused"
    except httpx.TransportError:
        return "cut"
    return "answered"


def test_a_bad_scenario_file_is_a_usage_error_with_every_problem(capsys, tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('title = "Mine"\n[[faults]]\nkind = "qouta"\nfor = "soon"\n')
    assert run(["simulate", "--scenario", str(path)]) == 2
    out, told = capsys.readouterr()
    assert out == ""
    assert f'{path}: 1st [[faults]]: kind: unknown: is "quota" meant?' in told
    assert f"{path}: 1st [[faults]]: for: expected a duration" in told
    assert f"{path}: description: is missing" in told
