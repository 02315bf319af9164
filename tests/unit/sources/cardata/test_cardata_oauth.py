"""The device login of CarData: what is sent, what can be read, what a refusal means."""

from __future__ import annotations

import json
import re

import pytest

from poller.sources.cardata.login import oauth
from poller.sources.cardata.login.oauth import REST, STREAM, Verdict
from poller.sources.oauth import Unreadable, read_grant

DEVICE = {
    "user_code": "AbCd1234",
    "device_code": "hush-device",
    "interval": 7,
    "verification_uri": "https://login.example/oneid/link",
    "expires_in": 240,
}
GRANT = {
    "access_token": "hush-access",
    "token_type": "Bearer",
    "expires_in": 3599,
    "refresh_token": "hush-refresh",
    "scope": "authenticate_user openid cardata:streaming:read cardata:api:read",
    "id_token": "hush-id",
    "gcid": "hush-gcid",
}
FAULT = {
    "fault": {
        "faultstring": "Invalid Access Token",
        "detail": {"errorcode": "keymanagement.service.invalid_access_token"},
    }
}


def body(raw: object, **changes: object) -> bytes:
    return json.dumps({**raw, **changes} if isinstance(raw, dict) else raw).encode()


def error(word: str) -> bytes:
    return body({"error": word, "error_description": "hush"})


# What is sent.


