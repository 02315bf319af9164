"""The simulated cloud over real HTTP: its login is as strict as the real one, its faults are real."""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import time
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from poller.simulator.car import BMW_VIN, MINI_VIN, demo_garage
from poller.simulator.cloud import FakeCloud
from poller.simulator.login import PASSWORD, REFRESH_TOKEN, USER
from poller.simulator.server import serve
from poller.testing.clock import ManualClock

LIST = "/eadrax-vcs/v5/vehicle-list"
PROFILE = "/eadrax-vcs/v5/vehicle-data/profile"
STATE = "/eadrax-vcs/v4/vehicles/state"
CHARGING = "/eadrax-crccs/v2/vehicles"
AUTHENTICATE = "/gcdm/oauth/authenticate"
TOKEN = "/gcdm/oauth/token"
VERIFIER = "v" * 86
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
RETURN_URL = "com.bmw.connected://oauth"


class App:
    """What the maker's app does, call by call."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.client: tuple[str, str] = ("", "")
        self.common: dict[str, str] = {}

    async def read_config(self) -> dict:
        key = {"ocp-apim-subscription-key": "k"}
        config = (await self.http.get("/eadrax-ucs/v1/presentation/oauth/config", headers=key)).json()
        self.client = (config["clientId"], config["clientSecret"])
        self.common = {
            "client_id": config["clientId"],
            "response_type": "code",
            "scope": " ".join(config["scopes"]),
            "redirect_uri": config["returnUrl"],
            "state": "s",
            "nonce": "n",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return config

    async def give_password(
        self, user: str = USER, password: str = PASSWORD, captcha: str = "P1"
    ) -> httpx.Response:
        form = {
            **self.common,
            "grant_type": "authorization_code",
            "username": user,
            "password": password,
        }
        return await self.http.post(AUTHENTICATE, data=form, headers={"hcaptchatoken": captcha})

    async def fetch_code(self, authorization: str) -> httpx.Response:
        form = {**self.common, "authorization": authorization}
        return await self.http.post(AUTHENTICATE, data=form, params={"interaction-id": "i"})

    async def redeem(self, code: str, verifier: str = VERIFIER) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": RETURN_URL,
        }
        return await self.http.post(TOKEN, data=form, auth=self.client)

    async def refresh(self, token: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token, "redirect_uri": RETURN_URL}
        return await self.http.post(TOKEN, data=form, auth=self.client)

    async def log_in(self, captcha: str = "P1") -> httpx.Response:
        await self.read_config()
        promised = (await self.give_password(captcha=captcha)).json()["redirect_to"]
        answer = await self.fetch_code(_query(promised.removeprefix("redirect_uri="))["authorization"])
        assert answer.status_code == 302
        return await self.redeem(_query(answer.headers["location"])["code"])

    async def enter(self) -> dict[str, str]:
        """The headers of somebody who is logged in."""
        await self.read_config()
        tokens = (await self.refresh(REFRESH_TOKEN)).json()
        return {"authorization": f"Bearer {tokens['access_token']}"}


def _query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cloud(clock: ManualClock) -> FakeCloud:
    return FakeCloud(demo_garage(), clock)


@pytest.fixture
async def http(cloud: FakeCloud) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(cloud) as base_url, httpx.AsyncClient(base_url=base_url, timeout=5) as client:
        yield client


@pytest.fixture
def app(http: httpx.AsyncClient) -> App:
    return App(http)


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
    authorization = _query(promised.removeprefix("redirect_uri="))["authorization"]
    code = _query((await app.fetch_code(authorization)).headers["location"])["code"]
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


async def order(app: App, **fault) -> None:
    assert (await app.http.post("/_sim/faults", json=fault)).status_code == 200


async def test_a_status_is_given_as_ordered_so_often(app: App) -> None:
    bearer = {**await app.enter(), "bmw-vin": MINI_VIN}
    await order(
        app,
        path_prefix="/eadrax-vcs/v4",
        kind="status",
        status=489,
        body="Blocked",
        headers={"x": "y"},
        count=2,
    )
    for _ in range(2):
        answer = await app.http.get(STATE, headers=bearer)
        assert (answer.status_code, answer.text, answer.headers["x"]) == (489, "Blocked", "y")
    assert (await app.http.get(STATE, headers=bearer)).status_code == 200


async def test_a_fault_can_be_for_one_vehicle_until_it_is_cleared(app: App) -> None:
    bearer = await app.enter()
    await order(app, path_prefix="/", kind="status", status=500, count=None, vin=BMW_VIN)
    for _ in range(3):
        assert (await app.http.get(STATE, headers={**bearer, "bmw-vin": BMW_VIN})).status_code == 500
        assert (await app.http.get(STATE, headers={**bearer, "bmw-vin": MINI_VIN})).status_code == 200
    assert (await app.http.delete("/_sim/faults")).json() == {"faults": []}
    assert (await app.http.get(STATE, headers={**bearer, "bmw-vin": BMW_VIN})).status_code == 200


@pytest.mark.parametrize(
    ("kind", "error"), [("half_body", httpx.RemoteProtocolError), ("reset", httpx.ReadError)]
)
async def test_a_broken_connection_is_carried_out_all_the_same(app: App, kind, error) -> None:
    """A refresh whose answer is lost has spent the token: that is what clients must live with."""
    await app.read_config()
    await order(app, path_prefix=TOKEN, kind=kind)
    with pytest.raises(error):
        await app.refresh(REFRESH_TOKEN)
    assert (await app.refresh(REFRESH_TOKEN)).status_code == 400


async def test_broken_json_arrives_whole(app: App) -> None:
    bearer = {**await app.enter(), "bmw-vin": MINI_VIN}
    await order(app, path_prefix=STATE, kind="broken_json")
    answer = await app.http.get(STATE, headers=bearer)
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        answer.json()


@pytest.mark.parametrize(
    "fault", [{}, {"path_prefix": "/", "kind": "flood"}, {"path_prefix": "/", "kind": "slow", "x": 1}, [], 3]
)
async def test_a_fault_that_cannot_be_is_refused(app: App, fault) -> None:
    answer = await app.http.post("/_sim/faults", json=fault)
    assert answer.status_code == 400
    assert answer.json()["problems"]


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
