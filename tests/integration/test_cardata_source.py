"""A CarData account as a source: over real HTTP, with a stream in the test's hand."""

from __future__ import annotations

import asyncio
import json
import shutil
from datetime import timedelta

import pytest
from cardata_house import (
    CHARGING,
    ELECTRIC,
    GUEST,
    HOUR,
    MINUTE,
    MOVING,
    ODOMETER,
    PETROL,
    SOC,
    VEHICLES,
    Said,
    house,
    tick,
)

from poller.errors import JournalError, LoginRequired, SourceError, SourceUnavailable
from poller.simulator.cardata.rest import Vehicle
from poller.simulator.cardata.shelf import Shelf
from poller.sources.base import Attended, Source
from poller.testing.memory import DictMemory


@pytest.fixture
async def road(tmp_path):
    """Logged in, nothing asked yet."""
    async with house(tmp_path) as made:
        yield made


def conditions(source) -> list[str]:
    return [silence.condition for silence in source.channels().silences]


async def settled(road, source, ticks=8):
    """Everything that a first start asks for was asked; five minutes a tick."""
    for _ in range(ticks):
        found = await tick(source)
        await road.clock.advance(5 * MINUTE)
    road.asked()
    return found


# --- from zero --------------------------------------------------------------------------------


async def test_it_is_a_source_that_is_attended(road):
    source = road.source()
    assert isinstance(source, Source)
    assert isinstance(source, Attended)


async def test_from_zero_the_first_round_has_every_value(road):
    """Five calls for the first vehicle, two for each further one; then the rest one by one."""
    source = await road.started()
    found = await tick(source)
    assert set(found) == {ELECTRIC, PETROL}
    assert found[PETROL].value("odometer_km") == 81623
    assert found[PETROL].value("locked") is True
    assert found[PETROL].value("brand") == "mini"
    assert road.asked() == {"mappings": 1, "containers": 2, "telematicData": 2, "basicData": 2}
    await road.clock.advance(5 * MINUTE)
    await tick(source)
    assert road.asked() == {"chargingHistory": 1, "smartMaintenanceTyreDiagnosis": 1}


async def test_sessions_are_for_cars_that_charge_and_pictures_are_asked_for_once(road):
    source = await road.started()
    for _ in range(12):
        await tick(source)
        await road.clock.advance(5 * MINUTE)
    asked = road.asked()
    assert asked["chargingHistory"] == 1
    assert asked["image"] == 2
    assert asked["smartMaintenanceTyreDiagnosis"] == 2
    assert "locationBasedChargingSettings" not in asked
    assert asked["telematicData"] == 2


async def test_a_restart_costs_no_call(road):
    source = await road.started()
    before = await settled(road, source)
    source = await road.restarted()
    found = await tick(source)
    assert road.asked() == {}
    assert {vin: one.readings for vin, one in found.items()} == {
        vin: one.readings for vin, one in before.items()
    }
    await road.clock.advance(3 * MINUTE)
    await tick(source)
    assert road.asked() == {}


async def test_fifty_starts_in_a_row_cost_what_one_costs(road):
    """The first poll of each finds the stream not connected yet."""
    source = await road.started(connected=False)
    await tick(source)
    road.asked()
    for _ in range(50):
        source = await road.restarted(connected=False)
        await tick(source)
    assert road.asked() == {"chargingHistory": 1, "smartMaintenanceTyreDiagnosis": 2, "image": 2}


async def test_a_journal_put_back_from_a_backup_forgets_no_call(road):
    source = await road.started()
    await tick(source)
    await road.stop()
    backup = dict(road.memory.values)
    source = await road.started()
    await road.clock.advance(7 * HOUR)
    await tick(source)
    spent = source.channels().quota.used_24h
    await road.stop()
    road.memory.values = backup
    assert (await road.started()).channels().quota.used_24h == spent


async def test_a_vehicle_without_an_image_is_not_asked_for_it_again(tmp_path):
    async with house(tmp_path, [Vehicle(PETROL, basic={"driveTrain": "CONV"}, has_image=False)]) as road:
        source = await road.started()
        for _ in range(20):
            await tick(source)
            await road.clock.advance(5 * MINUTE)
        assert road.asked()["image"] == 1
        assert conditions(source) == []


