"""The steps of a login as BMW's servers want them (facts section 3); pure but for chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs

from poller.sources.oauth import Unreadable, challenge, random_text, read_object, text

CONFIG_PATH: Final = "/eadrax-ucs/v1/presentation/oauth/config"


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
class Proof:
    """PKCE material and the two values that tie an answer to its question."""

    verifier: str = field(repr=False)
    state: str = field(repr=False)
    nonce: str = field(repr=False)

    @classmethod
    def new(cls) -> Proof:
        """Random, of the lengths that the app uses."""
        return cls(random_text(86), random_text(22), random_text(22))

    @property
    def challenge(self) -> str:
        """The verifier's, by S256."""
        return challenge(self.verifier)


def read_config(body: bytes) -> OAuthConfig:
    """Understand the OAuth configuration. Raises Unreadable."""
    raw = read_object(body)
    scopes = raw.get("scopes")
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise Unreadable("scopes")
    token_url = text(raw, "tokenEndpoint")
    if "/token" not in token_url:
        raise Unreadable("tokenEndpoint")
    return OAuthConfig(
        client_id=text(raw, "clientId"),
        client_secret=text(raw, "clientSecret"),
        return_url=text(raw, "returnUrl"),
        token_url=token_url,
        scopes=tuple(scopes),
    )


def read_authorization(body: bytes) -> str:
    """The `authorization` in ``{"redirect_to": "redirect_uri=<url>?…&authorization=…"}``. Unreadable."""
    query = text(read_object(body), "redirect_to").partition("?")[2]
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


def _single(query: Mapping[str, list[str]], name: str) -> str:
    values = query.get(name)
    if not values:
        raise Unreadable(name)
    return values[0]
