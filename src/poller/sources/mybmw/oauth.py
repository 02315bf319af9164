"""The steps of a login as BMW's servers want them (facts section 3); pure but for `secrets`."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs

CONFIG_PATH: Final = "/eadrax-ucs/v1/presentation/oauth/config"
_ALPHABET = string.ascii_letters + string.digits + "-._~"


class Unreadable(ValueError):
    """An answer lacks something; the text is that thing's name and nothing of the answer."""


@dataclass(frozen=True, slots=True)
class OAuthConfig:
    """What the server says about logging in; asked anew for each login and refresh."""

    client_id: str
    client_secret: str = field(repr=False)
    return_url: str
    token_url: str
    scopes: tuple[str, ...]

    @property
    def authenticate_url(self) -> str:
        """Where user name and captcha go."""
        head, _, _ = self.token_url.rpartition("/token")
        return f"{head}/authenticate"

    @property
    def basic(self) -> tuple[str, str]:
        """The app's own name and secret, for the token endpoint."""
        return self.client_id, self.client_secret


@dataclass(frozen=True, slots=True)
class Grant:
    """A good answer of the token endpoint. `lifetime` in seconds."""

    access_token: str = field(repr=False)
    lifetime: float
    refresh_token: str | None = field(default=None, repr=False)
    gcid: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Proof:
    """PKCE material and the two values that tie an answer to its question."""

    verifier: str = field(repr=False)
    state: str = field(repr=False)
    nonce: str = field(repr=False)

    @classmethod
    def new(cls) -> Proof:
        """Random, of the lengths that the app uses."""
        return cls(_random(86), _random(22), _random(22))

    @property
    def challenge(self) -> str:
        """S256: unpadded base64url of the verifier's SHA-256."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def read_config(body: bytes) -> OAuthConfig:
    """Understand the OAuth configuration. Raises Unreadable."""
    raw = _object(body)
    scopes = raw.get("scopes")
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise Unreadable("scopes")
    token_url = _text(raw, "tokenEndpoint")
    if "/token" not in token_url:
        raise Unreadable("tokenEndpoint")
    return OAuthConfig(
        client_id=_text(raw, "clientId"),
        client_secret=_text(raw, "clientSecret"),
        return_url=_text(raw, "returnUrl"),
        token_url=token_url,
        scopes=tuple(scopes),
    )


def read_grant(body: bytes) -> Grant:
    """Understand the token endpoint's answer. Unreadable if it holds no access token."""
    raw = _object(body)
    lifetime = raw.get("expires_in")
    if isinstance(lifetime, bool) or not isinstance(lifetime, int | float) or not 0 < lifetime < 10**9:
        lifetime = 3600  # what is seen in the field
    refresh, gcid = raw.get("refresh_token"), raw.get("gcid")
    return Grant(
        _text(raw, "access_token"),
        float(lifetime),
        refresh if isinstance(refresh, str) and refresh else None,
        gcid if isinstance(gcid, str) and gcid else None,
    )


def read_authorization(body: bytes) -> str:
    """The `authorization` in ``{"redirect_to": "redirect_uri=<url>?…&authorization=…"}``. Unreadable."""
    query = _text(_object(body), "redirect_to").partition("?")[2]
    return _single(parse_qs(query), "authorization")


def read_code(location: str, proof: Proof) -> str:
    """The `code` in ``<scheme>://oauth?code=…``. Unreadable without one, or if it answers someone else."""
    query = parse_qs(location.partition("?")[2].partition("#")[0])
    for name, ours in (("state", proof.state), ("nonce", proof.nonce)):
        if name in query and query[name] != [ours]:
            raise Unreadable(name)
    return _single(query, "code")


def authorize_form(config: OAuthConfig, proof: Proof) -> dict[str, str]:
    """The fields that both calls of the authenticate endpoint share."""
    return {
        "client_id": config.client_id,
        "response_type": "code",
        "scope": " ".join(config.scopes),
        "redirect_uri": config.return_url,
        "state": proof.state,
        "nonce": proof.nonce,
        "code_challenge": proof.challenge,
        "code_challenge_method": "S256",
    }


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _object(body: bytes) -> dict[str, Any]:
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError):
        raise Unreadable("JSON") from None
    if not isinstance(raw, dict):
        raise Unreadable("object")
    return raw


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value:
        raise Unreadable(name)
    return value


def _single(query: Mapping[str, list[str]], name: str) -> str:
    values = query.get(name)
    if not values:
        raise Unreadable(name)
    return values[0]
