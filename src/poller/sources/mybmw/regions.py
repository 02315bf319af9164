"""What differs between BMW's regions, and the headers that the app sends (facts of app 4.9.2)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import uuid4

from poller.sources.mybmw.settings import Region

APP_VERSION: Final = "4.9.2(36892)"
USER_AGENT: Final = "Dart/3.3 (dart:io)"
#: In this order; ``toyota`` is the Supra.
BRANDS: Final = ("bmw", "mini", "toyota")
_UNITS: Final = "d=KM;v=L;p=B;ec=KWH100KM;fc=L100KM;em=GKM;"
_CAPTCHA_PAGES: Final = "https://bimmer-connected.readthedocs.io/en/stable/captcha/"


@dataclass(frozen=True, slots=True)
class Server:
    """One region's host. `code` goes into headers.

    `api_key` opens the OAuth configuration only. `captcha_page`: where a human solves the captcha
    that goes with the password; None where no human is needed. China has neither.
    """

    code: str
    host: str
    api_key: str = field(default="", repr=False)
    captcha_page: str | None = None


#: Region → its short name, in headers and in bimmer_connected's JSON.
CODES: Final[Mapping[Region, str]] = {"rest_of_world": "row", "north_america": "na", "china": "cn"}

SERVERS: Final[Mapping[Region, Server]] = {
    "rest_of_world": Server(
        "row",
        "https://cocoapi.bmwgroup.com",
        "4f1c85a3-758f-a37d-bbb6-f8704494acfa",
        _CAPTCHA_PAGES + "rest_of_world.html",
    ),
    "north_america": Server(
        "na",
        "https://cocoapi.bmwgroup.us",
        "31e102f5-6f7e-7ef3-9044-ddce63891362",
        _CAPTCHA_PAGES + "north_america.html",
    ),
    "china": Server("cn", "https://myprofile.bmw.com.cn"),
}


def new_device() -> str:
    """A build string for `x_user_agent`.

    BMW counts its quota per such string: it is made up once per login and kept with the tokens,
    never shared between installations and never changed by a restart.
    """
    return f"AP2A.{secrets.randbelow(10**6):06d}.{secrets.randbelow(10**3):03d}"


def x_user_agent(device: str, brand: str, code: str) -> str:
    """``android(AP2A.534228.164);bmw;4.9.2(36892);row``."""
    return f"android({device});{brand};{APP_VERSION};{code}"


def login_headers(device: str, code: str) -> dict[str, str]:
    """Headers of every request of a login or a refresh."""
    return {"user-agent": USER_AGENT, "x-user-agent": x_user_agent(device, "bmw", code)}


def correlation() -> dict[str, str]:
    """A fresh id in both headers that want one."""
    correlation_id = str(uuid4())
    return {"x-correlation-id": correlation_id, "bmw-correlation-id": correlation_id}


def data_headers(device: str, brand: str, code: str, *, access_token: str, session: str) -> dict[str, str]:
    """Headers of a request for data; the ids in it are for one request only."""
    return {
        "accept": "application/json",
        "accept-language": "en",
        "x-raw-locale": "en-US",
        "user-agent": USER_AGENT,
        "x-user-agent": x_user_agent(device, brand, code),
        "x-identity-provider": "gcdm",
        **correlation(),
        "bmw-units-preferences": _UNITS,
        "24-hour-format": "true",
        "authorization": f"Bearer {access_token}",
        "bmw-session-id": session,
    }


def state_query(now: datetime) -> dict[str, str]:
    """The query of a state request: whole seconds, written in milliseconds."""
    return {"apptimezone": "0", "appDateTime": str(int(now.timestamp()) * 1000)}
