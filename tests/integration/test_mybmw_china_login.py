"""An account in China: logging in by sealed password and slider, and reading, over HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from mybmw_cloud import (
    CHINA_CHECK,
    CHINA_KEY,
    CHINA_LOGIN,
    CHINA_PUZZLE,
    CHINA_STEPS,
    CHINA_TOKEN,
    COULD_NOT_ASK,
    STATE,
    CaseGarage,
    case,
    stage,
    stored,
)
from typer.testing import CliRunner

from poller.app import App
from poller.cli.login import login_at
from poller.cli.main import app as command_line
from poller.errors import ConfigError, LoginRequired, SourceError, SourceUnavailable
from poller.login_desk import LoginDesk
from poller.runtime.clock import SystemClock
from poller.settings import load
from poller.simulator.china_lock import Lock
from poller.simulator.china_login import GCID, PASSWORD, REFRESH_TOKEN, USER
from poller.simulator.pictures import picture
from poller.sources.base import LoginState
from poller.sources.mybmw.regions import SERVERS
from poller.vehicle.records import rfc3339
from poller.web.control import ControlServer

#: A position as BMW sends it there, and as satellites give it.
SENT, MEANT = (31.2304, 121.4737), (31.232329, 121.469162)


@pytest.fixture
async def road(tmp_path):
    garage = CaseGarage([in_shanghai(case("electric_charging"))])
    async with stage(tmp_path / "data", garage, region="china") as set_up:
        set_up.directory.mkdir()
        yield set_up


def in_shanghai(car):
    state = json.loads(car.bodies["state"])
    state["state"]["location"]["coordinates"] = dict(zip(("latitude", "longitude"), SENT, strict=True))
    return replace(car, bodies={**car.bodies, "state": json.dumps(state).encode()})


async def refused(source, kind=LoginRequired, **means):
    with pytest.raises(kind) as error:
        await source.login(**means)
    return error.value


# --- by password ------------------------------------------------------------------------------


async def test_a_login_goes_the_whole_way_without_a_human(road) -> None:
    """Four requests with the app's headers and no others, the password sealed; then the account's cars."""
    source = await road.source()
    assert source.captcha_page is None
    assert await source.login() == "Logged in: source bmw, region china. The login is stored."

    assert [(r.method, r.path) for r in road.watched.requests] == [
        ("GET", CHINA_KEY),
        ("POST", CHINA_PUZZLE),
        ("POST", CHINA_CHECK),
        ("POST", CHINA_LOGIN),
    ]
    for request in road.watched.requests:
        assert request.headers["user-agent"] == "Dart/3.3 (dart:io)"
        assert request.headers["x-user-agent"].endswith(";bmw;4.9.2(36892);cn")
        assert not {
            "ocp-apim-subscription-key",
            "x-correlation-id",
            "bmw-correlation-id",
            "authorization",
        } & set(request.headers)
    _, puzzle, check, login = road.watched.requests
    assert puzzle.json == {"mobile": USER}
    assert set(check.json) == {"position", "verifyId"}
    assert login.json["verifyId"] == check.json["verifyId"]
    assert (login.json["mobile"], login.json["deviceId"]) == (USER, USER)
    assert Lock().opened(login.json["password"]) == PASSWORD
    assert Lock().who(login.headers["x-login-nonce"]) == USER
    assert [target.vin for target in await source.targets()] == ["WBYTEST0000000001"]


async def test_what_is_stored_is_whole_and_ends_when_the_token_says(road) -> None:
    await (await road.source()).login()
    login = stored(road)
    assert login["gcid"] == GCID
    assert login["refresh_token"].startswith("login-")
    assert login["expires_at"] == rfc3339(road.clock.now() + timedelta(hours=1))
    assert USER not in json.dumps(login)


async def test_the_region_has_its_own_host(road) -> None:
    assert SERVERS["china"].host == "https://myprofile.bmw.com.cn"
    assert SERVERS["china"].api_key == ""


async def test_a_wrong_password_is_told_in_bmws_own_words(road) -> None:
    """The library says ``True -`` here."""
    source = await road.source(password="wrong")
    error = await refused(source)
    assert error.message == "BMW refused user name or password (699121: 系统异常，请稍后再试！)"
    assert "the phone number with 86 before it" in error.hint
    assert source.login_state() == LoginState()
    await refused(await road.source(username="8613900000000"))


@pytest.mark.parametrize("status", [200, 400, 401, 422])
async def test_a_captcha_that_was_not_taken_costs_no_password(road, status) -> None:
    source = await road.source()
    road.watched.fail(CHINA_CHECK, status, '{"code": 4711, "error": true, "description": "wrong place"}')
    error = await refused(source)
    assert error.message == "BMW did not take our answer to its captcha (4711: wrong place)"
    assert "run `poller login bmw` again" in error.hint
    assert road.watched.counts()[CHINA_LOGIN] == 0


async def test_a_picture_without_a_gap_is_not_guessed_at(road) -> None:
    road.watched.fail(CHINA_PUZZLE, 200, puzzle_of(picture("WBYTEST0000000001", "FrontView")))
    error = await refused(await road.source())
    assert error.message == "no gap was found in BMW's captcha picture"
    assert road.watched.counts()[CHINA_CHECK] == 0


async def test_a_picture_that_is_none_says_nothing_about_the_login(road) -> None:
    road.watched.fail(CHINA_PUZZLE, 200, puzzle_of(b"GIF89a"))
    await refused(await road.source(), SourceUnavailable)


def puzzle_of(image: bytes) -> str:
    data = {"verifyId": "v", "backGroundImg": base64.b64encode(image).decode()}
    return json.dumps({"data": data, "code": 200, "error": False})


async def test_a_key_that_is_none_says_nothing_about_the_login(road) -> None:
    road.watched.fail(CHINA_KEY, 200, '{"data": {"value": "-----BEGIN nothing"}, "code": 200}')
    error = await refused(await road.source(), SourceUnavailable)
    assert error.message == "the password cannot be sealed with the key that BMW sent"
    assert set(road.watched.counts()) == {CHINA_KEY}


@pytest.mark.parametrize("path", CHINA_STEPS)
async def test_what_could_not_be_asked_is_no_refusal_and_the_password_goes_once(road, path) -> None:
    source = await road.source()
    for status, body, kind in COULD_NOT_ASK:
        road.watched.fail(path, status, body, times=None)
        assert type(await refused(source, SourceError)) is kind
        assert road.watched.counts()[CHINA_LOGIN] <= 1
        road.cloud.faults.clear()
    assert source.login_state() == LoginState()


async def test_a_lost_answer_does_not_send_the_password_again(road) -> None:
    road.watched.spoil(CHINA_LOGIN, "reset")
    await refused(await road.source(), SourceUnavailable)
    assert road.watched.counts()[CHINA_LOGIN] == 1


async def test_what_is_missing_is_said_before_anybody_is_asked(road) -> None:
    without = await refused(await road.source(password=None), ConfigError)
    assert without.message == "sources.bmw: a login in China needs the password"
    token = await refused(await road.source(), ConfigError, captcha_token="P1_x")
    assert token.message == "sources.bmw: a login in China takes no captcha token"
    assert road.watched.requests == []


@pytest.mark.parametrize(("library", "module"), [("cryptography", "seal"), ("PIL", "slider")])
async def test_without_the_extra_the_mend_is_named(road, monkeypatch, library, module) -> None:
    for name in [name for name in sys.modules if name == library or name.startswith(f"{library}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"poller.sources.mybmw.login.china.{module}", raising=False)
    error = await refused(await road.source(), SourceUnavailable)
    assert error.message.startswith(f"what the login in China needs is not installed ({library}")
    assert error.hint.startswith("install it: `pip install 'bmw-poller[china]'`")
    assert road.watched.requests == []


async def test_no_secret_in_any_error_whatever_bmw_says(road) -> None:
    echo = json.dumps(
        {"code": 1, "error": True, "description": f"{USER} {PASSWORD}x {GCID} {REFRESH_TOKEN} 12345678"}
    )
    texts = []
    for path in (*CHINA_STEPS, CHINA_TOKEN):
        for status in (200, 422):
            road.watched.fail(path, status, echo, times=None)
            with pytest.raises(SourceError) as raised:
                await (await road.source()).login(**(road.known if path == CHINA_TOKEN else {}))
            texts += [str(raised.value), raised.value.hint or "", repr(raised.value)]
            road.cloud.faults.clear()
    told = "\n".join(texts)
    assert "(1: " in told
    assert [word for word in (USER, f"{PASSWORD}x", GCID, REFRESH_TOKEN, "12345678") if word in told] == []


# --- by refresh token -------------------------------------------------------------------------


async def test_a_refresh_is_signed_with_the_gcid_and_rotates(road) -> None:
    source = await road.logged_in()
    before = stored(road)
    assert before["gcid"] == GCID
    road.clock.jump(4000)
    await source.targets()
    (refresh,) = road.watched.to(CHINA_TOKEN)
    assert Lock().who(refresh.headers["x-login-nonce"]) == GCID
    assert refresh.form == {"refresh_token": before["refresh_token"], "grant_type": "refresh_token"}
    assert stored(road)["refresh_token"] not in (before["refresh_token"], REFRESH_TOKEN)
    assert stored(road)["gcid"] == GCID


async def test_a_refused_refresh_is_told_in_bmws_own_words(road) -> None:
    source = await road.logged_in()
    road.cloud.login.revoke_refresh_tokens()
    road.clock.jump(4000)
    for _ in range(2):
        with pytest.raises(LoginRequired) as error:
            await source.targets()
        assert error.value.message.startswith(
            "BMW refused the stored login (699121: 系统异常，请稍后再试！); "
        )
        assert error.value.hint == "run `poller login bmw`"
    assert road.watched.counts()[CHINA_TOKEN] == 1
    error = await refused(source, refresh_token="spent", gcid=GCID)
    assert error.message.startswith("BMW refused this refresh token (699121: ")


async def test_a_refresh_token_needs_its_gcid(road) -> None:
    source = await road.source()
    assert source.needs_gcid
    error = await refused(source, ConfigError, refresh_token=REFRESH_TOKEN)
    assert "works only with its account's gcid" in error.message
    assert "--take-over FILE" in error.hint
    assert road.watched.requests == []


async def test_a_bimmer_connected_store_is_taken_over_whole(road, tmp_path) -> None:
    store = {
        "refresh_token": REFRESH_TOKEN,
        "gcid": GCID,
        "access_token": "theirs",
        "session_id": "11111111-2222-4333-8444-555555555555",
        "session_id_timestamp": (road.clock.now() - timedelta(days=2)).timestamp(),
    }
    path = tmp_path / "store.json"
    path.write_text(json.dumps(store))
    await (await road.source()).login(takeover=path)
    assert (stored(road)["session"], stored(road)["gcid"]) == (store["session_id"], GCID)
    assert stored(road)["access_token"] != "theirs"
    path.write_text(json.dumps({"refresh_token": REFRESH_TOKEN}))
    await refused(await road.source(), ConfigError, takeover=path)


# --- reading ----------------------------------------------------------------------------------


async def test_a_car_in_china_is_polled_and_its_position_is_converted(road) -> None:
    source = await road.logged_in()
    (target,) = await source.targets()
    snapshot = source.parse(await source.fetch(target))
    place = tuple(snapshot.readings[f"{name}_degrees"].value for name in ("latitude", "longitude"))
    assert place == pytest.approx(MEANT, abs=1e-6)
    data = [request for request in road.watched.requests if request.path != CHINA_TOKEN]
    assert {request.headers["x-user-agent"].rpartition(";")[2] for request in data} == {"cn"}
    assert not any("ocp-apim-subscription-key" in request.headers for request in data)


async def test_a_401_makes_one_refresh_and_the_second_one_needs_a_human(road) -> None:
    source = await road.logged_in()
    (target,) = await source.targets()
    road.cloud.login.expire_access_tokens()
    road.watched.counts()
    await source.fetch(target)
    counts = road.watched.counts()
    assert (counts[CHINA_TOKEN], counts[STATE]) == (1, 2)
    road.watched.fail(STATE, 401, "", times=None)
    with pytest.raises(LoginRequired):
        await source.fetch(target)
    assert road.watched.counts()[CHINA_TOKEN] == 1


async def test_the_simulated_tokens_are_good_in_their_own_region_alone(road) -> None:
    await road.logged_in()
    headers = {"authorization": f"Bearer {stored(road)['access_token']}", "bmw-vin": "WBYTEST0000000001"}
    async with httpx.AsyncClient(base_url=road.url, timeout=5) as http:
        for region, status in (("cn", 200), ("row", 401)):
            agent = f"android(x);bmw;4.9.2(36892);{region}"
            assert (await http.get(STATE, headers={**headers, "x-user-agent": agent})).status_code == status


# --- from the command line --------------------------------------------------------------------


@pytest.fixture
async def house(tmp_path):
    """A configuration for the simulated account, whose cloud lives by the real clock."""
    garage = CaseGarage([in_shanghai(case("electric_charging"))])
    async with stage(tmp_path, garage, clock=SystemClock(), region="china") as set_up:
        path = tmp_path / "config.toml"
        path.write_text(f"""
