"""The CarData stream in storms: starts without end, floods, packets without end, messages of nobody."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from stream_stage import GCID, TOPIC, Account, answering, listening, settings, staged, until

from poller.errors import JournalError
from poller.simulator.cardata import packets
from poller.simulator.cardata.broker import Broker
from poller.simulator.cardata.packets import Kind
from poller.sources.cardata.stream.line import Introduction, Line
from poller.sources.cardata.stream.policy import StreamLimits
from poller.testing.clock import ManualClock
from poller.testing.memory import DictMemory
from poller.vehicle.records import parse_time

MINUTE, HOUR = 60.0, 3600.0


class Noting(DictMemory):
    """Knows when it was told of an attempt."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts: list[datetime] = []

    async def remember(self, key, value):
        await super().remember(key, value)
        self.attempts.append(parse_time(value["attempted_at"]))


class Broken(DictMemory):
    async def recall(self, _key):
        raise JournalError("the disk is broken")

    async def remember(self, _key, _value):
        raise JournalError("the disk is broken")


# --- starts -----------------------------------------------------------------------------------


async def test_fifty_starts_in_ten_minutes_make_no_storm() -> None:
    """Each start is a new process on the same disk; BMW's broker sees an attempt each half minute at most."""
    clock, memory = ManualClock(), Noting()
    broker, account = Broker(clock), Account(clock)
    async with broker.serve() as url:
        for _ in range(50):
            async with listening(settings(url), account, clock, memory=memory) as listener:
                await until(listener.has_begun)
                await clock.advance(12)
                await until(lambda: len(broker.arrivals) == len(memory.attempts))
    assert 15 <= len(memory.attempts) <= 21
    assert min(later - earlier for earlier, later in pairwise(memory.attempts)) >= timedelta(seconds=30)


async def test_two_clients_of_one_account_take_turns() -> None:
    """Two tables, or a table whose client was made anew: BMW's broker sees one account."""
    clock, memory = ManualClock(), Noting()
    broker, account = Broker(clock), Account(clock)
    async with broker.serve() as url:
        other = settings(url, client_id="00000000-0000-4000-8000-00000000c12e")
        for config in (settings(url), other):
            async with listening(config, account, clock, memory=memory) as listener:
                await until(listener.has_begun)
                await clock.advance(20)
        assert memory.attempts[1:] == [memory.attempts[0] + timedelta(seconds=30)]


@pytest.mark.parametrize(("leap", "wait"), [(0.0, 20.0), (-HOUR, 30.0), (HOUR, 0.0)])
async def test_a_clock_that_was_set_meanwhile_makes_nobody_wait_for_long(leap, wait) -> None:
    clock, memory = ManualClock(), DictMemory()
    broker, account = Broker(clock), Account(clock)
    async with broker.serve() as url:
        async with listening(settings(url), account, clock, memory=memory) as listener:
            await listener.connected()
        await clock.advance(10)
        clock.jump(leap)
        async with listening(settings(url), account, clock, memory=memory) as listener:
            if wait:
                await until(lambda: listener.stream.status().retry_at is not None)
                await clock.advance(wait - 0.1)
                assert len(broker.arrivals) == 1
                await clock.advance(0.2)
            await listener.connected()


async def test_a_memory_that_does_not_work_costs_half_a_minute() -> None:
    clock, memory = ManualClock(), Broken()
    broker, account = Broker(clock), Account(clock)
    async with broker.serve() as url, listening(settings(url), account, clock, memory=memory) as listener:
        await until(lambda: listener.stream.status().retry_at is not None)
        await clock.advance(30)
        await listener.connected()


@pytest.mark.parametrize("turns", range(12))
async def test_a_stop_just_as_the_broker_answers(turns) -> None:
    """Whatever it answers, and however far we have got with that: `listening` waits for a second."""
    clock = ManualClock()
    broker, account = Broker(clock), Account(clock)
    async with broker.serve() as url:
        for _ in range(5):
            came = len(broker.arrivals)
            async with listening(settings(url), account, clock):
                while len(broker.arrivals) == came:  # noqa: ASYNC110  # each turn of the loop counts
                    await asyncio.sleep(0)
                for _ in range(turns):
                    await asyncio.sleep(0)


