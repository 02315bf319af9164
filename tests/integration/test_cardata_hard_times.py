"""A CarData account whose cloud, cars and owner do not behave: what is counted, kept and said then."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from cardata_house import (
    CHARGING,
    DAY,
    ELECTRIC,
    HOUR,
    LOCK,
    MINUTE,
    MOVING,
    ODOMETER,
    PETROL,
    START,
    VEHICLES,
    Said,
    house,
    tick,
)

from poller.errors import LoginRequired, MalformedAnswer, SourceError
from poller.simulator.cardata.login import GCID
from poller.sources.cardata.cars.state import MAX_TEXT

ANOTHER_CLIENT = "00000000-0000-4000-8000-00000000c12e"
REST_ONLY = {"stream_url": ""}


@pytest.fixture
async def road(tmp_path):
    """Logged in, nothing asked yet."""
    async with house(tmp_path) as made:
        yield made


async def lived(road, source, hours: float, every: float = 15 * MINUTE) -> list[dict]:
    """So many hours of ticks."""
    found = []
    for _ in range(round(hours * HOUR / every)):
        found.append(await tick(source))
        await road.clock.advance(every)
    return found


async def settled(road, source) -> None:
    await lived(road, source, 1, 5 * MINUTE)
    road.asked()


def silences(source, condition: str) -> list[str]:
    return [one.message for one in source.channels().silences if one.condition == condition]


# --- the account's calls, whichever client makes them -----------------------------------------


async def test_a_client_made_anew_the_same_day_has_no_new_calls(road):
    """The owner deletes the client in the portal, creates another, and sets its id: BMW counts on."""
    road.login.client_ids.add(ANOTHER_CLIENT)
    first = await road.started(**REST_ONLY)
    await lived(road, first, 8)
    made = len(road.rest.quota.made[GCID])
    assert made == first.channels().quota.used_24h > 12
    await road.stop()
    road.settings = {"client_id": ANOTHER_CLIENT}
    await road.log_in()
    second = await road.started(**REST_ONLY)
    assert second.channels().quota.used_24h == made
    await lived(road, second, 16)
    assert len(road.rest.quota.made[GCID]) <= 50


async def test_what_the_client_before_was_asked_is_no_try_of_the_new_one(road):
    """It knows nothing yet, and asks for it at once, from the reserve if need be."""
    road.login.client_ids.add(ANOTHER_CLIENT)
    first = await road.started(**REST_ONLY)
    await lived(road, first, 1, 5 * MINUTE)
    await road.stop()
    road.settings = {"client_id": ANOTHER_CLIENT, **REST_ONLY}
    await road.log_in()
    found = await tick(await road.started())
    assert found[ELECTRIC].value("odometer_km") == 81623


async def test_a_login_beside_the_daemon_brings_the_calls_of_the_client_before(road):
    """The daemon runs with the new id already, and waits for the human."""
    road.login.client_ids.add(ANOTHER_CLIENT)
    first = await road.started(**REST_ONLY)
    await settled(road, first)
    await road.stop()
    road.settings = {"client_id": ANOTHER_CLIENT, **REST_ONLY}
    second = await road.started()
    assert isinstance((await tick(second))[""], LoginRequired)
    assert second.channels().quota.used_24h == 0
    await road.log_in()
    await tick(second)
    assert second.channels().quota.used_24h == len(road.rest.quota.made[GCID]) > 12


# --- BMW out of order -------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["CU-500", "CU-127 token"])
async def test_days_in_which_bmw_answers_nothing_do_not_use_up_the_calls(road, shape):
    """What is owed after a gap is asked for again, ever more seldom: some calls are left at any time."""
    source = await road.started()
    await settled(road, source)
    road.feed.cut()
    await road.clock.advance(10 * MINUTE)
    road.feed.connect()
    road.rest.order(shape, count=None, path="/customers/vehicles")
    for _ in range(2):
        await lived(road, source, 24)
        quota = source.channels().quota
        assert 10 < quota.used_24h <= 36
        assert quota.remaining > quota.reserve
    road.rest.clear()
    road.asked()
    await lived(road, source, 2.5)
    assert road.asked()["telematicData"] == 2


@pytest.mark.parametrize("shape", ["CU-500", "no json", "plain 429"])
async def test_a_server_in_trouble_is_said_while_the_stream_works(road, shape):
    """And as long as it lasts, not only for some minutes after each call."""
    source = await road.started()
    await settled(road, source)
    road.rest.order(shape, count=None, path="/customers/vehicles")
    await lived(road, source, 7)
    for _ in range(8):
        assert all(not isinstance(one, SourceError) for one in (await tick(source)).values())
        (message,) = silences(source, "no_network")
        assert "the stream goes on" in message
        assert not any("all works" in quiet for quiet in silences(source, "car_quiet"))
        await road.clock.advance(15 * MINUTE)
    road.rest.clear()
    await lived(road, source, 2.5)
    assert silences(source, "no_network") == []
    assert all("all works" in quiet for quiet in silences(source, "car_quiet"))


@pytest.mark.parametrize(
    ("shape", "condition"), [("CU-503", "no_network"), ("fault 401", "refused"), ("plain 429", "no_network")]
)
async def test_after_a_restart_it_is_still_known_why_rest_fails(road, shape, condition):
    """The next call is hours away, and until then nobody could tell that not all works."""
    source = await road.started()
    await settled(road, source)
    road.rest.order(shape, count=None, path="/customers/vehicles")
    await lived(road, source, 7)
    before = silences(source, condition)
    assert before != []
    road.asked()
    source = await road.restarted()
    assert silences(source, condition) == before
    assert not any("all works" in quiet for quiet in silences(source, "car_quiet"))
    assert road.asked() == {}
    road.rest.clear()
    await lived(road, source, 2.5)
    assert silences(await road.restarted(), condition) == []


async def test_a_note_of_failures_that_was_damaged_stops_nobody(road):
    source = await road.started()
    await settled(road, source)
    for damaged in ({"troubles": [{"what": 1}]}, {"troubles": 7}, {"troubles": ["x"]}):
        await road.memory.remember(f"troubles:{source.account}", damaged)
        assert silences(await road.restarted(), "no_network") == []


async def test_of_failures_only_the_damaged_ones_are_forgotten(road):
    source = await road.started()
    await settled(road, source)
    road.rest.order("CU-503", count=None, path="/customers/vehicles")
    await lived(road, source, 7)
    before, key = silences(source, "no_network"), f"troubles:{source.account}"
    assert before != []
    rows = (await road.memory.recall(key))["troubles"]
    await road.memory.remember(key, {"troubles": [{"what": 1}, "x", *rows]})
    assert silences(await road.restarted(), "no_network") == before


@pytest.mark.parametrize("shape", ["CU-127 token", "fault 401"])
async def test_a_token_that_bmw_refuses_is_no_answer_and_is_said(road, shape):
    """CU-127 means "no charging settings", and comes with an invalid token too."""
    source = await road.started()
    await settled(road, source)
    road.rest.order(shape, count=None, path="/customers/vehicles")
    await lived(road, source, 8)
    (message,) = silences(source, "refused")
    assert "does not take the login" in message
    # Refreshing is in vain, so a try costs one call, not two.
    road.asked()
    await lived(road, source, 2.1)
    assert road.asked()["telematicData"] <= 3


async def test_without_stream_polls_fail_until_bmw_answers_again(road):
    source = await road.started(**REST_ONLY)
    await settled(road, source)
    road.rest.order("CU-503", count=None)
    await road.clock.advance(2 * HOUR)
    for found in await lived(road, source, 6):
        assert {one.reason for one in found.values()} == {"server"}
    road.rest.clear()
    await lived(road, source, 2.5)
    assert all(not isinstance(one, SourceError) for one in (await tick(source)).values())


async def test_an_answer_without_a_value_is_no_value(tmp_path):
    async with house(tmp_path, data=lambda *_: {}) as road:
        source = await road.started(**REST_ONLY)
        found = await tick(source)
        assert all("nothing has come" in one.message for one in found.values())


# --- what is not understood -------------------------------------------------------------------


async def test_messages_that_are_none_are_journalled_and_put_into_quarantine(road):
    """The good ones of their batch count; a copy an hour tells enough of what comes all day."""
    source = await road.started()
    await settled(road, source)
    road.memory.kept.clear()
    good = json.dumps({"data": {ODOMETER: {"timestamp": road.clock.now().isoformat(), "value": 90000}}})
    bodies = [b"[1]", good.encode(), b"{}", b"[2]"]
    for _ in range(3):
        await road.feed.hand_on(*(Said(ELECTRIC, body, road.clock.now()) for body in bodies))
    assert (await tick(source))[ELECTRIC].value("odometer_km") == 90000
    assert [list(answer.bodies.values()) for answer in road.memory.kept] == [bodies] * 3
    aside = {reason: list(answer.bodies.values()) for answer, reason in road.quarantined}
    assert aside == {"it is no JSON object": [b"[1]", b"[2]"], "the message has no data object": [b"{}"]}
    assert len(road.quarantined) == 2
    await road.clock.advance(HOUR)
    await road.feed.hand_on(Said(ELECTRIC, b"[3]", road.clock.now()))
    assert len(road.quarantined) == 3


async def test_an_answer_that_is_none_is_journalled_and_put_into_quarantine(road):
    source = await road.started()
    await settled(road, source)
    road.memory.kept.clear()
    with pytest.raises(MalformedAnswer):
        await source._garage.take(ELECTRIC, "telematicData", {"telematicData": b'{"a": 1}'})
    with pytest.raises(MalformedAnswer):
        await source._garage.take(ELECTRIC, "basicData", {"basicData": b" " * 70_000})
    assert [list(answer.bodies) for answer in road.memory.kept] == [["telematicData"], ["basicData"]]
    assert [reason for _, reason in road.quarantined] == [
        "the answer has no telematicData object",
        "it is too long",
    ]
    assert (await tick(source))[ELECTRIC].value("odometer_km") == 81623


async def test_an_answer_that_a_bug_keeps_us_from_reading_is_not_lost(road):
    """It was paid for with one of fifty calls, and is read again after a fix."""
    source = await road.started()
    await settled(road, source)
    road.memory.kept.clear()
    with pytest.raises(MalformedAnswer, match="internal error: KeyError"):
        await source._garage.take(ELECTRIC, "telematicData", {"telematic": b"{}"})
    for body, told in ((b"[" * 100_000, "internal error: RecursionError"), (b'"x"', "not understood")):
        with pytest.raises(SourceError, match=told):
            await source._garage.take_mappings(body)
    assert [list(answer.bodies) for answer in road.memory.kept] == [["telematic"], ["mappings"], ["mappings"]]
    assert [reason.partition(":")[2].strip() for _, reason in road.quarantined[:2]] == [
        "KeyError",
        "RecursionError",
    ]
    assert len(road.quarantined) == 3
    assert list(await tick(source)) == [ELECTRIC, PETROL]


async def test_a_list_of_vehicles_may_hold_anything(tmp_path):
    """Names that are no VINs become no path of a request, and nobody has thousands of cars."""
    async with house(tmp_path) as road:
        source = await road.started()
        entries = [
            {"vin": vin, "mappingType": "PRIMARY"} for vin in ("\ud800" * 17, "../../mappings", "", ELECTRIC)
        ]
        entries += [{"vin": f"WBA{number:014}", "mappingType": "P" * 10_000} for number in range(100, 1000)]
        await source._garage.take_mappings(json.dumps(entries).encode())
        assert list(await tick(source)) == [ELECTRIC]
        kept = sum(map(len, road.memory.values.values()))
        assert kept < 50_000


async def test_what_a_car_says_is_bounded_however_much_it_is(road):
    """A broker of the owner's may carry anything; the whole state is written with each message."""
    source = await road.started()
    for number in range(100):
        await road.feed.say(ELECTRIC, [{f"x.y{number}": f"{number}" * 8000}])
    await road.feed.say(ELECTRIC, [{CHARGING: "CHARGINGACTIVE"}, {MOVING: True}])
    await tick(source)
    state = source._garage.dossier(ELECTRIC).state
    assert len(json.dumps(state.to_json())) < MAX_TEXT + 50_000
    assert state.held[MOVING].value is True
    assert state.left_out > 0


