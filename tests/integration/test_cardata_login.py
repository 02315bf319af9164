"""CarData: logging in by device code and staying logged in, against the simulator over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from mybmw_cloud import HastyClock, context
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from structlog.testing import capture_logs

from poller.errors import LoginRequired, RateLimited, SourceBlocked, SourceUnavailable
from poller.runtime.clock import SystemClock
from poller.simulator.cardata.login import CLIENT_ID, GCID, Login
from poller.simulator.server import line_of, serve
from poller.sources.base import LoginState
from poller.sources.cardata.login.auth import Auth
from poller.sources.cardata.login.device import DeviceCode
from poller.sources.cardata.login.oauth import DEVICE_PATH, SCOPES, TOKEN_PATH
from poller.sources.cardata.login.tokens import TokenFile, Tokens
from poller.sources.cardata.settings import CarDataSettings, account_key
from poller.sources.device import log_in

HOUR, DAY = 3600.0, 86400.0


@dataclass
class Stage:
    """The login server on loopback, watched, and a data directory."""

    login: Login
    clock: Any
    directory: Path
    url: str = ""
    forms: list[dict[str, str]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    #: Answers instead of the server's, each once, for requests to the token endpoint.
    instead: list[Any] = field(default_factory=list)
    #: After the server has carried a request out: wait here before it is answered.
    gate: asyncio.Event | None = None
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    auths: list[Auth] = field(default_factory=list)

    async def __call__(self, scope, receive, send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        self.forms.append(dict(parse_qsl(body.decode())))
        self.asked[scope["path"]] += 1
        if scope["path"] == TOKEN_PATH and self.instead:
            answer = self.instead.pop(0)
            if answer == "reset":
                line_of(scope).reset()
                return
            await answer(scope, receive, send)
            return

        async def again():
            return {"type": "http.request", "body": body, "more_body": False}

        async def gated(message):
            if self.gate is not None and message["type"] == "http.response.start":
                self.waiting.set()
                await self.gate.wait()
            await send(message)

        await Starlette(routes=self.login.routes())(scope, again, gated)

    def settings(self, **more: Any) -> CarDataSettings:
        return CarDataSettings.model_validate(
            {"type": "cardata", "client_id": CLIENT_ID, "auth_url": self.url, **more}
        )

    async def auth(self, **more: Any) -> Auth:
        settings = self.settings(**more)
        account = account_key(settings)
        made = Auth("home", settings, context(self.directory, self.clock), account, timeout=5.0)
        await made.open()
        self.auths.append(made)
        return made

    async def logged_in(self) -> Auth:
        """Logged in just now; nothing is counted yet."""
        auth = await self.auth()
        self.login.automatic = True
        await auth.finish_login(await auth.begin_login())
        self.login.automatic = False
        self.asked.clear()
        return auth

    @property
    def file(self) -> TokenFile:
        return TokenFile(self.directory, account_key(self.settings()))

    def stored(self) -> Tokens:
        tokens = self.file.read()
        assert tokens is not None
        return tokens


@asynccontextmanager
async def staged(directory: Path, clock: Any = None, **more: Any) -> AsyncIterator[Stage]:
    clock = clock or HastyClock()
    stage = Stage(Login(clock, **more), clock, directory)
    async with serve(stage) as url:
        stage.url = url
        yield stage
        for auth in stage.auths:
            await auth.close()


@pytest.fixture
async def road(tmp_path):
    (tmp_path / "data").mkdir()
    async with staged(tmp_path / "data") as stage:
        yield stage


def refusing(status: int, raw: object = None, **headers: str) -> Response:
    return JSONResponse(raw, status, headers) if raw is not None else Response("", status)


def error(status: int, word: str) -> Response:
    return refusing(status, {"error": word})


# --- logging in -------------------------------------------------------------------------------


async def test_from_the_code_to_the_stored_login(road):
    """PKCE with S256, pending answers at the server's pace, then allowed on the page by a human."""
    auth = await road.auth()
    code = await auth.begin_login()
    assert code.url == f"{road.url}/oneid/link"
    assert code.url_complete == f"{code.url}?user_code={code.user_code}"
    assert (code.interval, code.expires_at - road.clock.now()) == (5, timedelta(minutes=5))

    finishing = asyncio.create_task(auth.finish_login(code))
    async with httpx.AsyncClient() as browser:
        page = await browser.get(code.url_complete)
        assert ">Allow</button>" in page.text
        answer = await browser.post(code.url, data={"user_code": code.user_code, "answer": "allow"})
        assert "connected" in answer.text
    tokens = await finishing

    assert road.forms[0]["code_challenge_method"] == "S256"
    assert road.clock.slept[0] == 5
    assert tokens == road.stored()
    assert (tokens.scopes, tokens.gcid, tokens.generation) == (SCOPES, GCID, 1)
    assert road.login.admits_stream(tokens.gcid, tokens.id_token)
    assert auth.lacks(tokens) == []
    assert auth.login_state() == LoginState(tokens.version, tokens.stored_at + timedelta(days=14))


