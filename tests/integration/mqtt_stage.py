"""A real mosquitto, ears that hear what is published and what is retained, and vehicles to show."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiomqtt
from mosquitto_stage import Mosquitto

from poller.runtime.clock import SystemClock
from poller.sinks.base import SinkContext
from poller.sinks.mqtt import MqttSink
from poller.sinks.settings import MqttSettings
from poller.testing.records import VIN, snapshot_number
from poller.vehicle.fleet import Fleet, VehicleView
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import snapshot_of

USERS = {"poller": "hush", "ears": "listen"}
#: Seconds in which everything happens that is to happen.
SOON = 15.0

FULL = {
    "odometer_km": 45123.4, "soc_percent": 80, "range_electric_km": 180, "plugged": True, "charging": False,
    "charging_state": "target_reached", "locked": True, "door_open.front_left": False,
    "window_open.rear_right": True, "tire_pressure_kpa.front_left": 230, "service_due_at.brake_fluid":
    "2027-03-01T00:00:00+00:00", "check_control.tire_pressure": "medium", "latitude_degrees": 48.123456,
    "longitude_degrees": 11.654321, "heading_degrees": 90, "model": "MINI Cooper SE", "brand": "MINI",
}  # fmt: skip


def view(readings: dict | None = None, *, number: int = 0, vin: str = VIN) -> VehicleView:
    """A vehicle as one source told of it."""
    from datetime import datetime

    given = {
        key: datetime.fromisoformat(value) if isinstance(value, str) and value[:2] == "20" else value
        for key, value in (readings or FULL).items()
    }
    fleet = Fleet()
    fleet.update(snapshot_of(snapshot_number(number, given, vin=vin)[1]))
    found = fleet.view(vin)
    assert found is not None
    return found


@dataclass
class Ears:
    """Hears everything at a broker. `retained`: as a newcomer would find it; `heard`: all, in order."""

    retained: dict[str, str] = field(default_factory=dict)
    heard: list[tuple[str, str, bool]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, topic: str, payload: str, *, retained: bool) -> None:
        self.heard.append((topic, payload, retained))
        self._changed.set()

    async def until(self, good: Callable[[], object]) -> None:
        """Wait until `good`, looked at whenever something is heard."""
        async with asyncio.timeout(SOON):
            while not good():
                self._changed.clear()
                await self._changed.wait()

    def of(self, topic: str) -> list[str]:
        return [payload for heard, payload, _ in self.heard if heard == topic]

    def last(self, topic: str) -> str | None:
        return next((payload for heard, payload, _ in reversed(self.heard) if heard == topic), None)


@asynccontextmanager
async def ears(broker: Mosquitto) -> AsyncIterator[Ears]:
    """Ears at the broker while the block runs."""
    client = aiomqtt.Client(
        "127.0.0.1",
        broker.plain_port,
        username="ears",
        password=USERS["ears"],
        protocol=aiomqtt.ProtocolVersion.V5,
    )
    hearing = Ears()

    async def listen() -> None:
        async for message in client.messages:
            hearing.hear(message.topic.value, bytes(message.payload).decode(), retained=bool(message.retain))

    async with client:
        # At QoS 0 it comes in order: of others the broker keeps only a few under way.
        await client.subscribe("#", qos=0)
        task = asyncio.create_task(listen())
        try:
            yield hearing
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def left_at(broker: Mosquitto) -> dict[str, str]:
    """What a newcomer finds: topic → payload of all that is retained."""
    async with ears(broker) as newcomer:
        await broker.publish("the/end", b"1", user="ears")
        await newcomer.until(lambda: newcomer.of("the/end"))
        return {topic: payload for topic, payload, retained in newcomer.heard if retained}


def configs(found: dict[str, str]) -> dict[str, dict]:
    """Home Assistant's configurations among it."""
    return {topic: json.loads(text) for topic, text in found.items() if topic.endswith("/config")}


def make(
    folder, broker: Mosquitto, *, rendering: Rendering | None = None, answer: float = 5, **settings
) -> MqttSink:
    values = {"type": "mqtt", "url": broker.plain, "username": "poller", "password": "hush", **settings}
    rendering = rendering or Rendering({VIN: "mini"}, vin="short", key=b"key")
    context = SinkContext(SystemClock(), folder, rendering)
    return MqttSink("broker", MqttSettings.model_validate(values), context, answer=answer)


@asynccontextmanager
async def attended(sink: MqttSink, *views: VehicleView) -> AsyncIterator[MqttSink]:
    """As the road does it: open, show what the journal has, attend in a task, stop, close."""
    stop = asyncio.Event()
    await sink.open()
    for one in views:
        await sink.publish(one)
    task = asyncio.create_task(sink.attend(stop))
    try:
        yield sink
    finally:
        stop.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(task, 10)
        await sink.close()