# --- the stream -------------------------------------------------------------------------------


async def test_a_message_is_in_the_next_ticks_snapshot(road):
    source = await road.started()
    await settled(road, source)
    await road.feed.say(ELECTRIC, [{SOC: 73.5}, {ODOMETER: 81700}])
    found = (await tick(source))[ELECTRIC]
    assert (found.value("soc_percent"), found.value("odometer_km")) == (73.5, 81700)
    assert found.readings["soc_percent"].observed_at == road.clock.now()
    assert road.asked() == {}


async def test_messages_are_journalled_as_received_a_batch_and_vehicle_at_a_time(road):
    source = await road.started()
    await settled(road, source)
    road.memory.kept.clear()
    now = road.clock.now()
    bodies = [b'{"vin": "%s", "data": {}}' % ELECTRIC.encode(), b"no message at all", b'{"data": {}}']
    await road.feed.hand_on(
        Said(ELECTRIC, bodies[0], now), Said(PETROL, bodies[2], now), Said(ELECTRIC, bodies[1], now)
    )
    assert [(answer.vin, dict(answer.bodies)) for answer in road.memory.kept] == [
        (ELECTRIC, {"message-1": bodies[0], "message-2": bodies[1]}),
        (PETROL, {"message-1": bodies[2]}),
    ]


async def test_what_is_no_message_stops_nobody(road):
    source = await road.started()
    await settled(road, source)
    now = road.clock.now()
    good = json.dumps({"data": {ODOMETER: {"timestamp": now.isoformat(), "value": 90000}}}).encode()
    await road.feed.hand_on(
        Said(ELECTRIC, b"[1]", now), Said("not a car", good, now), Said(ELECTRIC, good, now)
    )
    assert (await tick(source))[ELECTRIC].value("odometer_km") == 90000


class Refusing(DictMemory):
    """A journal that can be made to fail, before or after it has stored."""

    def __init__(self):
        super().__init__()
        self.fails = ""

    async def keep(self, answer, key, value):
        if self.fails == "before":
            raise JournalError("the disk is full")
        await super().keep(answer, key, value)
        if self.fails == "after":
            # As a kill between the commit and whoever waited for it.
            raise asyncio.CancelledError


async def test_what_the_journal_did_not_take_nobody_sees(tmp_path):
    async with house(tmp_path, memory=Refusing()) as road:
        source = await road.started()
        await settled(road, source)
        road.memory.fails = "before"
        with pytest.raises(JournalError):
            await road.feed.say(ELECTRIC, [{ODOMETER: 99999}])
        road.memory.fails = ""
        assert (await tick(source))[ELECTRIC].value("odometer_km") == 81623
        await road.feed.say(ELECTRIC, [{ODOMETER: 99999}])
        assert (await tick(source))[ELECTRIC].value("odometer_km") == 99999


async def test_a_kill_after_the_commit_loses_no_message(tmp_path):
    """It is on disk and nobody has seen it: the next start shows it."""
    async with house(tmp_path, memory=Refusing()) as road:
        source = await road.started()
        await settled(road, source)
        road.memory.fails = "after"
        with pytest.raises(asyncio.CancelledError):
            await road.feed.say(ELECTRIC, [{ODOMETER: 99999}])
        road.memory.fails = ""
        assert (await tick(source))[ELECTRIC].value("odometer_km") == 81623
        source = await road.restarted()
        assert (await tick(source))[ELECTRIC].value("odometer_km") == 99999


async def test_the_two_halves_of_a_position_belong_together(road):
    where = "vehicle.cabin.infotainment.navigation.currentLocation."
    source = await road.started()
    await settled(road, source)
    first = road.clock.now()
    await road.feed.say(ELECTRIC, [{where + "latitude": 52.5}], at=first)
    await road.feed.say(ELECTRIC, [{where + "longitude": 13.4}], at=first + timedelta(seconds=1))
    await road.feed.say(ELECTRIC, [{where + "latitude": 48.1}], at=first + timedelta(minutes=2))
    found = (await tick(source))[ELECTRIC]
    assert (found.value("latitude_degrees"), found.value("longitude_degrees")) == (52.5, 13.4)