async def test_the_files_are_private_and_so_is_what_is_printed(road):
    auth = await road.logged_in()
    road.clock.jump(HOUR)
    tokens = await auth.fresh()
    for path in road.file.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert CLIENT_ID[-12:] not in path.name
    for secret in (tokens.access_token, tokens.refresh_token, tokens.id_token, tokens.gcid):
        assert secret
        assert secret not in repr(tokens)


async def test_waiting_is_403_and_goes_on_until_the_human_is_there(road):
    auth = await road.auth()
    code = await auth.begin_login()
    road.instead = [error(403, "authorization_pending")] * 10
    road.login.answer(code.user_code, "allow")
    await auth.finish_login(code)
    assert road.asked[TOKEN_PATH] == 11
    assert road.clock.slept == [5] * 11


async def test_slow_down_adds_five_seconds_each_time(road):
    auth = await road.auth()
    code = await auth.begin_login()
    road.login.slow_down(2)
    road.login.answer(code.user_code, "allow")
    await auth.finish_login(code)
    assert road.clock.slept == [5, 10, 15]


async def refused_login(road, auth: Auth, code: DeviceCode) -> LoginRequired:
    with pytest.raises(LoginRequired) as refused:
        await auth.finish_login(code)
    assert "poller login home" in refused.value.hint
    assert code.device_code not in str(refused.value) + refused.value.hint
    assert auth.login_state() == LoginState()
    return refused.value


async def test_who_says_no_is_told_that_it_was_denied(road):
    auth = await road.auth()
    code = await auth.begin_login()
    road.login.answer(code.user_code, "deny")
    refused = await refused_login(road, auth, code)
    assert refused.reason == "login_denied"
    assert "mid-2026" in refused.hint, "it may be BMW's own fault"


async def test_who_is_late_needs_a_new_code(road):
    auth = await road.auth()
    refused = await refused_login(road, auth, await auth.begin_login())
    assert refused.reason == "login_expired"
    assert road.asked[TOKEN_PATH] == 59, "every five seconds for five minutes"


async def test_the_servers_word_on_a_late_code_counts_too(road):
    auth = await road.auth()
    road.instead = [error(401, "expired_token")]
    assert (await refused_login(road, auth, await auth.begin_login())).reason == "login_expired"


@pytest.mark.parametrize("word", ["invalid_grant", "invalid_request", "invalid_token"])
async def test_a_code_that_is_refused_is_named_so(road, word):
    auth = await road.auth()
    road.instead = [error(400, word)]
    refused = await refused_login(road, auth, await auth.begin_login())
    assert refused.reason == "login_refused"
    assert word in refused.message


async def test_somebody_elses_verifier_redeems_nothing(road):
    auth = await road.auth()
    code = await auth.begin_login()
    road.login.answer(code.user_code, "allow")
    refused = await refused_login(road, auth, replace(code, verifier="a" * 64))
    assert refused.reason == "login_refused"


async def test_an_unknown_client_is_sent_to_the_portal(road):
    auth = await road.auth(client_id=CLIENT_ID.replace("0", "1"))
    with pytest.raises(LoginRequired, match="client id") as refused:
        await auth.begin_login()
    assert refused.value.reason == "client_unknown"
    assert "portal" in refused.value.hint


async def test_a_fault_of_the_gateway_needs_a_fresh_code_which_is_shown(road):
    auth = await road.auth()
    road.login.automatic = True
    road.login.break_gateway()
    shown: list[DeviceCode] = []
    await log_in(auth, lambda code, _why: shown.append(code), 2)
    assert len({code.user_code for code in shown}) == 2
    assert road.stored().generation == 1


