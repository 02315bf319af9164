"""The part of the page at which a human logs in: a button, then a code, then what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from markupsafe import Markup

from poller.runtime.status import SourceStatus
from poller.vehicle.display import since, span
from poller.web.known import Tone
from poller.web.logins import Login
from poller.web.qrcode import as_svg
from poller.web.readiness import ends_soon


@dataclass(frozen=True, slots=True)
class Counter:
    """One source's login. `lines` say how it stands, `button` begins one ("": no button)."""

    source: str
    state: Literal["wanted", "asking", "waiting", "done", "failed"]
    tone: Tone
    lines: Sequence[str]
    mend: str = ""
    button: str = ""
    code: str = ""
    address: str = ""
    qr: Markup = field(default_factory=Markup)
    left: str = ""


def wants_login(source: SourceStatus, login: Login | None, now: datetime) -> bool:
    """Whether a human is needed at this source, soon, or is at it already."""
    return (
        source.state == "login_required"
        or (login is not None and login.source == source.name)
        or ends_soon(source.login_expires_at, now)
        or any(silence.condition == "refused" for silence in source.silences)
    )


def counter_of(source: SourceStatus, login: Login | None, now: datetime) -> Counter:
    """What stands there for this source; `login` is the one under way or the last one."""
    if login is None or login.source != source.name:
        return Counter(source.name, "wanted", "", [_why(source, now)], button="Log in")
    if login.state == "failed":
        lines = [f"The login failed: {login.text}"]
        return Counter(source.name, "failed", "bad", lines, login.hint, button="Log in again")
    if login.state == "done":
        return Counter(source.name, "done", "good", login.text.splitlines())
    if login.code is None:
        return Counter(source.name, "asking", "", ["Asking for a code …"])
    return Counter(
        source.name,
        "waiting",
        "",
        ["Open this address on your phone or here, see that it shows this code, and allow it:"],
        code=login.code.user_code,
        address=login.code.url_complete,
        qr=as_svg(login.code.url_complete),
        left=span(since(now, login.code.expires_at)),
    )


def _why(source: SourceStatus, now: datetime) -> str:
    ends = source.login_expires_at
    if source.state != "login_required" and ends is not None and ends_soon(ends, now):
        return f"The login ends in {span(since(now, ends))}. A new one is made with a code, on any device."
    return "A login is made with a code, on any device."