async def test_a_cut_of_an_hour_costs_one_call_for_each_car(road):
    source = await road.started()
    await settled(road, source)
    road.feed.cut()
    for _ in range(12):
        await road.clock.advance(5 * MINUTE)
        await tick(source)
    assert road.asked() == {}
    road.feed.connect()
    for _ in range(12):
        await tick(source)
        await road.clock.advance(5 * MINUTE)
    assert road.asked() == {"telematicData": 2}


async def test_a_cut_of_an_hour_fails_the_polls_once_rest_is_no_longer_fresh(road):
    source = await road.started()
    await settled(road, source)
    await road.clock.advance(HOUR)
    road.feed.cut("no_network", "the name cannot be resolved", "dns")
    await road.clock.advance(5 * MINUTE)
    found = await tick(source)
    assert isinstance(found[ELECTRIC], SourceUnavailable)
    assert found[ELECTRIC].reason == "network"
    assert conditions(source) == ["no_network"]
    road.feed.connect()
    assert not isinstance((await tick(source))[ELECTRIC], SourceError)


async def test_a_stream_that_stays_away_is_replaced_by_polls(road):
    source = await road.started()
    await settled(road, source)
    road.feed.cut("kicked", "another program uses this account's one stream connection")
    for _ in range(24 * 6):
        await road.clock.advance(5 * MINUTE)
        await tick(source)
    # From the third hour on, every 90 minutes for each of two cars.
    assert 2 * 6 <= road.asked()["telematicData"] <= 2 * 7
    assert not isinstance((await tick(source))[ELECTRIC], SourceError)
    (silence,) = (s for s in source.channels().silences if s.condition == "stream_down")
    assert "REST is polled in its place" in silence.message


@pytest.mark.parametrize(("away", "calls"), [(2 * MINUTE, 0), (HOUR, 2)], ids=["a restart", "an hour"])
async def test_our_own_absence_is_a_gap_if_it_was_long(road, away, calls):
    source = await road.started()
    await settled(road, source)
    await tick(source)
    await road.stop()
    await road.clock.advance(away)
    source = await road.started()
    for _ in range(6):
        await tick(source)
        await road.clock.advance(5 * MINUTE)
    assert road.asked().get("telematicData", 0) == calls


@pytest.mark.parametrize(
    ("before", "after"),
    [({MOVING: True}, {MOVING: False}), ({CHARGING: "CHARGINGACTIVE"}, {CHARGING: "NOCHARGING"})],
)
async def test_what_has_just_ended_is_asked_about_once(road, before, after):
    """The car has reported: REST now has lock state and services as they are after the trip or charge."""
    source = await road.started()
    await settled(road, source)
    await road.feed.say(ELECTRIC, [before])
    await road.clock.advance(20 * MINUTE)
    await tick(source)
    assert road.asked() == {}
    await road.feed.say(ELECTRIC, [after])
    # A restart does not forget it.
    source = await road.restarted()
    for _ in range(6):
        await road.clock.advance(5 * MINUTE)
        await tick(source)
    assert road.asked() == {"telematicData": 1}
    assert source.channels().quota.purposes["trip-end" if MOVING in after else "charge-end"] == 1


# --- one without the other --------------------------------------------------------------------


async def test_rest_alone_polls_at_the_pace_of_its_calls(road):
    source = await road.started(stream_url="")
    await tick(source)
    road.asked()
    for _ in range(12 * 24):
        await road.clock.advance(5 * MINUTE)
        found = await tick(source)
        assert not any(isinstance(one, SourceError) for one in found.values())
    assert 28 <= road.asked()["telematicData"] <= 32
    assert not any(feed.running for feed in road.feeds)
    assert source.channels().stream is None


