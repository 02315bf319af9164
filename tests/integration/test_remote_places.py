"""Places and pictures: what an owner gets from a car by its remote services, and what it is sent."""

from __future__ import annotations

import pytest
from remote_script import (
    COMMANDS,
    EVENT,
    EVENT_POSITION,
    EVENT_STATUS,
    PICTURES,
    POI,
    STREET,
    VIN,
    Said,
    able,
    ordered,
    ready,
    remote_stage,
)

from poller.errors import (
    ArgumentRefused,
    CommandRefused,
    JournalFull,
    SourceBlocked,
)
from poller.sources.base import Target
from poller.sources.mybmw.remote.views import VIEWS
from poller.testing.memory import DictMemory
from poller.vehicle.command import CommandState, Order


@pytest.fixture
async def road(tmp_path):
    async with remote_stage(tmp_path) as set_up:
        yield set_up


# --- the vehicle finder -------------------------------------------------------------------------

PLACE = {"latitude": 12.5, "longitude": 34.5, "heading": 121, "formattedAddress": "Some Street 1"}
FOUND = {"positionData": {"status": "OK", "position": PLACE}, "errorDetails": None}
LOST = {"positionData": None, "errorDetails": {"title": "No position", "description": "Too far away."}}


async def test_a_search_tells_where_the_owner_is_and_gets_where_the_car_is(road) -> None:
    road.script.says(EVENT_POSITION, FOUND)
    outcome = await ordered(
        road, "vehicle_finder", {"observer_latitude": 48.123456, "observer_longitude": -11.5}
    )
    assert (outcome.state, outcome.reason, outcome.stale) == (CommandState.EXECUTED, "", True)
    found = outcome.found
    assert (found.latitude, found.longitude, found.heading, found.address) == (
        12.5,
        34.5,
        121,
        "Some Street 1",
    )
    (asked,) = road.script.to(EVENT_POSITION)
    assert asked.query == {"eventId": EVENT}
    assert (asked.headers["latitude"], asked.headers["longitude"]) == ("48.123456", "-11.5")


async def test_an_address_of_the_finder_moves_no_terminal(road) -> None:
    source = await ready(road)
    for told, kept in (("\x1b[2JSome\r\n Street\ud800 1", "[2JSome Street 1"), ("\x07", None), (["x"], None)):
        road.script.says(EVENT_POSITION, {"positionData": {"position": {**PLACE, "formattedAddress": told}}})
        assert (await source.execute(Order(VIN, "vehicle_finder"))).found.address == kept


async def test_whoever_does_not_say_stands_where_the_car_last_was(road) -> None:
    road.script.says(EVENT_POSITION, FOUND)
    await ordered(road, "vehicle_finder")
    (asked,) = road.script.to(EVENT_POSITION)
    assert (asked.headers["latitude"], asked.headers["longitude"]) == ("54.7211", "2.2504")


async def test_a_search_without_anybodys_position_is_not_begun(tmp_path) -> None:
    async with remote_stage(tmp_path, able(without=["location"])) as road:
        with pytest.raises(CommandRefused):
            await ordered(road, "vehicle_finder")
        assert road.script.asked == []


async def test_what_was_found_is_in_the_snapshots_that_follow(road) -> None:
    road.script.says(EVENT_POSITION, FOUND)
    await ordered(road, "vehicle_finder")
    source = road.sources[0]
    snapshot = source.parse(await source.fetch(Target(VIN)))
    assert [snapshot.value(f"{key}_degrees") for key in ("latitude", "longitude", "heading")] == [
        12.5,
        34.5,
        121,
    ]


async def test_china_has_the_same_services_on_its_own_host_and_its_positions_are_converted(tmp_path) -> None:
    pytest.importorskip("cryptography", reason="the login in China needs the extra [china]")
    async with remote_stage(tmp_path, region="china") as road:
        place = {
            **PLACE,
            "latitude": 31.2304,
            "longitude": 121.4737,
            "heading": 360,
            "formattedAddress": None,
        }
        road.script.says(EVENT_POSITION, {"positionData": {"position": place}})
        found = (await ordered(road, "vehicle_finder")).found
        assert (found.latitude, found.longitude) == pytest.approx((31.232329239140196, 121.46916226346737))
        assert (found.heading, found.address) == (0, None)
        assert [one.path for one in road.script.orders] == [COMMANDS + "vehicle-finder"]


async def test_a_search_that_brings_nothing_is_no_success(road) -> None:
    source = await ready(road)
    for answer, why in (
        (LOST, "No position: Too far away."),
        ({"positionData": {"position": None}}, "holds no position"),
        ({"positionData": {"position": {"latitude": 1}}}, "holds no position"),
        ({"positionData": {"position": {"latitude": 91, "longitude": 0}}}, "holds no position"),
        (b"null", "holds no position"),
        (Said(status=404), "404"),
        (Said(status=500), "500"),
    ):
        road.script.asked.clear()
        road.script.says(EVENT_POSITION, answer)
        outcome = await source.execute(Order(VIN, "vehicle_finder"))
        assert (outcome.state, outcome.found, outcome.stale) == (CommandState.ERROR, None, False), answer
        assert why in outcome.reason
        assert len(road.script.orders) == 1
    assert not [key for key in road.memory.values if key.startswith("finder")]


async def test_a_position_that_could_not_be_asked_for_is_asked_for_again(road) -> None:
    """It is a question, and the car is not told anything twice."""
    road.script.says(EVENT_POSITION, Said(status=502), FOUND)
    assert (await ordered(road, "vehicle_finder")).found
    assert len(road.script.orders) == 1


async def test_a_search_that_fails_asks_for_no_position(road) -> None:
    road.script.says(EVENT_STATUS, {"eventStatus": "ERROR"})
    outcome = await ordered(road, "vehicle_finder")
    assert outcome.state == CommandState.ERROR
    assert road.script.to(EVENT_POSITION) == []


