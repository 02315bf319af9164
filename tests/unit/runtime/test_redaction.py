"""What never leaves unasked."""

import io
import json

import pytest

from poller.runtime import log
from poller.runtime.redact import redact, redact_value

SECRETS = [
    "WMW00000000000001",
    "owner@example.com",
    "xaat-1234-abcd",
    "eyJhbGciOi.eyJzdWIiOi.c2ln",
    "hunter2secret",
    "51.123456, -1.987654",
]


@pytest.mark.parametrize(
    "text",
    [
        "GET /vehicles/WMW00000000000001/state",
        "login of owner@example.com failed",
        "Authorization: Bearer eyJhbGciOi.eyJzdWIiOi.c2ln",
        "token xaat-1234-abcd was refused",
        '{"password": "hunter2secret"}',
        "https://user:hunter2secret@proxy:3128 refused",
        "refresh_token=hunter2secret&x=1",
        "parked at 51.123456, -1.987654",
    ],
)
def test_nothing_secret_is_left_in_a_text(text):
    assert not any(secret in redact(text) for secret in SECRETS)


@pytest.mark.parametrize(
    "text",
    [
        "503 Service Unavailable",
        "sink files: No space left on device",
        "2026-11-21T14:02:03.123Z",
        "web.listen: 0.0.0.0 can be reached by others: without web.password page and API are not served",
    ],
)
def test_plain_words_stay(text):
    assert redact(text) == text


def test_names_of_secrets_hide_values_at_any_depth():
    shown = redact_value("event", {"user": {"password": "a"}, "list": [{"latitude": 1.5}], "soc": 80})
    assert shown == {"user": "…", "list": [{"latitude": "…"}], "soc": 80}


def test_a_log_line_is_json_and_clean():
    stream = io.StringIO()
    log.configure("info", "json", stream)
    log.get("test", source="bmw").warning("source.unavailable", error="owner@example.com", token="t0p")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["source"], line["error"], line["token"]) == (
        "source.unavailable", "bmw", "…", "…",
    )  # fmt: skip