async def test_without_a_daemon_rest_is_polled_and_a_second_look_costs_nothing(road):
    """`poller once`: nobody attends, so there is no stream."""
    for calls in (7, 0, 0):
        source = road.source()
        await source.open()
        found = await tick(source)
        assert found[PETROL].value("odometer_km") == 81623
        assert sum(road.asked().values()) == calls
        await source.close()


async def test_without_a_daemon_a_login_that_is_gone_is_named_at_once(road):
    """Although REST's last answer is as young as it is to be."""
    source = road.source()
    await source.open()
    await tick(source)
    await source.close()
    shutil.rmtree(road.folder / "accounts")
    source = road.source()
    await source.open()
    found = await tick(source)
    assert found[ELECTRIC].reason == LoginRequired.reason
    assert isinstance(found[ELECTRIC], LoginRequired)
    await source.close()


async def test_a_stream_alone_works_without_the_scope_for_rest(road):
    road.login.subscribed = {"authenticate_user", "openid", "cardata:streaming:read"}
    said = await road.log_in()
    assert "cardata:api:read" in said
    assert "CarData API" in said
    source = await road.started()
    found = await tick(source)
    assert isinstance(found[""], SourceUnavailable)
    assert not isinstance(found[""], LoginRequired)
    await road.feed.say(PETROL, [{ODOMETER: 4711}])
    assert (await tick(source))[PETROL].value("odometer_km") == 4711
    assert road.asked() == {}
    (silence,) = source.channels().silences
    assert (silence.condition, silence.hint is not None) == ("refused", True)


async def test_a_broker_of_the_owners_needs_no_login(tmp_path):
    async with house(tmp_path, logged_in=False) as road:
        source = await road.started(stream_topic="bmw/+")
        assert road.feed.auth is None
        await road.feed.say(PETROL, [{ODOMETER: 4711}])
        assert (await tick(source))[PETROL].value("odometer_km") == 4711
        assert conditions(source) == []
        source = await road.restarted(stream_topic="bmw/+")
        assert (await tick(source))[PETROL].value("odometer_km") == 4711
        # It may come back, so nothing waits for a login.
        road.feed.cut(message="your broker takes no connections")
        await road.clock.advance(HOUR)
        assert not isinstance((await tick(source))[PETROL], LoginRequired)
        assert conditions(source) == ["stream_down"]


# --- what BMW refuses -------------------------------------------------------------------------


async def test_without_a_login_a_human_is_asked_for(tmp_path):
    async with house(tmp_path, logged_in=False) as road:
        source = await road.started(connected=False)
        found = await tick(source)
        assert isinstance(found[""], LoginRequired)
        assert "poller login home" in found[""].hint
        assert conditions(source) == ["refused"]
        assert source.channels().silences[0].message == found[""].message
        await road.log_in()
        assert not isinstance((await tick(source))[PETROL], SourceError)
        assert conditions(source) == []


async def test_a_login_that_ended_is_named_and_the_next_one_is_taken_up(road):
    source = await road.started(connected=False)
    await settled(road, source)
    road.login.revoke()
    road.feed.cut("refused", "BMW's stream refuses the login", "credentials")
    await road.clock.advance(2 * HOUR)
    found = await tick(source)
    assert isinstance(found[ELECTRIC], LoginRequired)
    assert found[ELECTRIC].reason == "login_required"
    assert conditions(source)[0] == "refused"
    await road.log_in()
    road.feed.connect()
    found = await tick(source)
    assert not any(isinstance(one, SourceError) for one in found.values())
    assert conditions(source) == []


async def test_without_stream_a_missing_scope_needs_a_human(road):
    road.login.subscribed = {"authenticate_user", "openid"}
    await road.log_in()
    source = await road.started(stream_url="")
    found = await tick(source)
    assert isinstance(found[""], LoginRequired)
    assert found[""].reason == "scope"
    assert "CarData API" in found[""].hint
    assert road.asked() == {}


async def test_a_scope_that_the_server_takes_away_fails_no_poll_while_the_stream_works(road):
    source = await road.started()
    await settled(road, source)
    road.rest.order("CU-103", count=None)
    for _ in range(80):
        await road.clock.advance(5 * MINUTE)
        found = await tick(source)
        assert not any(isinstance(one, SourceError) for one in found.values())
    assert 1 <= sum(road.asked().values()) <= 6


