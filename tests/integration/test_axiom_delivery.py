"""Axiom through loop and journal, against an endpoint that stores and misbehaves over real HTTP.

No event is lost, ever. One is stored twice only where the reply was lost or did not say which
events it meant, and then under the same id.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import structlog

from poller.deliver import Delivery
from poller.journal.base import Entry, Policy
from poller.journal.sqlite import SqliteJournal
from poller.runtime.metrics import Metrics
from poller.simulator import axiom as fake
from poller.simulator.axiom import FakeAxiom
from poller.simulator.server import serve
from poller.sinks.axiom import AxiomSink
from poller.sinks.axiom.event import FIELDS
from poller.sinks.base import SinkContext
from poller.sinks.settings import AxiomSettings
from poller.testing.leaping import LeapingClock
from poller.testing.records import VIN, record_number
from poller.vehicle.privacy import Rendering

NAME = "axiom"
#: Real seconds after which the sink gives up a request, for the one test that waits for it.
SHORT = 0.2


class Bench:
    """Journal, loop, sink and endpoint; waiting takes no time. Full jitter is at its worst."""

    def __init__(self, folder, *, token: str = fake.TOKEN, **settings) -> None:
        self.clock = LeapingClock()
        self.axiom = FakeAxiom(token, self.clock)
        self.journal = SqliteJournal(folder / "journal.db", Policy(), self.clock)
        self.rendering = Rendering({VIN: "mini"}, location="rounded")
        self.context = SinkContext(self.clock, folder, self.rendering)
        self.metrics = Metrics()
        self.url = ""
        self.timeout = 30.0
        self.settings = settings
        self.sink: AxiomSink
        self.delivery: Delivery

    async def begin(self) -> None:
        """As at the start of a process: sink and loop remember nothing."""
        values = {"type": "axiom", "url": self.url, "dataset": "cars", "token": self.axiom.token}
        settings = AxiomSettings.model_validate(values | self.settings)
        self.sink = AxiomSink(NAME, settings, self.context, timeout=self.timeout)
        self.delivery = Delivery(
            NAME,
            self.sink,
            self.journal,
            self.clock,
            self.rendering,
            settings,
            self.metrics,
            jitter=lambda: 0.999,
        )

    async def end(self) -> None:
        await self.sink.close()

    async def fill(self, count: int, begin: int = 0) -> list[str]:
        records = [record_number(number) for number in range(begin, begin + count)]
        await self.journal.append(Entry(records=records))
        return [record.id for record in records]

    async def dead(self) -> list[str]:
        return [letter.record.id for letter in await self.journal.dead_letters(NAME)]

    async def backlog(self) -> int:
        return (await self.journal.backlog(NAME)).records

    def refuses(self, *bad: str) -> Callable[[dict], bool]:
        return lambda event: event["id"] in bad


@asynccontextmanager
async def benched(folder, **settings):
    bench = Bench(folder, **settings)
    await bench.journal.open([NAME])
    try:
        async with serve(bench.axiom) as bench.url:
            await bench.begin()
            yield bench
            await bench.end()
    finally:
        await bench.journal.close()


@pytest.fixture
async def bench(tmp_path):
    async with benched(tmp_path) as made:
        yield made


# Every row of what was seen: (what happens to the first requests, whether it may leave duplicates).
PASSING = {
    "200 ok": ([], False),
    "200 with failures null": ([fake.failures_null], False),
    "200 with failures absent": ([fake.failures_absent], False),
    "200 with an empty body": ([fake.empty_body], True),
    "200 with html": ([fake.html], False),
    "200 with truncated json": ([fake.truncated], True),
    "200 but ingested short": ([fake.ingested_short(3)], True),
    "408": ([fake.status(408)], False),
    "413 and then smaller": ([fake.status(413)], False),
    "429 with a reset that is past": ([fake.rate_limited("1")], False),
    "429 without a reset": ([fake.rate_limited(None)], False),
    "429 with garbage": ([fake.rate_limited("soon, promise")], False),
    "500": ([fake.status(500)] * 4, False),
    "502 in html": ([fake.status(502, "<html>")], False),
    "503 and then 200": ([fake.status(503)], False),
    "reset after it was stored": ([fake.reset_after_storing], True),
}


@pytest.mark.parametrize(("behaviours", "twice"), PASSING.values(), ids=PASSING)
async def test_what_passes_costs_nothing(bench, behaviours, twice) -> None:
    """Within 30 s of the cause's end all is there, in order, and twice only where the reply was lost."""
    ids = await bench.fill(20)
    bench.axiom.plan(*behaviours)
    # What the failures themselves take is before the cause's end; the last wait is after it.
    for _ in behaviours[1:]:
        await bench.delivery.drain(patience=0)
        await bench.clock.sleep(25)
    assert await bench.delivery.drain(patience=30)
    assert bench.axiom.planned == 0
    assert bench.axiom.ids() == ids
    assert bool(bench.axiom.duplicates) == twice
    assert await bench.dead() == []
    assert await bench.backlog() == 0


