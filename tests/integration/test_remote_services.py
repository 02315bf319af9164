"""Orders over HTTP, against a script: what is sent, how it is followed, and what a bad day makes of it."""

from __future__ import annotations

import io
import json
import logging
import traceback

import pytest
import structlog
from mybmw_cloud import CHARGING, LIST, STATE, TOKEN, captured_cases
from remote_script import (
    ACCEPTED,
    COMMANDS,
    EVENT,
    EVENT_POSITION,
    EVENT_STATUS,
    EXECUTED,
    PICTURES,
    Said,
    able,
    remote_stage,
)

from poller.errors import (
    ArgumentRefused,
    CommandRefused,
    JournalFull,
    LoginRequired,
    PollerError,
    RateLimited,
    SourceBlocked,
    SourceUnavailable,
)
from poller.runtime import log
from poller.simulator.login import GCID
from poller.sources.base import Target
from poller.sources.mybmw.remote.car import read_car
from poller.sources.mybmw.remote.catalogue import lack
from poller.sources.mybmw.remote.views import VIEWS
from poller.sources.mybmw.transport import Limits
from poller.sources.remote import Remote
from poller.testing.memory import DictMemory
from poller.vehicle.command import CommandState, Order

VIN = "WBYTEST0000000001"
HORN = COMMANDS + "horn-blow"
PROFILE = f"/eadrax-crccs/v1/vehicles/{VIN}/charging-profile"
SETTINGS = f"/eadrax-crccs/v1/vehicles/{VIN}/charging-settings"
POI = f"/eadrax-dcs/v2/user/{GCID}/send-to-car"

HOUR = {"hour": 0, "minute": 0}


@pytest.fixture
async def road(tmp_path):
    async with remote_stage(tmp_path) as set_up:
        yield set_up


async def ready(road, **more):
    """A source that knows its vehicles; nothing is counted yet."""
    source = await road.logged_in(**more)
    await source.targets()
    road.watched.counts()
    return source


async def ordered(road, service, arguments=None, **more):
    source = await ready(road, **more)
    return await source.execute(Order(VIN, service, arguments or {}))


# --- what is sent -------------------------------------------------------------------------------

ORDERS = {
    "light_flash": ({}, COMMANDS + "light-flash", {}, {}),
    "horn": ({}, HORN, {}, {}),
    "lock": ({}, COMMANDS + "door-lock", {}, {}),
    "unlock": ({}, COMMANDS + "door-unlock", {}, {}),
    "climate_start": ({}, COMMANDS + "climate-now", {"action": "START"}, {}),
    "climate_stop": ({}, COMMANDS + "climate-now", {"action": "STOP"}, {}),
    "vehicle_finder": ({}, COMMANDS + "vehicle-finder", {}, {}),
    "charge_start": ({}, f"/eadrax-crccs/v1/vehicles/{VIN}/start-charging", {}, {}),
    "charge_stop": ({}, f"/eadrax-crccs/v1/vehicles/{VIN}/stop-charging", {}, {}),
    "charging_settings": (
        {"target_soc": 80, "ac_limit": 16},
        SETTINGS,
        {},
        {"chargingTarget": 80, "acLimitValue": 16},
    ),
    "call": (
        {"path": "/eadrax-vrccs/v9/{vin}/{gcid}", "params": {"a": "b c"}, "body": {"d": [1]}},
        f"/eadrax-vrccs/v9/{VIN}/{GCID}",
        {"a": "b c"},
        {"d": [1]},
    ),
}
#: Those after which the car is asked how it stands.
CHANGING = set(ORDERS) - {"light_flash", "horn"} | {"charging_profile"}


