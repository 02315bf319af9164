"""The stream as simulated cars fill it: bursts of what changed, then silence; the same for the same seed."""

from __future__ import annotations

import asyncio
import functools
import json
from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from poller.simulator import fleet
from poller.simulator.cardata.streaming import STREAMABLE, Message, Streaming, messages
from poller.simulator.cardata.telling import LATITUDE, LONGITUDE, SELDOM_STREAMED, TellingCar
from poller.simulator.garage import all_cars_garage
from poller.testing.clock import ManualClock

START = datetime(2026, 11, 19, tzinfo=UTC)
#: A morning on which every car drives.
MORNING = START + timedelta(hours=6)
HOURS = timedelta(hours=2)
WEEK = timedelta(days=7)
ENTITY = "00000000-0000-4000-8000-000000000000"
SOC = "vehicle.drivetrain.batteryManagement.header"
CARS = {vin: TellingCar(car) for vin, car in all_cars_garage().cars.items()}
X1 = CARS[fleet.BMW_VIN]


@functools.cache
def said(car: TellingCar = X1, days: int = 2, **more) -> list[list[Message]]:
    """What each report of some days makes."""
    arrivals = car.arrivals(START, START + timedelta(days=days))
    return [messages(car, arrival, **{"seed": 1, "entity": ENTITY, **more}) for arrival in arrivals]


def test_a_message_is_one_descriptor_in_an_envelope() -> None:
    for message in (message for burst in said() for message in burst):
        body = json.loads(message.body)
        assert list(body) == ["vin", "entityId", "topic", "timestamp", "data"]
        assert (body["vin"], body["topic"], body["entityId"]) == (X1.vin, X1.vin, ENTITY)
        ((name, entry),) = body["data"].items()
        assert name == message.descriptor
        assert name in STREAMABLE - {SELDOM_STREAMED}
        assert set(entry) <= {"timestamp", "value", "unit"}
        assert entry["value"] is not None
        assert entry.get("unit", "km") is not None, "left out where there is none"
        assert len(body["timestamp"]) == len("2026-11-19T00:00:00.000Z")
        assert len(entry["timestamp"]) == len("2026-11-19T00:00:00Z")


def test_values_have_types_and_some_numbers_are_quoted() -> None:
    kinds = Counter(
        type(json.loads(message.body)["data"][SOC]["value"])
        for burst in said(days=7)
        for message in burst
        if message.descriptor == SOC
    )
    assert kinds[float] > 10 * kinds[str] > 0


