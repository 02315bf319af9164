"""What a refusal of the REST API means: status and body in, the error to raise out (facts section 2.9)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from poller.errors import LoginRequired, RateLimited, SourceError, SourceUnavailable
from poller.sources.cardata.portal import ACCESS, API_BOX, NEWER
from poller.sources.texts import object_in

QUOTA: Final = "CU-429"
#: The container is gone, or its id was never one.
CONTAINER_GONE: Final = frozenset({"CU-105", "CU-121"})
CONTAINER_DELETED: Final = "CU-122"
CONTAINER_LIMIT: Final = "CU-124"
PAGING_EXPIRED: Final = "CU-125"
#: Nothing of the kind is stored for this vehicle: no image, no charging settings.
NOTHING_THERE: Final = frozenset({"CU-126", "CU-127"})
#: A descriptor that BMW does not know; a list that is too long (undocumented).
DESCRIPTORS_REFUSED: Final = frozenset({"CU-402", "CU-403"})

_SCOPE: Final = "CU-103"
_TOKEN: Final = frozenset({"CU-100", "CU-101", "CU-102"})
#: CU-127 was seen with such words (KV#381); so does the gateway speak, which has no codes.
_ABOUT_TOKEN: Final = re.compile(
    rb"invalid[_ ](?:access[_ ])?token|token is (?:invalid|expired)", re.IGNORECASE
)
_CODE: Final = re.compile(r"CU-\d{3}")
#: 429 without the quota's code comes from a gateway that found us too fast.
_TOO_FAST_PAUSE: Final = timedelta(minutes=15)
_LONGEST: Final = timedelta(hours=24)


class Coded(SourceError):
    """A refusal of BMW CarData."""

    #: BMW's own code, such as CU-104; "" where the answer had none.
    code: str = ""


class CarDataUnavailable(Coded, SourceUnavailable):
    """BMW CarData did not give what was asked for."""


class CarDataLimited(Coded, RateLimited):
    """BMW CarData asks us to wait."""


class CarDataLoginRequired(Coded, LoginRequired):
    """BMW CarData does not take the login."""


@dataclass(frozen=True, slots=True)
class _Meaning:
    words: str
    hint: str | None = None
    reason: str = "unavailable"


_SERVER = _Meaning("BMW CarData has an error of its own", "it is tried again by itself", reason="server")
_REPORT: Final = f"BMW seems to have changed something: {NEWER}"
_MEANINGS: Final[Mapping[str, _Meaning]] = {
    "CU-104": _Meaning(
        "BMW gives this account no data of this vehicle",
        "only the vehicle's PRIMARY user gets data: look at the mapping in BMW's portal",
        reason="not_mapped",
    ),
    "CU-105": _Meaning("BMW does not give the container any more", reason="container"),
    "CU-120": _Meaning("BMW does not take the VIN", "look at `vins`"),
    "CU-121": _Meaning("BMW does not take the container's id", reason="container"),
    CONTAINER_DELETED: _Meaning("the container is deleted already", reason="container"),
    CONTAINER_LIMIT: _Meaning(
        "the account has no room for another container",
        "delete one that no program uses; a deleted one may count for 29 days more",
        reason="container",
    ),
    PAGING_EXPIRED: _Meaning("BMW forgot where in the list we were"),
    "CU-126": _Meaning("BMW has no image of this vehicle"),
    "CU-127": _Meaning("BMW has no charging settings of this vehicle"),
    "CU-400": _Meaning("BMW does not take what was asked", _REPORT),
    "CU-401": _Meaning("BMW does not take what was asked", _REPORT),
    "CU-402": _Meaning(
        "BMW does not know a descriptor of the list", "look at `descriptors`", reason="container"
    ),
    "CU-403": _Meaning("BMW refuses the request", reason="container"),
    "CU-500": _SERVER,
    "CU-503": _SERVER,
}


def code_of(body: bytes) -> str:
    """BMW's code in an error's body, "" if there is none: a body that is no such object says nothing."""
    code = object_in(body).get("exveErrorId")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def needs_token(status: int, body: bytes) -> bool:
    """Whether the access token is what was refused: a new one may help, once."""
    code = code_of(body)
    if code in _TOKEN:
        return True
    if status < 300 or code not in ("", "CU-127"):
        return False
    return (status == 401 and not code) or _ABOUT_TOKEN.search(body) is not None


def refusal(
    status: int, body: bytes, now: datetime, *, login_hint: str, wait: timedelta | None = None
) -> Coded:
    """The error for an answer that is no success. No text of the body is in it: it may name the VIN.

    Its `code` is BMW's. For CU-429 it is up to the ledger until when: then `until` is `now`. `wait` is
    what ``Retry-After`` said. A refused token means a login only if a new token was refused as well.
    """
    code = code_of(body)
    told = f" ({status}, {code})" if code else f" ({status})"
    if code == QUOTA:
        error: Coded = _spent(now, told)
    elif needs_token(status, body) and status < 500:
        error = CarDataLoginRequired(f"BMW does not take the login{told}", hint=login_hint)
    elif status == 429:
        pause = wait if wait is not None and wait > timedelta() else _TOO_FAST_PAUSE
        error = CarDataLimited(now + min(pause, _LONGEST), f"BMW asks us to wait{told}")
    elif code == _SCOPE:
        error = _unsubscribed(told, login_hint)
    else:
        other = _SERVER if status >= 500 else _Meaning("BMW refused to answer")
        error = _unavailable(_MEANINGS.get(code, other), told)
    error.code = code
    return error


def foreseen(code: str) -> CarDataUnavailable:
    """What `refusal` would say of a code that BMW need not be asked for."""
    error = _unavailable(_MEANINGS[code])
    error.code = code
    return error


def _unavailable(meaning: _Meaning, told: str = "") -> CarDataUnavailable:
    return CarDataUnavailable(meaning.words + told, hint=meaning.hint, reason=meaning.reason)


def _spent(now: datetime, told: str) -> CarDataLimited:
    return CarDataLimited(
        now,
        f"BMW says that the day's calls are spent{told}",
        hint="one call is tried after the next midnight UTC; if `poller status` counts fewer calls, "
        "another program uses this account's",
        reason="quota",
    )


def _unsubscribed(told: str, login_hint: str) -> CarDataLoginRequired:
    return CarDataLoginRequired(
        f"the login is not allowed to read CarData{told}",
        hint=f'tick the subscription "{API_BOX}" in {ACCESS}, wait a minute, then {login_hint}',
        reason="scope",
    )
