"""What the login in China answers, understood and worded."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest

from poller.sources.mybmw.login.china.answers import (
    is_refusal,
    read_login,
    read_public_key,
    read_puzzle,
    read_refresh,
    said,
)
from poller.sources.oauth import Unreadable

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)


def wrapped(data, **more) -> bytes:
    return json.dumps({"data": data, "code": 200, "error": False, "description": "ok", **more}).encode()


def token(**claims) -> str:
    return part({"alg": "HS256"}) + "." + part(claims) + ".signature"


def part(content) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def grant(access: str, **more):
    return read_login(wrapped({"access_token": access, "refresh_token": "r", "gcid": "g", **more}), NOW)


@pytest.mark.parametrize("seconds", [1, 3300, 3301, 3302, 3303])
def test_a_token_says_itself_when_it_ends(seconds) -> None:
    """Whatever its length: the encoding leaves its padding away."""
    given = grant(token(exp=NOW.timestamp() + seconds))
    assert given.lifetime == pytest.approx(seconds)
    assert (given.refresh_token, given.gcid) == ("r", "g")


@pytest.mark.parametrize(
    "access",
    [
        "no-jwt",
        "a.b",
        "a.!!.c",
        "ä.ö.ü",
        token(),
        token(exp="soon"),
        token(exp=None),
        token(exp=1e400),
        token(exp=-5),
        token(exp=NOW.timestamp() - 1),
        "." + part([1]) + ".",
        "." + part("text") + ".",
    ],
)
def test_a_token_that_does_not_say_so_counts_as_short(access) -> None:
    assert grant(access).lifetime == 300


def test_a_refresh_is_not_wrapped_and_says_how_long() -> None:
    body = {"access_token": "a", "refresh_token": "r", "gcid": "g", "expires_in": 3600}
    given = read_refresh(json.dumps(body).encode(), NOW)
    assert (given.access_token, given.refresh_token, given.gcid, given.lifetime) == ("a", "r", "g", 3600)
    del body["expires_in"]
    body["access_token"] = token(exp=NOW.timestamp() + 60)
    assert read_refresh(json.dumps(body).encode(), NOW).lifetime == 60


@pytest.mark.parametrize("lacks", ["access_token", "refresh_token", "gcid"])
def test_a_login_without_one_of_its_parts_is_none(lacks) -> None:
    data = {"access_token": "a", "refresh_token": "r", "gcid": "g"} | {lacks: ""}
    with pytest.raises(Unreadable, match=lacks):
        read_login(wrapped(data), NOW)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", wrapped(None), wrapped([]), wrapped({})])
@pytest.mark.parametrize("read", [read_public_key, read_puzzle, lambda body: read_login(body, NOW)])
def test_an_answer_without_content_is_unreadable(body, read) -> None:
    with pytest.raises(Unreadable):
        read(body)


def test_a_picture_that_is_no_base64_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="backGroundImg"):
        read_puzzle(wrapped({"verifyId": "v", "backGroundImg": "?"}))


def test_the_public_key_is_given_as_it_is() -> None:
    assert read_public_key(wrapped({"value": "PEM\r\n", "expires": "3600"})) == "PEM\r\n"


@pytest.mark.parametrize(
    ("body", "no"),
    [
        (wrapped(None), False),
        (wrapped(None, error=True), True),
        (wrapped(None, code=699121), True),
        (b"<html>", False),
        (b"{}", False),
    ],
)
def test_the_envelope_may_say_no(body, no) -> None:
    assert is_refusal(body) is no


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"code": 699121, "description": "系统异常，请稍后再试！"}, " (699121: 系统异常，请稍后再试！)"),
        ({"code": 699121}, " (699121)"),
        ({"description": "no\n\tway\u202e"}, " (no way)"),
        ({"code": True, "description": None}, ""),
        ({"code": -1, "description": ["a"]}, ""),
        ({"description": "of 8613800000000 and pass-word, eyJhbGci.abc.def"}, " (of … and …, …)"),
        ({"description": "id 12345678 of a@example.com"}, " (id … of …)"),
        ({"description": "x" * 500}, f" ({'x' * 200})"),
        ([], ""),
    ],
)
def test_bmws_own_words_are_told_without_what_is_secret(answer, words) -> None:
    body = json.dumps(answer).encode()
    assert said(body, ("8613800000000", "pass-word", "")) == words


def test_what_is_no_json_has_no_words() -> None:
    assert said(b"<html>secret", ()) == ""


def test_the_recorded_answers_are_understood(shared) -> None:
    folder = shared / "fingerprints/auth"
    login = read_login((folder / "auth_cn_login_pwd.json").read_bytes(), datetime(2021, 11, 23, tzinfo=UTC))
    assert (login.gcid, login.lifetime) == ("DUMMY", 85_616)
    assert read_public_key((folder / "auth_cn_publickey.json").read_bytes()).startswith("-----BEGIN PUBLIC")
    assert said((folder / "auth_cn_login_error.json").read_bytes(), ()).startswith(" (699121: ")
    assert not is_refusal((folder / "auth_slider_captcha_check.json").read_bytes())
