"""What every queued sink promises, asked of each and of the double; and what every live sink does."""

from __future__ import annotations

import asyncio
import copy
import gzip
import json
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from inspect import isawaitable
from pathlib import Path
from typing import Any

import pytest
from channel_stage import Hook, Ntfy, alert_number
from mosquitto_stage import Mosquitto, mosquitto
from mqtt_stage import SOON, USERS, Ears, attended, ears, left_at
from prometheus_client import generate_latest
from stream_stage import make_certificates

from poller.errors import SinkMisconfigured, SinkUnavailable
from poller.simulator.axiom import FakeAxiom, status, take_in
from poller.simulator.server import serve
from poller.sinks.axiom import AxiomSink
from poller.sinks.base import LiveSink, QueuedSink, SinkContext
from poller.sinks.json_files import JsonFilesSink
from poller.sinks.mqtt import MqttSink
from poller.sinks.notify import NotifySink
from poller.sinks.prometheus import PrometheusSink
from poller.sinks.settings import (
    AxiomSettings,
    JsonFilesSettings,
    MqttSettings,
    NotifySettings,
    PrometheusSettings,
    WebhookSettings,
)
from poller.sinks.webhook import WebhookSink
from poller.testing.clock import ManualClock
from poller.testing.records import VIN, record_number, snapshot_number
from poller.testing.sinks import RecordingLiveSink, RecordingSink, accept
from poller.vehicle.fleet import Fleet
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import snapshot_of

RENDERING = Rendering({VIN: "mini"})


def rendered(*numbers: int, **of) -> list[dict]:
    return [RENDERING.render(record_number(number, **of)) for number in numbers]


def alerts(*numbers: int, **of) -> list[dict]:
    """What a sink that speaks to people takes; the title is the id, so that it is found again."""
    records = [RENDERING.render(alert_number(number, **of)) for number in numbers]
    return [{**record, "title": record["id"]} for record in records]


def ids(records: Sequence) -> list[str]:
    return [record["id"] for record in records]


@dataclass
class Place:
    """A sink and its destination, which the test can look into and break (awaited where it has to be)."""

    sink: QueuedSink
    look: Callable[[], Any]  # ids, in order, repeated as often as they are there
    fail: Callable[[], Any]  # for a while: the sink cannot be reached
    refuse: Callable[[], Any]  # for good: a setting is wrong
    mend: Callable[[], Any]
    same_again: bool  # a record that comes twice is there once
    untouched: Callable[[], bool]
    records: Callable[..., list[dict]] = rendered

    async def stored(self) -> list[str]:
        return await now(self.look)


async def now(act: Callable[[], Any]) -> Any:
    outcome = act()
    return await outcome if isawaitable(outcome) else outcome


def _context(folder: Path) -> SinkContext:
    return SinkContext(ManualClock(), folder, RENDERING)


def recording(_folder: Path, _stack: AsyncExitStack) -> Place:
    sink = RecordingSink()

    def behave(outcome) -> Callable[[], None]:
        return lambda: setattr(sink, "standing", outcome)

    return Place(
        sink, lambda: sink.ids, behave(SinkUnavailable("away")), behave(SinkMisconfigured("wrong")),
        behave(accept), same_again=False, untouched=lambda: not sink.opened,
    )  # fmt: skip


def _files(folder: Path, layout: str, stored: Callable[[Path], list[str]]) -> Place:
    settings = JsonFilesSettings.model_validate({"type": "json_files", "layout": layout})
    root, aside = folder / "snapshots", folder / "aside"

    def block() -> None:
        root.rename(aside) if root.exists() else aside.mkdir()
        root.write_text("in the way")

    def unblock() -> None:
        root.unlink()
        aside.rename(root)

    sink = JsonFilesSink("files", settings, _context(folder))
    return Place(
        sink,
        lambda: stored(root),
        block,
        block,
        unblock,
        same_again=True,
        untouched=lambda: not root.exists(),
    )


def files(folder: Path, _stack: AsyncExitStack) -> Place:
    return _files(
        folder,
        "snapshot",
        lambda root: [json.loads(p.read_bytes())["id"] for p in sorted(root.rglob("*.json"))],
    )


def daily_files(folder: Path, _stack: AsyncExitStack) -> Place:
    def stored(root: Path) -> list[str]:
        packed = [gzip.decompress(p.read_bytes()) for p in sorted(root.rglob("*.gz"))]
        plain = [p.read_bytes() for p in sorted(root.rglob("*.ndjson"))]
        return [json.loads(line)["id"] for data in packed + plain for line in data.splitlines()]

    return _files(folder, "daily", stored)


async def axiom(folder: Path, stack: AsyncExitStack) -> Place:
    fake = FakeAxiom()
    url = await stack.enter_async_context(serve(fake))
    settings = AxiomSettings.model_validate(
        {"type": "axiom", "url": url, "dataset": "cars", "token": fake.token}
    )

    def behave(behaviour) -> Callable[[], None]:
        return lambda: setattr(fake, "standing", behaviour)

    sink = AxiomSink("axiom", settings, _context(folder))
    return Place(
        sink, lambda: ids(fake.events), behave(status(503)), behave(status(403)), behave(take_in),
        same_again=False, untouched=lambda: not fake.requests,
    )  # fmt: skip


