"""Logging in and staying logged in, against the simulator over HTTP."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import stat
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from mybmw_cloud import AUTHENTICATE, CONFIG, LIST, STATE, TOKEN, stage

from poller.errors import (
    ConfigError,
    LoginRequired,
    RateLimited,
    SourceBlocked,
    SourceError,
    SourceUnavailable,
)
from poller.runtime.clock import SystemClock
from poller.simulator.login import PASSWORD, REFRESH_TOKEN, USER
from poller.sources.base import LoginState
from poller.sources.mybmw.auth import Auth
from poller.sources.mybmw.tokens import TokenFile, Tokens
from poller.sources.mybmw.transport import Limits


@pytest.fixture
async def road(tmp_path):
    async with stage(tmp_path / "data") as set_up:
        set_up.directory.mkdir()
        yield set_up


def stored(road) -> dict[str, str]:
    (path,) = (road.directory / "accounts").glob("*.json")
    return json.loads(path.read_text())


async def test_a_captcha_login_goes_the_whole_way(road) -> None:
    """Five requests, PKCE with S256, the captcha once, the app's headers; then the account's cars."""
    source = await road.source()
    line = await source.login(captcha_token="P1_once")
    assert line == "Logged in: source bmw, region rest_of_world. The login is stored."

    config, first, second, redeem = road.watched.requests
    assert [r.path for r in (config, first, second, redeem)] == [CONFIG, AUTHENTICATE, AUTHENTICATE, TOKEN]
    assert config.headers["ocp-apim-subscription-key"] == "4f1c85a3-758f-a37d-bbb6-f8704494acfa"
    assert config.headers["x-correlation-id"] == config.headers["bmw-correlation-id"]
    assert first.headers["hcaptchatoken"] == "P1_once"
    assert (first.form["username"], first.form["password"]) == (USER, PASSWORD)
    assert "hcaptchatoken" not in second.headers
    assert "password" not in second.form
    assert UUID(second.query["interaction-id"]).version == 4
    assert second.query["client-version"] == second.headers["x-user-agent"]
    digest = hashlib.sha256(redeem.form["code_verifier"].encode()).digest()
    assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == first.form["code_challenge"]
    assert len(redeem.form["code_verifier"]) == 86
    assert {r.headers["user-agent"] for r in road.watched.requests} == {"Dart/3.3 (dart:io)"}
    assert [target.vin for target in await source.targets()] == ["WBYTEST0000000001", "WMWTEST0000000005"]


async def test_north_america_asks_with_its_own_names(road) -> None:
    source = await road.source(region="north_america")
    await source.login(captcha_token="P1_once")
    config = road.watched.requests[0]
    assert config.headers["ocp-apim-subscription-key"] == "31e102f5-6f7e-7ef3-9044-ddce63891362"
    assert config.headers["x-user-agent"].endswith(";bmw;4.9.2(36892);na")
    assert source.captcha_page.endswith("north_america.html")


async def test_the_file_is_private_and_holds_no_address(road) -> None:
    source = await road.logged_in()
    (path,) = (road.directory / "accounts").glob("*.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert USER not in path.read_text()
    assert PASSWORD not in path.read_text().split('"')
    assert "example" not in path.name
    assert source.account.startswith("mybmw:rest_of_world:")
    assert USER.partition("@")[0] not in source.account


async def test_the_account_is_the_same_in_any_spelling_of_the_address(road) -> None:
    first = await road.source(username="Owner@Example.com")
    second = await road.source(username="owner@example.com ")
    third = await road.source(username="other@example.com")
    assert first.account == second.account != third.account


async def test_a_wrong_password_and_a_spent_captcha_ask_for_a_human(road) -> None:
    source = await road.source(password="wrong")
    with pytest.raises(LoginRequired) as refused:
        await source.login(captcha_token="P1_once")
    assert source.captcha_page in refused.value.hint
    right = await road.source()
    with pytest.raises(LoginRequired):
        await right.login(captcha_token="P1_once")
    assert road.watched.counts()[AUTHENTICATE] == 2
    assert source.login_state() == LoginState()


async def test_a_captcha_is_never_sent_twice(road) -> None:
    """Not even when the answer is lost: it is good for one use, which may have happened."""
    source = await road.source()
    road.watched.spoil(AUTHENTICATE, "reset")
    with pytest.raises(SourceUnavailable):
        await source.login(captcha_token="P1_once")
    assert road.watched.counts()[AUTHENTICATE] == 1


async def test_login_needs_something_to_log_in_with(road) -> None:
    source = await road.source(password=None)
    with pytest.raises(LoginRequired) as nothing:
        await source.login()
    assert source.captcha_page in nothing.value.hint
    assert road.watched.requests == []
    with pytest.raises(ConfigError):
        await source.login(captcha_token="P1_once")


async def test_china_says_that_it_comes_later(road) -> None:
    source = await road.source(region="china")
    with pytest.raises(LoginRequired):
        await source.login(captcha_token="P1_once")
    with pytest.raises(LoginRequired):
        await source.targets()
    assert road.watched.requests == []


async def test_an_answer_to_somebody_elses_question_is_refused(road) -> None:
    """The code comes with our own state, or not at all."""
    source = await road.source()
    road.watched.on_request = lambda request: (
        road.watched.fail(
            AUTHENTICATE,
            302,
            headers={"location": "com.bmw.connected://oauth?code=abc&state=another"},
        )
        if request.path == AUTHENTICATE and "authorization" in request.form
        else None
    )
    with pytest.raises(SourceUnavailable, match="state"):
        await source.login(captcha_token="P1_once")
    assert road.watched.counts()[TOKEN] == 0


async def test_without_a_login_nobody_is_asked(road) -> None:
    source = await road.source()
    with pytest.raises(LoginRequired) as missing:
        await source.targets()
    assert missing.value.hint == "run `poller login bmw`"
    assert road.watched.requests == []
    assert source.login_state() == LoginState()


# --- taking over ------------------------------------------------------------------------------


async def test_a_bimmer_connected_store_is_taken_over(road, tmp_path) -> None:
    """The session is kept while it is young; the file of the other program is not touched."""
    session = "11111111-2222-4333-8444-555555555555"
    since = (road.clock.now() - timedelta(days=2)).timestamp()
    path = tmp_path / "store.json"
    path.write_text(
        json.dumps(
            {
                "refresh_token": REFRESH_TOKEN,
                "gcid": "some-gcid",
                "access_token": "theirs",
                "session_id": session,
                "session_id_timestamp": since,
            }
        )
    )
    before = path.read_text()
    source = await road.source()
    await source.login(takeover=path)
    assert stored(road)["session"] == session
    assert stored(road)["refresh_token"] != REFRESH_TOKEN
    assert path.read_text() == before
    await source.targets()
    assert {r.headers["bmw-session-id"] for r in road.watched.to(LIST)} == {session}


@pytest.mark.parametrize("age", [timedelta(days=15), None])
async def test_an_old_session_is_not_taken_over(road, tmp_path, age) -> None:
    path = tmp_path / "store.json"
    content = {"refresh_token": REFRESH_TOKEN, "session_id": "old"}
    if age is not None:
        content["session_id_timestamp"] = (road.clock.now() - age).timestamp()
    path.write_text(json.dumps(content))
    source = await road.source()
    await source.login(takeover=path)
    assert UUID(stored(road)["session"]).version == 4


@pytest.mark.parametrize("content", [None, "", "not json", "[]", '{"refresh_token": null}', "{}"])
async def test_a_store_without_a_token_is_named_as_the_problem(road, tmp_path, content) -> None:
    path = tmp_path / "store.json"
    if content is not None:
        path.write_text(content)
    source = await road.source()
    with pytest.raises(ConfigError, match=r"store\.json"):
        await source.login(takeover=path)
    assert road.watched.requests == []


async def test_a_refused_refresh_token_leaves_the_old_login(road) -> None:
    source = await road.logged_in()
    before = stored(road)
    with pytest.raises(LoginRequired, match="this refresh token"):
        await source.login(refresh_token="spent")
    assert stored(road) == before


async def test_another_accounts_file_is_refused(road) -> None:
    """Copied by hand, say: nothing ties a refresh token to an address but this."""
    await road.logged_in()
    other = await road.source(username="other@example.com")
    (path,) = (road.directory / "accounts").glob("*.json")
    path.rename(TokenFile(road.directory, other.account).path)
    with pytest.raises(LoginRequired):
        await other.targets()
    assert road.watched.requests == []


async def test_a_broken_file_asks_for_a_new_login(road) -> None:
    source = await road.logged_in()
    (path,) = (road.directory / "accounts").glob("*.json")
    path.write_text(path.read_text()[:40])
    fresh = await road.source()
    with pytest.raises(LoginRequired):
        await fresh.targets()
    assert source.login_state() == LoginState()


# --- staying logged in ------------------------------------------------------------------------


async def test_five_refusals_at_once_make_one_refresh(road) -> None:
    """The library spends five refresh tokens here."""
    source = await road.logged_in()
    (first, *_) = await source.targets()
    road.cloud.login.expire_access_tokens()
    road.watched.counts()
    answers = await asyncio.gather(*(source.fetch(first) for _ in range(5)))
    assert len(answers) == 5
    assert road.watched.counts()[TOKEN] == 1


async def test_two_processes_make_one_refresh(tmp_path) -> None:
    """The second waits for the lock (in real time) and finds the first one's token under it."""
    async with stage(tmp_path, clock=SystemClock()) as road:
        one = await road.logged_in()
        two = await road.source()
        (target, *_) = await one.targets()
        await two.targets()
        road.cloud.login.expire_access_tokens()
        road.watched.counts()
        await asyncio.gather(one.fetch(target), two.fetch(target))
        assert road.watched.counts()[TOKEN] == 1


