"""An order on its way from the owner to the car: who is meant, what is journalled, what is said."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from order_house import BMW, NAMES, OTHER, WIFE, OrderHouse
from structlog.testing import capture_logs

from poller.app import App
from poller.commands import TABLE
from poller.errors import (
    ArgumentRefused,
    CommandRefused,
    ConfigError,
    JournalError,
    JournalFull,
    LoginRequired,
    RateLimited,
    SourceError,
    SourceUnavailable,
)
from poller.last_orders import LastOrders
from poller.sources.base import Target
from poller.testing.journal import MemoryJournal
from poller.testing.sources import VIN
from poller.vehicle.command import CommandState, Found, Order, Outcome, command_record
from poller.vehicle.records import Record


@pytest.fixture
async def house(tmp_path) -> AsyncIterator[OrderHouse]:
    made = OrderHouse(tmp_path)
    await made.open()
    yield made
    await made.app.close()


@pytest.fixture
async def two(tmp_path) -> AsyncIterator[OrderHouse]:
    """Two accounts, a car each."""
    made = OrderHouse(tmp_path)
    await made.open(BMW + WIFE + NAMES)
    yield made
    await made.app.close()


class Choosy(MemoryJournal):
    """Refuses what is said of the cars in `refused`, and lets what it takes wait for `gate`."""

    def __init__(self, clock) -> None:
        super().__init__(clock)
        self.refused: set[str] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.tried = 0

    async def append(self, entry):
        self.tried += 1
        if any(record.vin in self.refused for record in entry.records):
            raise JournalError("no")
        await self.gate.wait()
        return await super().append(entry)


async def _journalling(house: OrderHouse) -> Choosy:
    """An app that runs over a journal which can be told to be full."""
    app = house.make()
    (house.folder / "data").mkdir()
    app.journal = journal = Choosy(house.clock)
    app.orders = LastOrders(journal)
    app.road = app._road(app.loaded)
    await journal.open(["files"])
    await app.road.open()
    return journal


def _end(vin: str) -> Record:
    """What came of an order."""
    at = datetime(2026, 11, 21, 14, tzinfo=UTC)
    return command_record(Order(vin, "horn"), "bmw", at, outcome=Outcome(CommandState.EXECUTED), at=at)


class TestWhoIsMeant:
    async def test_a_car_goes_by_vin_or_name_or_by_being_the_only_one(self, house) -> None:
        for name in (VIN, VIN.lower(), VIN[-7:], "mini", "MINI", " mini ", "", None):
            chosen = await house.ask("vehicle-choose", vehicle=name)
            assert (chosen["vin"], chosen["vehicle"], chosen["source"]) == (VIN, "mini", "bmw")
            assert chosen["file"] == str(house.path)

    async def test_a_car_goes_by_the_makers_name(self, house) -> None:
        house.built["bmw"].script = [{"model": "MINI Cooper SE"}]
        await house.ask("once")
        chosen = await house.ask("vehicle-choose", vehicle="mini cooper se")
        assert chosen["title"] == "mini (MINI Cooper SE)"
        with pytest.raises(ConfigError, match="no vehicle is i3") as caught:
            await house.ask("vehicle-choose", vehicle="i3")
        assert caught.value.hint == "known: mini (MINI Cooper SE)"

    async def test_a_car_that_nobody_knows_is_named_with_those_that_are_known(self, two) -> None:
        with pytest.raises(ConfigError, match="no vehicle is audi") as caught:
            await two.ask("vehicle-choose", vehicle="audi")
        assert caught.value.hint == "known: 0000002, mini"

    async def test_of_several_cars_one_must_be_named(self, two) -> None:
        with pytest.raises(ConfigError, match="there are several vehicles") as caught:
            await two.ask("vehicle-choose")
        assert caught.value.hint == "say which: 0000002, mini"
        assert (await two.ask("vehicle-choose", source="wife"))["vin"] == OTHER

    async def test_of_several_accounts_that_know_the_car_one_must_be_named(self, two) -> None:
        two.built["wife"].vins = [OTHER, VIN]
        with pytest.raises(ConfigError, match="several accounts know mini: bmw, wife") as caught:
            await two.order(vehicle="mini")
        assert caught.value.hint == "say which: --source bmw"
        await two.order(vehicle="mini", source="wife")
        assert [len(two.built[name].orders) for name in ("bmw", "wife")] == [0, 1]

    async def test_two_cars_of_one_name_are_not_guessed_between(self, two) -> None:
        for source in two.built.values():
            source.script = [{"model": "i3"}]
        await two.ask("once")
        with pytest.raises(ConfigError, match="several vehicles are i3"):
            await two.order(vehicle="i3")

    async def test_a_source_that_cannot_tell_cars_anything_is_none(self, two) -> None:
        with pytest.raises(ConfigError, match="no source that can tell a car anything is named dumps"):
            await two.ask("vehicle-choose", source="dumps")

    async def test_where_no_account_can_it_is_said_what_it_takes(self, tmp_path) -> None:
        app = App(OrderHouse(tmp_path).load(BMW))
        await app.open()
        try:
            with pytest.raises(ConfigError, match="no source can tell a car anything") as caught:
                await TABLE["vehicle-choose"](app, {})
        finally:
            await app.close()
        assert '"mybmw"' in (caught.value.hint or "")

    async def test_an_account_that_does_not_answer_takes_nothing_from_the_other(self, two) -> None:
        two.built["wife"].listing = SourceUnavailable("no network")
        assert (await two.ask("vehicle-choose", vehicle="mini"))["vin"] == VIN
        for nameless in (None, "0000002"):
            with pytest.raises(SourceUnavailable, match="no network"):
                await two.ask("vehicle-choose", vehicle=nameless)

    async def test_a_model_may_be_another_accounts_too_that_does_not_answer(self, two) -> None:
        """An account that is not heard may have a second i3: neither is unlocked for the other."""
        two.built["bmw"].script = [{"model": "i3"}]
        await two.ask("once")
        two.built["wife"].listing = SourceUnavailable("no network")
        for sure in (VIN, VIN[-7:], "mini"):
            assert (await two.ask("vehicle-choose", vehicle=sure))["vin"] == VIN
        with pytest.raises(SourceUnavailable, match="no network"):
            await two.order("unlock", vehicle="i3")
        assert two.built["bmw"].orders == []

    async def test_cars_of_one_short_name_are_told_apart_by_their_vins(self, two) -> None:
        alike = "WMW" + OTHER[3:]
        two.built["bmw"].vins = [alike]
        with pytest.raises(ConfigError, match="several vehicles are 0000002") as caught:
            await two.ask("vehicle-choose", vehicle="0000002")
        assert caught.value.hint == f"say which: {OTHER}, {alike}"

    async def test_a_name_that_is_anothers_model_is_not_given_as_the_way_out(self, two) -> None:
        two.built["wife"].script = [{"model": "MINI"}]
        await two.ask("once")
        with pytest.raises(ConfigError, match="several vehicles are mini") as caught:
            await two.order("unlock", vehicle="mini")
        assert caught.value.hint == f"say which: {OTHER}, {VIN}"

    async def test_two_accounts_that_spell_a_car_otherwise_know_the_same_one(self, two) -> None:
        two.built["wife"].vins = [VIN.lower()]
        with pytest.raises(ConfigError, match="several accounts know mini: bmw, wife"):
            await two.order(vehicle=VIN)

    async def test_who_must_log_in_is_told_so(self, house) -> None:
        house.built["bmw"].listing = LoginRequired(hint="run `poller login bmw`")
        with pytest.raises(LoginRequired) as caught:
            await house.order()
        assert caught.value.hint == "run `poller login bmw`"

    async def test_a_wait_that_the_server_asked_for_holds_for_orders_too(self, house) -> None:
        later = house.clock.now().replace(hour=20)
        house.built["bmw"].script = [RateLimited(later, "the quota is spent", hint="wait")]
        await house.ask("once")
        with pytest.raises(SourceError, match="the quota is spent"):
            await house.order()
        assert house.built["bmw"].orders == []
        await house.clock.advance(7 * 3600)
        assert (await house.order())["exit_code"] == 0

    async def test_a_wait_that_an_order_is_told_of_holds_for_the_next_and_for_polls(self, house) -> None:
        """And in the next process: a script that goes on ordering must not hammer a server that said no."""
        later = house.clock.now().replace(hour=20)
        house.built["bmw"].ends = [RateLimited(later, "the quota is spent")]
        assert (await house.order())["exit_code"] == 1
        await house.app.close()
        await house.open()
        with pytest.raises(SourceError, match="the quota is spent"):
            await house.order()
        assert (await house.ask("once"))["sources"][0]["error"] == "the quota is spent"
        assert (house.built["bmw"].orders, house.built["bmw"].fetched) == ([], [])
        await house.clock.advance(7 * 3600)
        assert (await house.order())["exit_code"] == 0

    async def test_whoever_waited_too_long_for_the_list_of_cars_is_not_served_any_more(self, house) -> None:
        """Nor is it journalled: the owner has gone away."""

        async def slow():
            await house.clock.advance(61)
            return [Target(VIN)]

        house.built["bmw"].targets = slow
        with pytest.raises(CommandRefused, match="was not sent any more"):
            await house.order("unlock")
        assert (house.built["bmw"].orders, await house.journalled()) == ([], [])

    @pytest.mark.parametrize(("ordered", "listing"), [(61, 0), (50, 11), (-3600, 61)])
    async def test_the_minute_begins_when_the_order_is_given(self, house, ordered, listing) -> None:
        """A daemon that was stopped finds it later; one that comes from the future is of now."""
        asked = []

        async def slow():
            asked.append(listing)
            await house.clock.advance(listing)
            return [Target(VIN)]

        house.built["bmw"].targets = slow
        with pytest.raises(CommandRefused, match="was not sent any more"):
            await house.order("unlock", ordered_at=time.time() - ordered)
        assert asked == [listing] * (ordered < 60)
        assert (house.built["bmw"].orders, await house.journalled()) == ([], [])

    async def test_an_order_that_lay_for_a_moment_is_carried_out(self, house) -> None:
        assert (await house.order(ordered_at=time.time() - 30))["exit_code"] == 0


class TestJournal:
    async def test_an_order_is_journalled_before_it_is_sent_and_again_with_its_end(self, house) -> None:
        seen = []

        async def under_way() -> None:
            seen.extend(await house.journalled())
            await house.clock.advance(10)

        house.built["bmw"].before_end = under_way
        report = await house.order("charging_settings", {"target_soc": 80})
        (before,), (after,) = seen, await house.journalled()
        assert (before.revision, before.body["state"]) == (1, "ordered")
        assert (after.id, after.revision, after.body["state"]) == (before.id, 2, "executed")
        assert after.body["arguments"] == {"target_soc": 80}
        assert report["record"]["id"] == after.id
        assert report["record"]["revision"] == 2

    async def test_a_sink_gets_both(self, house) -> None:
        """In the folder of files each stands under its own time."""

        async def under_way() -> None:
            await house.app.road.deliveries["files"].drain()
            await house.clock.advance(10)

        house.built["bmw"].before_end = under_way
        await house.order()
        await house.app.road.deliveries["files"].drain()
        states = {}
        for path in sorted((house.folder / "data" / "snapshots").rglob("*-command.json")):
            record = json.loads(path.read_text())
            states[record["state"]] = record.get("revision")
        assert states == {"ordered": None, "executed": 2}

    async def test_a_stop_in_the_middle_leaves_it_ordered(self, house) -> None:
        begun = asyncio.Event()

        async def under_way() -> None:
            begun.set()
            await asyncio.Event().wait()

        house.built["bmw"].before_end = under_way
        ordering = asyncio.create_task(house.order())
        await begun.wait()
        ordering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ordering
        assert [record.body["state"] for record in await house.journalled()] == ["ordered"]
        assert not house.app.ordered

    async def test_what_cannot_be_journalled_is_not_sent(self, tmp_path) -> None:
        house = OrderHouse(tmp_path)
        journal = await _journalling(house)
        journal.full = True
        with pytest.raises(JournalFull):
            await house.order()
        assert house.built["bmw"].orders == []

    async def test_an_end_that_the_journal_cannot_take_follows_when_it_can(self, tmp_path) -> None:
        house = OrderHouse(tmp_path)
        journal = await _journalling(house)

        async def fill() -> None:
            journal.full = True

        house.built["bmw"].before_end = fill
        report = await house.order()
        assert (report["exit_code"], bool(report["unkept"])) == (0, True)
        await house.app.keep_ends()
        assert [record.body["state"] for record in await house.journalled()] == ["ordered"]
        journal.full = False
        await house.app.keep_ends()
        assert [record.body["state"] for record in await house.journalled()] == ["executed"]
        assert house.app.unkept == {}

    async def test_what_is_known_of_such_an_end_is_shown(self, tmp_path) -> None:
        house = OrderHouse(tmp_path)
        journal = await _journalling(house)
        await house.ask("once")

        async def fill() -> None:
            journal.full = True

        house.built["bmw"].before_end = fill
        await house.order()
        shown = [order.state for order in house.app.status().orders]
        await house.app.close()
        assert shown == ["executed"]

    async def test_an_end_that_the_journal_refuses_for_good_keeps_no_other_out(self, tmp_path) -> None:
        house = OrderHouse(tmp_path)
        journal = await _journalling(house)
        house.app.unkept = {end.id: end for end in (_end(VIN), _end(OTHER))}
        journal.refused = {VIN}
        await house.app.keep_ends()
        assert [record.vin for record in await house.journalled()] == [OTHER]
        assert [end.vin for end in house.app.unkept.values()] == [VIN]

    async def test_a_journal_that_hangs_gets_such_an_end_once(self, tmp_path) -> None:
        """Whatever it does with what waits there, it need not do it every 15 seconds."""
        house = OrderHouse(tmp_path)
        journal = await _journalling(house)
        journal.gate.clear()
        end = _end(VIN)
        house.app.unkept[end.id] = end
        for _ in range(3):
            look = asyncio.create_task(house.app.keep_ends())
            await house.clock.settle()
            look.cancel()
        assert (journal.tried, house.app.unkept) == (1, {end.id: end})
        journal.gate.set()
        await house.app.keep_ends()
        assert (journal.tried, house.app.unkept) == (1, {})
        assert [record.body["state"] for record in await house.journalled()] == ["executed"]

    async def test_a_stop_gives_such_an_end_a_last_chance(self, tmp_path) -> None:
        house = OrderHouse(tmp_path)
        journal = await _journalling(house)

        async def fill() -> None:
            journal.full = True

        house.built["bmw"].before_end = fill
        await house.order()
        journal.full = False
        await house.app.close()
        await house.app.journal.open(["files"])
        assert [record.body["state"] for record in await house.journalled()] == ["executed"]

    async def test_no_place_is_in_record_or_log(self, house) -> None:
        place = {"latitude": 48.17718, "longitude": 11.55672, "name": "Secret", "street": "Hidden 1"}
        house.built["bmw"].ends = [
            Outcome(CommandState.EXECUTED),
            Outcome(CommandState.EXECUTED, found=Found(48.17718, 11.55672, 90, "Hidden 1")),
            Outcome(CommandState.ERROR, f"the car {VIN} near 48.177180, 11.556720 said no"),
        ]
        house.app.running = True
        with capture_logs() as logs:
            await house.order("send_poi", place)
            house.clock.jump(1)
            report = await house.order("vehicle_finder", {"observer_latitude": 48.17718})
            house.clock.jump(1)
            await house.order()
        assert report["found"] == {
            "latitude": 48.17718, "longitude": 11.55672, "heading": 90, "address": "Hidden 1",
        }  # fmt: skip
        assert [entry["event"] for entry in logs] == ["command.ordered", "command.ended"] * 3
        text = repr([record.body for record in await house.journalled()]) + repr(logs)
        assert [word for word in ("48.177", "11.556", "Secret", "Hidden", VIN) if word in text] == []


class TestEnds:
    async def test_every_end_is_journalled_told_and_has_its_exit_code(self, house) -> None:
        ends = [
            (Outcome(CommandState.EXECUTED), 0, "executed"),
            (Outcome(CommandState.IGNORED, "No charger is connected."), 0, "ignored"),
            (Outcome(CommandState.ERROR, "The car refused."), 1, "error"),
            (Outcome(CommandState.TIMED_OUT, "Nothing came in 240 s."), 1, "timed_out"),
            (Outcome(CommandState.UNKNOWN, "Nobody knows."), 1, "unknown"),
            (CommandRefused("The car has no horn."), 1, "refused"),
            (ArgumentRefused("target_soc is no whole number"), 2, "refused"),
            (LoginRequired("BMW wants a new login."), 3, "refused"),
            (SourceUnavailable("No network."), 1, "refused"),
            (KeyError("eventId"), 1, "unknown"),
        ]
        told = []
        for end, *_ in ends:
            house.built["bmw"].ends = [end]
            report = await house.order()
            told.append((end, report["exit_code"], report["record"]["state"]))
            assert report["record"].get("reason") or report["exit_code"] == 0
            house.clock.jump(1)
        assert told == ends
        assert [record.body["state"] for record in await house.journalled()] == [end[2] for end in ends]

    async def test_nobody_is_told_that_an_order_is_tried_again_by_itself(self, house) -> None:
        """A poll is; whoever believes it of an unlock walks away from a closed car."""
        again = "look at this machine's network; it is tried again by itself"
        house.built["bmw"].ends = [SourceUnavailable("No network.", hint=again, reason="network")]
        assert (await house.order())["hint"].endswith("give the order again")

    async def test_what_the_car_cannot_do_is_explained_and_not_sent(self, house) -> None:
        house.built["bmw"].cannot = {"horn": "this car was not told: BMW lists no horn"}
        report = await house.order()
        assert (report["exit_code"], report["record"]["reason"]) == (
            1,
            "this car was not told: BMW lists no horn",
        )
        assert house.built["bmw"].orders == []

    async def test_a_service_that_this_version_does_not_know_is_refused(self, house) -> None:
        with pytest.raises(ConfigError, match="no car can be told to fly"):
            await house.order("fly")


class TestAtOnce:
    async def test_a_second_order_to_the_car_is_refused_while_one_is_under_way(self, two) -> None:
        gate, begun = asyncio.Event(), asyncio.Event()

        async def under_way() -> None:
            begun.set()
            await gate.wait()

        two.built["bmw"].before_end = under_way
        first = asyncio.create_task(two.order(vehicle="mini"))
        await begun.wait()
        refused = "another order to mini is under way; this one was not sent"
        async with asyncio.timeout(10):
            with pytest.raises(CommandRefused, match=refused):
                await two.order("lock", vehicle="mini")
        assert (await two.order(vehicle="0000002"))["exit_code"] == 0
        gate.set()
        assert (await first)["exit_code"] == 0
        assert (await two.order("lock", vehicle="mini"))["exit_code"] == 0
        assert [order.service for order in two.built["bmw"].orders] == ["horn", "lock"]


class TestAfterwards:
    async def test_without_a_daemon_the_source_is_polled_seven_seconds_later(self, house) -> None:
        house.built["bmw"].ends = [Outcome(CommandState.EXECUTED, stale=True)]
        assert (await house.order())["stale"]
        assert house.clock.sleeping == 0
        rereading = asyncio.create_task(house.ask("vehicle-reread", source="bmw"))
        await house.clock.advance(6.9)
        assert house.clock.sleeping == 1
        await house.clock.advance(0.2)
        assert (await rereading)["error"] is None
        assert house.built["bmw"].fetched == [VIN]

    async def test_what_the_source_before_a_reload_has_found_counts(self, house) -> None:
        """The order may have been carried out by that one: what was remembered since is read anew."""
        source = house.built["bmw"]
        opened = source.opened
        rereading = asyncio.create_task(house.ask("vehicle-reread", source="bmw"))
        await house.clock.advance(7)
        await rereading
        assert source.opened == opened + 1

    async def test_a_wait_is_respected_and_said(self, house) -> None:
        later = house.clock.now().replace(hour=20)
        house.built["bmw"].script = [RateLimited(later, "the quota is spent")]
        await house.ask("once")
        rereading = asyncio.create_task(house.ask("vehicle-reread", source="bmw"))
        await house.clock.advance(7)
        assert (await rereading)["error"] == "the quota is spent"
        assert len(house.built["bmw"].fetched) == 1


async def test_pictures_come_in_base64(house) -> None:
    report = await house.ask("vehicle-pictures", vehicle="mini", views=["front", "side"])
    assert base64.b64decode(report["pictures"]["front"]) == b"\x89PNG\r\n\x1a\nfront"
    assert set(report["pictures"]) == {"front", "side"}
    assert await house.journalled() == []


async def test_a_source_in_use_is_closed_by_its_last_user(house) -> None:
    """A reload closes the old road; the order on it goes on with its connections."""
    road, source = house.app.road, house.built["bmw"]
    async with road.using("bmw"):
        async with road.using("bmw"):
            await road.close()
        assert source.closed == 0
    assert source.closed == 1