async def notify(folder: Path, stack: AsyncExitStack) -> Place:
    pytest.importorskip("apprise", reason="the extra [notify] is not installed")
    fake = Ntfy()
    url = (await stack.enter_async_context(serve(fake))).replace("http:", "ntfy:")
    settings = NotifySettings.model_validate({"type": "notify", "urls": [f"{url}/topic"]})

    def behave(code: int) -> Callable[[], None]:
        return lambda: setattr(fake, "status", code)

    return Place(
        NotifySink("notify", settings, _context(folder), apart=0), lambda: fake.titles,
        behave(503), behave(403), behave(200),
        same_again=True, untouched=lambda: not fake.asked, records=alerts,
    )  # fmt: skip


async def webhook(folder: Path, stack: AsyncExitStack) -> Place:
    fake = Hook()
    url = await stack.enter_async_context(serve(fake))
    settings = WebhookSettings.model_validate({"type": "webhook", "url": url, "secret": "xaat-hush"})

    def behave(code: int) -> Callable[[], None]:
        return lambda: setattr(fake, "status", code)

    return Place(
        WebhookSink("webhook", settings, _context(folder)), lambda: ids(fake.bodies),
        behave(503), behave(403), behave(200), same_again=False, untouched=lambda: not fake.asked,
    )  # fmt: skip


class Hearing:
    """Who hears at a broker that comes and goes."""

    def __init__(self, broker: Mosquitto, stack: AsyncExitStack) -> None:
        self.broker = broker
        self.past: list[Ears] = []
        self._stack = stack

    async def again(self, **users: str) -> None:
        """Start it with these users; the sink's is among them, or is not."""
        self.broker.stop()
        self.broker.users = {**USERS, **users}
        self.broker.prepare()
        await self.broker.start()
        await self.listen()

    async def listen(self) -> None:
        self.past.append(await self._stack.enter_async_context(ears(self.broker)))

    async def stored(self) -> list[str]:
        last = self.past[-1]
        last.heard = [one for one in last.heard if one[0] != "the/end"]
        await self.broker.publish("the/end", b"1", user="ears")
        await last.until(lambda: last.of("the/end"))
        told = [
            json.loads(text) for each in self.past for topic, text, _ in each.heard if "/snapshot" in topic
        ]
        return ids(told)


def _mqtt_sink(folder: Path, broker: Mosquitto) -> MqttSink:
    login = {"username": "poller", "password": USERS["poller"]}
    settings = MqttSettings.model_validate({"type": "mqtt", "url": broker.plain, **login})
    return MqttSink("mqtt", settings, _context(folder), answer=5)


async def mqtt(folder: Path, stack: AsyncExitStack) -> Place:
    broker = await stack.enter_async_context(mosquitto(make_certificates(folder), **USERS))
    hearing = Hearing(broker, stack)
    await hearing.listen()
    return Place(
        _mqtt_sink(folder, broker), hearing.stored, broker.stop,
        lambda: hearing.again(poller="another"), hearing.again,
        same_again=False, untouched=lambda: not any(one.heard for one in hearing.past),
    )  # fmt: skip


@pytest.fixture(
    params=[recording, files, daily_files, axiom, notify, webhook, mqtt], ids=lambda place: place.__name__
)
async def closed(request, tmp_path):
    """A place whose sink is not open yet."""
    async with AsyncExitStack() as stack:
        made = request.param(tmp_path, stack)
        place = made if isinstance(made, Place) else await made
        yield place
        await place.sink.close()


@pytest.fixture
async def place(closed):
    await closed.sink.open()
    return closed


async def deliver_all(sink: QueuedSink, records: Sequence) -> list[int]:
    """Deliver as the loop does; how many were done each time."""
    steps = []
    while sum(steps) < len(records):
        settlement = await sink.deliver(records[sum(steps) :])
        assert not settlement.rejected
        assert settlement.done, "neither done nor raised"
        steps.append(settlement.done)
    return steps


async def test_it_is_a_queued_sink_and_constructing_it_touches_nothing(closed) -> None:
    assert isinstance(closed.sink, QueuedSink)
    assert closed.sink.name
    assert closed.untouched()


async def test_what_is_done_is_there_and_nothing_else(place) -> None:
    """After each delivery the destination has exactly the first `done` records, in order."""
    records, done = place.records(*range(7)), 0
    while done < len(records):
        settlement = await place.sink.deliver(records[done:])
        assert 0 < settlement.done <= len(records) - done
        done += settlement.done
        assert await place.stored() == ids(records[:done])


async def test_records_that_span_days_and_vehicles_all_arrive(place) -> None:
    other = place.records(0, vin="WBA00000000000002")
    records = [*place.records(0, 1), *other, *place.records(2, 300, 301, 3000)]
    await deliver_all(place.sink, records)
    assert sorted(await place.stored()) == sorted(ids(records))