async def test_every_order_is_posted_once_where_and_as_bmws_app_does(road) -> None:
    road.script.says(EVENT_POSITION, {"positionData": {"position": {"latitude": 1.5, "longitude": 2.5}}})
    source = await ready(road)
    for service, (arguments, path, query, body) in ORDERS.items():
        road.script.asked.clear()
        outcome = await source.execute(Order(VIN, service, arguments))
        (order,) = road.script.orders
        assert (order.path, order.query, order.body) == (path, query, body)
        assert order.headers["content-type"] == "application/json"
        assert order.headers.get("bmw-vin") == (None if VIN in path else VIN)
        assert order.headers["x-user-agent"].split(";")[1] == "bmw"
        assert (outcome.state, outcome.reason) == (CommandState.EXECUTED, "")
        assert (outcome.event_id, outcome.stale) == (EVENT, service in CHANGING)


async def test_an_order_costs_one_look_at_the_car(road) -> None:
    """Its fresh state says what it can do; lists are asked for once a day."""
    assert (await ordered(road, "horn")).state == CommandState.EXECUTED
    assert road.watched.counts() == {STATE: 1}


async def test_a_first_order_asks_which_cars_there_are(road) -> None:
    source = await road.logged_in()
    await source.execute(Order(VIN.lower(), "horn"))
    assert road.watched.counts() == {LIST: 3, STATE: 1}
    assert road.script.orders[0].headers["bmw-vin"] == VIN


async def test_a_call_without_the_vin_in_its_path_has_it_in_a_header(road) -> None:
    road.script.says("/eadrax-vrccs/v9/x", Said(status=204))
    outcome = await ordered(road, "call", {"path": "/eadrax-vrccs/v9/x"})
    (order,) = road.script.orders
    assert (order.query, order.body, order.headers["bmw-vin"]) == ({}, {}, VIN)
    assert (outcome.state, outcome.event_id, outcome.stale) == (CommandState.EXECUTED, "", True)


async def test_the_brand_is_the_cars(tmp_path) -> None:
    async with remote_stage(tmp_path, able("combustion_mini_open")) as road:
        source = await ready(road)
        await source.execute(Order("WMWTEST0000000005", "horn"))
        brands = {asked.headers["x-user-agent"].split(";")[1] for asked in road.script.asked}
        assert brands == {"mini"}


async def test_the_whole_profile_goes_out_with_the_service_pack_of_the_settings(road) -> None:
    outcome = await ordered(road, "charging_profile", {"charging_mode": "DELAYED_CHARGING"})
    (order,) = road.script.orders
    assert (order.path, "bmw-vin" in order.headers) == (PROFILE, False)
    assert order.body == {
        "chargingMode": {
            "chargingPreference": "CHARGING_WINDOW",
            "endTimeSlot": "0001-01-01T00:00:00.000",
            "startTimeSlot": "0001-01-01T00:00:00.000",
            "type": "TIME_SLOT",
            "timerChange": "NO_CHANGE",
        },
        "departureTimer": {"type": "WEEKLY_DEPARTURE_TIMER", "weeklyTimers": []},
        "isPreconditionForDepartureActive": True,
        "servicePack": "TEST",
    }
    assert outcome.stale
    assert road.watched.counts() == {STATE: 1, CHARGING: 1}


async def test_a_profile_whose_other_half_could_not_be_had_is_not_sent(road) -> None:
    source = await ready(road)
    road.watched.fail(CHARGING, 500, times=None)
    with pytest.raises(SourceUnavailable):
        await source.execute(Order(VIN, "charging_profile", {"precondition_climate": True}))
    assert road.script.orders == []


async def test_a_place_is_taken_without_more_words(road) -> None:
    road.script.says(POI, Said(status=201))
    outcome = await ordered(road, "send_poi", {"latitude": 12.5, "longitude": 34.5, "name": "Lunch"})
    assert (outcome.state, outcome.event_id, outcome.stale) == (CommandState.EXECUTED, "", False)
    (order,) = road.script.asked
    assert (order.path, order.headers["bmw-vin"]) == (POI, VIN)
    assert order.body["vehicleInformation"] == {"vin": VIN}
    assert [(p["title"], p["position"]) for p in order.body["places"]] == [
        ("Lunch", {"lat": 12.5, "lng": 34.5})
    ]