data_dir = "data"
[sources.bmw]
type = "mybmw"
username = "{USER}"
password = "{PASSWORD}"
region = "china"
base_url = "{set_up.url}"
""")
        path.chmod(0o600)
        yield set_up, path


async def run(path, *arguments, **more):
    return await asyncio.to_thread(
        CliRunner().invoke, command_line, [*arguments, "--config", str(path)], **more
    )


async def test_login_and_once_need_nobody(house) -> None:
    road, path = house
    first = await run(path, "once")
    assert first.exit_code == 3
    done = await run(path, "login", "bmw")
    assert (done.exit_code, done.output) == (
        0,
        "Logged in: source bmw, region china. The login is stored.\n",
    )
    once = await run(path, "once")
    assert once.exit_code == 0, once.output
    assert [request.path for request in road.watched.requests].count(STATE) == 1


async def test_a_refresh_token_is_asked_for_with_its_gcid(house) -> None:
    _, path = house
    done = await run(path, "login", "bmw", "--refresh-token", input=f"{REFRESH_TOKEN}\n{GCID}\n")
    assert done.exit_code == 0, done.output
    assert "works only with its account's gcid" in done.output
    assert REFRESH_TOKEN not in done.output
    assert GCID not in done.output


async def test_check_says_what_lacks_before_it_is_needed(house, monkeypatch) -> None:
    _, path = house
    assert "not installed" not in (await run(path, "check")).output
    monkeypatch.setitem(sys.modules, "PIL", None)
    told = await run(path, "check")
    assert "sources.bmw: what a login in China needs is not installed: `pip install" in told.output


async def test_a_captcha_token_is_refused_as_usage(house) -> None:
    road, path = house
    done = await run(path, "login", "bmw", "--captcha-token", "P1")
    assert getattr(done.exception, "exit_code", None) == 2
    assert road.watched.requests == []


async def test_through_the_daemons_door_it_needs_nobody_either(house, monkeypatch) -> None:
    _, path = house
    app = App(load(path, environ={"TZ": "UTC"}))
    await app.open()
    desk = LoginDesk(app)
    door = path.with_name("control.sock")
    server = ControlServer(door, {"login": desk.begin, "login-standing": desk.standing})
    await server.start()
    try:
        assert (await login_at(door, "bmw")).startswith("Logged in: source bmw, region china.")
        monkeypatch.setattr("typer.prompt", lambda *_, **__: GCID)
        done = await login_at(door, "bmw", refresh_token=REFRESH_TOKEN)
        assert done.startswith("Logged in")
    finally:
        await server.stop()
        await desk.close()
        await app.close()
