"""What the login in China answers: ``{"data": …, "code": 200, "error": false, "description": "ok"}``."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from poller.runtime.quoted import quoted
from poller.runtime.redact import MASK
from poller.sources.oauth import Grant, Unreadable, optional_text, read_grant, read_object, seconds, text
from poller.sources.texts import object_in

_GOOD: Final = 200
#: For an access token that does not say when it ends: soon, so that it is learned soon.
_SHORT: Final = 300.0
#: A phone number, an id; a year or a count of minutes is shorter.
_DIGITS: Final = re.compile(r"\d{5,}")


@dataclass(frozen=True, slots=True)
class Puzzle:
    """A picture with a gap, and the name under which its answer is given."""

    name: str = field(repr=False)
    picture: bytes = field(repr=False)


def read_public_key(body: bytes) -> str:
    """The PEM key that passwords are sealed with. Raises Unreadable."""
    return text(_data(body), "value")


def read_puzzle(body: bytes) -> Puzzle:
    """The slider captcha. Raises Unreadable."""
    data = _data(body)
    try:
        picture = base64.b64decode(text(data, "backGroundImg"), validate=True)
    except binascii.Error:
        raise Unreadable("backGroundImg") from None
    return Puzzle(text(data, "verifyId"), picture)


def read_consent(body: bytes) -> None:
    """An answer that is good and gives nothing. Raises Unreadable if it does not say so."""
    if read_object(body).get("code") != _GOOD:
        raise Unreadable("code")


def read_login(body: bytes, now: datetime) -> Grant:
    """The tokens of a login by password. Unreadable without any of access token, refresh token, gcid."""
    data = _data(body)
    token = text(data, "access_token")
    return Grant(
        access_token=token,
        lifetime=_lifetime(data, token, now),
        refresh_token=text(data, "refresh_token"),
        gcid=text(data, "gcid"),
    )


def read_refresh(body: bytes, now: datetime) -> Grant:
    """The tokens of a refresh, which come without an envelope. Unreadable without an access token."""
    grant = read_grant(body)
    return replace(grant, lifetime=_lifetime(read_object(body), grant.access_token, now))


def is_refusal(body: bytes) -> bool:
    """Whether the envelope says no, which it may do with status 200."""
    raw = object_in(body)
    return raw.get("error") is True or raw.get("code", _GOOD) != _GOOD


def said(body: bytes, secrets: Iterable[str]) -> str:
    """BMW's own words for a refusal, " (699121: …)", or "" if there are none; without `secrets`."""
    raw = object_in(body)
    code = raw.get("code")
    parts = [str(code)] if isinstance(code, int) and not isinstance(code, bool) and 0 < code < 10**9 else []
    words = optional_text(raw, "description")
    if words is not None:
        parts.append(_DIGITS.sub(MASK, quoted(words, secrets)))
    return f" ({': '.join(parts)})" if parts else ""


def _data(body: bytes) -> Mapping[str, Any]:
    data = read_object(body).get("data")
    if not isinstance(data, dict):
        raise Unreadable("data")
    return data


def _lifetime(raw: Mapping[str, Any], token: str, now: datetime) -> float:
    """Seconds: what the server says, else until the end that the token names itself, else few."""
    left = _seconds_left(token, now)
    return seconds(raw, "expires_in", left if left is not None and 0 < left < 10**9 else _SHORT)


def _seconds_left(token: str, now: datetime) -> float | None:
    """By the token's own word (``exp`` of a JWT); nobody but its server can check its signature."""
    middle = token.split(".")[1:2]
    try:
        claims = json.loads(base64.urlsafe_b64decode("".join(middle) + "=="))
        return float(claims["exp"]) - now.timestamp()
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