async def test_a_search_is_tried_although_bmw_lists_none_and_it_is_said(tmp_path) -> None:
    async with remote_stage(tmp_path, able(vehicleFinder=False)) as road:
        road.script.says(EVENT_POSITION, FOUND, LOST)
        source = await ready(road)
        good = await source.execute(Order(VIN, "vehicle_finder"))
        assert good.found is not None
        bad = await source.execute(Order(VIN, "vehicle_finder"))
        assert all("BMW lists this car as one that cannot be searched for" in o.reason for o in (good, bad))


class FullMemory(DictMemory):
    """A memory that has no room for what was found."""

    async def remember(self, key, value) -> None:
        if key.startswith("finder"):
            raise JournalFull
        await super().remember(key, value)


async def test_a_full_journal_hides_no_car(road) -> None:
    road.memory = FullMemory()
    road.script.says(EVENT_POSITION, FOUND)
    assert (await ordered(road, "vehicle_finder")).found is not None


# --- addresses ------------------------------------------------------------------------------------


async def test_an_address_is_looked_up_once_and_sent_with_its_town(road) -> None:
    """bimmer_connected fails at coordinates that are texts, and loses the city."""
    road.script.says("/search", [STREET])
    road.script.says(POI, Said(status=201))
    arguments = {"address": "long road 1, town", "name": "Lunch"}
    outcome = await ordered(road, "send_poi", arguments, geocoder=road.url)
    assert outcome.state == CommandState.EXECUTED
    (asked,) = road.script.to("/search")
    assert asked.query == {"q": "long road 1, town", "format": "json", "addressdetails": "1", "limit": "1"}
    assert asked.headers["user-agent"].startswith("bmw-poller/")
    assert not {"authorization", "bmw-vin", "x-user-agent"} & asked.headers.keys()
    (place,) = road.script.to(POI)[0].body["places"]
    assert (place["title"], place["formattedAddress"]) == ("Lunch", "Long Road 1, 12345, Town")
    assert place["position"] == {"lat": 48.1769, "lng": 11.5559}
    assert (place["address"]["city"], place["address"]["country"]) == ("Town", "Land")


async def test_an_address_that_was_not_found_is_sent_nowhere(road) -> None:
    source = await ready(road, geocoder=road.url)
    for answer, why in (
        ([], "knows no such address"),
        ([{"lat": "x", "lon": "y"}], "not understood"),
        ([{"lat": "nan", "lon": "0"}], "not understood"),
        ([{"lat": "91", "lon": "0"}], "not understood"),
        ([{"lat": "1"}], "not understood"),
        ([{"lat": 10**400, "lon": "0"}], "not understood"),
        ({"error": "long road 1"}, "not understood"),
        (b"<html>", "not understood"),
        (Said(b"long road 1", 403), "answered 403"),
        (Said(status=500), "answered 500"),
        (Said(way="reset"), "broke off"),
    ):
        road.script.says("/search", answer)
        with pytest.raises(CommandRefused, match=why) as refused:
            await source.execute(Order(VIN, "send_poi", {"address": "long road 1"}))
        said = f"{refused.value!r} {refused.value.hint} {refused.value.__cause__!r}"
        assert refused.value.hint
        assert "long road 1" not in said
    assert road.script.orders == []


async def test_what_the_geocoder_says_is_cleaned_before_it_is_sent_on(road) -> None:
    parts = {"road": "\x1b[2J\ud800", "house_number": 5, "town": "\udfff", "country": "La\x07nd"}
    road.script.says("/search", [{"lat": "1", "lon": "2", "address": parts}])
    outcome = await ordered(road, "send_poi", {"address": "long road 1"}, geocoder=road.url)
    assert outcome.state == CommandState.EXECUTED
    (place,) = road.script.to(POI)[0].body["places"]
    assert (place["formattedAddress"], place["address"]["country"]) == ("[2J", "Land")


async def test_no_geocoder_no_question(road) -> None:
    with pytest.raises(CommandRefused, match="geocoder"):
        await ordered(road, "send_poi", {"address": "long road 1"}, geocoder="")
    assert road.script.asked == []


# --- pictures -------------------------------------------------------------------------------------

PNG = b"\x89PNG\r\n\x1a\n..."


async def test_all_twelve_pictures_by_the_librarys_names(road) -> None:
    road.script.says(PICTURES, PNG)
    source = await ready(road)
    assert await source.pictures(VIN.lower(), list(VIEWS)) == dict.fromkeys(VIEWS, PNG)
    asked = road.script.asked
    assert [one.query for one in asked] == [{"carView": view, "toCrop": "true"} for view in VIEWS.values()]
    assert len(set(VIEWS.values())) == 12
    for one in asked:
        assert one.headers["accept"] == "image/png"
        assert one.headers["bmw-app-vehicle-type"] == "connected"
        assert one.headers["bmw-vin"] == VIN


async def test_a_view_that_is_not_drawn_is_left_out(road) -> None:
    road.script.says(PICTURES, Said(status=404), PNG)
    source = await ready(road)
    assert await source.pictures(VIN, ["dashboard", "front"]) == {"front": PNG}


async def test_what_is_no_picture_and_what_is_no_view(road) -> None:
    road.script.says(PICTURES, b"<html>")
    source = await ready(road)
    assert await source.pictures(VIN, ["front"]) == {}
    with pytest.raises(ArgumentRefused, match="roof") as refused:
        await source.pictures(VIN, ["front", "roof"])
    assert "frontside, front, side" in refused.value.hint
    road.script.says(PICTURES, Said(status=489))
    with pytest.raises(SourceBlocked):
        await source.pictures(VIN, ["front"])