async def test_a_gateway_that_spoils_every_code_is_given_up(road):
    auth = await road.auth()
    road.login.break_gateway(100)
    shown: list[DeviceCode] = []
    with pytest.raises(LoginRequired, match="gateway") as refused:
        await log_in(auth, lambda code, _why: shown.append(code), 3)
    assert refused.value.reason == "login_spoiled"
    assert len(shown) == 3


async def test_denied_after_an_error_of_bmws_is_no_denial(road):
    """The code was spoiled; nobody has pressed Deny."""
    auth = await road.auth()
    road.instead = [refusing(502), error(403, "access_denied")]
    assert (await refused_login(road, auth, await auth.begin_login())).reason == "login_spoiled"


async def test_a_cut_in_the_line_does_not_end_the_waiting(road):
    auth = await road.auth()
    code = await auth.begin_login()
    road.instead = ["reset", error(403, "authorization_pending"), refusing(503)]
    road.login.answer(code.user_code, "allow")
    assert (await auth.finish_login(code)).generation == 1


async def test_a_code_that_ends_in_an_outage_blames_the_outage(road):
    auth = await road.auth()
    code = await auth.begin_login()
    road.instead = ["reset"] * 59
    with pytest.raises(SourceUnavailable, match="broke off"):
        await auth.finish_login(code)


@pytest.mark.parametrize(
    "raw", [b"<html>", b"{}", b'{"access_token": "a"}', b'{"refresh_token": "a"}', b"[]"]
)
async def test_a_grant_that_is_none_is_not_stored(road, raw):
    auth = await road.auth()
    road.instead = [Response(raw, 200)]
    with pytest.raises(SourceUnavailable):
        await auth.finish_login(await auth.begin_login())
    assert auth.login_state() == LoginState()


@pytest.mark.parametrize(
    ("scope", "box"), [("cardata:api:read", "CarData API"), ("cardata:streaming:read", "CarData Stream")]
)
async def test_a_subscription_that_is_not_ticked_is_named_and_the_login_kept(road, scope, box):
    road.login.subscribed.remove(scope)
    auth = await road.logged_in()
    (lack,) = auth.lacks(road.stored())
    assert (lack.scope, box in lack.hint) == (scope, True)


async def test_who_brings_an_own_broker_or_none_needs_no_stream_from_bmw(road):
    road.login.subscribed -= {"cardata:streaming:read", "openid"}
    await road.logged_in()
    assert len((await road.auth()).lacks(road.stored())) == 2
    assert (await road.auth(stream_url="")).lacks(road.stored()) == []
    own = await road.auth(stream_url="mqtt://127.0.0.1", stream_topic="bmw/#")
    assert own.lacks(road.stored()) == []


async def test_a_login_anew_keeps_counting_and_gets_the_ticked_scope(road):
    road.login.subscribed.remove("cardata:api:read")
    daemon = await road.logged_in()
    before = await daemon.fresh()
    road.login.subscribed.add("cardata:api:read")
    await road.logged_in()
    assert road.stored().generation == before.generation + 1
    assert daemon.lacks(await daemon.fresh()) == [], "the daemon takes it at once, though its own is fresh"


async def test_a_full_disk_shows_before_the_human_is_bothered(road):
    road.file.path.parent.mkdir()
    road.file.path.with_suffix(".previous").mkdir()
    auth = await road.auth()
    with pytest.raises(SourceUnavailable, match="stored"):
        await auth.begin_login()
    assert road.asked[DEVICE_PATH] == 0


# --- staying logged in ------------------------------------------------------------------------


async def test_without_a_login_nobody_is_asked(road):
    auth = await road.auth()
    with pytest.raises(LoginRequired) as missing:
        await auth.fresh()
    assert missing.value.hint == "run `poller login home`"
    assert road.asked == {}


