"""What the vehicle finder brings enters the position of the answers that follow."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from poller.library.answers import heard
from poller.library.keys import vehicle_json
from poller.library.understand import vehicle_of
from poller.sources.mybmw.finder import BODY, Finder
from poller.sources.mybmw.meaning.parse import parse
from poller.testing.memory import DictMemory
from poller.vehicle.answer import Answer
from poller.vehicle.snapshot import Snapshot

VIN = "WBYTEST0000000001"
REPORTED = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NOW = REPORTED + timedelta(hours=2)
PLACE = {"latitude": 12.5, "longitude": 34.5, "heading": 121, "formattedAddress": "Some Street 1"}
REPLY = {"positionData": {"status": "OK", "position": PLACE}, "errorDetails": None}
STATE = {
    "lastUpdatedAt": "2026-03-02T12:00:00Z",
    "lastFetched": "2026-03-02T13:59:59Z",
    "location": {"coordinates": {"latitude": 1.5, "longitude": 2.5}, "heading": 7},
}


async def answer(at: datetime, reply: object = REPLY, now: datetime = NOW) -> Answer:
    finder = Finder("mybmw:row:1", DictMemory())
    await finder.remember(VIN, json.dumps(reply).encode(), at)
    bodies = {"state": json.dumps({"state": STATE}).encode()}
    body = await finder.body(VIN, now)
    return Answer("bmw", "mybmw", VIN, now, bodies if body is None else {**bodies, BODY: body})


def place(snapshot: Snapshot) -> tuple:
    return tuple(snapshot.value(f"{key}_degrees") for key in ("latitude", "longitude", "heading"))


async def test_a_search_newer_than_the_cars_report_is_where_it_stands() -> None:
    given = await answer(REPORTED + timedelta(minutes=30))
    snapshot = parse(given, UTC)
    assert place(snapshot) == (12.5, 34.5, 121)
    assert snapshot.readings["latitude_degrees"].observed_at == REPORTED + timedelta(minutes=30)
    known = vehicle_json(vehicle_of(heard(given, zone=UTC)))["vehicle_location"]
    assert known["location"] == {"latitude": 12.5, "longitude": 34.5}
    assert known["remote_service_position"] == {**PLACE, "timestamp": "2026-03-02T12:30:00+00:00"}


@pytest.mark.parametrize(
    ("at", "now"),
    [(REPORTED - timedelta(seconds=1), NOW), (REPORTED + timedelta(hours=1), REPORTED + timedelta(days=8))],
    ids=["the car has reported since", "long ago"],
)
async def test_an_older_one_is_not(at, now) -> None:
    given = await answer(at, now=now)
    assert place(parse(given, UTC)) == (1.5, 2.5, 7)
    known = vehicle_json(vehicle_of(heard(given, zone=UTC)))["vehicle_location"]
    assert (known["heading"], known["remote_service_position"]) == (7, None)


@pytest.mark.parametrize(
    "reply", [None, [], {}, {"positionData": None}, {"positionData": {"position": {"latitude": 1}}}]
)
async def test_a_search_that_found_nothing_changes_nothing(reply) -> None:
    assert place(parse(await answer(NOW, reply), UTC)) == (1.5, 2.5, 7)


async def test_in_china_it_is_converted_like_any_position() -> None:
    found = {**PLACE, "latitude": 31.2304, "longitude": 121.4737}
    given = await answer(NOW, {"positionData": {"position": found}})
    assert place(parse(given, UTC, china=True))[:2] == pytest.approx((31.232329, 121.469162), abs=1e-6)
    assert place(parse(given, UTC))[:2] == (31.2304, 121.4737)


async def test_nothing_was_ever_searched() -> None:
    assert await Finder("mybmw:row:1", DictMemory()).body(VIN, NOW) is None


async def test_what_the_source_before_a_reload_remembered_counts_once_it_is_opened_again() -> None:
    memory = DictMemory()
    before, now = Finder("mybmw:row:1", memory), Finder("mybmw:row:1", memory)
    assert await now.body(VIN, NOW) is None
    await before.remember(VIN, json.dumps(REPLY).encode(), REPORTED)
    now.open()
    assert json.loads(await now.body(VIN, NOW))["reply"] == REPLY