async def test_a_lock_that_is_never_let_go_is_an_error_in_the_end(road) -> None:
    source = await road.source()
    async with TokenFile(road.directory, source.account).lock(road.clock):
        with pytest.raises(SourceUnavailable, match="another process"):
            await source.login(refresh_token=REFRESH_TOKEN)


async def test_a_token_is_refreshed_before_it_ends(road) -> None:
    """No request is spent on learning what the clock says."""
    source = await road.logged_in()
    await source.targets()
    road.watched.counts()
    road.clock.jump(3600 - 20)
    (target, *_) = await source.targets()
    await source.fetch(target)
    assert road.watched.counts()[TOKEN] == 1
    assert all(r.headers.get("authorization") for r in road.watched.to(STATE))


async def test_a_restart_goes_on_with_the_stored_token(road) -> None:
    """Also with the same device and session: new ones cost quota and trust."""
    await (await road.logged_in()).targets()
    (first,) = {r.headers["x-user-agent"].partition(";")[0] for r in road.watched.to(LIST)}
    session = {r.headers["bmw-session-id"] for r in road.watched.to(LIST)}
    road.watched.counts()
    road.memory.values.clear()
    again = await road.source()
    await again.targets()
    assert road.watched.to(TOKEN) == []
    assert {r.headers["x-user-agent"].partition(";")[0] for r in road.watched.to(LIST)} == {first}
    assert {r.headers["bmw-session-id"] for r in road.watched.to(LIST)} == session