async def test_an_answer_without_an_event_is_an_end(road) -> None:
    source = await ready(road)
    for answer in (b"", b"\n", {}, {"creationTime": "now"}, {"eventId": None}, {"eventId": ""}):
        road.script.says(HORN, answer)
        assert (await source.execute(Order(VIN, "horn"))).state == CommandState.EXECUTED, answer
    assert road.script.to(EVENT_STATUS) == []


# --- what is refused before anything is sent ------------------------------------------------------


async def test_a_car_that_cannot_is_not_told(tmp_path) -> None:
    async with remote_stage(tmp_path, able(horn=False)) as road:
        with pytest.raises(CommandRefused, match="horn") as refused:
            await ordered(road, "horn")
        assert refused.value.exit_code == 1
        assert "BMW's own app" in refused.value.hint
        assert road.script.asked == []
        offered = await road.sources[0].offered(VIN)
        assert {service for service, why_not in offered.items() if why_not} == {"horn"}


async def test_offered_costs_one_request_and_tells_of_every_service(road) -> None:
    source = await ready(road)
    assert isinstance(source, Remote)
    assert dict.fromkeys([*ORDERS, "charging_profile", "send_poi"], "") == await source.offered(VIN)
    assert road.watched.counts() == {STATE: 1}


async def test_an_order_that_makes_no_sense_asks_nobody(road) -> None:
    source = await ready(road)
    for service, arguments in {
        "horn": {"loud": True},
        "charging_settings": {"target_soc": 81},
        "charging_profile": {},
        "send_poi": {"latitude": 91.0, "longitude": 0.0},
        "vehicle_finder": {"observer_latitude": 1.0},
        "call": {"path": "https://elsewhere.example/"},
    }.items():
        with pytest.raises(ArgumentRefused) as refused:
            await source.execute(Order(VIN, service, arguments))
        assert refused.value.exit_code == 2
    assert (road.watched.requests, road.script.asked) == ([], [])


async def test_a_limit_is_one_that_the_car_offers_just_now(road) -> None:
    with pytest.raises(ArgumentRefused) as refused:
        await ordered(road, "charging_settings", {"ac_limit": 15})
    assert refused.value.hint == "amperes: 6, 10, 16, 32"
    assert road.script.asked == []


async def test_a_car_that_is_not_listed_is_told_nothing(road) -> None:
    source = await ready(road)
    for what in (
        source.execute(Order("WBA00000000000000", "horn")),
        source.offered("WBA00000000000000"),
        source.pictures("WBA00000000000000", ["front"]),
    ):
        with pytest.raises(CommandRefused, match="no such vehicle"):
            await what
    assert (road.watched.requests, road.script.asked) == ([], [])


@pytest.mark.parametrize("service", ["charge_start", "charge_stop"])
async def test_without_a_charger_nothing_is_sent(tmp_path, service) -> None:
    async with remote_stage(tmp_path, able(without=["electricChargingState"])) as road:
        outcome = await ordered(road, service)
        assert (outcome.state, outcome.stale) == (CommandState.IGNORED, False)
        assert "no charger" in outcome.reason
        assert road.script.asked == []


# --- how it is followed -----------------------------------------------------------------------------