async def test_a_token_is_refreshed_five_minutes_before_its_end_by_the_wall_clock(road):
    """A suspended machine: steady time has stood still."""
    auth = await road.logged_in()
    first = await auth.fresh()
    road.clock.jump(HOUR - 301)
    assert await auth.fresh() == first
    road.clock.jump(2)
    second = await auth.fresh()
    assert second.expires_at - road.clock.now() == timedelta(hours=1)
    assert (second.generation, second == road.stored()) == (2, True)
    assert {first.access_token, first.refresh_token, first.id_token}.isdisjoint(
        {second.access_token, second.refresh_token, second.id_token}
    )
    assert road.asked[TOKEN_PATH] == 1


async def test_a_clock_that_was_set_back_leaves_nothing_to_go_by(road):
    auth = await road.logged_in()
    road.clock.jump(-DAY)
    await auth.fresh()
    await auth.fresh()
    assert road.asked[TOKEN_PATH] == 1


async def test_short_lived_tokens_are_used_for_half_their_life(tmp_path):
    async with staged(tmp_path, lifetime=60) as road:
        auth = await road.logged_in()
        first = await auth.fresh(margin=300)
        road.clock.jump(29)
        assert await auth.fresh(margin=300) == first
        road.clock.jump(2)
        assert await auth.fresh(margin=300) != first


async def test_a_forced_refresh_gets_another_token_but_not_within_seconds(road):
    """The newest token there is was refused: the next one would be, too."""
    auth = await road.logged_in()
    first = await auth.fresh()
    assert await auth.fresh(force=True) == first
    road.clock.jump(10)
    assert await auth.fresh(force=True) != first
    assert road.asked[TOKEN_PATH] == 1


async def test_however_many_ask_one_refresh_is_made(tmp_path):
    """Forced or not, and over two sources on one file: they wait for the lock in real time."""
    async with staged(tmp_path, SystemClock(), interval=0.05) as road:
        one, two = await road.logged_in(), await road.auth()
        expire(road)
        forces = [False, True, False, True, False]
        answers = await asyncio.gather(*(auth.fresh(force=force) for auth in (one, two) for force in forces))
        assert len({tokens.version for tokens in answers}) == 1
        assert road.asked[TOKEN_PATH] == 1


def expire(road: Stage) -> None:
    """Let the stored login be two hours older than it is."""
    tokens, hours = road.stored(), timedelta(hours=2)
    road.file.write(replace(tokens, stored_at=tokens.stored_at - hours, expires_at=tokens.expires_at - hours))


TWO = """
import asyncio, sys
from datetime import UTC
from pathlib import Path
from poller.runtime.clock import SystemClock
from poller.sources.base import NoMemory, SourceContext
from poller.sources.cardata.login.auth import Auth
from poller.sources.cardata.settings import CarDataSettings, account_key

async def main(directory, url, client):
    settings = CarDataSettings(type="cardata", client_id=client, auth_url=url)
    context = SourceContext(SystemClock(), NoMemory(), Path(directory), Path(directory), UTC)
    auth = Auth("home", settings, context, account_key(settings))
    await auth.open()
    print("ready", flush=True)
    sys.stdin.readline()
    print((await auth.fresh()).version, flush=True)
    await auth.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_two_processes_at_the_same_moment_make_one_refresh(tmp_path):
    async with staged(tmp_path, SystemClock(), interval=0.05) as road:
        await road.logged_in()
        expire(road)
        said = await two_processes(road)
        assert said == [road.stored().version] * 2
        assert (road.asked[TOKEN_PATH], road.stored().generation) == (1, 2)


async def two_processes(road: Stage) -> list[str]:
    """The versions that two processes got which asked at the same moment."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-c", TWO, str(road.directory), road.url, CLIENT_ID)
    children = [await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe) for _ in range(2)]
    for child in children:
        assert await asyncio.wait_for(child.stdout.readline(), 20) == b"ready\n"
    said = await asyncio.wait_for(asyncio.gather(*(child.communicate(b"go\n") for child in children)), 20)
    assert [child.returncode for child in children] == [0, 0]
    return [out.decode().splitlines()[-1] for out, _ in said]


async def test_what_bmw_leaves_out_stays_as_it_was(road):
    auth = await road.logged_in()
    before = road.stored()
    road.clock.jump(2 * HOUR)
    road.instead = [refusing(200, {"access_token": "next"})]
    tokens = await auth.fresh()
    assert tokens.access_token == "next"
    assert (tokens.refresh_token, tokens.gcid, tokens.scopes) == (
        before.refresh_token,
        before.gcid,
        before.scopes,
    )
    assert tokens.id_token == "", "the old one has run out: no password is better than a wrong one"