async def test_a_new_login_keeps_the_device_and_changes_the_version(road) -> None:
    source = await road.logged_in()
    device, version = stored(road)["device"], source.login_state().version
    await source.login(captcha_token="P1_once")
    assert stored(road)["device"] == device
    assert source.login_state().version != version


async def test_a_session_is_renewed_after_two_weeks(road) -> None:
    source = await road.logged_in()
    session = stored(road)["session"]
    road.clock.jump(timedelta(days=13, hours=23).total_seconds())
    await source.targets()
    assert stored(road)["session"] == session
    road.clock.jump(timedelta(hours=2).total_seconds())
    road.memory.values.clear()
    await (await road.source()).targets()
    assert stored(road)["session"] != session


async def test_a_new_token_is_on_disk_before_it_is_used(road) -> None:
    source = await road.logged_in()
    (target, *_) = await source.targets()
    road.cloud.login.expire_access_tokens()
    seen = []
    road.watched.on_request = lambda request: seen.append(
        (request.path, request.headers.get("authorization"), stored(road)["access_token"])
    )
    await source.fetch(target)
    used = [authorization == f"Bearer {token}" for path, authorization, token in seen if path == STATE]
    assert used == [True, True]
    tokens = {token for _, _, token in seen}
    assert len(tokens) == 2


