"""What every queued sink promises, asked of each and of the double; and what every live sink does."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from poller.errors import SinkMisconfigured, SinkUnavailable
from poller.simulator.axiom import FakeAxiom, status, take_in
from poller.simulator.server import serve
from poller.sinks.axiom import AxiomSink
from poller.sinks.base import LiveSink, QueuedSink, SinkContext
from poller.sinks.json_files import JsonFilesSink
from poller.sinks.prometheus import PrometheusSink
from poller.sinks.settings import AxiomSettings, JsonFilesSettings, PrometheusSettings
from poller.testing.clock import ManualClock
from poller.testing.records import VIN, record_number, snapshot_number
from poller.testing.sinks import RecordingLiveSink, RecordingSink, accept
from poller.vehicle.fleet import Fleet
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import snapshot_of

RENDERING = Rendering({VIN: "mini"})


def rendered(*numbers: int) -> list[dict]:
    return [RENDERING.render(record_number(number)) for number in numbers]


def ids(records: Sequence) -> list[str]:
    return [record["id"] for record in records]


@dataclass
class Place:
    """A sink and its destination, which the test can look into and break."""

    sink: QueuedSink
    stored: Callable[[], list[str]]  # ids, in order, repeated as often as they are there
    fail: Callable[[], None]  # for a while: the sink cannot be reached
    refuse: Callable[[], None]  # for good: a setting is wrong
    mend: Callable[[], None]
    same_again: bool  # the destination itself knows a record that comes twice
    untouched: Callable[[], bool]


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


@pytest.fixture(params=[recording, files, daily_files, axiom], ids=lambda place: place.__name__)
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
    records, done = rendered(*range(7)), 0
    while done < len(records):
        settlement = await place.sink.deliver(records[done:])
        assert 0 < settlement.done <= len(records) - done
        done += settlement.done
        assert place.stored() == ids(records[:done])


async def test_records_that_span_days_and_vehicles_all_arrive(place) -> None:
    other = Rendering({}).render(record_number(0, vin="WBA00000000000002"))
    records = [*rendered(0, 1), other, *rendered(2, 300, 301, 3000)]
    await deliver_all(place.sink, records)
    assert sorted(place.stored()) == sorted(ids(records))


async def test_a_record_that_comes_again_is_the_same_record(place) -> None:
    records = rendered(0, 1, 2)
    await deliver_all(place.sink, records)
    await deliver_all(place.sink, [{**record, "replayed": True} for record in records[1:]])
    stored = place.stored()
    assert list(dict.fromkeys(stored)) == ids(records)
    if place.same_again:
        assert stored == ids(records)


async def test_unavailable_means_that_nothing_is_done(place) -> None:
    await deliver_all(place.sink, rendered(0))
    place.fail()
    with pytest.raises(SinkUnavailable) as caught:
        await place.sink.deliver(rendered(1, 2))
    assert caught.value.message
    place.mend()
    assert place.stored() == ids(rendered(0))
    await deliver_all(place.sink, rendered(1, 2))
    assert place.stored() == ids(rendered(0, 1, 2))


async def test_a_wrong_setting_is_told_apart(place) -> None:
    place.refuse()

    async def open_and_deliver() -> None:
        await place.sink.open()
        await place.sink.deliver(rendered(0))

    with pytest.raises(SinkMisconfigured) as caught:
        await open_and_deliver()
    assert caught.value.message
    place.mend()
    assert place.stored() == []


async def test_records_are_left_as_they_were(place) -> None:
    records = rendered(0, 1)
    before = copy.deepcopy(records)
    await deliver_all(place.sink, records)
    assert records == before


async def test_it_can_be_opened_again_and_closed_twice(place) -> None:
    await place.sink.open()
    await deliver_all(place.sink, rendered(0))
    await place.sink.close()
    await place.sink.close()
    await place.sink.open()
    await deliver_all(place.sink, rendered(1))
    assert place.stored() == ids(rendered(0, 1))


async def test_nothing_personal_is_in_what_it_raises(place) -> None:
    place.fail()
    with pytest.raises(SinkUnavailable) as caught:
        await place.sink.deliver(rendered(0))
    text = repr(caught.value) + (caught.value.hint or "")
    assert VIN not in text
    assert "xaat-" not in text
    place.mend()


# Live sinks.


@dataclass
class Show:
    """A live sink and the vehicles that it shows: slug → state of charge."""

    sink: LiveSink
    shown: Callable[[], dict[str, float]]


def _view(number: int, vin: str = VIN):
    _, record = snapshot_number(number, {"soc_percent": 10 * number}, vin=vin)
    fleet = Fleet()
    fleet.update(snapshot_of(record))
    return fleet.view(vin)


def recording_live(_folder: Path) -> Show:
    sink = RecordingLiveSink()

    def shown() -> dict[str, float]:
        return {
            RENDERING.slug(vin): view.readings["soc_percent"][0].value / 100
            for vin, view in sink.views.items()
        }

    return Show(sink, shown)


def prometheus(folder: Path) -> Show:
    settings = PrometheusSettings.model_validate({"type": "prometheus"})
    sink = PrometheusSink("prometheus", settings, _context(folder))

    def shown() -> dict[str, float]:
        rows = generate_latest(sink.registry).decode().splitlines()
        found = [row.split('"') for row in rows if row.startswith("vehicle_soc_ratio{")]
        return {slug: float(value.removeprefix("}")) for _, slug, value in found}

    return Show(sink, shown)


@pytest.fixture(params=[recording_live, prometheus], ids=lambda show: show.__name__)
def show(request, tmp_path) -> Show:
    return request.param(tmp_path)


async def test_it_is_a_live_sink(show) -> None:
    assert isinstance(show.sink, LiveSink)
    assert not isinstance(show.sink, QueuedSink)


async def test_only_the_newest_of_each_vehicle_is_shown(show) -> None:
    await show.sink.open()
    for view in (_view(1), _view(3, "WBA00000000000002"), _view(2)):
        await show.sink.publish(view)
    assert show.shown() == {"mini": 0.2, "0000002": 0.3}
    await show.sink.close()


async def test_a_vehicle_that_is_gone_is_not_shown(show) -> None:
    await show.sink.open()
    await show.sink.publish(_view(1))
    await show.sink.publish(_view(2, "WBA00000000000002"))
    await show.sink.retire(VIN)
    await show.sink.retire("WBA99999999999999")
    assert show.shown() == {"0000002": 0.2}
    await show.sink.close()
    await show.sink.close()
