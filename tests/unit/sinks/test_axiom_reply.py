"""What a reply means: the table of status codes, and summaries of all sorts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.errors import BatchRefused, SinkError, SinkMisconfigured, SinkUnavailable
from poller.sinks.axiom.reply import Reply, settle, warnings
from poller.sinks.base import Settlement

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
TIMES = ["2026-11-21T14:00:00.000Z", "2026-11-21T14:05:00.120Z", "2026-11-21T14:10:00.000Z"]
JSON = {"content-type": "application/json; charset=utf-8"}


def reply(status: int = 200, body: object = None, **headers: str) -> Reply:
    text = body if isinstance(body, str) else json.dumps(body or {})
    return Reply(status, JSON | {k.replace("_", "-"): v for k, v in headers.items()}, text.encode())


def summary(ingested: int, failed: int = 0, **more) -> dict:
    return {"ingested": ingested, "failed": failed, "processedBytes": 1, **more}


def failure(timestamp: str, error: str = "field limit exceeded") -> dict:
    return {"timestamp": timestamp, "error": error}


def judged(answer: Reply, times=TIMES) -> Settlement:
    return settle(answer, times, NOW)


def until(answer: Reply) -> float | None:
    """Seconds that the reply makes us wait."""
    with pytest.raises(SinkUnavailable) as caught:
        judged(answer)
    moment = caught.value.until
    return None if moment is None else (moment - NOW).total_seconds()


@pytest.mark.parametrize("more", [{}, {"failures": None}, {"failures": []}, {"blocksCreated": 0}])
def test_all_stored(more) -> None:
    assert judged(reply(200, summary(3, **more))) == Settlement(3)


def test_refused_events_are_found_by_their_time() -> None:
    body = summary(2, 1, failures=[failure("2026-11-21T14:05:00.12Z")])
    assert judged(reply(200, body)) == Settlement(3, {1: "field limit exceeded"})


def test_the_same_time_twice_is_told_apart_only_if_both_failed() -> None:
    times = [TIMES[0], TIMES[0], TIMES[2]]
    both = summary(1, 2, failures=[failure(TIMES[0], "a"), failure(TIMES[0], "b")])
    assert judged(reply(200, both), times).rejected == {0: "a", 1: "b"}
    one = summary(2, 1, failures=[failure(TIMES[0])])
    with pytest.raises(BatchRefused):
        judged(reply(200, one), times)


@pytest.mark.parametrize(
    "failures",
    [
        None,
        [],
        [failure("2000-01-01T00:00:00Z")],
        [failure("yesterday")],
        [failure(TIMES[0]), failure(TIMES[1])],
        ["nonsense"],
    ],
)
def test_refused_events_that_are_not_named_make_the_batch_smaller(failures) -> None:
    with pytest.raises(BatchRefused) as caught:
        judged(reply(200, summary(2, 1, failures=failures)))
    assert caught.value.sent == 3


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, ""),
        reply(200, summary(3), content_type="text/html"),
        reply(200, '{"ingested": 3, "fai'),
        reply(200, [1, 2]),
        reply(200, {"ingested": 3}),
        reply(200, {"ingested": True, "failed": False}),
        reply(200, summary(2)),
        reply(200, summary(1, 1, failures=[failure(TIMES[0])])),
    ],
    ids=["empty", "html", "truncated", "list", "no failed", "booleans", "short", "short and partial"],
)
def test_a_200_that_does_not_account_for_every_event_is_no_success(answer) -> None:
    with pytest.raises(SinkUnavailable) as caught:
        judged(answer)
    assert caught.value.reason == "server"


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_batch_is_sent_in_smaller_parts(status) -> None:
    with pytest.raises(BatchRefused, match=f"HTTP {status}: too many fields") as caught:
        judged(reply(status, {"message": "too many fields"}))
    assert caught.value.sent == 3


@pytest.mark.parametrize("status", [301, 307, 401, 402, 403, 404, 405, 415])
def test_what_a_human_must_mend_holds_the_queue(status) -> None:
    with pytest.raises(SinkMisconfigured) as caught:
        judged(reply(status, {"error": "no"}))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("status", "reason"), [(408, "timeout"), (500, "server"), (501, "server"), (503, "server")]
)
def test_what_passes_is_tried_again(status, reason) -> None:
    with pytest.raises(SinkUnavailable) as caught:
        judged(reply(status, "<html>bad gateway</html>", content_type="text/html"))
    assert caught.value.reason == reason
    assert caught.value.until is None


def epoch(seconds: float) -> str:
    return str(int((NOW + timedelta(seconds=seconds)).timestamp()))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x_ratelimit_reset": epoch(40)}, 40),
        ({"x_ratelimit_reset": epoch(86_400)}, 300),
        ({"x_ratelimit_reset": "99999999999999"}, None),
        ({"x_ratelimit_reset": epoch(-40)}, None),
        ({"x_ratelimit_reset": "soon"}, None),
        ({"x_ratelimit_reset": "-1"}, None),
        ({"retry_after": "20"}, 20),
        ({"retry_after": format_datetime(NOW + timedelta(seconds=50), usegmt=True)}, 50),
        ({}, None),
    ],
)
def test_a_rate_limit_is_waited_for_within_reason(headers, expected) -> None:
    assert until(reply(429, {"message": "rate limit exceeded"}, **headers)) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x_ingestlimit_reset": epoch(600)}, 600),
        ({"x_ingestlimit_reset": epoch(21 * 86_400)}, 3600),
        ({"x_ingestlimit_reset": epoch(-5)}, 3600),
        ({"x_ingestlimit_reset": "next month"}, 3600),
        ({}, 3600),
    ],
)
def test_a_used_up_month_is_probed_once_an_hour(headers, expected) -> None:
    assert until(reply(430, {"message": "limit"}, **headers)) == expected


def test_a_server_in_trouble_may_say_when() -> None:
    assert until(reply(503, {}, retry_after="15")) == 15


def test_what_a_server_quotes_of_our_events_does_not_leave() -> None:
    words = "bad\nvalue 48.1371234 for WMW00000000000001, Bearer xaat-1234567890"
    with pytest.raises(BatchRefused) as refused:
        judged(reply(400, {"message": words}))
    assert refused.value.message.endswith("bad value … for …0000001, Bearer …")


def test_schema_warnings_are_read() -> None:
    body = summary(3, messages=[{"code": "schema_rules_drop:foo", "msg": "dropped", "count": 2}, "junk"])
    assert list(warnings(reply(200, body))) == [("schema_rules_drop:foo", "dropped")]
    assert list(warnings(reply(200, summary(3)))) == []


def test_the_trace_is_only_a_word() -> None:
    assert reply(500, x_axiom_trace_id="abc-123 <b>").trace == "abc-123b"


@given(
    st.integers(200, 599),
    st.dictionaries(st.sampled_from(["x-ratelimit-reset", "retry-after", "content-type"]), st.text()),
    st.one_of(
        st.binary(),
        st.builds(
            lambda value: json.dumps(value).encode(),
            st.dictionaries(
                st.sampled_from(["ingested", "failed", "failures", "message", "messages"]),
                st.one_of(
                    st.none(), st.integers(-5, 5), st.text(), st.lists(st.dictionaries(st.text(), st.text()))
                ),
            ),
        ),
    ),
)
def test_no_reply_at_all_can_settle_what_it_does_not_confirm(status, headers, body) -> None:
    """Any reply gives a settlement of the whole batch, or one of the three errors."""
    try:
        settlement = judged(Reply(status, JSON | headers, body))
    except SinkError:
        return
    assert settlement.done == 3
    assert all(0 <= at < 3 for at in settlement.rejected)
    assert json.loads(body)["ingested"] + json.loads(body)["failed"] >= 3


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(reply(200, "[" * 100_000), id="deep"),
        pytest.param(reply(503, "{" + '"a":{' * 100_000), id="deep_object"),
        pytest.param(reply(503, retry_after="Fri, 31 Dec 99999999999999999999 23:59:59 GMT"), id="year"),
        pytest.param(reply(503, retry_after="Fri, 31 Dec 2027 23:59:59 +99999999999999"), id="zone"),
    ],
)
def test_nonsense_is_an_outage_and_no_bug(answer) -> None:
    with pytest.raises(SinkUnavailable):
        judged(answer)


def test_a_failure_at_a_time_that_utc_does_not_have_is_searched_for() -> None:
    with pytest.raises(BatchRefused):
        judged(reply(200, summary(2, 1, failures=[failure("9999-12-31T23:59:59-12:00")])))