def test_most_of_it_is_what_changed_and_comes_in_bursts() -> None:
    for burst in said():
        assert burst, "no report without a message"
        assert burst == sorted(burst)
    lengths = [len({message.descriptor for message in burst}) for burst in said()]
    assert max(lengths) > 45, "all there is, when the car is locked or unlocked"
    assert sorted(lengths)[len(lengths) // 2] < 15


def test_messages_come_twice_and_late() -> None:
    """About as often as was counted: 277 messages for 168 values."""
    everything = [message for burst in said(days=7) for message in burst]
    values = {(m.descriptor, json.dumps(json.loads(m.body)["data"])) for m in everything}
    assert 1.3 < len(everything) / len(values) < 1.9
    delays = [message.at - burst[0].at for burst in said(days=7) for message in burst]
    overtaken = sum(delay > timedelta(seconds=60) for delay in delays)
    assert 0 < overtaken < 0.1 * len(delays)


def test_the_halves_of_a_position_come_apart_and_together() -> None:
    for burst in said():
        first = {
            name: next((m for m in burst if m.descriptor == name), None) for name in (LATITUDE, LONGITUDE)
        }
        if None in first.values():
            assert set(first.values()) == {None}, "never one of them alone"
            continue
        north, east = (json.loads(first[name].body)["data"][name] for name in (LATITUDE, LONGITUDE))
        gap = datetime.fromisoformat(east["timestamp"]) - datetime.fromisoformat(north["timestamp"])
        assert gap == timedelta(seconds=1)


def test_the_same_seed_says_the_same_and_another_says_it_otherwise() -> None:
    again = TellingCar(all_cars_garage().cars[X1.vin])
    assert said() == said(again)
    assert said() != said(seed=2)


def test_only_what_is_ticked_comes_and_nothing_else_changes() -> None:
    ticked = {SOC, LATITUDE}
    few = said(ticked=frozenset(ticked))
    assert {message.descriptor for burst in few for message in burst} == ticked
    whole = [[message for message in burst if message.descriptor in ticked] for burst in said()]
    assert few == whole


def test_on_order_messages_are_repeated_and_late() -> None:
    three = Counter((m.descriptor, json.dumps(json.loads(m.body)["data"])) for b in said(moods=frozenset({"repeated_messages"})) for m in b)  # fmt: skip # noqa: E501  # one thought
    assert {count % 3 for count in three.values()} == {0}
    for arrival in X1.arrivals(START, START + timedelta(days=1)):
        sent = messages(X1, arrival, seed=1, entity=ENTITY, moods=["late_messages"])
        waits = [message.at - arrival.report.arrived_at for message in sent]
        assert min(waits) > timedelta(minutes=2)
        assert max(waits) < timedelta(minutes=25)


class Listener:
    """What went out, and when."""

    def __init__(self) -> None:
        self.clock = ManualClock(MORNING)
        self.heard: list[tuple[datetime, str, dict]] = []
        self.moods: set[str] = set()
        self.streaming = Streaming(
            list(CARS.values()), self.clock, self.publish, seed=1, entity=ENTITY, moods=lambda _: self.moods
        )

    def publish(self, topic: str, body: bytes) -> None:
        self.heard.append((self.clock.now(), topic, json.loads(body)))


@asynccontextmanager
async def listening():
    listener = Listener()
    task = asyncio.create_task(listener.streaming.run())
    await listener.clock.settle()
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_messages_go_out_at_their_time_and_never_again() -> None:
    async with listening() as listener:
        await listener.clock.advance(HOURS.total_seconds())
        for at, topic, body in listener.heard:
            assert topic == f"{ENTITY}/{body['vin']}"
            sent = datetime.fromisoformat(body["timestamp"])
            assert timedelta(0) <= at - sent < timedelta(milliseconds=2)
        times = [at for at, _, _ in listener.heard]
        assert times == sorted(times)
        assert {topic[-17:] for _, topic, _ in listener.heard} == set(CARS)
        assert listener.streaming.sent == len(listener.heard) > 500
        assert listener.heard[0][0] > MORNING, "nothing of what was before"


async def test_what_goes_out_is_what_the_reports_make() -> None:
    async with listening() as listener:
        await listener.clock.advance(HOURS.total_seconds())
    for car in CARS.values():
        arrivals = car.arrivals(MORNING, MORNING + HOURS)
        made = [message for a in arrivals for message in messages(car, a, seed=1, entity=ENTITY)]
        due = [json.loads(message.body) for message in made if message.at <= MORNING + HOURS]
        heard = [body for _, _, body in listener.heard if body["vin"] == car.vin]
        assert sorted(map(json.dumps, heard)) == sorted(map(json.dumps, due))


async def test_who_comes_late_hears_what_he_would_have_heard_from_then_on() -> None:
    """Cars begin to send when somebody listens; it cannot be told from having sent all the time."""
    late = HOURS / 2
    async with listening() as always:
        await always.clock.advance(HOURS.total_seconds())
    listener = Listener()
    await listener.clock.advance(late.total_seconds())
    task = asyncio.create_task(listener.streaming.run(MORNING))
    await listener.clock.advance((HOURS - late).total_seconds())
    task.cancel()
    await asyncio.wait([task])
    assert listener.heard == [message for message in always.heard if message[0] > MORNING + late]
    assert listener.streaming.sent == always.streaming.sent > len(listener.heard) > 100


def quiet_hours(vin: str) -> tuple[datetime, datetime]:
    """The longest time of some days in which a car reports nothing."""
    times = [arrival.report.arrived_at for arrival in CARS[vin].arrivals(START, START + WEEK)]
    return max(pairwise(sorted(times)), key=lambda pair: pair[1] - pair[0])


async def test_a_parked_car_says_nothing() -> None:
    since, until = quiet_hours(fleet.ICE_VIN)
    assert until - since > timedelta(hours=10)
    listener = Listener()
    listener.clock = ManualClock(since + timedelta(minutes=10))
    streaming = Streaming([CARS[fleet.ICE_VIN]], listener.clock, listener.publish, seed=1, entity=ENTITY)
    task = asyncio.create_task(streaming.run())
    await listener.clock.advance((until - listener.clock.now()).total_seconds() - 1)
    assert listener.heard == []
    await listener.clock.advance(60)
    assert listener.heard != []
    task.cancel()
    await asyncio.wait([task])


async def test_a_burst_is_all_there_is_at_once() -> None:
    async with listening() as listener:
        await listener.clock.advance(60)
        listener.heard.clear()
        now = X1.told(X1.reported(listener.clock.now()))
        listener.streaming.burst(X1.vin)
        await listener.clock.advance(300)
        told = {name for _, topic, body in listener.heard if topic.endswith(X1.vin) for name in body["data"]}
        streamed = {name for name, one in now.items() if name in STREAMABLE and one.value is not None}
        assert told >= streamed - {SELDOM_STREAMED}
        assert not any(topic.endswith(fleet.BEV_VIN) for _, topic, _ in listener.heard)


async def test_a_silent_car_sends_nothing_and_it_is_lost() -> None:
    async with listening() as listener:
        listener.moods = {"silent_car"}
        await listener.clock.advance(3600)
        assert listener.heard == []
        listener.moods = set()
        await listener.clock.advance(3600)
        sent = [datetime.fromisoformat(body["timestamp"]) for _, _, body in listener.heard]
        assert min(sent) >= MORNING + timedelta(hours=1)


async def test_what_is_ticked_is_ticked_by_vehicle() -> None:
    async with listening() as listener:
        listener.streaming.ticked[X1.vin] = ()
        listener.streaming.burst()
        await listener.clock.advance(1)
        assert {topic[-17:] for _, topic, _ in listener.heard} == set(CARS) - {X1.vin}
