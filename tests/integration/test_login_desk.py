"""Logging in through the control socket: the daemon does it, and the files stay where they are."""

from __future__ import annotations

import asyncio
import functools
import re

import pytest
from starlette.applications import Starlette

from poller.app import App
from poller.cli.login import login_at
from poller.errors import ConfigError, LoginRequired
from poller.login_desk import LoginDesk
from poller.runtime.clock import SystemClock
from poller.settings import load
from poller.simulator.cardata.login import CLIENT_ID, Login
from poller.simulator.server import serve
from poller.web.control import ControlServer

CONFIG = f"""
data_dir = "data"
[sources.home]
type = "cardata"
client_id = "{CLIENT_ID}"
auth_url = "URL"
api_url = "URL"
stream_url = ""
[sources.bmw]
type = "mybmw"
username = "owner@example.com"
[sources.dumps]
type = "recorded"
directory = "dumps"
"""


class Door:
    """An opened app behind a control socket, and BMW's login."""

    def __init__(self, path, login: Login, data) -> None:
        self.path, self.login, self.data = path, login, data
        self.at = functools.partial(login_at, path)

    def logins(self) -> list[str]:
        return [file.name for file in (self.data / "accounts").glob("*.json")]


@pytest.fixture
async def door(tmp_path):
    login = Login(SystemClock(), interval=0.02)
    (tmp_path / "dumps").mkdir()
    async with serve(Starlette(routes=login.routes())) as url:
        (tmp_path / "config.toml").write_text(CONFIG.replace("URL", url))
        app = App(load(tmp_path / "config.toml", environ={"TZ": "UTC"}))
        await app.open()
        desk = LoginDesk(app)
        server = ControlServer(
            tmp_path / "control.sock", {"login": desk.begin, "login-standing": desk.standing}
        )
        await server.start()
        yield Door(tmp_path / "control.sock", login, tmp_path / "data")
        await server.stop()
        await desk.close()
        await app.close()


async def shown_code(capsys) -> str:
    text = ""
    async with asyncio.timeout(10):
        while not (found := re.search(r"code (\w+), good for", text)):
            await asyncio.sleep(0.01)
            text += capsys.readouterr().out
    return found[1]


async def test_the_code_is_shown_here_and_the_login_stored_there(door, capsys):
    asking = asyncio.create_task(door.at("home"))
    assert door.login.answer(await shown_code(capsys), "allow")
    said = await asyncio.wait_for(asking, 10)
    assert said.startswith("Logged in: source home.")
    assert door.logins()


async def test_who_refuses_is_told_so(door, capsys):
    asking = asyncio.create_task(door.at("home"))
    assert door.login.answer(await shown_code(capsys), "deny")
    with pytest.raises(LoginRequired, match="denied"):
        await asyncio.wait_for(asking, 10)
    assert not door.logins()


async def test_a_second_terminal_shows_the_same_code(door, capsys):
    first = asyncio.create_task(door.at("home"))
    code = await shown_code(capsys)
    second = asyncio.create_task(door.at("home"))
    assert await shown_code(capsys) == code
    assert door.login.answer(code, "allow")
    done = await asyncio.wait_for(asyncio.gather(first, second), 10)
    assert done[0] == done[1]


@pytest.mark.parametrize(
    ("source", "given", "error", "words"),
    [
        ("work", {}, ConfigError, "no source named work"),
        ("dumps", {}, ConfigError, "needs no login"),
        ("home", {"captcha_token": "x"}, ConfigError, "takes no token"),
        ("bmw", {}, ConfigError, "needs the password"),
    ],
)
async def test_what_cannot_be_is_said_as_without_a_daemon(door, source, given, error, words):
    with pytest.raises(error, match=words):
        await door.at(source, **given)
