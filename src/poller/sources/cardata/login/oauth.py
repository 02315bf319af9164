"""What a device login and a refresh send, what comes back, and what a refusal means; pure but for chance.

From the facts on CarData, section 1: waiting is HTTP 403, and BMW's gateway spoils codes with a 500.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Final
from urllib.parse import urlencode, urlsplit

from poller.sources.cardata.portal import ACCESS, API_BOX, STREAM_BOX
from poller.sources.device import EXPIRED, SPOILED
from poller.sources.oauth import Unreadable, challenge, optional_text, random_text, read_object, seconds, text
from poller.sources.texts import object_in

DEVICE_PATH: Final = "/gcdm/oauth/device/code"
TOKEN_PATH: Final = "/gcdm/oauth/token"  # noqa: S105  # a path
REST: Final = "cardata:api:read"
STREAM: Final = "cardata:streaming:read"
OPENID: Final = "openid"
SCOPES: Final = ("authenticate_user", OPENID, STREAM, REST)
#: How long a refresh token lives; each refresh begins it anew.
LOGIN_LIFETIME: Final = timedelta(days=14)
#: What the server's "slow down" adds to the interval, in seconds.
SLOWER: Final = 5.0


class Verdict(Enum):
    """What an answer other than 200 says."""

    PENDING = "pending"
    SLOW_DOWN = "slow_down"
    #: The human refused; or BMW has a fault; or the code was spoiled before.
    DENIED = "denied"
    EXPIRED = "expired"
    CLIENT = "client"
    #: Wrong, used or dead code or token.
    REFUSED = "refused"
    #: BMW's gateway failed in a way that the code does not survive.
    SPOILED = "spoiled"
    #: Nothing about the login.
    UNCLEAR = "unclear"


_WORDS: Final = {
    "authorization_pending": Verdict.PENDING,
    "slow_down": Verdict.SLOW_DOWN,
    "access_denied": Verdict.DENIED,
    "expired_token": Verdict.EXPIRED,
    "invalid_client": Verdict.CLIENT,
    "unauthorized_client": Verdict.CLIENT,
    "invalid_grant": Verdict.REFUSED,
    "invalid_request": Verdict.REFUSED,
    "invalid_token": Verdict.REFUSED,
    "invalid_scope": Verdict.REFUSED,
}


@dataclass(frozen=True, slots=True)
class Device:
    """What the human needs, and the code behind it. `interval` and `lifetime` in seconds."""

    user_code: str
    url: str
    url_complete: str
    interval: float
    lifetime: float
    device_code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Words for the human, and one for the metric."""

    message: str
    hint: str
    reason: str


@dataclass(frozen=True, slots=True)
class Lack:
    """A scope that the login does not have, and the step that mends it."""

    scope: str
    message: str
    hint: str


def new_verifier() -> str:
    """A PKCE verifier."""
    return random_text(86)


def device_form(client_id: str, verifier: str) -> dict[str, str]:
    """Asks for a code; all five are required."""
    return {
        "client_id": client_id,
        "response_type": "device_code",
        "scope": " ".join(SCOPES),
        "code_challenge": challenge(verifier),
        "code_challenge_method": "S256",
    }


def redeem_form(client_id: str, device_code: str, verifier: str) -> dict[str, str]:
    """Asks whether the human has said yes."""
    return {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "client_id": client_id,
        "device_code": device_code,
        "code_verifier": verifier,
    }


def refresh_form(client_id: str, refresh_token: str) -> dict[str, str]:
    """Asks for the next tokens."""
    return {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": client_id}


def read_device(body: bytes) -> Device:
    """Understand the answer with the codes. Raises Unreadable."""
    raw = read_object(body)
    user_code, url = text(raw, "user_code"), text(raw, "verification_uri")
    if not _is_web_address(url):
        raise Unreadable("verification_uri")
    complete = optional_text(raw, "verification_uri_complete")
    # BMW's description has lost the whole address; its guide says to build it.
    joint = "&" if "?" in url else "?"
    built = f"{url}{joint}{urlencode({'user_code': user_code})}"
    return Device(
        user_code=user_code,
        url=url,
        url_complete=complete if complete and _is_web_address(complete) else built,
        interval=seconds(raw, "interval", 5),
        lifetime=seconds(raw, "expires_in", 300),
        device_code=text(raw, "device_code"),
    )


def verdict(status: int, body: bytes) -> Verdict:
    """What a refusal says. The word counts, not the status: BMW waits with 403 where others do with 400."""
    raw = object_in(body)
    if status == 429:
        return Verdict.SLOW_DOWN
    if status >= 500:
        return Verdict.SPOILED if isinstance(raw.get("fault"), dict) else Verdict.UNCLEAR
    return _WORDS.get(word(body), Verdict.UNCLEAR)


def word(body: bytes) -> str:
    """The server's own word for a refusal, if it is one that we know: fit to be shown."""
    error = object_in(body).get("error")
    return error if isinstance(error, str) and error in _WORDS else ""


def login_refusal(said: Verdict, source: str, error: str = "") -> Refusal:
    """Why a device login did not come about, and what to do next. `error`: the server's word."""
    again = f"run `poller login {source}` again"
    what = f" ({error})" if error else ""
    match said:
        case Verdict.DENIED:
            return Refusal(
                f"the login was denied{what}",
                f"if you refused it, {again} and allow it; if not, BMW's side is at fault, as it was for "
                f"weeks in mid-2026: try later, then delete and create the client in {ACCESS}",
                "login_denied",
            )
        case Verdict.EXPIRED:
            return Refusal("the code was not entered in time", f"{again} and enter the new code", EXPIRED)
        case Verdict.SPOILED:
            return Refusal("BMW's gateway failed, and the code with it", f"{again} for a fresh code", SPOILED)
        case Verdict.CLIENT:
            return client_refusal(f"then {again}")
    return Refusal(
        f"BMW refused to begin or finish the login{what}",
        f"look in {ACCESS} whether the client is there and both subscriptions are ticked; then {again}",
        "login_refused",
    )


def client_refusal(then: str) -> Refusal:
    """The client id is unknown. `then`: what follows once it is mended."""
    return Refusal(
        "BMW does not know this client id (invalid_client)",
        f"compare `client_id` with {ACCESS}: a new client needs a minute or two, a deleted one must be "
        f"created anew; {then}",
        "client_unknown",
    )


def lacks(scopes: Sequence[str], source: str, *, stream: bool) -> list[Lack]:
    """The scopes that are missing; `stream`: whether BMW's own stream is wanted."""
    again = f"wait a minute, then run `poller login {source}` again (a login keeps the scopes it began with)"
    subscriptions = {
        REST: ("no REST call is allowed", API_BOX),
        STREAM: ("the stream is closed to us", STREAM_BOX),
    }
    found = []
    for scope in (REST, STREAM) if stream else (REST,):
        if scope not in scopes:
            effect, box = subscriptions[scope]
            hint = f'tick the subscription "{box}" in {ACCESS}, {again}'
            found.append(Lack(scope, f"the login lacks the scope {scope}: {effect}", hint))
    if stream and OPENID not in scopes:
        message = f"the login lacks the scope {OPENID}: the stream's password is missing"
        hint = f"create a new client in {ACCESS}, set its `client_id`, {again}"
        found.append(Lack(OPENID, message, hint))
    return found


def _is_web_address(text: str) -> bool:
    """Whether it may be shown as a link."""
    try:
        return urlsplit(text).scheme in ("https", "http")
    except ValueError:
        return False