async def test_a_cancelled_poll_does_not_lose_the_new_token(road) -> None:
    """SIGTERM while BMW answers: the old refresh token is spent, so the new one must still be stored."""
    source = await road.logged_in()
    (target, *_) = await source.targets()
    before = stored(road)
    road.cloud.login.expire_access_tokens()
    road.watched.gates[TOKEN] = asyncio.Event()
    poll = asyncio.create_task(source.fetch(target))
    await asyncio.wait_for(road.watched.waiting.wait(), 5)
    poll.cancel()
    with pytest.raises(asyncio.CancelledError):
        await poll
    closing = asyncio.create_task(source.close())
    road.watched.gates.pop(TOKEN).set()
    await closing
    assert stored(road)["refresh_token"] != before["refresh_token"]
    again = await road.source()
    await again.fetch(target)


async def test_a_close_does_not_wait_for_ever(road) -> None:
    source = await road.logged_in(limits=Limits(timeout=5.0, last_word=0.05))
    road.clock.jump(4000)
    road.watched.gates[TOKEN] = asyncio.Event()
    poll = asyncio.create_task(source.targets())
    await asyncio.wait_for(road.watched.waiting.wait(), 5)
    await asyncio.wait_for(source.close(), 5)
    with pytest.raises(asyncio.CancelledError):
        await poll
    road.watched.gates.pop(TOKEN).set()


class FullDisk(TokenFile):
    """A token file on a disk that fills up: after `room` more writes every one fails."""

    room = 0

    def write(self, tokens: Tokens) -> None:
        if self.room == 0:
            raise SourceUnavailable("the login could not be stored (No space left on device)")
        self.room -= 1
        super().write(tokens)


async def _auth_on(road, file: TokenFile, source) -> Auth:
    return Auth(
        "bmw",
        source._settings,
        server=source._server,
        account=source.account,
        transport=source._transport,
        file=file,
        clock=road.clock,
        last_word=Limits().last_word,
    )


async def test_a_full_disk_shows_before_the_refresh_token_is_spent(road) -> None:
    source = await road.logged_in()
    auth = await _auth_on(road, FullDisk(road.directory, source.account), source)
    road.clock.jump(4000)
    with pytest.raises(SourceUnavailable):
        await auth.tokens()
    assert road.watched.counts()[TOKEN] == 0


async def test_a_token_that_could_not_be_stored_is_held_until_it_can(road) -> None:
    """It is neither used nor lost: the next attempt stores it, without another refresh."""
    source = await road.logged_in()
    file = FullDisk(road.directory, source.account)
    file.room = 1
    auth = await _auth_on(road, file, source)
    road.clock.jump(4000)
    with pytest.raises(SourceUnavailable):
        await auth.tokens()
    assert road.watched.counts()[TOKEN] == 1
    file.room = 1
    tokens = await auth.tokens()
    assert road.watched.counts()[TOKEN] == 0
    assert stored(road)["access_token"] == tokens.access_token


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_that_cannot_be_written_is_named(road) -> None:
    source = await road.source()
    road.directory.chmod(0o500)
    try:
        with pytest.raises(SourceUnavailable, match="login"):
            await source.login(refresh_token=REFRESH_TOKEN)
    finally:
        road.directory.chmod(0o700)


# --- refused, or only not asked ---------------------------------------------------------------


async def test_a_refused_login_asks_for_a_human_and_is_not_asked_again(road) -> None:
    source = await road.logged_in()
    road.cloud.login.revoke_refresh_tokens()
    road.clock.jump(4000)
    before = stored(road)
    for _ in range(3):
        with pytest.raises(LoginRequired):
            await source.targets()
    assert road.watched.counts()[TOKEN] == 1
    assert stored(road) == before
    await source.login(captcha_token="P1_once")
    assert len(await source.targets()) == 2