async def test_bmw_is_asked_every_three_and_a_half_seconds_until_it_says_how_it_ended(road) -> None:
    """INITIATED is no end: bimmer_connected takes it for one."""
    words = ["INITIATED", "PENDING", "DELIVERED", "SOMETHING_NEW", "delivered", "EXECUTED"]
    road.script.says(EVENT_STATUS, *({"eventStatus": word} for word in words))
    outcome = await ordered(road, "horn")
    assert outcome.state == CommandState.EXECUTED
    asked = road.script.to(EVENT_STATUS)
    assert [one.query for one in asked] == [{"eventId": EVENT}] * 6
    assert not any("bmw-vin" in one.headers for one in asked)
    sent = road.script.orders[0].at
    assert [one.at - sent for one in asked] == [3.5 * turn for turn in range(1, 7)]


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({"details": "Door open."}, "BMW says that it failed: Door open."),
        (
            {"errorDetails": {"title": "No", "description": "Door open."}},
            "BMW says that it failed: No: Door open.",
        ),
        ({"details": {"title": None, "description": "Door open."}}, "BMW says that it failed: Door open."),
        ({}, "BMW says that it failed, and not why."),
        ({"details": ["?"]}, "BMW says that it failed, and not why."),
    ],
    ids=str,
)
async def test_an_error_ends_it_with_bmws_own_words(road, details, reason) -> None:
    road.script.says(EVENT_STATUS, {"eventStatus": "PENDING"}, {"eventStatus": "ERROR", **details})
    outcome = await ordered(road, "lock")
    assert (outcome.state, outcome.reason, outcome.stale) == (CommandState.ERROR, reason, False)
    assert len(road.script.to(EVENT_STATUS)) == 2


async def test_a_car_may_ignore_it(road) -> None:
    road.script.says(EVENT_STATUS, {"eventStatus": "IGNORED"})
    outcome = await ordered(road, "lock")
    assert (outcome.state, outcome.reason) == (CommandState.IGNORED, "BMW says that the car ignored it.")


async def test_after_four_minutes_nobody_is_asked_any_more(road) -> None:
    road.script.says(EVENT_STATUS, {"eventStatus": "DELIVERED"})
    outcome = await ordered(road, "lock")
    assert (outcome.state, outcome.stale) == (CommandState.TIMED_OUT, True)
    assert "may or may not have been done" in outcome.reason
    assert "delivered" in outcome.reason
    asked = road.script.to(EVENT_STATUS)
    assert (len(asked), asked[-1].at - road.script.orders[0].at) == (68, 238.0)
    assert len(road.script.orders) == 1


@pytest.mark.parametrize(
    "failure",
    [
        Said(status=500),
        Said(status=404),
        Said(way="reset"),
        b'{"eventStat',
        Said(status=429, headers={"retry-after": "30"}),
        Said(status=403, body={"message": "Out of call volume quota. Replenished in 00:00:30."}),
    ],
    ids=["500", "404", "reset", "half", "429", "quota"],
)
async def test_a_question_that_fails_does_not_end_the_wait(road, failure) -> None:
    road.script.says(EVENT_STATUS, failure, EXECUTED)
    outcome = await ordered(road, "horn")
    assert outcome.state == CommandState.EXECUTED
    assert len(road.script.orders) == 1
    first, second = (one.at for one in road.script.to(EVENT_STATUS))
    waits = 30 if isinstance(failure, Said) and failure.status in (429, 403) else 3.5
    assert second - first == pytest.approx(waits, abs=1)


async def test_a_wait_longer_than_ours_ends_it(road) -> None:
    road.script.says(EVENT_STATUS, Said(status=489))
    outcome = await ordered(road, "horn")
    assert outcome.state == CommandState.UNKNOWN
    assert "489" in outcome.reason
    assert len(road.script.to(EVENT_STATUS)) == 1


async def test_a_login_that_ends_meanwhile_ends_the_questions(road) -> None:
    road.script.says(EVENT_STATUS, Said(status=401))
    outcome = await ordered(road, "lock")
    assert (outcome.state, outcome.event_id, outcome.stale) == (CommandState.UNKNOWN, EVENT, True)
    assert len(road.script.to(EVENT_STATUS)) == 2


# --- never twice ------------------------------------------------------------------------------------


async def test_a_token_that_has_ended_is_renewed_and_the_order_sent_again(road) -> None:
    """BMW did nothing with the first."""
    road.script.says(HORN, Said(status=401), ACCEPTED)
    outcome = await ordered(road, "horn")
    assert outcome.state == CommandState.EXECUTED
    first, second = road.script.orders
    assert first.headers["authorization"] != second.headers["authorization"]
    assert road.watched.counts()[TOKEN] == 1