async def test_a_token_is_on_disk_before_anybody_gets_it_and_the_one_before_is_kept(road):
    auth = await road.logged_in()
    first = road.stored()
    road.clock.jump(2 * HOUR)
    second = await auth.fresh()
    assert road.stored() == second
    past = road.file.past()
    assert (past.previous, past.highest, past.begun_at) == (first, 2, None)


async def test_a_cancelled_caller_does_not_lose_the_new_token(road):
    """SIGTERM while BMW answers: the old refresh token is spent."""
    auth = await road.logged_in()
    road.clock.jump(2 * HOUR)
    road.gate = asyncio.Event()
    caller = asyncio.create_task(auth.fresh())
    await asyncio.wait_for(road.waiting.wait(), 5)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    closing = asyncio.create_task(auth.close())
    road.gate.set()
    await closing
    assert road.stored().generation == 2
    assert road.login.counts(road.stored().refresh_token)


class FullDisk(TokenFile):
    """A disk that has room for so many more tokens."""

    room = 0

    def write(self, login: Tokens) -> None:
        if self.room == 0:
            raise SourceUnavailable("the login could not be stored (No space left on device)")
        self.room -= 1
        super().write(login)


async def test_a_full_disk_shows_before_the_refresh_token_is_spent(road):
    auth = await road.logged_in()
    road.clock.jump(2 * HOUR)
    previous = road.file.path.with_suffix(".previous")
    previous.unlink()
    previous.mkdir()
    with pytest.raises(SourceUnavailable, match="stored"):
        await auth.fresh()
    assert road.asked[TOKEN_PATH] == 0


async def test_a_token_that_could_not_be_stored_is_held_until_it_can(road):
    """Neither used nor lost: the next attempt stores it, without another refresh."""
    auth = await road.logged_in()
    disk = FullDisk(road.directory, account_key(road.settings()))
    auth._file = disk
    road.clock.jump(2 * HOUR)
    with pytest.raises(SourceUnavailable):
        await auth.fresh()
    disk.room = 1
    assert await auth.fresh() == road.stored()
    assert (road.asked[TOKEN_PATH], road.stored().generation) == (1, 2)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110  # a clock and a file tell nobody
            await asyncio.sleep(0.01)


async def test_a_login_is_kept_alive_though_nobody_asks(road):
    """Twelve days without a poll, a week of them asleep."""
    auth = await road.logged_in()
    stop = asyncio.Event()

    def woken() -> None:
        road.clock.jump(7 * DAY)

    asyncio.get_running_loop().call_soon(woken)
    end = road.clock.now() + timedelta(days=12)
    keeping = asyncio.create_task(auth.keep(stop))
    await until(lambda: road.clock.now() >= end)
    stop.set()
    await keeping
    assert 5 <= road.asked[TOKEN_PATH] <= 6
    assert road.stored().refresh_expires_at > end


async def test_keeping_alive_survives_an_outage_and_rests_when_refused(road):
    auth = await road.logged_in()
    stop = asyncio.Event()
    road.instead = [refusing(503)] * 3
    road.clock.jump(DAY)
    keeping = asyncio.create_task(auth.keep(stop))
    await until(lambda: road.stored().generation == 2)
    road.login.revoke()
    await until(lambda: auth._refused is not None)
    asked = road.asked[TOKEN_PATH]
    end = road.clock.now() + timedelta(days=2)
    await until(lambda: road.clock.now() >= end)
    stop.set()
    await keeping
    assert road.asked[TOKEN_PATH] == asked


async def test_the_end_of_a_login_that_cannot_be_refreshed_is_announced_once_a_day(road):
    auth = await road.logged_in()
    stop = asyncio.Event()
    end = road.stored().refresh_expires_at
    road.clock.jump(12 * DAY)
    road.instead = [refusing(503)] * 1000
    with capture_logs() as logged:
        keeping = asyncio.create_task(auth.keep(stop))
        await until(lambda: road.clock.now() >= end)
        stop.set()
        await keeping
    assert [line["days_left"] for line in logged if line["event"] == "login.ending"] == [2.0, 1.0]


# --- refused, or only not asked ---------------------------------------------------------------