async def test_a_login_by_another_process_is_picked_up(road) -> None:
    """`poller login` beside a daemon that waits for it."""
    daemon = await road.logged_in()
    road.cloud.login.revoke_refresh_tokens()
    road.clock.jump(4000)
    with pytest.raises(LoginRequired):
        await daemon.targets()
    version = daemon.login_state().version
    await (await road.source()).login(captcha_token="P1_once")
    assert daemon.login_state().version != version
    assert len(await daemon.targets()) == 2


COULD_NOT_ASK: list[tuple[int, str, type[SourceError]]] = [
    (429, '{"message": "Rate limit is exceeded. Try again in 2 seconds."}', RateLimited),
    (403, '{"message": "Out of call volume quota. Quota will be replenished in 02:12:20."}', RateLimited),
    (489, "Blocked", SourceBlocked),
    (500, "INTERNAL SERVER ERROR", SourceUnavailable),
    (503, "", SourceUnavailable),
    (403, "forbidden", SourceUnavailable),
    (404, "", SourceUnavailable),
    (200, "<html>", SourceUnavailable),
    (200, "{}", SourceUnavailable),
    (301, "", SourceUnavailable),
]


@pytest.mark.parametrize("path", [CONFIG, TOKEN])
@pytest.mark.parametrize(("status", "body", "error"), COULD_NOT_ASK)
async def test_what_says_nothing_about_the_login_keeps_it(road, path, status, body, error) -> None:
    """The library falls back to the password here, which asks for a captcha for nothing."""
    source = await road.logged_in()
    before = stored(road)
    road.clock.jump(4000)
    road.watched.fail(path, status, body, times=None)
    with pytest.raises(error) as raised:
        await source.targets()
    assert type(raised.value) is error
    assert stored(road) == before
    assert AUTHENTICATE not in road.watched.counts()
    road.cloud.faults.clear()
    assert len(await source.targets()) == 2


@pytest.mark.parametrize("status", [400, 401])
async def test_refused_is_400_or_401_of_the_token_endpoint(road, status) -> None:
    source = await road.logged_in()
    road.clock.jump(4000)
    road.watched.fail(TOKEN, status, '{"error": "invalid_grant"}')
    with pytest.raises(LoginRequired):
        await source.targets()


async def test_a_config_without_a_key_is_not_a_refused_login(road) -> None:
    source = await road.logged_in()
    road.clock.jump(4000)
    road.watched.fail(CONFIG, 401, "key", times=None)
    with pytest.raises(SourceUnavailable):
        await source.targets()


@pytest.mark.parametrize("kind", ["reset", "half_body", "broken_json"])
async def test_a_broken_token_answer_is_no_refusal(road, kind) -> None:
    source = await road.logged_in()
    road.clock.jump(4000)
    road.watched.spoil(CONFIG, kind, times=None)
    with pytest.raises(SourceUnavailable):
        await source.targets()


def test_a_plain_path_is_what_data_dir_holds(tmp_path: Path) -> None:
    file = TokenFile(tmp_path, "mybmw:rest_of_world:0123456789ab")
    assert file.path == tmp_path / "accounts" / "mybmw-rest_of_world-0123456789ab.json"


async def test_a_file_that_cannot_be_read_is_no_lost_login(road) -> None:
    """Wrong permissions, say: a new login would not help, so none is asked for."""
    source = await road.logged_in()
    (path,) = (road.directory / "accounts").glob("*.json")
    path.unlink()
    path.mkdir()
    fresh = await road.source()
    with pytest.raises(SourceUnavailable, match="cannot be read"):
        await fresh.targets()
    assert source.login_state() == LoginState()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_a_login_by_root_belongs_to_the_daemons_user(road) -> None:
    """`sudo poller login` beside a daemon that runs as somebody else."""
    os.chown(road.directory, 1234, 1234)
    await road.logged_in()
    owners = {path.stat().st_uid for path in (road.directory / "accounts").rglob("*")}
    assert owners == {1234}
    assert (road.directory / "accounts").stat().st_uid == 1234