async def test_a_record_that_comes_again_is_the_same_record(place) -> None:
    records = place.records(0, 1, 2)
    await deliver_all(place.sink, records)
    await deliver_all(place.sink, [{**record, "replayed": True} for record in records[1:]])
    stored = await place.stored()
    assert list(dict.fromkeys(stored)) == ids(records)
    if place.same_again:
        assert stored == ids(records)


async def test_unavailable_means_that_nothing_is_done(place) -> None:
    await deliver_all(place.sink, place.records(0))
    await now(place.fail)
    with pytest.raises(SinkUnavailable) as caught:
        await place.sink.deliver(place.records(1, 2))
    assert caught.value.message
    await now(place.mend)
    assert await place.stored() == ids(place.records(0))
    await deliver_all(place.sink, place.records(1, 2))
    assert await place.stored() == ids(place.records(0, 1, 2))


async def test_a_wrong_setting_is_told_apart(place) -> None:
    await now(place.refuse)

    async def open_and_deliver() -> None:
        await place.sink.open()
        await place.sink.deliver(place.records(0))

    with pytest.raises(SinkMisconfigured) as caught:
        await open_and_deliver()
    assert caught.value.message
    await now(place.mend)
    assert await place.stored() == []


async def test_records_are_left_as_they_were(place) -> None:
    records = place.records(0, 1)
    before = copy.deepcopy(records)
    await deliver_all(place.sink, records)
    assert records == before


async def test_it_can_be_opened_again_and_closed_twice(place) -> None:
    await place.sink.open()
    await deliver_all(place.sink, place.records(0))
    await place.sink.close()
    await place.sink.close()
    await place.sink.open()
    await deliver_all(place.sink, place.records(1))
    assert await place.stored() == ids(place.records(0, 1))


async def test_nothing_personal_is_in_what_it_raises(place) -> None:
    await now(place.fail)
    with pytest.raises(SinkUnavailable) as caught:
        await place.sink.deliver(place.records(0))
    text = repr(caught.value) + (caught.value.hint or "")
    assert VIN not in text
    assert "xaat-" not in text
    await now(place.mend)


# Live sinks.


@dataclass
class Show:
    """A live sink and the vehicles that it shows: slug → state of charge."""

    sink: LiveSink
    shown: Callable[[], Any]

    async def comes_to(self, expected: dict[str, float]) -> bool:
        """Whether it shows this: at once, or soon where a network lies between."""
        deadline = asyncio.get_running_loop().time() + SOON
        while await now(self.shown) != expected:
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.01)
        return True


def _view(number: int, vin: str = VIN):
    _, record = snapshot_number(number, {"soc_percent": 10 * number}, vin=vin)
    fleet = Fleet()
    fleet.update(snapshot_of(record))
    return fleet.view(vin)


def recording_live(_folder: Path, _stack: AsyncExitStack) -> Show:
    sink = RecordingLiveSink()

    def shown() -> dict[str, float]:
        return {
            RENDERING.slug(vin): view.readings["soc_percent"][0].value / 100
            for vin, view in sink.views.items()
        }

    return Show(sink, shown)


def prometheus(folder: Path, _stack: AsyncExitStack) -> Show:
    settings = PrometheusSettings.model_validate({"type": "prometheus"})
    sink = PrometheusSink("prometheus", settings, _context(folder))

    def shown() -> dict[str, float]:
        rows = generate_latest(sink.registry).decode().splitlines()
        found = [row.split('"') for row in rows if row.startswith("vehicle_soc_ratio{")]
        return {slug: float(value.removeprefix("}")) for _, slug, value in found}

    return Show(sink, shown)


async def mqtt_live(folder: Path, stack: AsyncExitStack) -> Show:
    broker = await stack.enter_async_context(mosquitto(make_certificates(folder), **USERS))
    sink = await stack.enter_async_context(attended(_mqtt_sink(folder, broker)))

    async def shown() -> dict[str, float]:
        found = [(topic.split("/"), text) for topic, text in (await left_at(broker)).items()]
        return {at[1]: float(text) / 100 for at, text in found if at[-1] == "soc_percent" and len(at) == 3}

    return Show(sink, shown)


@pytest.fixture(params=[recording_live, prometheus, mqtt_live], ids=lambda show: show.__name__)
async def show(request, tmp_path):
    async with AsyncExitStack() as stack:
        yield await now(lambda: request.param(tmp_path, stack))


async def test_it_is_a_live_sink(show) -> None:
    assert isinstance(show.sink, LiveSink)


async def test_only_the_newest_of_each_vehicle_is_shown(show) -> None:
    await show.sink.open()
    for view in (_view(1), _view(3, "WBA00000000000002"), _view(2)):
        await show.sink.publish(view)
    assert await show.comes_to({"mini": 0.2, "0000002": 0.3})
    await show.sink.close()


async def test_a_vehicle_that_is_gone_is_not_shown(show) -> None:
    await show.sink.open()
    await show.sink.publish(_view(1))
    await show.sink.publish(_view(2, "WBA00000000000002"))
    await show.sink.retire(VIN)
    await show.sink.retire("WBA99999999999999")
    assert await show.comes_to({"0000002": 0.2})
    await show.sink.close()
    await show.sink.close()
