"""The simulated cloud over real HTTP: its login is as strict as the real one, its faults are real."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest
from simulated_app import CHARGING, LIST, OLD_LIST, PICTURE, PROFILE, STATE, TOKEN, App, app_of, query

from poller.simulator.cloud import FakeCloud
from poller.simulator.fleet import BMW_VIN, MINI_VIN
from poller.simulator.garage import demo_garage
from poller.simulator.login import PASSWORD, REFRESH_TOKEN, USER
from poller.simulator.server import serve
from poller.testing.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cloud(clock: ManualClock) -> FakeCloud:
    return FakeCloud(demo_garage(), clock)


@pytest.fixture
async def app(cloud: FakeCloud) -> AsyncIterator[App]:
    async with app_of(cloud) as made:
        yield made


async def test_the_whole_login_works_and_lets_one_in(app: App) -> None:
    tokens = await app.log_in()
    assert tokens.status_code == 200
    assert tokens.json()["token_type"] == "Bearer"
    bearer = {"authorization": f"Bearer {tokens.json()['access_token']}", "bmw-vin": MINI_VIN}
    assert (await app.http.get(STATE, headers=bearer)).status_code == 200


async def test_the_config_names_a_host_that_leads_nowhere(app: App) -> None:
    """A client that does not send token requests to its base URL shows itself here."""
    assert urlsplit((await app.read_config())["tokenEndpoint"]).hostname.endswith(".invalid")


async def test_the_config_wants_a_subscription_key(app: App) -> None:
    assert (await app.http.get("/eadrax-ucs/v1/presentation/oauth/config")).status_code == 401


@pytest.mark.parametrize(
    ("user", "password", "captcha"),
    [(USER, "wrong", "P1"), ("who@example.com", PASSWORD, "P1"), (USER, PASSWORD, "")],
)
async def test_wrong_user_password_or_no_captcha_is_401(app: App, user, password, captcha) -> None:
    await app.read_config()
    answer = await app.give_password(user, password, captcha)
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_client"


async def test_a_captcha_token_is_good_for_one_try(app: App) -> None:
    """Also when that try failed."""
    await app.read_config()
    assert (await app.give_password(password="wrong", captcha="P1")).status_code == 401
    assert (await app.give_password(captcha="P1")).status_code == 401
    assert (await app.give_password(captcha="P2")).status_code == 200


async def test_a_code_needs_its_verifier_and_works_once(app: App) -> None:
    await app.read_config()
    promised = (await app.give_password()).json()["redirect_to"]
    authorization = query(promised.removeprefix("redirect_uri="))["authorization"]
    code = query((await app.fetch_code(authorization)).headers["location"])["code"]
    assert (await app.fetch_code(authorization)).status_code == 401
    assert (await app.redeem(code, "w" * 86)).status_code == 400
    assert (await app.redeem(code)).json()["error"] == "invalid_grant"


async def test_the_client_must_show_its_secret(app: App) -> None:
    await app.read_config()
    app.client = (app.client[0], "wrong")
    assert (await app.refresh(REFRESH_TOKEN)).status_code == 401


async def test_refresh_tokens_rotate_and_an_old_one_is_refused(app: App) -> None:
    await app.read_config()
    second = (await app.refresh(REFRESH_TOKEN)).json()["refresh_token"]
    assert second != REFRESH_TOKEN
    refused = await app.refresh(REFRESH_TOKEN)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    third = (await app.refresh(second)).json()["refresh_token"]
    assert len({REFRESH_TOKEN, second, third}) == 3


async def test_a_new_simulator_takes_the_last_token_of_the_one_before(app: App, clock) -> None:
    await app.read_config()
    second = (await app.refresh(REFRESH_TOKEN)).json()["refresh_token"]
    async with serve(FakeCloud(demo_garage(), clock)) as url, httpx.AsyncClient(base_url=url) as http:
        other = App(http)
        await other.read_config()
        assert (await other.refresh(second)).status_code == 200
        assert (await other.refresh(second)).status_code == 400
        assert (await other.refresh("made-up")).status_code == 400


async def test_revoked_tokens_need_a_human(app: App, cloud: FakeCloud) -> None:
    mine = (await app.log_in()).json()["refresh_token"]
    cloud.login.revoke_refresh_tokens()
    assert (await app.refresh(mine)).status_code == 400
    assert (await app.refresh(REFRESH_TOKEN)).status_code == 400
    again = (await app.log_in(captcha="P2")).json()["refresh_token"]
    assert (await app.refresh(again)).status_code == 200


async def test_an_access_token_expires_by_the_clock(app: App, clock: ManualClock) -> None:
    bearer = {**await app.enter(), "bmw-vin": MINI_VIN}
    await clock.advance(3599)
    assert (await app.http.get(STATE, headers=bearer)).status_code == 200
    await clock.advance(2)
    assert (await app.http.get(STATE, headers=bearer)).status_code == 401


async def test_without_a_token_nothing_is_told(app: App) -> None:
    for method, path in (("POST", LIST), ("GET", PROFILE), ("GET", STATE), ("GET", CHARGING)):
        assert (await app.http.request(method, path, headers={"bmw-vin": MINI_VIN})).status_code == 401


async def test_each_brand_lists_its_own_and_unknown_vehicles_are_404(app: App) -> None:
    bearer = await app.enter()
    listed = {}
    for brand in ("bmw", "mini", "toyota"):
        agent = {"x-user-agent": f"android(AP2A.1.1);{brand};4.9.2(36892);row"}
        entries = (await app.http.post(LIST, headers={**bearer, **agent})).json()["mappingInfos"]
        listed[brand] = [entry["vin"] for entry in entries]
    assert listed == {"bmw": [BMW_VIN], "mini": [MINI_VIN], "toyota": []}
    unknown = {**bearer, "bmw-vin": "WBA00000000000009"}
    assert [(await app.http.get(p, headers=unknown)).status_code for p in (PROFILE, STATE, CHARGING)] == [
        404
    ] * 3


async def test_requests_are_counted_by_path(app: App, cloud: FakeCloud) -> None:
    await app.enter()
    await app.http.get(STATE)
    shown = (await app.http.get("/_sim/state")).json()
    assert cloud.requests[TOKEN] == 1
    assert shown["requests"] == dict(cloud.requests)
    assert shown["requests"][STATE] == 1
    assert shown["vehicles"]["mini"] == [MINI_VIN]


async def test_pictures_are_png_by_view_and_vehicle(app: App) -> None:
    bearer = await app.enter()

    async def picture(vin: str, view: str) -> httpx.Response:
        headers = {**bearer, "bmw-vin": vin, "accept": "image/png"}
        return await app.http.get(PICTURE, headers=headers, params={"carView": view, "toCrop": "true"})

    front, rear = await picture(MINI_VIN, "FrontView"), await picture(MINI_VIN, "RearView")
    assert front.headers["content-type"] == "image/png"
    assert front.content.startswith(b"\x89PNG\r\n\x1a\n")
    assert front.content.endswith(b"IEND\xaeB`\x82")
    assert front.content not in (rear.content, (await picture(BMW_VIN, "FrontView")).content)
    assert (await picture(MINI_VIN, "Underneath")).status_code == 404
    assert (await picture("WBA00000000000009", "FrontView")).status_code == 404


async def test_the_old_list_holds_the_profiles(app: App) -> None:
    agent = {"x-user-agent": "android(AP2A.1.1);mini;4.9.2(36892);row"}
    (entry,) = (await app.http.get(OLD_LIST, headers={**await app.enter(), **agent})).json()
    profile = json.loads(demo_garage().profile(MINI_VIN))
    assert entry["vin"] == MINI_VIN
    assert entry["appVehicleType"] == "CONNECTED"
    assert entry["mappingInfo"]["mappingStatus"] == "CONFIRMED"
    assert entry["attributes"].items() >= profile.items()
    assert {"lastFetched", "a4aType"} <= entry["attributes"].keys()


async def test_the_quota_is_a_days_and_a_devices(clock: ManualClock) -> None:
    """Counted at the gateway for each device, all brands together, until midnight UTC."""
    cloud = FakeCloud(demo_garage(), clock, token_lifetime=1e6, quota_per_day=3)
    async with app_of(cloud) as app:
        bearer = {**await app.enter(), "bmw-vin": MINI_VIN}

        async def ask(brand: str, device: str = "1") -> httpx.Response:
            agent = {"x-user-agent": f"android(AP2A.{device});{brand};4.9.2(36892);row"}
            return await app.http.get(STATE, headers={**bearer, **agent})

        assert [(await ask(brand)).status_code for brand in ("bmw", "mini", "bmw")] == [200] * 3
        refused = await ask("mini")
        assert refused.status_code == 403
        assert refused.json() == {
            "statusCode": 403,
            "message": "Out of call volume quota. Quota will be replenished in 10:00:00.",
        }
        assert (await ask("mini", device="2")).status_code == 200
        assert (await app.refresh("made-up")).status_code == 400, "the token endpoint has no such quota"
        shown = (await app.http.get("/_sim/state")).json()
        assert shown["quota"]["per_day"] == 3
        assert shown["quota"]["spent"]["android(AP2A.1)"] == 3
        await clock.advance(36_000 - 1)
        assert (await ask("mini")).json()["message"].endswith("00:00:01.")
        await clock.advance(1)
        assert (await ask("mini")).status_code == 200


async def test_a_slow_answer_does_not_hold_up_the_end(cloud: FakeCloud) -> None:
    """Held requests and open connections end with the server, in well under a second, silently."""
    async with httpx.AsyncClient(timeout=10) as http:
        async with serve(cloud) as url:
            ordered = await http.post(f"{url}/_sim/faults", json={"path_prefix": "/x", "kind": "slow"})
            assert ordered.status_code == 200
            held = asyncio.create_task(http.get(f"{url}/x"))
            async with asyncio.timeout(5):
                while not cloud.requests["/x"]:  # noqa: ASYNC110  # the count is all there is to see
                    await asyncio.sleep(0)
            started = time.monotonic()
        assert time.monotonic() - started < 1
        assert (await held).status_code == 404
    gc.collect()