async def lost(auth: Auth) -> LoginRequired:
    with pytest.raises(LoginRequired) as raised:
        await auth.fresh()
    assert "poller login home" in raised.value.hint
    return raised.value


async def test_a_refused_login_is_kept_and_not_asked_for_again(road):
    auth = await road.logged_in()
    road.login.revoke()
    road.clock.jump(2 * HOUR)
    before = road.stored()
    messages = {(await lost(auth)).message for _ in range(3)}
    assert road.asked[TOKEN_PATH] == 1
    assert road.stored() == before
    assert len(messages) == 1
    assert "portal" in messages.pop()


async def test_a_login_by_another_process_is_picked_up(road):
    daemon = await road.logged_in()
    road.login.revoke()
    road.clock.jump(2 * HOUR)
    await lost(daemon)
    version = daemon.login_state().version
    await road.logged_in()
    assert daemon.login_state().version != version
    assert (await daemon.fresh()).generation == 2


async def test_a_deleted_file_is_a_login_given_up(road):
    auth = await road.logged_in()
    await auth.fresh()
    road.file.path.unlink()
    assert (await lost(auth)).message == "no login is stored"


async def test_a_restored_backup_is_named(road):
    """KV#381: an old refresh token comes back, and BMW answers invalid_request."""
    auth = await road.logged_in()
    shutil.copy(road.file.path, road.directory / "backup")
    for _ in range(3):
        road.clock.jump(2 * HOUR)
        await auth.fresh()
    shutil.copy(road.directory / "backup", road.file.path)
    for _ in range(2):
        refused = await lost(await road.auth())
        assert refused.reason == "login_restored"
        assert "number 1" in refused.message
        assert "number 4" in refused.message
        assert "invalid_request" in refused.message


async def test_a_backup_of_the_token_in_use_is_named_too(road):
    """The copy was made in the very hour before the last refresh."""
    auth = await road.logged_in()
    shutil.copy(road.file.path, road.directory / "backup")
    road.clock.jump(2 * HOUR)
    await auth.fresh()
    shutil.copy(road.directory / "backup", road.file.path)
    assert (await lost(await road.auth())).reason == "login_restored"


async def test_a_restore_under_a_running_daemon_is_undone_by_it(road):
    auth = await road.logged_in()
    shutil.copy(road.file.path, road.directory / "backup")
    road.clock.jump(2 * HOUR)
    newest = await auth.fresh()
    shutil.copy(road.directory / "backup", road.file.path)
    assert await auth.fresh() == newest == road.stored()
    road.clock.jump(2 * HOUR)
    assert (await auth.fresh()).generation == 3


async def test_a_restored_login_that_bmw_still_takes_is_used_and_counts_on(road):
    auth = await road.logged_in()
    shutil.copy(road.file.path, road.directory / "backup")
    road.clock.jump(2 * HOUR)
    await auth.fresh()
    shutil.copy(road.directory / "backup", road.file.path)
    road.instead = [refusing(200, {"access_token": "a", "refresh_token": "b"})]
    assert (await (await road.auth()).fresh()).generation == 3


async def test_an_answer_that_was_lost_on_the_way_is_named(road):
    """The connection breaks after BMW has carried the refresh out."""
    auth = await road.logged_in()
    road.clock.jump(2 * HOUR)
    form = {"grant_type": "refresh_token", "client_id": CLIENT_ID}
    async with httpx.AsyncClient(base_url=road.url) as thief:
        await thief.post(TOKEN_PATH, data={**form, "refresh_token": road.stored().refresh_token})
    road.instead = ["reset"]
    with pytest.raises(SourceUnavailable, match="broke off"):
        await auth.fresh()
    for _ in range(2):
        refused = await lost(await road.auth())
        assert refused.reason == "login_lost"
        assert "2026-11-21 16:00 UTC" in refused.message


async def test_a_refresh_that_never_left_this_machine_is_not_blamed(road):
    auth = await road.logged_in()
    road.clock.jump(2 * HOUR)
    unreachable = Auth(
        "home",
        road.settings(auth_url="http://127.0.0.1:9"),
        context(road.directory, road.clock),
        account_key(road.settings()),
    )
    await unreachable.open()
    with pytest.raises(SourceUnavailable, match="reached"):
        await unreachable.fresh()
    await unreachable.close()
    road.login.revoke()
    assert (await lost(auth)).reason == "login_refused"