async def test_refused_events_with_matching_times_become_dead_letters(bench) -> None:
    ids = await bench.fill(20)
    bench.axiom.standing = fake.partial(bench.refuses(ids[3], ids[11]))
    assert await bench.delivery.drain()
    assert await bench.dead() == [ids[3], ids[11]]
    assert sorted(bench.axiom.ids()) == sorted(set(ids) - {ids[3], ids[11]})
    assert bench.axiom.duplicates == {}
    assert len(bench.axiom.requests) == 1
    assert {letter.reason for letter in await bench.journal.dead_letters(NAME)} == {"field limit exceeded"}


async def test_refused_events_without_matching_times_are_searched_for(bench) -> None:
    ids = await bench.fill(64)
    bench.axiom.standing = fake.partial(bench.refuses(ids[3], ids[40]), matching_times=False)
    assert await bench.delivery.drain()
    assert await bench.dead() == [ids[3], ids[40]]
    assert sorted(bench.axiom.ids()) == sorted(set(ids) - {ids[3], ids[40]})
    assert max(bench.axiom.duplicates.values()) <= 12


@pytest.mark.parametrize("code", [400, 413, 422])
async def test_a_batch_refused_for_one_event_is_bisected(bench, code) -> None:
    ids = await bench.fill(64)
    bench.axiom.standing = fake.poisoned(bench.refuses(ids[40]), code)
    assert await bench.delivery.drain()
    assert await bench.dead() == [ids[40]]
    assert bench.axiom.ids() == [one for one in ids if one != ids[40]]
    assert bench.axiom.duplicates == {}
    assert len(bench.axiom.requests) < 20


async def test_a_limit_on_the_size_is_met(bench) -> None:
    ids = await bench.fill(50)
    bench.axiom.max_events = 7
    assert await bench.delivery.drain()
    assert bench.axiom.ids() == ids
    assert bench.axiom.duplicates == {}


@pytest.mark.parametrize(
    "behaviour",
    [fake.redirect(), fake.status(401), fake.status(403), fake.status(404)],
    ids=["307", "401", "403", "404"],
)
async def test_a_wrong_setting_holds_the_queue_and_loses_nothing(bench, behaviour) -> None:
    ids = await bench.fill(30)
    bench.axiom.standing = behaviour
    assert not await bench.delivery.drain(patience=600)
    status = bench.delivery.status()
    assert status.held
    assert status.failure.hint
    assert await bench.dead() == []
    assert [len(request.events) for request in bench.axiom.requests[1:]] == [1] * 5
    bench.axiom.standing = fake.take_in
    assert await bench.delivery.drain(patience=300)
    assert bench.axiom.ids() == ids
    assert bench.axiom.duplicates == {}


async def test_a_rate_limit_is_waited_out(bench) -> None:
    ids = await bench.fill(5)
    reset = bench.clock.now() + timedelta(seconds=40)
    bench.axiom.plan(fake.rate_limited(str(int(reset.timestamp()))))
    assert await bench.delivery.drain(patience=60)
    assert timedelta(0) <= bench.clock.now() - reset < timedelta(seconds=30)
    assert bench.axiom.ids() == ids


async def test_a_used_up_month_is_probed_hourly_and_costs_nothing(bench) -> None:
    ids = await bench.fill(5)
    begin = bench.clock.now()
    reset = begin + timedelta(days=21)
    limited = fake.exhausted(str(int(reset.timestamp())))

    async def until_then(exchange):
        return await (limited if bench.clock.now() < reset else fake.take_in)(exchange)

    bench.axiom.standing = until_then
    assert not await bench.delivery.drain(patience=86_400)
    assert len(bench.axiom.requests) in (24, 25)
    await bench.clock.sleep((reset - bench.clock.now()).total_seconds() - 5400)
    assert await bench.delivery.drain(patience=5500)
    assert timedelta(0) <= bench.clock.now() - reset < timedelta(seconds=30)
    assert bench.axiom.ids() == ids


