"""`poller login` on a CarData source: a code to allow elsewhere, told as it goes; whose options are whose."""

from __future__ import annotations

import asyncio
import getpass
import io
import re

import pytest
from starlette.applications import Starlette
from typer.testing import CliRunner

from poller.cli.login import login_to
from poller.cli.main import app, run
from poller.errors import LoginRequired
from poller.runtime.clock import SystemClock
from poller.settings import load
from poller.simulator.cardata.login import CLIENT_ID, Login
from poller.simulator.server import serve

CONFIG = f"""
data_dir = "data"
[sources.home]
type = "cardata"
client_id = "{CLIENT_ID}"
auth_url = "URL"
api_url = "URL"
stream_url = "mqtt://127.0.0.1:9"
[sources.bmw]
type = "mybmw"
username = "owner@example.com"
[sources.dumps]
type = "recorded"
directory = "dumps"
"""


def configured(folder, url="http://127.0.0.1:9"):
    path = folder / "config.toml"
    path.write_text(CONFIG.replace("URL", url))
    path.chmod(0o600)
    return path


class Human:
    """Does with each code what he is told, as soon as the terminal shows it."""

    def __init__(self, login: Login, capsys, deeds: list[str]) -> None:
        self.login, self.capsys, self.deeds = login, capsys, deeds
        self.text = ""

    async def watch(self) -> None:
        seen: set[str] = set()
        while True:
            await asyncio.sleep(0.01)
            self.text += self.capsys.readouterr().out
            for code in set(re.findall(r"code (\w+), good for", self.text)) - seen:
                seen.add(code)
                deed = self.deeds.pop(0)
                if deed != "sleep":
                    assert self.login.answer(code, deed)


async def log_in(folder, capsys, deeds, **more):
    """What the terminal showed, and what came of it."""
    login = Login(SystemClock(), interval=0.02, **more)
    human = Human(login, capsys, list(deeds))
    async with serve(Starlette(routes=login.routes())) as url:
        watching = asyncio.create_task(human.watch())
        try:
            said = await login_to(load(configured(folder, url), environ={"TZ": "UTC"}), "home")
        except LoginRequired as error:
            said = f"{error.reason}: {error.message}"
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    return human.text + capsys.readouterr().out, said


async def test_it_shows_address_and_code_and_waits(tmp_path, capsys):
    shown, said = await log_in(tmp_path, capsys, ["allow"])
    assert re.search(r"/oneid/link\?user_code=(\w+)\n\n  code \1, good for 5 min\n", shown)
    assert "Waiting for you to allow it; Ctrl-C gives up." in shown
    assert said.startswith("Logged in: source home.")
    assert [file.name for file in (tmp_path / "data" / "accounts").glob("*.json")]


async def test_no_qr_code_and_no_colour_where_there_is_no_terminal(tmp_path, capsys):
    shown, _ = await log_in(tmp_path, capsys, ["allow"])
    assert "\x1b" not in shown
    assert "█" not in shown


async def test_a_code_that_expires_is_replaced_and_that_is_said(tmp_path, capsys):
    shown, said = await log_in(tmp_path, capsys, ["sleep", "allow"], code_lifetime=0.3)
    assert "The code was not entered in time. Here is a new one." in shown
    assert shown.count("user_code=") == 2
    assert said.startswith("Logged in")


async def test_who_refuses_is_told_so_and_gets_no_new_code(tmp_path, capsys):
    shown, said = await log_in(tmp_path, capsys, ["deny"])
    assert said.startswith("login_denied: the login was denied")
    assert shown.count("user_code=") == 1


async def test_a_subscription_that_lacks_is_said_with_the_portals_step(tmp_path, capsys):
    login = Login(SystemClock(), interval=0.02, automatic=True)
    login.subscribed.discard("cardata:streaming:read")
    async with serve(Starlette(routes=login.routes())) as url:
        said = await login_to(load(configured(tmp_path, url), environ={"TZ": "UTC"}), "home")
    first, second = said.splitlines()
    assert first.startswith("Logged in")
    assert "lacks the scope cardata:streaming:read" in second
    assert 'tick the subscription "CarData Stream" in BMW\'s portal' in second


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["home", "--captcha-token", "P1"], "--captcha-token: not for source home, whose type is cardata"),
        (["home", "--refresh-token"], "--refresh-token: not for source home, whose type is cardata"),
        (
            ["home", "--take-over", "x.json", "--captcha-token", "P1"],
            "--captcha-token, --take-over: not for source home, whose type is cardata",
        ),
    ],
)
def test_options_of_another_kind_are_a_usage_error_before_anything_is_asked(tmp_path, arguments, said):
    done = CliRunner().invoke(app, ["login", *arguments, "--config", str(configured(tmp_path))])
    assert done.exception is not None
    assert str(done.exception) == said
    assert getattr(done.exception, "exit_code", None) == 2
    assert "poller login home" in done.exception.hint
    assert "Refresh token" not in done.output


def test_a_source_that_is_not_there_is_a_usage_error(tmp_path):
    done = CliRunner().invoke(app, ["login", "nosuch", "--config", str(configured(tmp_path))])
    assert str(done.exception).startswith("no source named nosuch in ")
    assert getattr(done.exception, "exit_code", None) == 2


def test_before_the_first_login_the_status_names_it(tmp_path):
    config = str(configured(tmp_path))
    assert CliRunner().invoke(app, ["once", "--config", config]).exit_code == 3
    done = CliRunner().invoke(app, ["status", "--config", config])
    assert "refused: no login is stored\n    → run `poller login home`" in done.output


def test_what_to_tick_is_listed_before_there_is_a_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    done = CliRunner().invoke(app, ["descriptors"])
    assert done.exit_code == 0, done.exception
    assert "\nvehicle.vehicle.travelledDistance\n" in done.output
    assert done.output.rstrip().endswith("go by their meaning.")
    named = CliRunner().invoke(app, ["descriptors", "home"])
    assert getattr(named.exception, "exit_code", None) == 2


@pytest.mark.parametrize("piped", ["", "\n"], ids=["nobody is there", "an empty line"])
def test_without_a_token_it_says_what_to_give_it(tmp_path, monkeypatch, capsys, piped):
    monkeypatch.setattr("getpass.getpass", getpass.fallback_getpass)  # what it does without a terminal
    monkeypatch.setattr("sys.stdin", io.StringIO(piped))
    monkeypatch.setenv("POLLER_SOURCES__BMW__PASSWORD", "x")
    config = ("--config", str(configured(tmp_path)))
    assert run(["login", "bmw", *config]) == 2
    said = capsys.readouterr().err
    assert "the token is empty\n  paste it, or give --captcha-token, --refresh-token or --take-over" in said
    assert run(["login", "bmw", "--refresh-token", *config]) == 2
    assert capsys.readouterr().err == "poller: the refresh token is empty\n  type it, or pipe it in\n"
    assert run(["login", "bmw", "--captcha-token", "", *config]) == 2
    assert "the captcha token is empty" in capsys.readouterr().err


def test_to_log_in_where_there_is_no_login_is_misuse(tmp_path, capsys):
    assert run(["login", "dumps", "--config", str(configured(tmp_path))]) == 2
    assert capsys.readouterr().err == "poller: source dumps (recorded) needs no login\n"
