"""Logging in and staying logged in, against the simulator over HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from mybmw_cloud import AUTHENTICATE, CONFIG, COULD_NOT_ASK, LIST, TOKEN, stage, stored

from poller.errors import (
    ConfigError,
    LoginRequired,
    SourceUnavailable,
)
from poller.simulator.login import PASSWORD, REFRESH_TOKEN, USER
from poller.sources.base import LoginState
from poller.sources.mybmw.login.tokens import TokenFile


@pytest.fixture
async def road(tmp_path):
    async with stage(tmp_path / "data") as set_up:
        set_up.directory.mkdir()
        yield set_up


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


# --- the configuration that each login and refresh asks for ------------------------------------


@pytest.mark.parametrize(("status", "body", "error"), COULD_NOT_ASK)
async def test_a_config_that_could_not_be_had_keeps_the_login(road, status, body, error) -> None:
    source = await road.logged_in()
    before = stored(road)
    road.clock.jump(4000)
    road.watched.fail(CONFIG, status, body, times=None)
    with pytest.raises(error) as raised:
        await source.targets()
    assert type(raised.value) is error
    assert stored(road) == before
    assert road.watched.counts()[TOKEN] == 0


async def test_a_config_without_a_key_is_not_a_refused_login(road) -> None:
    source = await road.logged_in()
    road.clock.jump(4000)
    road.watched.fail(CONFIG, 401, "key", times=None)
    with pytest.raises(SourceUnavailable):
        await source.targets()


@pytest.mark.parametrize("kind", ["reset", "half_body", "broken_json"])
async def test_a_broken_config_is_no_refusal(road, kind) -> None:
    source = await road.logged_in()
    road.clock.jump(4000)
    road.watched.spoil(CONFIG, kind, times=None)
    with pytest.raises(SourceUnavailable):
        await source.targets()


def test_a_plain_path_is_what_data_dir_holds(tmp_path: Path) -> None:
    file = TokenFile(tmp_path, "mybmw:rest_of_world:0123456789ab")
    assert file.path == tmp_path / "accounts" / "mybmw-rest_of_world-0123456789ab.json"