async def test_a_vehicle_that_is_not_ours_is_named_with_the_step_that_mends_it(road):
    source = await road.started(vins=(GUEST, PETROL))
    found = await tick(source)
    assert found[GUEST].reason == "not_mapped"
    assert "PRIMARY" in found[GUEST].hint
    assert found[PETROL].value("odometer_km") == 81623
    (silence,) = source.channels().silences
    assert (silence.condition, silence.vehicle) == ("refused", "0000003")
    assert GUEST not in silence.message
    assert road.asked()["telematicData"] == 1


async def test_an_account_without_a_vehicle_of_its_own_says_so(tmp_path):
    async with house(tmp_path, [Vehicle(GUEST, mapping="SECONDARY")]) as road:
        source = await road.started()
        found = await tick(source)
        assert found[""].reason == "not_mapped"
        assert road.asked() == {"mappings": 1}


async def test_a_vehicle_whose_data_bmw_refuses_stops_nobody_and_is_tried_once_a_day(road):
    road.rest.order("CU-104", path=f"/customers/vehicles/{ELECTRIC}", count=None)
    source = await road.started()
    for _ in range(12 * 24):
        found = await tick(source)
        assert found[PETROL].value("odometer_km") == 81623
        assert found[ELECTRIC].reason == "not_mapped"
        await road.clock.advance(5 * MINUTE)
    refused = [request for request in road.rest.requests if ELECTRIC in request]
    assert sum(road.rest.requests[request] for request in refused) <= 3


async def test_a_container_that_bmw_refuses_is_named(tmp_path):
    async with house(tmp_path, shelf=Shelf(longest=3)) as road:
        source = await road.started()
        found = await tick(source)
        assert found[PETROL].reason == "container"
        assert conditions(source)[0] == "refused"
        assert source.channels().silences[0].vehicle == ""


async def test_a_container_that_vanished_is_made_anew(road):
    source = await road.started(stream_url="")
    await settled(road, source)
    road.rest.shelves.clear()
    for _ in range(36):
        await road.clock.advance(5 * MINUTE)
        found = await tick(source)
    assert road.asked()["containers"] == 2
    assert not any(isinstance(one, SourceError) for one in found.values())


# --- the quota --------------------------------------------------------------------------------


async def test_spent_calls_are_said_with_the_time_and_fail_no_poll_while_the_stream_works(road):
    source = await road.started()
    await settled(road, source)
    road.rest.order("CU-429", count=None)
    for _ in range(12 * 7):
        await road.clock.advance(5 * MINUTE)
        found = await tick(source)
        assert not any(isinstance(one, SourceError) for one in found.values())
    # One for each of the conditions under which BMW is asked; then the ledger knows.
    assert sum(road.asked().values()) == 1
    silence, *_ = source.channels().silences
    assert silence.condition == "budget_spent"
    assert "2026-11-22 00:0" in silence.hint


async def test_without_stream_spent_calls_fail_the_poll_but_do_not_stop_it(road):
    source = await road.started(quota_per_day=12, reserve=2, stream_url="")
    for _ in range(12 * 12):
        found = await tick(source)
        await road.clock.advance(5 * MINUTE)
        assert len(road.rest.quota.made["00000000-0000-4000-8000-000000009c1d"]) <= 12
    assert not any(isinstance(one, LoginRequired) for one in found.values())
    failed = [one for one in found.values() if isinstance(one, SourceError)]
    assert {one.reason for one in failed} <= {"quota"}


async def test_calls_that_another_source_object_spent_count_after_reading_anew(road):
    """A reload: the new source was opened beside the old one, which went on."""
    old = await road.started()
    new = road.source()
    await new.open()
    await tick(old)
    await road.feed.say(ELECTRIC, [{ODOMETER: 99999}])
    spent = old.channels().quota.used_24h
    assert new.channels().quota.used_24h == 0
    await new.open()
    assert new.channels().quota.used_24h == spent
    assert (await tick(new))[ELECTRIC].value("odometer_km") == 99999


