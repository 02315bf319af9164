"""What logins have in common everywhere: proof of who began one (RFC 7636, S256), and reading answers."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import string
from collections.abc import Mapping
from typing import Any

_ALPHABET = string.ascii_letters + string.digits + "-._~"


class Unreadable(ValueError):
    """An answer lacks something; the text is that thing's name and nothing of the answer."""


def random_text(length: int) -> str:
    """Unguessable, of the characters that a verifier may have (43 to 128 of them)."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def challenge(verifier: str) -> str:
    """Unpadded base64url of the verifier's SHA-256."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


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