# --- messages that are not taken --------------------------------------------------------------


async def test_a_stream_of_what_is_no_cars_is_not_all_well() -> None:
    """Connected, and nothing of it can be used: another topic was named, or BMW has changed something."""
    async with staged() as stage:
        await stage.listener.connected()
        assert stage.listener.stream.status().failure is None
        stage.broker.publish(f"{GCID}/status", b'{"vin": 7}')
        await until(lambda: stage.listener.stream.status().failure is not None)
        status = stage.listener.stream.status()
        assert (status.state, status.failure.reason) == ("connected", "no_vehicle")
        assert "no car's" in status.failure.message
        stage.broker.publish(TOPIC, b"{}")
        await until(lambda: stage.listener.stream.status().last_message_at is not None)
        stage.broker.publish(f"{GCID}/status", b'{"vin": 7}')
        stage.broker.publish(TOPIC, b"{} ")
        await until(lambda: len(stage.listener.journal.bodies) == 2)
        assert stage.listener.stream.status().failure is None, "others than a car's may be there too"


# --- floods -----------------------------------------------------------------------------------


async def test_what_has_come_is_taken_at_once() -> None:
    """What a flood brings must not wait where nobody counts it."""
    async with staged() as stage:
        await stage.listener.connected()
        introduction = Introduction("reader", "reader", "x", "#")
        line = Line(stage.url, introduction, "5", None, StreamLimits())
        await line.connect()
        await line.subscribe("#")
        for number in range(300):
            stage.broker.publish(TOPIC, b"%d" % number)
        await until(lambda: len(line._client.messages) == 300)
        turns, taken = 0, []

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        async for _, body in line.messages():
            taken.append(body)
            if len(taken) == 300:
                break
        counting.cancel()
        await line.close()
        assert taken == [b"%d" % number for number in range(300)]
        assert turns < 20


@pytest.mark.parametrize(
    "packet",
    [
        b"\x30\xff\xff\xff\x7f" + b"x" * 65_536,
        # A topic that is no text, and one that nobody may send to.
        b"\x30\x06\x00\x02\xff\xfe\x00x",
        b"\x30\x06\x00\x02/#\x00x",
    ],
)
async def test_what_cannot_be_read_ends_the_connection_and_is_named(packet) -> None:
    """A packet may claim a quarter of a gigabyte: it is not waited for, and takes no room."""
    clock = ManualClock()

    async def broker(reader, writer) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, packets.BadPacket):
            while True:
                kind, body = await packets.read_packet(reader)
                if kind == Kind.CONNECT:
                    writer.write(b"\x20\x03\x00\x00\x00")
                elif kind == Kind.SUBSCRIBE:
                    writer.write(b"\x90\x04" + body[:2] + b"\x00\x00" + packet)

    async with (
        answering(broker) as address,
        listening(settings(f"mqtt://{address}"), Account(clock), clock) as listener,
    ):
        await until(lambda: listener.reason == "garbled")
        assert listener.state == "waiting"


async def test_a_packet_that_does_not_end_is_no_connection() -> None:
    """A byte now and then is no sign of life, although it is traffic."""
    clock = ManualClock()

    async def broker(reader, writer) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, packets.BadPacket, OSError):
            await packets.read_packet(reader)
            writer.write(b"\x20\x03\x00\x00\x00")
            _, body = await packets.read_packet(reader)
            writer.write(b"\x90\x04" + body[:2] + b"\x00\x00" + b"\x30\xff\x7f")
            while not reader.at_eof():
                writer.write(b"x")
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(64), 0.02)

    limits = StreamLimits(packet_within=0.2)
    async with (
        answering(broker) as address,
        listening(settings(f"mqtt://{address}"), Account(clock), clock, limits=limits) as listener,
    ):
        await until(lambda: listener.reason == "garbled", within=5)
        assert listener.state == "waiting"
