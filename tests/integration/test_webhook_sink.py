"""Requests of the webhook sink over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
import structlog
from channel_stage import Hook, alert_number

from poller.errors import SinkMisconfigured, SinkUnavailable
from poller.simulator.server import line_of, serve
from poller.sinks.base import SinkContext, Tried
from poller.sinks.settings import WebhookSettings
from poller.sinks.webhook import WebhookSink
from poller.testing.clock import ManualClock
from poller.testing.records import VIN, record_number
from poller.vehicle.privacy import Rendering

RENDERING = Rendering({VIN: "mini"})
CLOCK = ManualClock()


def rendered(*numbers: int, **changes) -> list[dict]:
    return [RENDERING.render(alert_number(number, **changes)) for number in numbers]


def make(url: str, folder, *, within: float = 10.0, **settings) -> WebhookSink:
    values = {"type": "webhook", "url": f"{url}/hook?key=private", **settings}
    context = SinkContext(CLOCK, folder, RENDERING)
    return WebhookSink("hook", WebhookSettings.model_validate(values), context, within=within)


@pytest.fixture
def hook():
    return Hook()


@pytest.fixture
async def url(hook):
    async with serve(hook) as address:
        yield address


@pytest.fixture
def opened(url, tmp_path):
    """Opens sinks, and closes them after the test."""
    made = []

    async def open_one(**settings) -> WebhookSink:
        sink = make(url, tmp_path, **settings)
        await sink.open()
        made.append(sink)
        return sink

    return open_one


async def test_each_record_is_a_request_with_an_id_that_stays(hook, opened) -> None:
    sink = await opened(headers=["Authorization: Bearer private", "content-type: application/vnd.car+json"])
    assert (await sink.deliver(rendered(1, 2))).done == 2
    assert [(method, path) for method, path, *_ in hook.taken] == [("POST", "/hook?key=private")] * 2
    assert hook.bodies == json.loads(json.dumps(rendered(1, 2)))
    headers = hook.taken[0][2]
    assert headers["authorization"] == "Bearer private"
    assert headers["content-type"] == "application/vnd.car+json"
    assert headers["user-agent"].startswith("bmw-poller/")
    assert "webhook-signature" not in headers
    await sink.deliver(rendered(1))
    assert hook.taken[2][2]["webhook-id"] == headers["webhook-id"] == rendered(1)[0]["id"]
    await sink.close()


async def test_a_template_makes_the_body_and_the_method_is_free(hook, opened) -> None:
    sink = await opened(
        template='{"chat": {{ (title ~ ": " ~ text) | tojson }}}', method="PUT", severity="warning"
    )
    assert (await sink.deliver(rendered(1, severity="info") + rendered(2))).done == 2
    ((method, _, _, body),) = hook.taken
    assert method == "PUT"
    assert json.loads(body)["chat"].startswith("mini: window open (2): The front left")
    await sink.close()


async def test_records_of_other_kinds_go_too_if_they_are_asked_for(hook, opened) -> None:
    sink = await opened(kinds=[], severity="critical")
    await sink.deliver([RENDERING.render(record_number(1)), *rendered(2)])
    assert [body["kind"] for body in hook.bodies] == ["snapshot"]
    await sink.close()


async def test_one_that_is_refused_does_not_hold_up_the_others(hook, opened) -> None:
    hook.status = lambda number: 422 if number == 2 else 200
    sink = await opened()
    settlement = await sink.deliver(rendered(1, 2, 3))
    assert settlement.done == 3
    assert settlement.rejected == {1: "127.0.0.1 answered HTTP 422"}
    assert len(hook.taken) == 2
    await sink.close()


async def test_a_server_that_fails_keeps_the_rest_and_is_asked_when_it_says(hook, opened) -> None:
    hook.status, hook.headers = (lambda number: 503 if number == 2 else 200), {"Retry-After": "90"}
    sink = await opened()
    settlement = await sink.deliver(rendered(1, 2, 3))
    assert (settlement.done, settlement.rejected) == (1, {})
    assert (settlement.retry_at - CLOCK.now()).total_seconds() == 90
    assert (await sink.deliver(rendered(2, 3))).done == 2
    await sink.close()


async def test_a_redirect_is_not_followed(hook, opened) -> None:
    hook.status, hook.headers = 307, {"Location": "/elsewhere"}
    sink = await opened()
    with pytest.raises(SinkMisconfigured, match="HTTP 307"):
        await sink.deliver(rendered(1))
    assert len(hook.asked) == 1
    await sink.close()


async def test_a_record_that_the_template_cannot_write_is_set_aside(hook, opened) -> None:
    sink = await opened(template="{{ 1 / values.open_minutes }}")
    records = rendered(1) + rendered(2, values={"open_minutes": 0})
    assert (await sink.deliver(records)).rejected == {1: "the template fails with ZeroDivisionError"}
    assert len(hook.taken) == 1
    await sink.close()


async def test_a_sample_says_what_came_of_it(hook, opened) -> None:
    sink = await opened(severity="critical")
    assert await sink.rehearse(rendered(1, severity="info")[0]) == [Tried("127.0.0.1")]
    for status in (422, 403, 500):
        hook.status = status
        (tried,) = await sink.rehearse(rendered(1)[0])
        assert tried.error == f"127.0.0.1 answered HTTP {status}"
        assert bool(tried.hint) == (status == 403)
    await sink.close()


async def test_no_reply_is_later_and_names_only_the_host(tmp_path) -> None:
    async def silent(scope, receive, _send) -> None:
        await receive()
        await line_of(scope).hold(5)

    async def cut(scope, receive, _send) -> None:
        await receive()
        line_of(scope).reset()

    for app, words in ((silent, "did not answer in time"), (cut, "broke off")):
        async with serve(app) as address:
            sink = make(address, tmp_path, within=0.2)
            await sink.open()
            with (
                structlog.testing.capture_logs() as logs,
                pytest.raises(SinkUnavailable, match=words) as caught,
            ):
                await sink.deliver(rendered(1))
            await sink.close()
        assert "private" not in repr(caught.value) + repr(logs)
    sink = make(address, tmp_path)
    await sink.open()
    with pytest.raises(SinkUnavailable, match="cannot reach 127"):
        await sink.deliver(rendered(1))
    await sink.close()


async def test_it_warns_once_where_anybody_can_read_along(tmp_path) -> None:
    sink = make("http://hooks.example", tmp_path)
    with structlog.testing.capture_logs() as logs:
        await sink.open()
        await sink.open()
    assert [entry["event"] for entry in logs] == ["webhook.exposed"]
    assert "private" not in repr(logs)
    await sink.close()


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\nConnection: close\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
async def test_what_was_taken_is_taken_however_the_reply_goes_on(reply, tmp_path) -> None:
    ended = asyncio.Event()

    async def answer(reader, writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        if b"close" not in reply:
            await reader.read()  # until we hang up
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sink = make(f"http://127.0.0.1:{port}", tmp_path, headers=["X-Who: \xe9"])
    await sink.open()
    try:
        assert (await sink.deliver(rendered(1))).done == 1
    finally:
        await sink.close()
        await ended.wait()
        server.close()