async def test_a_second_refusal_is_the_end(road) -> None:
    road.script.says(HORN, Said(status=401))
    with pytest.raises(LoginRequired):
        await ordered(road, "horn")
    assert len(road.script.orders) == 2


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Said(way="reset"), CommandState.UNKNOWN),
        (Said(way="silence"), CommandState.TIMED_OUT),
        (Said(status=500), CommandState.UNKNOWN),
        (Said(status=503), CommandState.UNKNOWN),
        (Said(b" " * 30_000), CommandState.UNKNOWN),
        (Said(b'{"eventId": "5c'), CommandState.UNKNOWN),
        (Said(["eventId"]), CommandState.UNKNOWN),
        (Said({"eventId": 5}), CommandState.UNKNOWN),
    ],
    ids=["reset", "silence", "500", "503", "too long", "cut off", "a list", "a number"],
)
async def test_an_order_whose_answer_is_lost_is_not_sent_again(road, answer, state) -> None:
    road.script.says(COMMANDS + "door-unlock", answer)
    outcome = await ordered(road, "unlock", limits=Limits(timeout=0.3, largest_body=20_000))
    assert (outcome.state, outcome.stale) == (state, True)
    assert "may or may not have been done" in outcome.reason
    assert len(road.script.asked) == 1


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        (Said(status=489, body=b"Blocked"), SourceBlocked, "blocked"),
        (Said(status=403, body={"message": "Out of call volume quota."}), RateLimited, "quota"),
        (Said(status=429), RateLimited, "rate_limited"),
        (Said(status=403), LoginRequired, "login_required"),
        (Said(status=404), SourceUnavailable, "unavailable"),
        (Said(status=422), SourceUnavailable, "unavailable"),
        (
            Said(status=302, headers={"location": "https://elsewhere.example"}),
            SourceUnavailable,
            "unavailable",
        ),
    ],
    ids=["489", "quota", "429", "403", "404", "422", "302"],
)
async def test_an_order_that_bmw_refuses_was_not_done(road, answer, error, reason) -> None:
    road.script.says(HORN, answer)
    with pytest.raises(error) as raised:
        await ordered(road, "horn")
    assert raised.value.reason == reason
    assert len(road.script.asked) == 1


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
        assert (await source.offered(VIN))["vehicle_finder"] == ""
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

STREET = {
    "lat": "48.1769", "lon": "11.5559",
    "address": {
        "road": "Long Road", "house_number": "1", "town": "Town", "postcode": "12345", "country": "Land",
    },
}  # fmt: skip


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
    with pytest.raises(SourceUnavailable, match="PNG"):
        await source.pictures(VIN, ["front"])
    with pytest.raises(ArgumentRefused, match="roof") as refused:
        await source.pictures(VIN, ["front", "roof"])
    assert "frontside, front, side" in refused.value.hint
    road.script.says(PICTURES, Said(status=489))
    with pytest.raises(SourceBlocked):
        await source.pictures(VIN, ["front"])


# --- what nobody may read -----------------------------------------------------------------------


@pytest.fixture
def logged():
    """Everything that was logged, at debug, as a user would have it."""
    stream = io.StringIO()
    handlers, level = logging.root.handlers[:], logging.root.level
    log.configure("debug", "json", stream)
    yield stream
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


ECHO = {
    "message": f"{VIN} {GCID} at 54.7211, 2.2504",
    "eventStatus": "ERROR",
    "details": f"{VIN} of owner@example.com ({GCID}) at 54.7211 / 2.2504, you at 48.123456; Bearer abcdefgh",
    "errorDetails": {"title": VIN, "description": "54.7211, 2.2504"},
}


