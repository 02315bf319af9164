"""The webhook's pure parts: signature, body, and what a reply means."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest

from poller.errors import SinkMisconfigured, SinkUnavailable
from poller.sinks.http import Reply
from poller.sinks.webhook.body import writer
from poller.sinks.webhook.reply import refusal
from poller.sinks.webhook.signature import headers_of, key_of, message_id

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
RECORD = {"id": "5be1", "kind": "alert", "title": 'a "window"', "values": {"open_minutes": 10}}


def test_the_signature_is_that_of_the_standard() -> None:
    """The example of the Standard Webhooks specification, made by hand."""
    key = key_of("whsec_" + base64.b64encode(b"sixteen bytes ok").decode())
    headers = headers_of("msg_1", b'{"a":1}', NOW, key)
    assert headers["webhook-id"] == "msg_1"
    assert headers["webhook-timestamp"] == "1795269600"
    expected = hmac.new(b"sixteen bytes ok", b'msg_1.1795269600.{"a":1}', hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(expected).decode()}"


def test_any_text_is_a_secret_and_without_one_there_is_no_signature() -> None:
    assert key_of("hush") == b"hush"
    assert "webhook-signature" not in headers_of("1", b"", NOW, None)


def test_a_secret_that_only_looks_like_base64_is_refused_without_showing_it() -> None:
    with pytest.raises(SinkMisconfigured) as caught:
        key_of("whsec_not base64!")
    assert "not base64!" not in caught.value.message + (caught.value.hint or "")


def test_the_id_is_the_records_and_an_amended_one_has_another() -> None:
    assert message_id(RECORD) == "5be1"
    assert message_id({**RECORD, "revision": 2}) == "5be1.2"


def test_without_a_template_the_body_is_the_record() -> None:
    assert json.loads(writer("")(RECORD)) == RECORD


def test_a_template_sees_the_record_and_what_it_has_not_is_empty() -> None:
    write = writer(
        '{"text": {{ title | tojson }}, "m": {{ values.open_minutes }}, "x": "{{ values.no.more }}{{ no }}"}'
    )
    assert json.loads(write(RECORD)) == {"text": 'a "window"', "m": 10, "x": ""}


def test_a_template_that_is_none_says_where() -> None:
    with pytest.raises(SinkMisconfigured, match="template, line 2: "):
        writer("{\n{{ title }")


@pytest.mark.parametrize("template", ["{{ ''.__class__.__mro__ }}", "{{ values.open_minutes / 0 }}"])
def test_a_template_that_fails_or_wants_out_says_no_more_than_that(template) -> None:
    with pytest.raises(ValueError, match=r"^the template fails with \w+$"):
        writer(template + "{{ ''.__class__.mro() }}")(RECORD)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_taken(status) -> None:
    assert refusal(Reply(status, {}), "host", NOW) is None


@pytest.mark.parametrize("status", [400, 402, 409, 413, 415, 422, 451])
def test_refused_for_good(status) -> None:
    assert refusal(Reply(status, {}), "host", NOW) == f"host answered HTTP {status}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 401, 403, 404, 405, 410])
def test_a_wrong_setting(status) -> None:
    with pytest.raises(SinkMisconfigured) as caught:
        refusal(Reply(status, {"location": "https://other.example"}), "host", NOW)
    assert caught.value.hint
    assert "other.example" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("status", "reason"),
    [(408, "timeout"), (425, "server"), (429, "rate_limited"), (500, "server"), (503, "server")],
)
def test_later(status, reason) -> None:
    with pytest.raises(SinkUnavailable) as caught:
        refusal(Reply(status, {}), "host", NOW)
    assert caught.value.reason == reason
    assert caught.value.until is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120), (" 7 ", 7), ("999999", 3600), ("Sat, 21 Nov 2026 14:01:00 GMT", 60),
        ("Sat, 21 Nov 2099 14:01:00 GMT", 3600), ("Sat, 21 Nov 2026 13:00:00 GMT", None),
        ("soon", None), ("", None), ("-5", None), ("1e9", None),
    ],
)  # fmt: skip
def test_retry_after_is_heeded_within_reason(text, seconds) -> None:
    with pytest.raises(SinkUnavailable) as caught:
        refusal(Reply(503, {"retry-after": text}), "host", NOW)
    assert caught.value.until == (NOW + timedelta(seconds=seconds) if seconds is not None else None)
