"""What each refusal of the REST API means; the code counts, whatever the status."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from poller.errors import LoginRequired, RateLimited, SourceUnavailable
from poller.simulator.cardata.errors import SHAPES
from poller.sources.cardata.rest.refusals import code_of, needs_token, refusal

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
VIN = "WBA00000000000001"


def body(code: str, message: str = "", **more) -> bytes:
    raw = {"exveErrorId": code, "exveErrorRef": "1", "exveErrorMsg": message, "exveNote": ""}
    return json.dumps(raw | more).encode()


def refused(status: int, raw: bytes, wait: timedelta | None = None):
    return refusal(status, raw, NOW, login_hint="run `poller login home`", wait=wait)


@pytest.mark.parametrize(
    ("status", "code", "kind", "reason"),
    [
        (401, "CU-100", LoginRequired, "login_required"),
        (401, "CU-101", LoginRequired, "login_required"),
        (401, "CU-102", LoginRequired, "login_required"),
        (403, "CU-103", LoginRequired, "scope"),
        (403, "CU-104", SourceUnavailable, "not_mapped"),
        (403, "CU-105", SourceUnavailable, "container"),
        (400, "CU-120", SourceUnavailable, "unavailable"),
        (400, "CU-121", SourceUnavailable, "container"),
        (404, "CU-122", SourceUnavailable, "container"),
        (403, "CU-124", SourceUnavailable, "container"),
        (400, "CU-125", SourceUnavailable, "unavailable"),
        (404, "CU-126", SourceUnavailable, "unavailable"),
        (404, "CU-127", SourceUnavailable, "unavailable"),
        (400, "CU-400", SourceUnavailable, "unavailable"),
        (400, "CU-401", SourceUnavailable, "unavailable"),
        (400, "CU-402", SourceUnavailable, "container"),
        (403, "CU-403", SourceUnavailable, "container"),
        (500, "CU-500", SourceUnavailable, "server"),
        (503, "CU-503", SourceUnavailable, "server"),
        (403, "CU-999", SourceUnavailable, "unavailable"),
    ],
)
def test_every_code_of_the_facts_has_its_meaning(status, code, kind, reason) -> None:
    error = refused(status, body(code))
    assert isinstance(error, kind)
    assert (error.reason, error.code) == (reason, code)
    assert code in error.message


def test_a_missing_scope_names_the_box_to_tick_and_the_command() -> None:
    hint = refused(403, body("CU-103")).hint
    assert '"CarData API"' in hint
    assert hint.endswith("then run `poller login home`")


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500, 503])
def test_a_spent_quota_is_known_by_its_code_whatever_the_status(status) -> None:
    error = refused(status, body("CU-429"))
    assert isinstance(error, RateLimited)
    assert (error.reason, error.code) == ("quota", "CU-429")


@pytest.mark.parametrize(
    ("wait", "minutes"), [(None, 15), (timedelta(minutes=2), 2), (timedelta(days=9), 1440)]
)
def test_a_429_without_the_code_is_not_the_quota(wait, minutes) -> None:
    error = refused(429, b"Too Many Requests", wait)
    assert isinstance(error, RateLimited)
    assert (error.reason, error.until) == ("rate_limited", NOW + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("status", "raw", "expected"),
    [
        (401, body("CU-102"), True),
        (401, b"", True),
        (401, b"<html>", True),
        (403, body("CU-127", "No location based charging data"), False),
        (403, body("CU-127", "invalid_token"), True),
        (403, body("CU-127", "The presented token is invalid or expired"), True),
        (401, SHAPES["fault 401"][1].encode(), True),
        (500, SHAPES["fault 500"][1].encode(), True),
        (500, b'{"fault": {"faultstring": "Upstream failed"}}', False),
        (403, body("CU-103"), False),
        (403, body("CU-429", "token is invalid"), False),
        (403, b'{"error": "invalid_token"}', True),
        (503, b"", False),
    ],
)
def test_whether_the_token_is_what_was_refused(status, raw, expected) -> None:
    assert needs_token(status, raw) is expected


def test_a_gateway_that_fails_with_any_token_is_no_reason_to_log_in_again() -> None:
    status, raw = SHAPES["fault 500"]
    assert refused(status, raw.encode()).reason == "server"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>",
        b"[]",
        b'"CU-429"',
        b"null",
        b'{"exveErrorId": 429}',
        b'{"exveErrorId": "CU-4299"}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_body_that_is_no_error_object_has_no_code(raw) -> None:
    assert code_of(raw) == ""
    assert refused(403, raw).reason == "unavailable"
    assert refused(502, raw).reason == "server"


def test_nothing_of_the_body_but_the_code_is_told() -> None:
    error = refused(403, body("CU-104", f"No permission for {VIN}", exveNote=VIN))
    assert VIN not in f"{error} {error.message} {error.hint}"