@pytest.mark.parametrize("spoilt", ["order", EVENT_STATUS, EVENT_POSITION, "/search"])
@pytest.mark.parametrize("status", [200, 429, 500])
async def test_no_place_and_no_vin_in_any_error_outcome_or_log(road, logged, spoilt, status) -> None:
    """Even if the server says it all in its error text."""
    source = await ready(road, geocoder=road.url)
    road.script.says("/search", [STREET])
    for path in (COMMANDS + "vehicle-finder", POI) if spoilt == "order" else (spoilt,):
        road.script.says(path, Said(ECHO, status))
    texts = []
    for service, arguments in {
        "vehicle_finder": {"observer_latitude": 48.123456, "observer_longitude": 11.654321},
        "send_poi": {"address": "Petuelring 130"},
        "horn": {"latitude": 48.123456},
    }.items():
        order = Order(VIN, service, arguments)
        try:
            outcome = await source.execute(order)
            texts += [repr(outcome), outcome.reason]
        except PollerError as error:
            texts += [str(error), error.hint or "", repr(error), "".join(traceback.format_exception(error))]
        texts.append(repr(order))
    said = "\n".join([*texts, logged.getvalue(), repr(source)])
    tokens = {one.headers.get("authorization", "Bearer ?").split()[-1] for one in road.script.asked} - {"?"}
    places = {"48.123456", "11.654321", "54.7211", "2.2504", "48.1769", "Petuelring", "Long Road"}
    secret = {VIN, GCID, "owner@example.com", "abcdefgh", *places, *tokens}
    assert [word for word in secret if word in said] == []


# --- real replies -------------------------------------------------------------------------------


async def test_captured_replies_are_understood(tmp_path, shared) -> None:
    """As a user of bimmer_connected once recorded them."""
    folder = shared / "fingerprints" / "remote_services"
    if not folder.is_dir():
        pytest.skip("no captured replies of remote services in ../shared")

    def reply(name):
        return (folder / f"eadrax_service_{name}.json").read_bytes()

    async with remote_stage(tmp_path) as road:
        source = await ready(road)
        trigger = COMMANDS + "vehicle-finder"
        road.script.says(trigger, reply("initiated"))
        road.script.says(EVENT_STATUS, *map(reply, ("pending", "delivered", "executed")))
        road.script.says(EVENT_POSITION, reply("eventposition"))
        outcome = await source.execute(Order(VIN, "vehicle_finder"))
        event = json.loads(reply("initiated"))["eventId"]
        assert (outcome.state, outcome.event_id) == (CommandState.EXECUTED, event)
        assert [one.query for one in road.script.to(EVENT_STATUS)] == [{"eventId": event}] * 3
        position = json.loads(reply("eventposition"))["positionData"]["position"]
        assert (outcome.found.latitude, outcome.found.longitude) == (
            position["latitude"],
            position["longitude"],
        )
        assert (outcome.found.heading, outcome.found.address) == (
            position["heading"],
            position["formattedAddress"],
        )
        road.script.says(EVENT_STATUS, reply("error"))
        failed = await source.execute(Order(VIN, "vehicle_finder"))
        assert failed.state == CommandState.ERROR
        assert json.loads(reply("error"))["details"] in failed.reason


#: The library's property → our service.
OFFERED = {
    "is_remote_lights_enabled": "light_flash",
    "is_remote_horn_enabled": "horn",
    "is_remote_lock_enabled": "lock",
    "is_remote_unlock_enabled": "unlock",
    "is_remote_climate_start_enabled": "climate_start",
    "is_remote_climate_stop_enabled": "climate_stop",
    "is_remote_charge_start_enabled": "charge_start",
    "is_remote_charge_stop_enabled": "charge_stop",
    "is_remote_sendpoi_enabled": "send_poi",
}


def test_captured_cars_can_do_what_bimmer_connected_says_that_they_can(shared) -> None:
    cases = captured_cases(shared)
    assert len(cases) >= 6
    for one in cases:
        car = read_car(one.vin, "bmw", one.bodies["state"])
        says = {name: one.expected.get(name) for name in OFFERED}
        ours = {name: not lack(service, car) for name, service in OFFERED.items()}
        # null where the library crashes at this car
        assert [name for name in OFFERED if says[name] not in (ours[name], None)] == [], one.name
        plan = one.expected["is_charging_plan_supported"] and one.expected["charging_profile"] is not None
        assert (lack("charging_profile", car) == "") is bool(plan), one.name