async def test_an_hour_of_503_ends_within_30_seconds(bench) -> None:
    ids = await bench.fill(40)
    end = bench.clock.now() + timedelta(hours=1)

    async def down(exchange):
        return await (fake.status(503) if bench.clock.now() < end else fake.take_in)(exchange)

    bench.axiom.standing = down
    assert await bench.delivery.drain(patience=1e6)
    assert timedelta(0) <= bench.clock.now() - end < timedelta(seconds=30)
    assert bench.axiom.ids() == ids
    assert bench.axiom.duplicates == {}


async def test_a_refused_connection_is_tried_again(tmp_path) -> None:
    bench = Bench(tmp_path)
    await bench.journal.open([NAME])
    async with serve(bench.axiom) as bench.url:
        port = int(bench.url.rpartition(":")[2])
    await bench.begin()
    ids = await bench.fill(5)
    assert not await bench.delivery.drain(patience=300)
    assert bench.delivery.status().failure.reason == "network"
    async with serve(bench.axiom, port=port):
        assert await bench.delivery.drain(patience=30)
        await bench.end()
    assert bench.axiom.ids() == ids
    await bench.journal.close()


async def test_a_slow_reply_is_given_up_and_asked_again(tmp_path) -> None:
    async with benched(tmp_path) as bench:
        bench.timeout = SHORT
        await bench.begin()
        ids = await bench.fill(5)
        bench.axiom.plan(fake.slow(10))
        assert await bench.delivery.drain(patience=30)
        assert bench.axiom.ids() == ids
        assert set(bench.axiom.duplicates) <= set(ids)


async def test_the_request_is_what_axiom_wants(bench) -> None:
    ids = await bench.fill(3)
    await bench.delivery.drain()
    (request,) = bench.axiom.requests
    assert request.path == "/v1/ingest/cars"
    assert request.headers["content-type"] == "application/x-ndjson"
    assert request.headers["content-encoding"] == "gzip"
    assert "x-axiom-org-id" not in request.headers
    assert [json.loads(line)["id"] for line in request.body.splitlines()] == ids
    assert [event["_time"] for event in request.events] == [
        "2026-11-21T14:00:00.000Z", "2026-11-21T14:05:00.000Z", "2026-11-21T14:10:00.000Z",
    ]  # fmt: skip
    assert set().union(*request.events) <= FIELDS


async def test_events_of_very_different_age_are_not_mixed(bench) -> None:
    """A backlog of three days goes out a day at a time, oldest first."""
    ids = await bench.fill(3 * 288)
    await bench.delivery.drain()
    spans = [
        {event["_time"][:10] for event in (request.events[0], request.events[-1])}
        for request in bench.axiom.requests
    ]
    assert len(spans) == 3
    assert bench.axiom.ids() == ids


async def test_a_request_stays_below_a_megabyte(bench) -> None:
    readings = {f"check_control.{number:02}{'x' * 58}": "low" for number in range(40)}
    records = [record_number(number, readings | {"odometer_km": number + 1}) for number in range(270)]
    for begin in range(0, 270, 90):
        await bench.journal.append(Entry(records=records[begin : begin + 90]))
    await bench.delivery.drain()
    sizes = [len(request.body) for request in bench.axiom.requests]
    assert len(sizes) == 2
    assert max(sizes) <= 1_000_000
    assert bench.axiom.ids() == [record.id for record in records]


async def test_the_token_is_in_no_text(tmp_path) -> None:
    """Not in logs, messages, dead letters or the status, whatever its shape and whatever is echoed."""
    token = "shapeless/secret+9f2c"
    async with benched(tmp_path, token=token) as bench:
        await bench.fill(12)
        bench.axiom.plan(
            fake.status(403, f"token {token} is bad"),
            fake.status(500, f"Bearer {token}"),
            fake.redirect(f"https://elsewhere.example/?token={token}"),
            fake.status(400, f"authorization: {token}"),
            fake.status(429, token),
            fake.reset_after_storing,
        )
        with structlog.testing.capture_logs() as logs:
            assert await bench.delivery.drain(patience=300)
        letters = [letter.reason for letter in await bench.journal.dead_letters(NAME)]
        assert logs
        assert token not in json.dumps(logs) + str(letters) + repr(bench.delivery.status())


