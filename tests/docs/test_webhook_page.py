"""The verification that docs/sinks/webhook.md shows, run against what we send."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from poller.sinks.webhook.signature import headers_of, key_of

SECRET = "whsec_c2l4dGVlbiBieXRlcyBvaw=="


@pytest.fixture(scope="module")
def genuine(pages):
    (code,) = [text for info, text in pages["docs/sinks/webhook.md"].blocks() if info == "python"]
    names: dict[str, Any] = {}
    exec(compile(code, "webhook.md", "exec"), names)  # noqa: S102  # our own page
    return names["genuine"]


@pytest.mark.parametrize("secret", [SECRET, "any text of your own"])
def test_it_takes_what_we_send(genuine, secret) -> None:
    body = '{"title":"Fenster offen – links"}'.encode()
    headers = headers_of("5be1", body, datetime.now(UTC), key_of(secret))
    assert genuine(headers, body, secret)


def test_it_refuses_what_somebody_changed_or_kept(genuine) -> None:
    now = datetime.now(UTC)
    headers = headers_of("5be1", b"{}", now, key_of(SECRET))
    assert not genuine(headers, b"{} ", SECRET)
    assert not genuine({**headers, "webhook-id": "5be2"}, b"{}", SECRET)
    assert not genuine(headers, b"{}", "another secret")
    old = headers_of("5be1", b"{}", now - timedelta(minutes=6), key_of(SECRET))
    assert not genuine(old, b"{}", SECRET)


def test_the_example_of_the_page_is_a_secret_that_works(pages) -> None:
    assert SECRET in pages["docs/sinks/webhook.md"].text
    assert key_of(SECRET) == b"sixteen bytes ok"