# --- the network ------------------------------------------------------------------------------


async def test_a_server_in_trouble_fails_no_poll_while_the_stream_works(road):
    source = await road.started()
    await settled(road, source)
    road.rest.order("CU-500", count=None)
    for _ in range(80):
        await road.clock.advance(5 * MINUTE)
        assert not isinstance((await tick(source))[ELECTRIC], SourceError)


async def test_a_server_in_trouble_without_stream_is_the_reason_of_every_poll_until_it_answers(road):
    source = await road.started(stream_url="")
    await settled(road, source)
    road.rest.order("CU-503", count=None)
    await road.clock.advance(2 * HOUR)
    for _ in range(6):
        found = await tick(source)
        assert {one.reason for one in found.values()} == {"server"}
        await road.clock.advance(5 * MINUTE)
    assert sum(road.asked().values()) <= 6
    road.rest.clear()
    await road.clock.advance(15 * MINUTE)
    assert not any(isinstance(one, SourceError) for one in (await tick(source)).values())


async def test_no_network_at_all(road):
    source = await road.started(stream_url="", api_url="http://127.0.0.1:9")
    found = await tick(source)
    assert found[""].reason == "network"
    assert conditions(source) == ["no_network"]
    assert source.channels().quota.used_24h == 0


async def test_a_gateway_that_refuses_every_token_does_not_end_the_polls(road):
    """It did so for days, and healed; the login can be refreshed all the while."""
    source = await road.started(stream_url="")
    await settled(road, source)
    road.rest.order("fault 401", count=None)
    await road.clock.advance(2 * HOUR)
    found = await tick(source)
    assert not isinstance(found[ELECTRIC], LoginRequired)
    assert found[ELECTRIC].reason == "login_required"
    assert conditions(source) == ["refused"]
    road.rest.clear()
    await road.clock.advance(2 * HOUR)
    assert not any(isinstance(one, SourceError) for one in (await tick(source)).values())


# --- what it is -------------------------------------------------------------------------------


async def test_left_and_right_by_basic_data_else_by_the_owners_word(road):
    road.steering[PETROL] = "right"
    source = await road.started()
    await settled(road, source)
    door = "vehicle.cabin.door.row1.driver.isOpen"
    for vin in (ELECTRIC, PETROL):
        await road.feed.say(vin, [{door: True}])
    found = await tick(source)
    for vin in (ELECTRIC, PETROL):
        assert found[vin].value("door_open.front_right") is True


async def test_a_car_heard_before_the_list_was_had_is_shown(road):
    """And one that the list does not have is, until BMW has said so."""
    road.rest.order("CU-500", path="/customers/vehicles/mappings", count=None)
    source = await road.started()
    await road.feed.say(GUEST, [{ODOMETER: 4711}])
    assert (await tick(source))[GUEST].value("odometer_km") == 4711
    road.rest.clear()
    await road.clock.advance(2 * HOUR)
    assert set(await tick(source)) == {ELECTRIC, PETROL}


async def test_a_new_car_makes_the_list_be_asked_for(tmp_path):
    async with house(tmp_path, VEHICLES[:1]) as road:
        source = await road.started()
        await settled(road, source)
        road.rest._vehicles[PETROL] = VEHICLES[1]
        await road.feed.say(PETROL, [{ODOMETER: 4711}])
        for _ in range(12):
            await road.clock.advance(5 * MINUTE)
            found = await tick(source)
        assert found[PETROL].value("locked") is True
        assert road.asked()["mappings"] == 1


async def test_no_vin_gcid_or_place_is_in_what_is_said(road):
    source = await road.started(vins=(GUEST, PETROL))
    road.rest.order("CU-500", count=None)
    found = await tick(source)
    words = [f"{error} {error.hint}" for error in found.values() if isinstance(error, SourceError)]
    words += [f"{s.message} {s.hint} {s.vehicle}" for s in source.channels().silences]
    assert words
    assert not any(vin in text for text in words for vin in (GUEST, PETROL, ELECTRIC))
