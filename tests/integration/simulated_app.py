"""What the tests of the simulated cloud share: its paths, and the maker's app as its client."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
from starlette.types import ASGIApp

from poller.simulator.garage import demo_garage
from poller.simulator.login import PASSWORD, REFRESH_TOKEN, USER
from poller.simulator.server import serve

LIST = "/eadrax-vcs/v5/vehicle-list"
PROFILE = "/eadrax-vcs/v5/vehicle-data/profile"
STATE = "/eadrax-vcs/v4/vehicles/state"
CHARGING = "/eadrax-crccs/v2/vehicles"
OLD_LIST = "/eadrax-vcs/v4/vehicles"
PICTURE = "/eadrax-ics/v5/presentation/vehicles/images"
AUTHENTICATE = "/gcdm/oauth/authenticate"
TOKEN = "/gcdm/oauth/token"
VERIFIER = "v" * 86
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
#: One for all: what it says depends on the time alone, and the first word costs most.
GARAGE = demo_garage()
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
        answer = await self.fetch_code(query(promised.removeprefix("redirect_uri="))["authorization"])
        assert answer.status_code == 302
        return await self.redeem(query(answer.headers["location"])["code"])

    async def enter(self) -> dict[str, str]:
        """The headers of somebody who is logged in."""
        await self.read_config()
        tokens = (await self.refresh(REFRESH_TOKEN)).json()
        return {"authorization": f"Bearer {tokens['access_token']}"}


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@asynccontextmanager
async def app_of(cloud: ASGIApp) -> AsyncIterator[App]:
    """The app, with `cloud` on loopback."""
    async with serve(cloud) as base_url, httpx.AsyncClient(base_url=base_url, timeout=5) as client:
        yield App(client)
