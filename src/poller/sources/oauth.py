"""What logins have in common everywhere: proof of who began one (RFC 7636, S256), and reading answers."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from poller.errors import SourceUnavailable

T = TypeVar("T")

_ALPHABET = string.ascii_letters + string.digits + "-._~"


class Unreadable(ValueError):
    """An answer lacks something; the text is that thing's name and nothing of the answer."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A good answer of a token endpoint; None where it is silent. `lifetime` in seconds."""

    access_token: str = field(repr=False)
    lifetime: float
    scopes: tuple[str, ...] | None = None
    refresh_token: str | None = field(default=None, repr=False)
    id_token: str | None = field(default=None, repr=False)
    gcid: str | None = field(default=None, repr=False)


def random_text(length: int) -> str:
    """Unguessable, of the characters that a verifier may have (43 to 128 of them)."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def challenge(verifier: str) -> str:
    """Unpadded base64url of the verifier's SHA-256."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def understood(body: bytes, read: Callable[[bytes], T]) -> T:
    """What `read` makes of a login server's answer. Raises SourceUnavailable where that raises Unreadable."""
    try:
        return read(body)
    except Unreadable as error:
        raise SourceUnavailable(f"BMW's login server answered without usable {error}") from error


def read_grant(body: bytes) -> Grant:
    """Understand a token endpoint's answer. Unreadable if it holds no access token."""
    raw = read_object(body)
    scope = raw.get("scope")
    return Grant(
        access_token=text(raw, "access_token"),
        lifetime=seconds(raw, "expires_in", 3600),  # what is seen in the field
        scopes=tuple(scope.split()) if isinstance(scope, str) else None,
        refresh_token=optional_text(raw, "refresh_token"),
        id_token=optional_text(raw, "id_token"),
        gcid=optional_text(raw, "gcid"),
    )


def read_object(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises Unreadable."""
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError):
        raise Unreadable("JSON") from None
    if not isinstance(raw, dict):
        raise Unreadable("object")
    return raw


def text(raw: Mapping[str, Any], name: str) -> str:
    """A text that must be there. Raises Unreadable."""
    value = optional_text(raw, name)
    if value is None:
        raise Unreadable(name)
    return value


def optional_text(raw: Mapping[str, Any], name: str) -> str | None:
    """A text, if there is one that is not empty."""
    value = raw.get(name)
    return value if isinstance(value, str) and value else None


def seconds(raw: Mapping[str, Any], name: str, default: float) -> float:
    """A span of time that makes sense, else `default`."""
    value = raw.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 10**9:
        return default
    return float(value)
