"""The REST client over real HTTP: every call paid for first, every refusal named, nothing tried in secret."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from cardata_rest import GUEST, LOCK, ODOMETER, START, VIN, Account, staged

from poller.errors import JournalError, LoginRequired, RateLimited, SourceUnavailable
from poller.simulator.cardata.errors import SHAPES
from poller.simulator.faults import Fault
from poller.sources.cardata.rest.client import CarDataClient, mappings_in
from poller.sources.cardata.rest.ledger import MARGIN, Ledger
from poller.sources.http import Limits
from poller.testing.clock import ManualClock
from poller.testing.memory import DictMemory


async def test_each_endpoint_gives_what_bmw_said_and_costs_a_call_with_a_reason() -> None:
    async with staged() as stage:
        client = stage.client
        assert list(mappings_in(await client.mappings())) == [VIN, GUEST]
        assert json.loads(await client.basic_data(VIN))["driveTrain"] == "BEV"
        made = json.loads(await client.create_container("poller", "test", [ODOMETER, LOCK]))
        told = json.loads(await client.container(made["containerId"]))
        assert told["technicalDescriptors"] == [ODOMETER, LOCK]
        data = json.loads(await client.telematic_data(VIN, made["containerId"], purpose="set-up"))
        assert data["telematicData"][LOCK] == {"timestamp": None, "unit": None, "value": None}
        assert json.loads(await client.tyre_diagnosis(VIN)) == {"passengerCar": {}}
        assert (await client.image(VIN)).startswith(b"\x89PNG")
        assert json.loads(await client.containers())["containers"][0]["state"] == "ACTIVE"
        await client.delete_container(made["containerId"])
        await client.delete_container(made["containerId"])  # 208 with CU-122 is a success
        calls = stage.ledger.standing().calls
        assert [call.purpose for call in calls] == [
            "mappings", "basicData", "createContainer", "container", "set-up", "tyreDiagnosis", "image",
            "containers", "deleteContainer", "deleteContainer",
        ]  # fmt: skip
        assert {call.vehicle for call in calls} == {"", VIN[-7:].lower()}
        assert stage.spent == stage.made() == 10


@pytest.mark.parametrize("shape", ["array", "object", "wrapper"])
async def test_the_list_of_vehicles_comes_in_three_shapes(shape) -> None:
    async with staged(mapping_shape=shape) as stage:
        assert VIN in mappings_in(await stage.client.mappings())


async def test_what_is_no_list_of_vehicles_is_said_to_be_none() -> None:
    for body in (b"null", b"3", b'{"total": 0}'):
        with pytest.raises(SourceUnavailable, match="not understood"):
            mappings_in(body)


async def test_a_paged_list_is_read_to_its_end_and_each_page_costs_a_call() -> None:
    """The history's reply says ``next_token``, the settings' ``nextToken``; the question is the same."""
    async with staged() as stage:
        pages = await stage.client.charging_history(VIN, START - timedelta(days=9), START)
        assert [len(json.loads(body)["data"]) for body in pages.bodies] == [2, 2, 1]
        assert pages.cut is None
        places = await stage.client.charging_settings(VIN)
        assert [len(json.loads(body)["data"]) for body in places.bodies] == [2, 1]
        assert stage.spent == 5


async def test_paging_that_expired_starts_again_once() -> None:
    async with staged() as stage:
        stage.fake.order("CU-125", path=f"/customers/vehicles/{VIN}/chargingHistory", count=1, after=1)
        pages = await stage.client.charging_history(VIN, START - timedelta(days=9), START)
        assert ([len(json.loads(body)["data"]) for body in pages.bodies], pages.cut) == ([2, 2, 1], None)
        assert stage.spent == 5


async def test_pages_that_were_paid_for_are_kept_when_the_calls_run_out() -> None:
    async with staged(limit=12) as stage:
        pages = await stage.client.charging_history(VIN, START - timedelta(days=9), START, routine=True)
        assert len(pages.bodies) == 2
        assert isinstance(pages.cut, RateLimited)


@pytest.mark.parametrize("shape", ["CU-102", "plain 401", "fault 401", "fault 500", "CU-127 token"])
async def test_a_refused_token_is_replaced_once_and_the_second_call_is_paid_for(shape) -> None:
    async with staged() as stage:
        stage.fake.order(shape)
        stage.account.next = stage.account.taken
        await stage.client.mappings()
        assert stage.account.asked == [False, True]
        assert stage.spent == 2


async def test_a_token_that_is_refused_twice_needs_a_human() -> None:
    async with staged() as stage:
        stage.account.taken = "another"
        with pytest.raises(LoginRequired) as told:
            await stage.client.mappings()
        assert told.value.hint == "run `poller login home`"
        assert (stage.made(), stage.spent) == (2, 2)


@pytest.mark.parametrize("shape", sorted(set(SHAPES) - {"CU-122"}))
async def test_every_shape_of_error_is_an_error_of_ours(shape) -> None:
    """One call each, two where the token is blamed: no failure is tried again in secret."""
    async with staged() as stage:
        stage.fake.order(shape, count=None)
        stage.account.next = stage.account.taken
        with pytest.raises((SourceUnavailable, LoginRequired, RateLimited)) as told:
            await stage.client.basic_data(VIN)
        assert VIN not in f"{told.value} {told.value.hint}"
        assert stage.made() == stage.spent == len(stage.account.asked) <= 2


async def test_a_vehicle_that_is_not_ours_is_named_by_its_mapping() -> None:
    async with staged() as stage:
        with pytest.raises(SourceUnavailable) as told:
            await stage.client.basic_data(GUEST)
        assert (told.value.reason, told.value.code) == ("not_mapped", "CU-104")


@pytest.mark.parametrize("shape", ["CU-429", "CU-429 by 429"])
async def test_bmws_word_that_the_calls_are_spent_stops_all_calls_until_the_next_day(shape) -> None:
    async with staged() as stage:
        stage.fake.order(shape)
        for _ in range(3):
            with pytest.raises(RateLimited) as told:
                await stage.client.mappings()
            assert told.value.until == START.replace(hour=0) + timedelta(days=1) + MARGIN
            assert told.value.reason == "quota"
        assert stage.made() == 1
        await stage.clock.advance(10.1 * 3600)
        await stage.client.mappings()
        await stage.client.mappings()
        assert stage.ledger.standing().blocked_by == ""


async def test_a_server_error_does_not_prove_that_there_are_calls_again() -> None:
    async with staged() as stage:
        await stage.ledger.refused()
        await stage.clock.advance(10.1 * 3600)
        stage.fake.order("CU-503")
        with pytest.raises(SourceUnavailable):
            await stage.client.mappings()
        with pytest.raises(RateLimited):
            await stage.client.mappings()
        assert stage.made() == 1


async def test_bmw_never_sees_more_calls_than_it_allows() -> None:
    """Sixty tries: the fifty-first is not even sent; routine stops at forty."""
    async with staged() as stage:
        for routine, most in ((True, 40), (False, 50)):
            for _ in range(60):
                try:
                    await stage.client.mappings(routine=routine)
                except RateLimited:
                    break
            assert stage.fake.requests.total() == most


async def test_a_call_that_reached_nobody_costs_nothing() -> None:
    clock, memory, account = ManualClock(START), DictMemory(), Account()
    ledger = Ledger(memory, "cardata:test", clock, limit=50, reserve=10)
    await ledger.open()
    client = CarDataClient(
        "home", api_url="http://127.0.0.1:9", token=account.token, ledger=ledger, clock=clock
    )
    await client.open()
    with pytest.raises(SourceUnavailable) as told:
        await client.mappings()
    await client.close()
    assert told.value.reason == "network"
    assert ledger.standing().used_24h == 0


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(kind="reset"), "network"),
        (Fault(kind="half_body"), "network"),
        (Fault(kind="slow", seconds=5), "timeout"),
    ],
)
async def test_a_call_that_broke_off_is_paid_for_and_not_tried_again(fault, reason) -> None:
    """BMW may have counted it; that is all that is known."""
    async with staged(fault=fault, limits=Limits(timeout=0.3)) as stage:
        with pytest.raises(SourceUnavailable) as told:
            await stage.client.mappings()
        assert told.value.reason == reason
        assert stage.spent == 1
        assert len(stage.account.asked) == 1


async def test_a_call_that_cannot_be_noted_is_not_sent() -> None:
    async with staged() as stage:

        async def full(_key, _value) -> None:
            raise JournalError("no room")

        stage.memory.remember = full
        with pytest.raises(JournalError):
            await stage.client.mappings()
        assert stage.made() == 0


async def test_an_answer_beyond_the_limit_is_not_read() -> None:
    async with staged(limits=Limits(timeout=5.0, largest_body=20)) as stage:
        with pytest.raises(SourceUnavailable, match="larger than 20 bytes"):
            await stage.client.mappings()


async def test_an_image_must_be_one() -> None:
    async with staged() as stage:
        stage.fake.order("no json")
        with pytest.raises(SourceUnavailable, match="image"):
            await stage.client.image(VIN)


@pytest.mark.parametrize(("day", "refused"), [("utc", False), ("rolling", True)])
async def test_the_fake_knows_both_kinds_of_day(day, refused) -> None:
    async with staged(per_day=1, day=day) as stage:
        await stage.client.mappings()
        await stage.clock.advance(11 * 3600)
        if refused:
            with pytest.raises(RateLimited):
                await stage.client.mappings()
        else:
            await stage.client.mappings()