async def test_a_failure_s_trace_is_logged_once_in_a_row(bench) -> None:
    await bench.fill(1)
    bench.axiom.plan(*[fake.status(503)] * 5)
    with structlog.testing.capture_logs() as logs:
        assert await bench.delivery.drain(patience=300)
    failed = [entry for entry in logs if entry["event"] == "ingest.failed"]
    assert [entry["status"] for entry in failed] == [503]
    assert len(failed[0]["trace"]) == 16


async def test_schema_warnings_are_logged_once_per_code(bench) -> None:
    async def warned(exchange):
        body = exchange.summary(exchange.store(), [])
        warning = {"priority": "warn", "code": "schema_rules_drop:vin", "count": 1, "msg": "field dropped"}
        return fake.JSONResponse(body | {"messages": [warning]})

    bench.axiom.standing = warned
    with structlog.testing.capture_logs() as logs:
        for number in range(3):
            await bench.fill(1, begin=number)
            await bench.delivery.drain()
    warned_of = [entry["warning"] for entry in logs if entry["event"] == "schema.warned"]
    assert warned_of == ["schema_rules_drop:vin"]


async def test_limited_poisoned_and_killed_it_still_finishes_in_time(tmp_path, rng: random.Random) -> None:
    """1,000 records, 3 poison ones, 10 requests per window, killed thrice: at most 15 windows."""
    async with benched(tmp_path) as bench:
        ids = []
        for begin in range(0, 1000, 100):
            ids += await bench.fill(100, begin)
        poison = rng.sample(ids, 3)
        bench.axiom.window = (10, 60.0)
        bench.axiom.standing = fake.poisoned(bench.refuses(*poison))
        for patience in (30, 100, 100):
            # Killed: the connections go, and with them all that sink and loop knew.
            await bench.delivery.drain(patience)
            await bench.end()
            await bench.begin()
        assert await bench.delivery.drain(patience=15 * 60)
        assert sorted(await bench.dead()) == sorted(poison)
        assert bench.axiom.ids() == [one for one in ids if one not in poison]
        assert bench.axiom.duplicates == {}
        assert bench.clock.slept / 60 <= 15
        sent: dict[str, int] = {}
        for request in bench.axiom.requests:
            for event in request.events:
                sent[event["id"]] = sent.get(event["id"], 0) + 1
        assert max(sent.values()) <= 40


async def test_killed_between_request_and_reply_the_event_comes_again_under_its_id(bench) -> None:
    """The reply was lost with the process: stored twice, with the same id, and nothing is missing."""
    ids = await bench.fill(4)
    stored = asyncio.Event()

    async def store_and_say_nothing(exchange):
        exchange.store()
        stored.set()
        await exchange.line.hold(30)
        return fake.JSONResponse({})

    bench.axiom.plan(store_and_say_nothing)
    task = asyncio.create_task(bench.delivery.drain())
    await asyncio.wait_for(stored.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await bench.end()
    await bench.begin()
    assert await bench.delivery.drain()
    assert bench.axiom.ids() == ids
    assert bench.axiom.duplicates == dict.fromkeys(ids, 1)


@pytest.mark.parametrize("moments", [100, pytest.param(1000, marks=pytest.mark.soak)])
async def test_anything_in_any_order_loses_nothing(tmp_path, rng: random.Random, moments) -> None:
    """Bad moments at random: what is not dead is stored, what is dead was refused."""
    async with benched(tmp_path, batch_size=16) as bench:
        ids = await bench.fill(2 * moments)
        poison = set(rng.sample(ids, 5))
        passing = [
            fake.empty_body, fake.html, fake.truncated, fake.ingested_short(1), fake.status(408),
            fake.status(401), fake.status(500), fake.rate_limited(None), fake.reset_after_storing,
            fake.partial(bench.refuses(*poison)), fake.partial(bench.refuses(*poison), matching_times=False),
        ]  # fmt: skip
        bench.axiom.standing = fake.poisoned(bench.refuses(*poison))
        bench.axiom.plan(*rng.choices(passing, k=moments))
        assert await bench.delivery.drain(patience=1e6)
        assert set(bench.axiom.ids()) | set(await bench.dead()) == set(ids)
        assert set(await bench.dead()) == poison
        assert await bench.backlog() == 0
