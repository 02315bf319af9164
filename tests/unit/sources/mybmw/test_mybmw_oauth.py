"""The steps of a login: what is sent, and what can be read from an answer."""

from __future__ import annotations

import json
import re

import pytest

from poller.sources.mybmw.login.oauth import (
    Proof,
    authorize_form,
    read_authorization,
    read_code,
    read_config,
)
from poller.sources.oauth import Unreadable, read_grant

CONFIG = {
    "clientId": "id",
    "clientSecret": "hush",
    "returnUrl": "com.bmw.connected://oauth",
    "tokenEndpoint": "https://customer.example/gcdm/oauth/token",
    "scopes": ["openid", "vehicle_data"],
}


def body(**changes: object) -> bytes:
    return json.dumps({**CONFIG, **changes}).encode()


def test_the_challenge_is_that_of_rfc_7636() -> None:
    """Its appendix B."""
    proof = Proof("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "", "")
    assert proof.challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_each_proof_is_new_and_of_the_apps_lengths() -> None:
    one, two = Proof.new(), Proof.new()
    assert (len(one.verifier), len(one.state), len(one.nonce)) == (86, 22, 22)
    assert re.fullmatch(r"[A-Za-z0-9._~-]+", one.verifier + one.state + one.nonce)
    assert len({one.verifier, two.verifier, one.state, two.state, one.nonce, two.nonce}) == 6
    assert one.verifier not in repr(one)


def test_the_config_names_where_user_name_and_token_go() -> None:
    config = read_config(body())
    assert config.authenticate_url == "https://customer.example/gcdm/oauth/authenticate"
    assert config.basic == ("id", "hush")
    assert "hush" not in repr(config)
    form = authorize_form(config, Proof("v", "s", "n"))
    assert (form["scope"], form["state"], form["nonce"]) == ("openid vehicle_data", "s", "n")


@pytest.mark.parametrize("missing", CONFIG)
def test_a_config_without_a_part_names_the_part(missing) -> None:
    with pytest.raises(Unreadable, match=missing):
        read_config(body(**{missing: None}))


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"<html>", b"\xff", b"[" * 100_000, body(scopes=[1]), body(tokenEndpoint="https://x/y")],
)
def test_what_is_no_config_is_unreadable(raw) -> None:
    with pytest.raises(Unreadable) as error:
        read_config(raw)
    assert "html" not in str(error.value)


def test_a_grant_is_read_with_the_servers_lifetime() -> None:
    grant = read_grant(b'{"access_token": "a", "refresh_token": "r", "expires_in": 28799, "gcid": "g"}')
    assert (grant.access_token, grant.refresh_token, grant.lifetime, grant.gcid) == ("a", "r", 28799, "g")
    assert "'r'" not in repr(grant)


@pytest.mark.parametrize("lifetime", ["null", '"3600"', "0", "-1", "true", "1e300"])
def test_a_senseless_lifetime_is_an_hour(lifetime) -> None:
    grant = read_grant(b'{"access_token": "a", "expires_in": %s}' % lifetime.encode())
    assert (grant.lifetime, grant.refresh_token, grant.gcid) == (3600, None, None)


@pytest.mark.parametrize("raw", [b"{}", b'{"access_token": null}', b'{"access_token": ""}'])
def test_a_grant_needs_an_access_token(raw) -> None:
    with pytest.raises(Unreadable, match="access_token"):
        read_grant(raw)


def test_the_authorization_is_a_query_parameter_of_a_text_in_json() -> None:
    text = "redirect_uri=com.bmw.connected://oauth?client_id=1&scope=openid profile&authorization=a%2Fb"
    assert read_authorization(json.dumps({"redirect_to": text}).encode()) == "a/b"


@pytest.mark.parametrize("text", [None, "", "redirect_uri=x", "redirect_uri=x?state=1"])
def test_an_answer_without_authorization_is_unreadable(text) -> None:
    with pytest.raises(Unreadable):
        read_authorization(json.dumps({"redirect_to": text}).encode())


@pytest.mark.parametrize(
    "location",
    [
        "com.bmw.connected://oauth?code=c&state=s&client_id=1&nonce=n",
        "com.bmw.connected://oauth?code=c",
        "com.bmw.connected://oauth?nonce=n&code=c#_",
    ],
)
def test_the_code_is_taken_from_an_answer_to_our_question(location) -> None:
    assert read_code(location, Proof("v", "s", "n")) == "c"


@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("", "code"),
        ("com.bmw.connected://oauth?error=access_denied", "code"),
        ("com.bmw.connected://oauth?code=c&state=other", "state"),
        ("com.bmw.connected://oauth?code=c&state=s&nonce=other", "nonce"),
        ("com.bmw.connected://oauth?code=c&state=s&state=s", "state"),
    ],
)
def test_an_answer_to_another_question_is_not_taken(location, named) -> None:
    with pytest.raises(Unreadable, match=named):
        read_code(location, Proof("v", "s", "n"))
