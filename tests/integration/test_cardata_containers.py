"""Custody of the container over real HTTP: made once, used again, smaller if need be, never in a loop."""

from __future__ import annotations

import json

import pytest
from cardata_rest import LOCK, ODOMETER, VIN, Stage, staged

from poller.errors import RateLimited, SourceUnavailable
from poller.simulator.cardata.shelf import Shelf
from poller.sources.cardata.rest.client import CarDataClient
from poller.sources.cardata.rest.containers import Containers, intent_of
from poller.testing.memory import DictMemory

FULL = [ODOMETER, LOCK, "vehicle.isMoving"]
SMALL = [ODOMETER]
HOUR = 3600


async def custody(stage: Stage, ladder=(FULL, SMALL), *, memory=None) -> Containers:
    """As after a start."""
    made = Containers(
        "home",
        "cardata:test",
        client=stage.client,
        memory=memory or stage.memory,
        clock=stage.clock,
        ladder=ladder,
    )
    await made.open()
    return made


def kept(stage: Stage):
    return stage.fake.shelves["account"].kept


async def descriptors_of(stage: Stage, container: str):
    return json.loads(await stage.client.container(container))["technicalDescriptors"]


async def test_the_first_start_makes_a_container_and_later_ones_ask_nobody() -> None:
    async with staged() as stage:
        first = await (await custody(stage)).current()
        assert stage.made() == 2  # the list, the creation
        assert [call.purpose for call in stage.ledger.standing().calls] == ["container"] * 2
        for _ in range(3):
            assert await (await custody(stage)).current() == first
        assert stage.made() == 0
        assert await descriptors_of(stage, first) == FULL


async def test_without_what_was_kept_on_disk_the_container_is_found_again() -> None:
    async with staged() as stage:
        first = await (await custody(stage)).current()
        stage.made()
        assert await (await custody(stage, memory=DictMemory())).current() == first
        assert stage.made() == 1


async def test_containers_of_other_programs_and_deleted_ones_are_left_alone() -> None:
    async with staged() as stage:
        ours = json.loads(await stage.client.create_container("poller", intent_of(FULL), FULL))["containerId"]
        await stage.client.delete_container(ours)
        other = json.loads(await stage.client.create_container("theirs", intent_of(FULL), FULL))[
            "containerId"
        ]
        assert await (await custody(stage)).current() not in (ours, other)
        assert kept(stage)[other].deleted_at is None


async def test_a_changed_list_replaces_the_container() -> None:
    async with staged() as stage:
        old = await (await custody(stage, [SMALL])).current()
        new = await (await custody(stage, [FULL, SMALL])).current()
        assert new != old
        assert await descriptors_of(stage, new) == FULL
        assert kept(stage)[old].deleted_at is not None


@pytest.mark.parametrize(
    "shelf", [Shelf(longest=1), Shelf(known=[ODOMETER])], ids=["too long: CU-403", "unknown key: CU-402"]
)
async def test_a_list_that_bmw_refuses_becomes_smaller_and_stays_so(shelf) -> None:
    async with staged(shelf=shelf) as stage:
        container = await (await custody(stage)).current()
        assert await descriptors_of(stage, container) == SMALL
        stage.made()
        assert await (await custody(stage)).current() == container
        assert stage.made() == 0


async def test_a_server_error_that_the_smaller_list_does_not_meet_is_the_lists() -> None:
    async with staged() as stage:
        stage.fake.order("CU-500", path="/customers/containers", after=1)
        assert await descriptors_of(stage, await (await custody(stage)).current()) == SMALL


async def test_an_outage_is_waited_for_with_growing_pauses_over_restarts() -> None:
    """A crash loop in an outage must not burn the day's calls."""
    async with staged() as stage:
        stage.fake.order("CU-503", path="/customers/containers", count=None)
        for _ in range(20):
            with pytest.raises(SourceUnavailable):
                await (await custody(stage)).current()
        assert stage.made() == 1
        for minutes, calls in ((14, 0), (2, 1), (50, 0), (11, 1)):
            await stage.clock.advance(minutes * 60)
            with pytest.raises(SourceUnavailable):
                await (await custody(stage)).current()
            assert stage.made() == calls
        stage.fake.clear()
        await stage.clock.advance(6 * HOUR)
        await (await custody(stage)).current()