@pytest.mark.parametrize("answer", [refusing(429), error(403, "access_denied"), refusing(404)])
async def test_a_refresh_that_bmw_did_not_carry_out_is_not_blamed(road, answer):
    auth = await road.logged_in()
    road.clock.jump(2 * HOUR)
    road.instead = [answer]
    with pytest.raises((RateLimited, SourceUnavailable)):
        await auth.fresh()
    road.login.revoke()
    assert (await lost(auth)).reason == "login_refused"


async def test_two_weeks_off_is_named(road):
    auth = await road.logged_in()
    road.clock.jump(14 * DAY + 1)
    refused = await lost(auth)
    assert refused.reason == "login_ended"
    assert "2026-12-05" in refused.message


async def test_a_client_that_is_gone_is_named(road):
    auth = await road.logged_in()
    road.login.client_ids.clear()
    road.clock.jump(2 * HOUR)
    assert (await lost(auth)).reason == "client_unknown"


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (error(403, "access_denied"), SourceBlocked, "blocked"),
        (error(400, "slow_down"), RateLimited, "rate_limited"),
        (refusing(429), RateLimited, "rate_limited"),
        (refusing(500, {"fault": {}}), SourceUnavailable, "server"),
        (refusing(503), SourceUnavailable, "server"),
        (refusing(403, "forbidden"), SourceUnavailable, "unavailable"),
        (refusing(404), SourceUnavailable, "unavailable"),
        (refusing(302, None), SourceUnavailable, "unavailable"),
        (Response("<html>", 200), SourceUnavailable, "unavailable"),
        ("reset", SourceUnavailable, "network"),
    ],
)
async def test_what_says_nothing_about_the_login_keeps_it(road, answer, kind, reason):
    auth = await road.logged_in()
    road.clock.jump(2 * HOUR)
    before = road.stored()
    road.instead = [answer]
    with pytest.raises(kind) as raised:
        await auth.fresh()
    assert type(raised.value).__mro__[0] is kind
    assert raised.value.reason == reason
    assert road.stored() == before
    assert road.asked[TOKEN_PATH] == 1, "a refresh is asked for once, without a hidden retry"
    assert (await auth.fresh()).generation == 2


async def test_no_error_shows_a_secret(road, caplog):
    auth = await road.logged_in()
    secrets = [road.stored().refresh_token, road.stored().access_token, GCID, CLIENT_ID]
    road.clock.jump(2 * HOUR)
    shown = []
    for answer in [error(400, "invalid_grant"), error(401, "invalid_client"), refusing(503), "reset"]:
        road.instead = [answer]
        auth._refused = None
        with pytest.raises((LoginRequired, SourceUnavailable)) as raised:
            await auth.fresh()
        cause = raised.value.__cause__
        shown.append(f"{raised.value} {raised.value.hint} {cause}")
    assert not [secret for secret in secrets for text in [*shown, caplog.text] if secret in text]


# --- the file ---------------------------------------------------------------------------------


async def test_a_broken_file_is_no_login_and_a_broken_past_no_obstacle(road):
    auth = await road.logged_in()
    road.file.path.with_suffix(".previous").write_text("{")
    road.clock.jump(2 * HOUR)
    assert (await auth.fresh()).generation == 2
    road.file.path.write_text("{")
    assert (await lost(await road.auth())).message == "no login is stored"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_a_login_by_root_belongs_to_the_daemons_user(road):
    os.chown(road.directory, 1234, 1234)
    auth = await road.logged_in()
    road.clock.jump(2 * HOUR)
    await auth.fresh()
    assert {path.stat().st_uid for path in (road.directory / "accounts").rglob("*")} == {1234}


def test_the_file_holds_what_the_docs_say(tmp_path):
    file = TokenFile(tmp_path, "cardata:0123456789ab")
    assert file.path == tmp_path / "accounts" / "cardata-0123456789ab.json"
    now = HastyClock().now()
    tokens = Tokens("cardata:0123456789ab", 1, now, ("a", "b"), now, now, "access", "refresh", "id", "gcid")
    file.write(tokens)
    assert json.loads(file.path.read_text())["scopes"] == ["a", "b"]
    assert file.read() == tokens