def test_the_five_fields_that_ask_for_a_code():
    form = oauth.device_form("client", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert form == {
        "client_id": "client",
        "response_type": "device_code",
        "scope": "authenticate_user openid cardata:streaming:read cardata:api:read",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",  # RFC 7636, appendix B
        "code_challenge_method": "S256",
    }


def test_redeeming_proves_who_began_and_refreshing_needs_no_secret():
    redeem = oauth.redeem_form("client", "device", "verifier")
    assert redeem["grant_type"] == "urn:ietf:params:oauth:grant-type:device_code"
    assert redeem["code_verifier"] == "verifier"
    assert oauth.refresh_form("client", "token") == {
        "grant_type": "refresh_token",
        "refresh_token": "token",
        "client_id": "client",
    }


def test_each_verifier_is_new_and_long_enough():
    one, two = oauth.new_verifier(), oauth.new_verifier()
    assert one != two
    assert re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", one)


# What comes back.


def test_the_whole_address_is_built_where_bmw_leaves_it_out():
    device = oauth.read_device(body(DEVICE))
    assert device.url_complete == "https://login.example/oneid/link?user_code=AbCd1234"
    assert (device.user_code, device.interval, device.lifetime) == ("AbCd1234", 7, 240)
    assert "hush" not in repr(device)
    complete = "https://login.example/other?user_code=1"
    assert oauth.read_device(body(DEVICE, verification_uri_complete=complete)).url_complete == complete


@pytest.mark.parametrize("missing", ["user_code", "device_code", "verification_uri"])
def test_an_answer_without_a_code_names_the_part(missing):
    with pytest.raises(Unreadable, match=missing):
        oauth.read_device(body(DEVICE, **{missing: None}))


@pytest.mark.parametrize("address", ["javascript:alert(1)", "nowhere"])
def test_an_address_that_is_none_is_not_shown(address):
    with pytest.raises(Unreadable, match="verification_uri"):
        oauth.read_device(body(DEVICE, verification_uri=address))


@pytest.mark.parametrize("address", ["javascript:alert(1)", "nowhere", "https://[bad"])
def test_a_whole_address_that_is_none_is_built_anew(address):
    device = oauth.read_device(body(DEVICE, verification_uri_complete=address))
    assert device.url_complete == "https://login.example/oneid/link?user_code=AbCd1234"


@pytest.mark.parametrize("nonsense", [None, 0, -5, "5", True, 10**12])
def test_times_that_make_no_sense_are_the_usual_ones(nonsense):
    device = oauth.read_device(body(DEVICE, interval=nonsense, expires_in=nonsense))
    assert (device.interval, device.lifetime) == (5, 300)
    assert read_grant(body(GRANT, expires_in=nonsense)).lifetime == 3600


def test_a_grant_is_read_whole_and_shows_no_secret():
    grant = read_grant(body(GRANT))
    assert grant.scopes == oauth.SCOPES
    assert (grant.access_token, grant.refresh_token) == ("hush-access", "hush-refresh")
    assert (grant.id_token, grant.gcid, grant.lifetime) == ("hush-id", "hush-gcid", 3599)
    assert "hush" not in repr(grant)


def test_a_grant_may_be_silent_about_all_but_the_access_token():
    grant = read_grant(body({"access_token": "a"}))
    assert (grant.scopes, grant.refresh_token, grant.id_token, grant.gcid) == (None, None, None, None)
    with pytest.raises(Unreadable, match="access_token"):
        read_grant(body(GRANT, access_token=""))


# What a refusal means.


@pytest.mark.parametrize(
    ("status", "raw", "meant"),
    [
        (403, error("authorization_pending"), Verdict.PENDING),
        (400, error("authorization_pending"), Verdict.PENDING),
        (400, error("slow_down"), Verdict.SLOW_DOWN),
        (429, b"", Verdict.SLOW_DOWN),
        (403, error("access_denied"), Verdict.DENIED),
        (401, error("expired_token"), Verdict.EXPIRED),
        (401, error("invalid_client"), Verdict.CLIENT),
        (400, error("invalid_grant"), Verdict.REFUSED),
        (400, error("invalid_request"), Verdict.REFUSED),
        (400, error("invalid_token"), Verdict.REFUSED),
        (500, body(FAULT), Verdict.SPOILED),
        (502, b"<html>Bad gateway</html>", Verdict.UNCLEAR),
        (503, b"", Verdict.UNCLEAR),
        (500, error("invalid_grant"), Verdict.UNCLEAR),
        (403, b"<html>", Verdict.UNCLEAR),
        (403, b"[]", Verdict.UNCLEAR),
        (400, error("something_new"), Verdict.UNCLEAR),
        (400, body({"error": ["invalid_grant"]}), Verdict.UNCLEAR),
        (404, b"", Verdict.UNCLEAR),
        (302, b"", Verdict.UNCLEAR),
    ],
)
def test_each_refusal_is_told_apart(status, raw, meant):
    assert oauth.verdict(status, raw) is meant


def test_only_words_that_we_know_are_shown():
    assert oauth.word(error("invalid_grant")) == "invalid_grant"
    assert oauth.word(error("hush hush")) == ""
    assert oauth.word(b"\xff") == ""


@pytest.mark.parametrize(
    "said", [Verdict.DENIED, Verdict.EXPIRED, Verdict.SPOILED, Verdict.CLIENT, Verdict.REFUSED]
)
def test_each_failed_login_has_its_own_words_and_says_what_to_do(said):
    refusal = oauth.login_refusal(said, "home", "invalid_grant")
    others = [oauth.login_refusal(other, "home") for other in Verdict if other is not said]
    assert "poller login home" in refusal.hint
    if said is not Verdict.REFUSED:
        assert refusal.reason not in {other.reason for other in others}
    assert refusal.message not in {other.message for other in others}


# Scopes.


def test_a_login_with_all_scopes_lacks_none():
    assert oauth.lacks(oauth.SCOPES, "home", stream=True) == []


@pytest.mark.parametrize(
    ("scope", "box"), [(REST, '"CarData API"'), (STREAM, '"CarData Stream"'), ("openid", "new client")]
)
def test_a_missing_scope_names_the_step_in_the_portal(scope, box):
    (lack,) = oauth.lacks([other for other in oauth.SCOPES if other != scope], "home", stream=True)
    assert lack.scope == scope
    assert scope in lack.message
    assert box in lack.hint
    assert "poller login home" in lack.hint


def test_who_wants_no_stream_needs_no_scope_for_it():
    assert oauth.lacks([REST], "home", stream=False) == []
