"""The simulated Axiom: strict about what it takes, and it misbehaves exactly as ordered."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from poller.simulator import axiom
from poller.simulator.axiom import FakeAxiom
from poller.simulator.server import serve
from poller.testing.clock import ManualClock

PATH = "/v1/ingest/cars"
EVENTS = [{"id": f"e{n}", "_time": f"2026-11-21T14:0{n}:00.000Z", "n": n} for n in range(4)]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def fake(clock: ManualClock) -> FakeAxiom:
    return FakeAxiom(clock=clock)


@pytest.fixture
async def http(fake: FakeAxiom) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(fake) as url, httpx.AsyncClient(base_url=url, timeout=5) as client:
        yield client


async def send(http: httpx.AsyncClient, events=EVENTS, path: str = PATH, **headers: str) -> httpx.Response:
    body = gzip.compress("".join(json.dumps(event) + "\n" for event in events).encode())
    common = {
        "authorization": f"Bearer {axiom.TOKEN}",
        "content-type": "application/x-ndjson",
        "content-encoding": "gzip",
    }
    return await http.post(path, content=body, headers=common | headers)


@pytest.mark.parametrize("path", [PATH, "/v1/datasets/cars/ingest"])
async def test_events_are_stored_on_both_paths(fake, http, path) -> None:
    answer = await send(http, path=path)
    assert answer.json() | {"processedBytes": 0} == {
        "ingested": 4, "failed": 0, "failures": [], "processedBytes": 0, "blocksCreated": 0, "walLength": 2,
    }  # fmt: skip
    assert answer.headers["x-axiom-trace-id"]
    assert fake.events == EVENTS
    assert fake.requests[0].path == path
    assert fake.requests[0].status == 200


async def test_a_repeated_delivery_is_seen_as_one(fake, http) -> None:
    await send(http)
    await send(http, EVENTS[2:])
    assert fake.ids() == ["e0", "e1", "e2", "e3"]
    assert fake.duplicates == {"e2": 1, "e3": 1}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": ""}, 401),
        ({"authorization": "Bearer xaat-other"}, 403),
        ({"content-type": "text/plain"}, 400),
        ({"content-encoding": "br"}, 400),
        ({"content-encoding": "identity"}, 400),
    ],
)
async def test_what_is_wrong_is_refused_and_not_stored(fake, http, headers, status) -> None:
    assert (await send(http, **headers)).status_code == status
    assert fake.events == []


@pytest.mark.parametrize("body", [b'{"id": "a"', b'{"id": NaN}\n', b"3\n", b"[1]"])
async def test_what_is_not_ndjson_is_400(http, body) -> None:
    headers = {"authorization": f"Bearer {axiom.TOKEN}", "content-type": "application/json"}
    assert (await http.post(PATH, content=body, headers=headers)).status_code == 400


async def test_gzip_that_breaks_off_is_400(http) -> None:
    headers = {
        "authorization": f"Bearer {axiom.TOKEN}",
        "content-type": "application/x-ndjson",
        "content-encoding": "gzip",
    }
    body = gzip.compress(b'{"id": "a"}\n')[:-4]
    assert (await http.post(PATH, content=body, headers=headers)).status_code == 400


def is_second(event) -> bool:
    return event["id"] == "e1"


#: behaviour → (status, ids stored)
PLANNED = {
    "partial": (axiom.partial(is_second), 200, ["e0", "e2", "e3"]),
    "partial blind": (axiom.partial(is_second, matching_times=False), 200, ["e0", "e2", "e3"]),
    "poison": (axiom.poisoned(is_second), 400, []),
    "failures null": (axiom.failures_null, 200, ["e0", "e1", "e2", "e3"]),
    "failures absent": (axiom.failures_absent, 200, ["e0", "e1", "e2", "e3"]),
    "empty": (axiom.empty_body, 200, ["e0", "e1", "e2", "e3"]),
    "html": (axiom.html, 200, []),
    "truncated": (axiom.truncated, 200, ["e0", "e1", "e2", "e3"]),
    "short": (axiom.ingested_short(), 200, ["e0", "e1", "e2"]),
    "redirect": (axiom.redirect(), 307, []),
    "401": (axiom.status(401), 401, []),
    "404": (axiom.status(404), 404, []),
    "503": (axiom.status(503), 503, []),
    "429": (axiom.rate_limited("0"), 429, []),
    "429 bare": (axiom.rate_limited(None), 429, []),
    "430": (axiom.exhausted("1800000000"), 430, []),
}


@pytest.mark.parametrize("name", PLANNED)
async def test_a_planned_behaviour_holds_for_one_request(fake, http, name) -> None:
    behaviour, status, stored = PLANNED[name]
    fake.plan(behaviour)
    assert (await send(http)).status_code == status
    assert fake.ids() == stored
    assert fake.planned == 0
    assert (await send(http)).json()["failed"] == 0
    assert len(fake.events) == len(stored) + 4


async def test_a_partial_200_names_the_refused_by_time_only(fake, http) -> None:
    fake.plan(axiom.partial(is_second))
    assert (await send(http)).json()["failures"] == [
        {"timestamp": EVENTS[1]["_time"], "error": "field limit exceeded"}
    ]


async def test_poison_is_refused_alone_and_others_are_taken(fake, http) -> None:
    fake.standing = axiom.poisoned(is_second)
    assert [(await send(http, [event])).status_code for event in EVENTS] == [200, 400, 200, 200]


async def test_limits_on_a_request_are_413(fake, http) -> None:
    fake.max_events = 2
    assert (await send(http)).status_code == 413
    assert (await send(http, EVENTS[:2])).status_code == 200
    fake.max_bytes = 10
    assert (await send(http, EVENTS[:1])).status_code == 413


async def test_a_window_takes_so_many_requests_and_says_when_it_opens_again(fake, http, clock) -> None:
    fake.window = (2, 60)
    assert [(await send(http, EVENTS[:1])).status_code for _ in range(3)] == [200, 200, 429]
    answer = await send(http, EVENTS[:1])
    left = int(answer.headers["x-ratelimit-reset"]) - clock.now().timestamp()
    assert 59 < left <= 61
    await clock.advance(left)
    assert (await send(http, EVENTS[:1])).status_code == 200


async def test_a_reset_after_storing_leaves_the_sender_in_doubt(fake, http) -> None:
    fake.plan(axiom.reset_after_storing)
    with pytest.raises(httpx.ReadError):
        await send(http)
    assert fake.ids() == ["e0", "e1", "e2", "e3"]
    assert fake.requests[0].status is None
    assert (await send(http)).status_code == 200
    assert set(fake.duplicates.values()) == {1}


async def test_a_slow_answer_is_stored_before_the_sender_gives_up(fake, http) -> None:
    fake.plan(axiom.slow())
    with pytest.raises(httpx.ReadTimeout):
        await http.post(
            PATH,
            content=json.dumps(EVENTS),
            headers={"authorization": f"Bearer {axiom.TOKEN}", "content-type": "application/json"},
            timeout=0.2,
        )
    assert len(fake.events) == 4
