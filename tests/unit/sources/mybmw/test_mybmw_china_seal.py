"""Nonces and sealed passwords of the login in China, against the recipe and against the library."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_curve
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from poller.simulator.china_lock import Lock
from poller.sources.mybmw.login.china.seal import login_nonce, sealed_password

NOW = datetime(2026, 11, 21, 21, 17, 51, tzinfo=UTC)
#: What the library makes of the same user, time and chance.
LIBRARY = {
    ("8613800000000", "0123456789abcdef", "fedcba9876543210"): (
        "89abcdeffedcba980b0ba50dc2a862985927bbadb2391666fc0c74f48389dcfccead343ff1952d140b990d15f93dd72e6178d8"
        "91304eec421d72d846ea86267c1d84eaf6d6c2ffb17773b4c8c2f58bf9ee281cdec902f1280123456776543210e73b6e2f88a6"
        "089e4b3401643e20f243"
    ),
    ("DUMMY-gcid-0042", "a0b1c2d3e4f50617", "1122334455667788"): (
        "e4f5061711223344fe435f52a4c006825cf0d01beaa05a3391ae4417593a3a7235ed1db115bf9fd1173a8a9e8330bdd49e5fc0"
        "bd7447ebe4edfa6a320ba7cf1951b18c1d728b6141324c277f3727f93728631d4e20be0253a0b1c2d355667788c2f9715bf71d"
        "c23b2ca8f66ca6b3c8d9"
    ),
}


@pytest.mark.parametrize(("who", "key", "vector"), LIBRARY)
def test_a_nonce_is_the_librarys(who, key, vector) -> None:
    assert login_nonce(who, NOW, key, vector) == LIBRARY[who, key, vector]


@pytest.mark.parametrize("who", ["8613800000000", "abc", "", "x" * 40])
def test_a_nonce_names_who_asks_to_whom_can_open_it(who) -> None:
    nonce = login_nonce(who, NOW, "0f1e2d3c4b5a6978", "1111222233334444")
    assert Lock().who(nonce) == who
    assert Lock().who(nonce[:-1] + ("0" if nonce[-1] != "0" else "1")) is None
    assert Lock().who("") is None


@pytest.mark.parametrize("password", ["demo", "пароль 密码", "x" * 117])
def test_a_password_can_be_opened_by_the_server_alone(password) -> None:
    lock = Lock()
    sealed = sealed_password(password, lock.public_key)
    assert lock.opened(sealed) == password
    assert password.encode() not in base64.b64decode(sealed)
    assert sealed != sealed_password(password, lock.public_key)


def test_a_password_that_is_too_long_for_the_key_is_refused() -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        sealed_password("secret" * 20, Lock().public_key)
    assert "secret" not in str(refused.value)


def test_what_is_no_rsa_key_is_refused() -> None:
    curve = generate_curve(SECP256R1()).public_key()
    other = curve.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for key in ("", "nonsense", other, Lock().public_key[:80]):
        with pytest.raises(ValueError, match=r"."):
            sealed_password("demo", key)
