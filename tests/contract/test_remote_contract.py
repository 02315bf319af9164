"""What every source promises whose cars take orders."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
from mybmw_cloud import HastyClock, stage

from poller.errors import CommandRefused
from poller.simulator import fleet
from poller.simulator.garage import all_cars_garage
from poller.sources.remote import Remote
from poller.testing.sources import FakeSource
from poller.vehicle.command import CommandState, Order

#: Here is all that a car is told in these tests; its car has no horn.
VIN = fleet.ICE_VIN
STRANGER = "WBA99999999999999"


@asynccontextmanager
async def made(kind, folder):
    """A source, and a way to count what was sent to cars."""
    if kind == "fake":
        fake = FakeSource(HastyClock(), vins=[VIN])
        fake.cannot["horn"] = "it has none"
        yield fake, lambda: len(fake.orders)
        return
    async with stage(folder, all_cars_garage()) as road:
        yield await road.logged_in(), lambda: len(road.cloud.remote.diary)


@pytest.fixture(params=["fake", "mybmw"])
async def told(request, tmp_path):
    async with made(request.param, tmp_path) as (source, sent):
        yield source, sent


async def test_it_is_known_by_what_it_can_do(told) -> None:
    assert isinstance(told[0], Remote)


async def test_what_a_car_can_do_is_done_once(told) -> None:
    source, sent = told
    outcome = await source.execute(Order(VIN, "lock"))
    assert (outcome.state, outcome.reason) == (CommandState.EXECUTED, "")
    assert sent() == 1


async def test_what_a_car_cannot_do_is_refused_and_not_sent(told) -> None:
    source, sent = told
    with pytest.raises(CommandRefused, match=r"it has none|\(horn\)"):
        await source.execute(Order(VIN, "horn"))
    assert sent() == 0


async def test_a_stranger_is_told_nothing(told) -> None:
    source, sent = told
    for asked in (source.execute(Order(STRANGER, "lock")), source.pictures(STRANGER, ["front"])):
        with pytest.raises(CommandRefused) as refused:
            await asked
        assert STRANGER not in str(refused.value)
    assert sent() == 0


async def test_pictures_come_by_view_as_png(told) -> None:
    pictures = await told[0].pictures(VIN, ["front", "rear_view"])
    assert list(pictures) == ["front", "rear_view"]
    assert all(picture.startswith(b"\x89PNG\r\n\x1a\n") for picture in pictures.values())