async def test_without_a_network_no_pause_grows() -> None:
    """A machine that starts before its network must not wait for six hours afterwards."""
    async with staged() as stage:
        # Nobody listens there.
        dead = CarDataClient(
            "home",
            api_url="http://127.0.0.1:9",
            token=stage.account.token,
            ledger=stage.ledger,
            clock=stage.clock,
        )
        await dead.open()
        live, stage.client = stage.client, dead
        for _ in range(5):
            with pytest.raises(SourceUnavailable, match="could not be reached"):
                await (await custody(stage)).current()
        await dead.close()
        stage.client = live
        assert await (await custody(stage)).current()


async def test_an_account_that_is_full_is_said_to_be_and_asked_once_a_day() -> None:
    async with staged() as stage:
        for number in range(10):
            await stage.client.create_container("theirs", f"no. {number}", SMALL)
        stage.made()
        keeper = await custody(stage)
        with pytest.raises(SourceUnavailable) as told:
            await keeper.current()
        assert "delete one" in (told.value.hint or "")
        await stage.clock.advance(23 * HOUR)
        with pytest.raises(SourceUnavailable):
            await keeper.current()
        assert stage.made() == 1  # the list says enough: no creation is tried


async def test_deleted_containers_that_still_count_are_met_once_a_day() -> None:
    async with staged() as stage:
        for number in range(10):
            made = json.loads(await stage.client.create_container("theirs", f"no. {number}", SMALL))
            await stage.client.delete_container(made["containerId"])
        stage.made()
        keeper = await custody(stage)
        for _ in range(3):
            with pytest.raises(SourceUnavailable) as told:
                await keeper.current()
            await stage.clock.advance(7 * HOUR)
        assert told.value.reason == "container"
        assert stage.made() == 2
        await stage.clock.advance(30 * 24 * HOUR)
        assert await keeper.current()


async def test_an_older_container_of_ours_serves_while_there_is_no_room_for_the_new_one() -> None:
    async with staged() as stage:
        old = await (await custody(stage, [SMALL])).current()
        for number in range(9):
            await stage.client.create_container("theirs", f"no. {number}", SMALL)
        assert await (await custody(stage, [FULL])).current() == old
        assert await (await custody(stage, [FULL], memory=DictMemory())).current() == old
        assert kept(stage)[old].deleted_at is None


async def test_a_container_that_vanishes_is_made_anew_once_a_day() -> None:
    async with staged() as stage:
        keeper = await custody(stage)
        first = await keeper.current()
        kept(stage).clear()
        with pytest.raises(SourceUnavailable) as told:
            await stage.client.telematic_data(VIN, first)
        assert told.value.code == "CU-105"
        await keeper.gone(first)
        second = await keeper.current()
        assert second != first
        kept(stage).clear()
        await keeper.gone(second)
        stage.made()
        keeper = await custody(stage)
        with pytest.raises(SourceUnavailable, match="too early"):
            await keeper.current()
        assert stage.made() == 0
        await stage.clock.advance(24 * HOUR)
        assert await keeper.current()


async def test_a_container_that_is_listed_but_not_honoured_is_not_used_again() -> None:
    async with staged() as stage:
        keeper = await custody(stage)
        first = await keeper.current()
        await keeper.gone(first)
        assert await keeper.current() != first


async def test_calls_that_are_spent_are_no_failure_of_the_container() -> None:
    async with staged(limit=11) as stage:
        for _ in range(11):
            await stage.client.mappings()
        keeper = await custody(stage)
        for _ in range(3):
            with pytest.raises(RateLimited):
                await keeper.current()
        await stage.clock.advance(25 * HOUR)
        assert await keeper.current()
