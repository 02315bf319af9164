"""What each car was told last is known after a restart, and of the record no more than sinks may see."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from order_house import BMW, NAMES, WIFE, OrderHouse

from poller.errors import CommandRefused
from poller.testing.sources import VIN
from poller.vehicle.command import CommandState, Order, Outcome, command_record


@pytest.fixture
async def house(tmp_path) -> AsyncIterator[OrderHouse]:
    made = OrderHouse(tmp_path)
    await made.open()
    await made.ask("once")
    yield made
    await made.app.close()


async def last(house: OrderHouse) -> list[dict[str, object]]:
    """As page and API get them."""
    return (await house.app.status_json())["orders"]


async def test_an_order_is_in_the_status_with_its_end(house) -> None:
    await house.order("lock")
    [order] = await last(house)
    assert (order["vehicle"], order["service"], order["state"]) == ("mini", "lock", "executed")
    assert order["ended_at"] >= order["ordered_at"]


async def test_it_is_there_after_a_restart_and_the_newest_stands_first(house) -> None:
    for service in ("horn", "lock", "unlock", "light_flash"):
        await house.order(service)
        await house.clock.advance(60)
    before = await last(house)
    assert [order["service"] for order in before] == ["light_flash", "unlock", "lock"]
    await house.app.close()
    await house.open()
    assert await last(house) == before


async def test_one_that_was_under_way_when_the_poller_died_is_called_unknown(house) -> None:
    sent, never = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        sent.set()
        await never.wait()

    house.built["bmw"].before_end = hang
    task = asyncio.create_task(house.order("unlock"))
    await asyncio.wait_for(sent.wait(), 5)
    assert [(order["state"], order["under_way"]) for order in await last(house)] == [("ordered", True)]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await house.app.close()
    await house.open()
    assert [(order["state"], order["under_way"]) for order in await last(house)] == [("ordered", False)]


async def test_a_refusal_is_an_end_too(house) -> None:
    house.built["bmw"].ends = [CommandRefused("The car cannot do that.")]
    await house.order("horn")
    [order] = await last(house)
    assert (order["state"], order["reason"]) == ("refused", "The car cannot do that.")


async def test_neither_place_nor_vin_is_kept_with_it(house) -> None:
    await house.order("send_poi", {"lat": 48.17718, "lon": 11.55672, "name": "Home"})
    await house.order("call", {"path": f"/eadrax/{VIN}/x"})
    text = json.dumps(await last(house))
    for private in ("48.1", "11.5", "Home", VIN):
        assert private not in text


async def test_an_end_and_the_next_order_at_once_are_both_known(house) -> None:
    """The end may have waited for room in the journal; neither may be written over by the other."""
    at = datetime(2026, 11, 21, 14, tzinfo=UTC)
    later = at + timedelta(minutes=5)
    end = command_record(Order(VIN, "lock"), "bmw", at, outcome=Outcome(CommandState.EXECUTED), at=at)
    begun = command_record(Order(VIN, "unlock"), "bmw", later, at=later)
    await asyncio.gather(house.app.orders.append(end), house.app.orders.append(begun))
    told = [("unlock", "ordered"), ("lock", "executed")]
    assert [(order["service"], order["state"]) for order in await last(house)] == told
    await house.app.close()
    await house.open()
    assert [(order["service"], order["state"]) for order in await last(house)] == told


async def test_two_accounts_that_spell_a_car_otherwise_order_the_same_one(tmp_path) -> None:
    made = OrderHouse(tmp_path)
    made.cars["wife"] = [VIN.lower()]
    await made.open(BMW + WIFE + NAMES)
    try:
        await made.ask("once")
        await made.order("lock", source="wife")
        assert {order["service"] for order in await last(made)} == {"lock"}
    finally:
        await made.app.close()