# --- a stream that is connected, and brings nothing -------------------------------------------


def told(*names: str, ago: timedelta):
    """BMW's server has what the car measured some time before it was asked."""

    def data(_vin, descriptors, at):
        stamp = (at - ago).isoformat()
        return {
            name: {"timestamp": stamp, "unit": None, "value": "1"} for name in names if name in descriptors
        }

    return data


@pytest.mark.parametrize(
    ("more", "mend"), [({}, "Configure data stream"), ({"stream_topic": "bmw/+"}, "feeds your broker")]
)
async def test_a_car_that_reports_and_is_not_streamed_is_not_called_quiet(tmp_path, more, mend):
    async with house(tmp_path, data=told(ODOMETER, LOCK, ago=timedelta(hours=2))) as road:
        source = await road.started(**more)
        await lived(road, source, 7)
        found = [one for one in source.channels().silences if one.condition == "stream_down"]
        assert {one.vehicle for one in found} == {"0000001", "0000002"}
        assert all("brought nothing of it" in one.message and mend in one.hint for one in found)
        # One message is enough: what a car sends is up to it, and to what was ticked.
        for vin in (ELECTRIC, PETROL):
            await road.feed.tell(vin, vehicle__isMoving=False)
        assert silences(source, "stream_down") == []


@pytest.mark.parametrize(
    "data",
    [
        # The lock is never streamed; the rest may be on its way, or was measured before we listened.
        told(LOCK, ago=timedelta(hours=2)),
        told(ODOMETER, LOCK, ago=timedelta(minutes=1)),
        told(ODOMETER, LOCK, ago=timedelta(days=1)),
    ],
)
async def test_what_the_stream_cannot_have_brought_is_not_missed(tmp_path, data):
    async with house(tmp_path, VEHICLES[:1], data=data) as road:
        source = await road.started()
        await lived(road, source, DAY / HOUR / 2)
        assert silences(source, "stream_down") == []


# --- who looks too often ----------------------------------------------------------------------


async def test_a_doctor_called_every_hour_leaves_calls_for_a_recovery(road):
    source = await road.started(**REST_ONLY)
    await settled(road, source)
    for _ in range(12):
        examination = await source.examine()
        await road.clock.advance(30 * MINUTE)
    assert examination.calls == 0
    assert any("not asked" in one.text for one in examination.findings)
    assert source.channels().quota.purposes["doctor"] == 10


async def test_a_list_without_an_end_does_not_take_all_calls(tmp_path):
    """Each page costs one."""
    sessions = [{"startTime": int(START.timestamp()) - n * 600, "displayedSoc": 80} for n in range(1, 100)]
    cars = [replace(car, sessions=sessions) for car in VEHICLES[:1]]
    async with house(tmp_path, cars) as road:
        source = await road.started()
        await lived(road, source, 23)
        assert source.channels().quota.purposes["sessions"] == 10
