"""A filled-in past of CarData: what a poller would hold that had always listened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from poller.simulator.cardata.past import fill
from poller.simulator.cardata.telling import TellingCar
from poller.simulator.fleet import BEV_VIN, MINI_VIN
from poller.simulator.garage import all_cars_garage
from poller.simulator.past import REACH
from poller.sources.base import NoMemory, SourceContext
from poller.sources.cardata.settings import CarDataSettings
from poller.sources.cardata.source import CarDataSource
from poller.testing.clock import ManualClock
from poller.testing.journal import MemoryJournal

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
INTERVAL = timedelta(minutes=30)
CARS = {vin: TellingCar(all_cars_garage().cars[vin]) for vin in (MINI_VIN, BEV_VIN)}


@pytest.fixture
def source(tmp_path) -> CarDataSource:
    client = "00000000-0000-4000-8000-00000000c11e"
    settings = CarDataSettings(type="cardata", client_id=client, stream_url="")
    context = SourceContext(ManualClock(NOW), NoMemory(), tmp_path, tmp_path, UTC)
    return CarDataSource("home", settings, context)


@pytest.fixture
async def journal() -> MemoryJournal:
    made = MemoryJournal(ManualClock(NOW))
    await made.open(["all"])
    return made


async def snapshots(journal: MemoryJournal) -> dict[str, list]:
    found: dict[str, list] = {vin: [] for vin in CARS}
    for queued in (await journal.peek("all", limit=10_000)).records:
        found[queued.record.vin].append(queued.record)
    return found


async def test_each_poll_holds_what_the_car_had_said_by_then(source, journal) -> None:
    count = await fill(journal, source, list(CARS.values()), until=NOW, interval=INTERVAL)
    found = await snapshots(journal)
    assert count == sum(map(len, found.values())) > 50
    for vin, records in found.items():
        times = [record.received_at for record in records]
        assert times == sorted(set(times))
        assert times[0] == NOW - REACH
        assert NOW - INTERVAL <= times[-1] < NOW
        for record in records:
            report = CARS[vin].reported(record.received_at)
            assert record.observed_at == report.observed_at
            assert record.body["readings"]["odometer_km"] == pytest.approx(report.odometer_km, abs=0.1)


async def test_no_poll_is_left_out_before_which_the_car_has_reported(source, journal) -> None:
    await fill(journal, source, list(CARS.values()), until=NOW, interval=INTERVAL)
    for vin, records in (await snapshots(journal)).items():
        polls = [NOW - REACH + number * INTERVAL for number in range(REACH // INTERVAL)]
        told = [CARS[vin].reported(at).observed_at for at in polls]
        news = {at for at, now, before in zip(polls[1:], told[1:], told, strict=False) if now != before}
        assert news <= {record.received_at for record in records}


async def test_it_goes_on_after_what_is_there(source, journal) -> None:
    first = NOW - timedelta(days=1)
    cars = list(CARS.values())
    begun = await fill(journal, source, cars, until=first, interval=INTERVAL)
    more = await fill(journal, source, cars, until=NOW, interval=INTERVAL)
    assert 0 < more < begun
    assert await fill(journal, source, cars, until=NOW, interval=INTERVAL) == 0
    for records in (await snapshots(journal)).values():
        times = [record.received_at for record in records]
        assert times == sorted(set(times))


async def test_what_only_rest_tells_is_asked_for_after_a_drive(source, journal) -> None:
    """The kilometres to the next service are as the car has them, whenever it stands."""
    await fill(journal, source, list(CARS.values()), until=NOW, interval=INTERVAL)
    seen = set()
    for vin, records in (await snapshots(journal)).items():
        for record in records:
            report = CARS[vin].reported(record.received_at)
            left = next(one.left_km for one in report.services if one.what == "vehicle_check")
            if not report.driving and left:
                assert record.body["readings"]["service_due_km.vehicle_check"] == pytest.approx(left, abs=1)
                seen.add((vin, left))
    assert len(seen) > len(CARS), "it has changed meanwhile"
